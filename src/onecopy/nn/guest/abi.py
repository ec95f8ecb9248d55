"""The functions of `wasi_ephemeral_nn`, as modules import them.

Sources: `wasi-nn.witx` (WebAssembly/wasi-nn), and WasmEdge's plugin for what follows on those.
"""

from __future__ import annotations

from typing import Final

WASI: Final = "wasi_snapshot_preview1"
MODULE: Final = "wasi_ephemeral_nn"

ARITY: Final = {
    "load": 5,
    "load_by_name": 3,
    "init_execution_context": 2,
    "set_input": 3,
    "compute": 1,
    "get_output": 5,
    "load_by_name_with_config": 5,
    "compute_single": 1,
    "get_output_single": 5,
    "fini_single": 1,
    "unload": 1,
}
"""How many numbers each takes, all of them i32; each returns an i32, the error."""

SIGNATURES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    name: (("i32",) * count, ("i32",)) for name, count in ARITY.items()
}
