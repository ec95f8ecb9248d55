"""A plan as bytes, and back: so that the next process neither exports nor records again.

One JSON document. Expressions are trees of lists, not text that something would have to evaluate;
tensors of the example are compressed bytes. docs/planner.md says what is in it.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import CorruptEntry, WeightsMismatch
from onecopy.planner.analysis.buffer import Kind, SymbolicBuffer
from onecopy.planner.analysis.dims import dimension
from onecopy.planner.analysis.examples import Examples
from onecopy.planner.analysis.formulas import formula, parsed
from onecopy.planner.analysis.saved_inputs import (
    SavedInput,
    example_of,
    saved_input,
    tree_of,
    tree_text,
)
from onecopy.planner.analysis.weights import weights_list_of

if TYPE_CHECKING:
    from onecopy.planner.analysis.plan import Plan

FORMAT: Final = "onecopy.plan"
VERSION: Final = 1

_MOST_STEPS: Final = 1 << 22
"""A Llama of a billion weights has some thousand; whatever is asked of a plan looks at each."""


# What it looks like when a file says what no plan says; torch raises RuntimeError.
_DAMAGE: Final = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
    RuntimeError,
    zlib.error,
)


# Lists in lists without end are a RecursionError.
_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class SavedDim(msgspec.Struct, frozen=True):
    """A dimension of the file."""

    name: str
    lower: int
    upper: int | None


class SavedBuffer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A buffer of the file; its size is an index into the file's list of expressions."""

    name: str
    size: int
    start: int
    end: int
    kind: Kind
    path: str = ""
    op: str = ""
    node: str = ""
    upper: int | None = None
    temporary: bool = False


class SavedPlan(msgspec.Struct, frozen=True):
    """The whole file."""

    format: str
    version: int
    module: str
    weights: list[tuple[str, str, list[int]]]
    dims: list[SavedDim]
    expressions: list[Any]
    buffers: list[SavedBuffer]
    relations: list[tuple[str, Any, Any]]
    steps: int
    tree: str
    inputs: list[SavedInput]
    recording: dict[str, Any] | None


class _Head(msgspec.Struct):
    format: str
    version: int


def encoded(plan: Plan) -> bytes:
    """Return a plan as the bytes of a file."""
    sizes = list(dict.fromkeys(buffer.size for buffer in plan.buffers))
    index = {size: at for at, size in enumerate(sizes)}
    saved = SavedPlan(
        format=FORMAT,
        version=VERSION,
        module=plan.module_name,
        weights=plan.weights_list,
        dims=[SavedDim(dim.name, dim.lower, dim.upper) for dim in plan.dims.values()],
        expressions=[formula(size) for size in sizes],
        buffers=[_saved_buffer(buffer, index[buffer.size]) for buffer in plan.buffers],
        relations=[(r.rel_op, formula(r.lhs), formula(r.rhs)) for r in plan.relations],
        steps=plan.steps,
        tree=tree_text(plan.examples.tree),
        inputs=[saved_input(each) for each in plan.examples.inputs],
        recording=None if plan.recording is None else plan.recording.as_dict(),
    )
    return msgspec.json.encode(saved)


def decoded(data: bytes, module: Any) -> Plan:
    """Return the plan whose file has these bytes.

    Raises:
        CorruptEntry: the bytes are no plan, are damaged, or of another version.
        WeightsMismatch: the plan was made for a module with other weights.

    """
    saved = _parsed(data)
    try:
        return _plan(saved, module)
    except WeightsMismatch:
        raise
    except _DAMAGE as error:
        raise CorruptEntry(f"the plan's file is damaged ({error}); plan again") from error


def _parsed(data: bytes) -> SavedPlan:
    try:
        head = msgspec.json.decode(data, type=_Head)
    except _MALFORMED as error:
        raise CorruptEntry(f"this is no file of Plan.save ({error})") from error
    if head.format != FORMAT or head.version != VERSION:
        raise CorruptEntry(
            f"the file has format {head.format!r}, version {head.version}; this onecopy reads "
            f"{FORMAT!r}, version {VERSION}: plan again"
        )
    try:
        return msgspec.json.decode(data, type=SavedPlan)
    except _MALFORMED as error:
        raise CorruptEntry(f"the plan's file is damaged ({error}); plan again") from error


def _plan(saved: SavedPlan, module: Any) -> Plan:
    from onecopy.planner.analysis.plan import Plan

    if module is not None and weights_list_of(module) != saved.weights:
        raise WeightsMismatch(
            f"the plan is of a {saved.module} with other weights than this "
            f"{type(module).__name__} has; plan this one"
        )
    if not 0 < saved.steps <= _MOST_STEPS:
        raise ValueError(f"{saved.steps} steps are impossible")
    _check_unique(each.name for each in saved.dims)
    _check_unique(each.name for each in saved.buffers)
    dims = {each.name: dimension(each.name, each.lower, each.upper) for each in saved.dims}
    symbols = {name: dim.symbol for name, dim in dims.items()}
    sizes = [parsed(each, symbols) for each in saved.expressions]
    inputs = [example_of(each, symbols) for each in saved.inputs]
    relations = [_relation(each, symbols) for each in saved.relations]
    return Plan(
        dims=dims,
        buffers=[_buffer(each, sizes, saved.steps) for each in saved.buffers],
        relations=relations,
        steps=saved.steps,
        module=module,
        weights_list=saved.weights,
        module_name=saved.module,
        examples=Examples(tree_of(saved.tree), inputs),
        recording=_recording(saved.recording),
    )


def _check_unique(names: Iterable[str]) -> None:
    (name, count), *_ = [*Counter(names).most_common(1), ("", 0)]
    if count > 1:
        raise ValueError(f"{name!r} is there twice")


def _saved_buffer(buffer: SymbolicBuffer, size: int) -> SavedBuffer:
    return SavedBuffer(
        buffer.name,
        size,
        buffer.start,
        buffer.end,
        buffer.kind,
        buffer.path,
        buffer.op,
        buffer.node,
        buffer.upper,
        buffer.temporary,
    )


def _buffer(saved: SavedBuffer, sizes: Sequence[Any], steps: int) -> SymbolicBuffer:
    if not 0 <= saved.start < saved.end <= steps or saved.size < 0:
        raise ValueError(f"buffer {saved.name!r} has an impossible lifetime or size")
    if sizes[saved.size].is_negative or (saved.upper is not None and saved.upper < 0):
        raise ValueError(f"buffer {saved.name!r} has a size below 0")
    fields = {name: getattr(saved, name) for name in saved.__struct_fields__}
    return SymbolicBuffer(**(fields | {"size": sizes[saved.size]}))


def _relation(saved: tuple[str, Any, Any], symbols: Mapping[str, Any]) -> Any:
    import sympy

    sign, left, right = saved
    kinds = {">=": sympy.Ge, "<=": sympy.Le}
    return kinds[sign](parsed(left, symbols), parsed(right, symbols))


def _recording(saved: dict[str, Any] | None) -> Any:
    if saved is None:
        return None
    from onecopy.planner.running.recording import Recording

    return Recording.from_dict(saved)
