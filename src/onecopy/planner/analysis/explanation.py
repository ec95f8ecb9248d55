"""What lives at the peak, and where it comes from: as text, and as a drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.planner.analysis.buffer import SymbolicBuffer

_STANDING = ("weight", "state", "input")
_LABELS = {"weight": "weights", "state": "state", "input": "inputs"}


@dataclass(frozen=True)
class Live:
    """A buffer and its bytes at the values that are explained."""

    buffer: SymbolicBuffer
    nbytes: int


@dataclass(frozen=True)
class Explanation:
    """What a run needs at certain values of the dimensions; `print` it, or draw it.

    `steps` has the bytes of intermediates and outputs that live in each step, `peak` the step in
    which they are most, `live` what lives then, largest first; `standing` are the bytes of each
    kind that live throughout, `outside` the buffers that are not counted.
    """

    values: Mapping[str, int]
    steps: Sequence[int]
    peak: int
    live: Sequence[Live]
    standing: Mapping[str, int]
    outside: Sequence[SymbolicBuffer] = ()
    """Buffers whose size is not known: they depend on dimensions without a bound."""

    @property
    def nbytes(self) -> int:
        """The bytes of the whole run: what stands, and the peak of the rest."""
        return sum(self.standing.values()) + self.steps[self.peak]

    def __str__(self) -> str:
        where = ", ".join(f"{name} = {value}" for name, value in self.values.items())
        lines = [f"{format_size(self.nbytes)} at {where or 'fixed sizes'}"]
        lines += [
            f"  {format_size(n):>10}  {_LABELS[kind]}" for kind, n in self.standing.items() if n
        ]
        moving = format_size(self.steps[self.peak])
        lines.append(f"  {moving:>10}  in step {self.peak} of {len(self.steps)}, the peak:")
        lines += [f"    {_row(live)}" for live in self.live if live.nbytes]
        lines += [f"  {line}" for line in _outside(self.outside, self.values)]
        return "\n".join(lines)

    def svg(self, width: int = 960, height: int = 480) -> str:
        """Draw the bytes that live in each step, and beside it what they are at the peak."""
        from onecopy.planner.analysis.drawing import drawn

        return drawn(self, width, height)


def explanation(
    buffers: Iterable[SymbolicBuffer],
    sizes: Mapping[str, int],
    steps: int,
    values: Mapping[str, int],
) -> Explanation:
    """Add up what lives in each step, with these sizes by name of buffer."""
    buffers = list(buffers)
    known = [Live(buffer, sizes[buffer.name]) for buffer in buffers if buffer.name in sizes]
    moving = [each for each in known if each.buffer.kind not in _STANDING]
    totals = _totals(moving, steps)
    peak = max(range(steps), key=totals.__getitem__)
    live = [each for each in moving if each.buffer.start <= peak < each.buffer.end]
    standing = {
        kind: sum(each.nbytes for each in known if each.buffer.kind == kind) for kind in _STANDING
    }
    live.sort(key=lambda each: -each.nbytes)
    outside = [each for each in buffers if each.name not in sizes]
    return Explanation(values, totals, peak, live, standing, outside)


def _outside(buffers: Sequence[SymbolicBuffer], values: Mapping[str, int]) -> list[str]:
    if not buffers:
        return []
    free = {symbol.name for each in buffers for symbol in each.size.free_symbols}
    names = sorted(free - set(values))
    what = f"{len(buffers)} buffers" if len(buffers) > 1 else "1 buffer"
    return [f"outside of the plan: {what}, whose size depends on {', '.join(names)}"]


def _totals(moving: Iterable[Live], steps: int) -> list[int]:
    changes = [0] * (steps + 1)
    for each in moving:
        changes[each.buffer.start] += each.nbytes
        changes[each.buffer.end] -= each.nbytes
    totals, total = [], 0
    for change in changes[:steps]:
        total += change
        totals.append(total)
    return totals


def _row(live: Live) -> str:
    buffer = live.buffer
    made = f"{buffer.path or '(top)'}: {buffer.op or buffer.name}"
    return f"{format_size(live.nbytes):>10}  {buffer.kind:<12}  {made}  [{buffer.size}]"
