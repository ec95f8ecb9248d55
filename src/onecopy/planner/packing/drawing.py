"""Plans as pictures: time across, addresses up."""

from __future__ import annotations

import zlib
from html import escape
from typing import TYPE_CHECKING

from onecopy.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.planner.packing.buffer import Buffer
    from onecopy.planner.packing.problem import Problem
    from onecopy.planner.packing.solution import Solution

_WIDTH, _HEIGHT, _LEFT, _MARGIN = 1200, 600, 90, 30
_TICKS = 4


def draw(problem: Problem, solution: Solution, capacity: int | None = None) -> str:
    """Return a plan as SVG text: a box for each buffer, with its name and numbers as a tooltip.

    The lower bound is a dashed line, and `capacity` a red one. Open it in a browser.
    """
    return "\n".join(_Drawing(problem, solution, capacity).lines()) + "\n"


class _Drawing:
    def __init__(self, problem: Problem, solution: Solution, capacity: int | None) -> None:
        self._problem = problem
        self._solution = solution
        self._capacity = capacity
        buffers = problem.buffers
        self._start = min((each.start for each in buffers), default=0)
        self._end = max((each.end for each in buffers), default=1)
        self._top = max(solution.peak, capacity or 0, 1)

    def lines(self) -> Iterator[str]:
        width, height = _LEFT + _WIDTH + _MARGIN, _HEIGHT + 3 * _MARGIN
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="12">'
        )
        yield f'<rect width="{width}" height="{height}" fill="white"/>'
        yield f'<text x="{_LEFT}" y="{_MARGIN - 10}">{escape(self._title())}</text>'
        yield '<g stroke="black" stroke-width="0.3">'
        for buffer in self._problem.buffers:
            if buffer.size:
                yield self._buffer(buffer)
        yield "</g>"
        yield from self._axes()
        yield self._line(self._solution.lower_bound, 'stroke="black" stroke-dasharray="6 4"')
        if self._capacity is not None:
            yield self._line(self._capacity, 'stroke="red"')
        yield "</svg>"

    def _title(self) -> str:
        solution = self._solution
        proof = "proven to be the best" if solution.optimal else "not proven to be the best"
        return (
            f"{len(self._problem)} buffers, peak {format_size(solution.peak)}, "
            f"lower bound {format_size(solution.lower_bound)}, {proof}"
        )

    def _buffer(self, buffer: Buffer) -> str:
        offset = self._solution.offset_of(buffer.name)
        y, height = self._y(offset + buffer.size), _HEIGHT * buffer.size / self._top
        boxes = "".join(
            f'<rect x="{self._x(start):.2f}" y="{y:.2f}" '
            f'width="{self._x(end) - self._x(start):.2f}" height="{height:.2f}"/>'
            for start, end in buffer.intervals
        )
        facts = (
            f"{buffer.name}: {format_size(buffer.size)} ({buffer.size}) at {offset}, "
            f"from {buffer.start} to {buffer.end}"
        )
        return f'<g fill="{_colour(buffer.name)}"><title>{_text(facts)}</title>{boxes}</g>'

    def _axes(self) -> Iterator[str]:
        bottom = self._y(0)
        yield (
            f'<path d="M{_LEFT} {_MARGIN}V{bottom}H{_LEFT + _WIDTH}" fill="none" stroke="black"/>'
        )
        for tick in range(_TICKS + 1):
            nbytes = self._top * tick // _TICKS
            time = self._start + (self._end - self._start) * tick // _TICKS
            yield (
                f'<text x="{_LEFT - 6}" y="{self._y(nbytes) + 4:.2f}" '
                f'text-anchor="end">{format_size(nbytes)}</text>'
            )
            yield (
                f'<text x="{self._x(time):.2f}" y="{bottom + 16}" '
                f'text-anchor="middle">{time}</text>'
            )

    def _line(self, nbytes: int, style: str) -> str:
        y = f"{self._y(nbytes):.2f}"
        return f'<path d="M{_LEFT} {y}H{_LEFT + _WIDTH}" {style}/>'

    def _x(self, time: int) -> float:
        return _LEFT + _WIDTH * (time - self._start) / max(self._end - self._start, 1)

    def _y(self, nbytes: int) -> float:
        return _MARGIN + _HEIGHT * (1 - nbytes / self._top)


def _colour(name: str) -> str:
    """Return a light colour that is always the same for a name."""
    return f"hsl({zlib.crc32(name.encode(errors='replace')) % 360} 65% 75%)"


def _text(text: str) -> str:
    """Escape a text; XML has no control characters, not even escaped."""
    return escape("".join(each if each.isprintable() else "?" for each in text))
