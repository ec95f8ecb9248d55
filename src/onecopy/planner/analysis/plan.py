"""A plan: what a module needs when, as expressions in its dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onecopy.errors import CorruptEntry, InvalidBounds
from onecopy.planner.analysis.dims import Dim, check_names
from onecopy.planner.analysis.peak import compiled, live_at_steps, peak_of
from onecopy.planner.analysis.tasks import Tasks
from onecopy.planner.analysis.upper import box_of, upper_bound
from onecopy.planner.analysis.weights import check_module, weights_list_of
from onecopy.planner.numbers import whole

if TYPE_CHECKING:
    import os

    from onecopy.planner.analysis.buffer import SymbolicBuffer
    from onecopy.planner.analysis.examples import Examples
    from onecopy.planner.analysis.explanation import Explanation
    from onecopy.planner.packing.problem import Problem


class Plan(Tasks):
    """What a module needs when: made by `planner.plan`, or loaded from a file.

    `dims` has the dimensions by name; `buffers` everything that needs memory, with sizes in
    bytes as sympy expressions in the dimensions; `steps` how many steps a run has.
    """

    def __init__(
        self,
        *,
        dims: Mapping[str, Dim],
        buffers: Sequence[SymbolicBuffer],
        relations: Sequence[Any],
        steps: int,
        module: Any,
        examples: Examples,
        recording: Any = None,
        weights_list: list[tuple[str, str, list[int]]] | None = None,
        module_name: str = "",
    ) -> None:
        self.dims = dict(dims)
        self.buffers = tuple(buffers)
        self.relations = tuple(relations)
        self.steps = steps
        self.module = module
        """None in a plan that was loaded without it."""
        self.module_name = module_name or type(module).__name__
        self.examples = examples
        self.weights_list = weights_list_of(module) if weights_list is None else weights_list
        """Name, dtype and shape of each of the module's tensors: what a loaded plan must fit."""
        self.recording = recording
        """What a run at the bounds allocated, once there was one: it is saved with the plan."""

    def __repr__(self) -> str:
        facts = [self.module_name, f"{len(self.buffers)} buffers", *map(str, self.dims.values())]
        return f"Plan({', '.join(facts)})"

    @property
    def weights(self) -> tuple[SymbolicBuffer, ...]:
        """Parameters, buffers and constants; memory that several share is here once."""
        return self._of_kind("weight")

    @property
    def state(self) -> tuple[SymbolicBuffer, ...]:
        """What lives from call to call and is written to, such as KV caches."""
        return self._of_kind("state")

    @property
    def inputs(self) -> tuple[SymbolicBuffer, ...]:
        """Tensors that the caller passes, but for those that are state."""
        return self._of_kind("input")

    @property
    def outputs(self) -> tuple[SymbolicBuffer, ...]:
        """Memory of results that the caller gets."""
        return self._of_kind("output")

    @property
    def unplanned(self) -> tuple[SymbolicBuffer, ...]:
        """Buffers without an upper bound: they depend on dimensions that were kept dynamic."""
        return tuple(buffer for buffer in self.buffers if not buffer.planned)

    @property
    def weights_nbytes(self) -> int:
        """Bytes of the weights; state is not among them."""
        return sum(int(buffer.size) for buffer in self.weights)

    @cached_property
    def bytes(self) -> Any:
        """Bytes of a run as a sympy expression: weights, state, inputs, and the peak of the rest.

        `plan.bytes.subs({"b": 1, "s": 512})`; buffers without an upper bound are not in it.
        Kernels may need workspace that no graph shows: certify what must hold.
        """
        import sympy

        planned = [buffer for buffer in self.buffers if buffer.planned]
        standing = [b.size for b in planned if b.kind not in ("intermediate", "output")]
        moving = [b for b in planned if b.kind in ("intermediate", "output")]
        box = {s: span for s, span in box_of(self.dims).items() if span[1] != float("inf")}
        return sympy.Add(*standing) + peak_of(live_at_steps(moving, self.steps), box)

    def nbytes(self, **dims: int) -> int:
        """Return the bytes of a run at these values: `bytes`, evaluated; missing ones at the bound.

        Raises:
            InvalidBounds: a value is outside the bounds of its dimension.

        """
        names = sorted(symbol.name for symbol in self.bytes.free_symbols)
        values = self.values(dims)
        return int(self._evaluate(*(values[name] for name in names)))

    def values(self, dims: Mapping[str, int]) -> dict[str, int]:
        """Return a value for every dimension: those given, checked, and the bounds of the others.

        Raises:
            InvalidArgument: a name is no dimension of this plan.
            InvalidBounds: a value is outside the bounds of its dimension.

        """
        check_names(self.dims, dims, "the call")
        bounds = {name: dim.upper for name, dim in self.dims.items() if dim.upper is not None}
        return bounds | {name: self.dims[name].checked(value) for name, value in dims.items()}

    def sizes(self, **dims: int) -> dict[str, int]:
        """Return the bytes of each buffer by name, at these values.

        A dimension that is not given may have any value within its bounds: then a size is the
        largest that occurs. Buffers without an upper bound are left out, unless all that their
        sizes depend on is given.
        """
        check_names(self.dims, dims, "the call")
        fixed = {self.dims[k].symbol: self.dims[k].checked(v) for k, v in dims.items()}
        found = {size: self._size(size, fixed) for size in {b.size for b in self.buffers}}
        sizes = {buffer.name: found[buffer.size] for buffer in self.buffers}
        return {name: size for name, size in sizes.items() if size is not None}

    def problem(self, *, outputs: bool = True, alignment: int = 64, **dims: int) -> Problem:
        """Return intermediates and outputs at these values as a problem to be packed.

        A dimension that is not given may have any value within its bounds: see `sizes`.
        `outputs=False` leaves out what the caller keeps.
        """
        from onecopy.planner.packing.buffer import Buffer
        from onecopy.planner.packing.problem import Problem

        kinds = ("intermediate", "output") if outputs else ("intermediate",)
        sizes = self.sizes(**dims)
        return Problem(
            Buffer(each.name, sizes[each.name], each.start, each.end, alignment)
            for each in self.buffers
            if each.kind in kinds and each.name in sizes
        )

    def inputs_at(self, **dims: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return `(args, kwargs)` of these sizes, made from the example; missing ones at the bound.

        The example's values are repeated, so that indices stay valid. Values above the bounds are
        allowed: a planned module has to stay correct there too.
        """
        check_names(self.dims, dims, "the call")
        for name, value in dims.items():
            if whole(value, name) < 0:
                raise InvalidBounds(f"{name} = {value}, but a size is never negative")
        bounds = {name: dim.upper for name, dim in self.dims.items() if dim.upper is not None}
        return self.examples.at(bounds | dims)

    def explain(self, **dims: int) -> Explanation:
        """Return what lives at the peak, at these values; `print` it, or draw it by `.svg()`.

        Values that are missing are at their bound. Buffers without one are named apart.
        """
        from onecopy.planner.analysis.explanation import explanation

        return explanation(self.buffers, self.sizes(**dims), self.steps, self.values(dims))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a file; with the recording, if there is one.

        Raises:
            UnsupportedValue: an example argument is of a type that cannot be written.

        """
        from onecopy.planner.analysis.saving import encoded

        Path(path).write_bytes(encoded(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str], module: Any = None) -> Plan:
        """Read a plan; with `module`, what it is a plan of, it can be bound.

        Raises:
            CorruptEntry: the file is no plan, is damaged, or comes from another version.
            WeightsMismatch: the plan was made for a module with other weights.
            InvalidArgument: `module` is none.

        """
        from onecopy.planner.analysis.saving import decoded

        if module is not None:
            check_module(module)
        try:
            plan: Plan = decoded(Path(path).read_bytes(), module)
        except CorruptEntry as error:
            raise CorruptEntry(f"{path}: {error}") from error
        return plan

    @cached_property
    def _evaluate(self) -> Any:
        return compiled(self.bytes, sorted(self.bytes.free_symbols, key=lambda each: each.name))

    def _size(self, size: Any, fixed: Mapping[Any, int]) -> int | None:
        box = {**box_of(self.dims), **{symbol: (value, value) for symbol, value in fixed.items()}}
        return upper_bound(size, box, self.relations)

    def _of_kind(self, kind: str) -> tuple[SymbolicBuffer, ...]:
        return tuple(buffer for buffer in self.buffers if buffer.kind == kind)
