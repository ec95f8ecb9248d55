"""An explanation as an SVG: time across, bytes up; at the right what lives at the peak."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.planner.analysis.explanation import Explanation

_COLOURS = {"intermediate": "#4c78a8", "output": "#f58518"}
_MARGIN = 40
_MOST_BARS = 24


def drawn(explanation: Explanation, width: int, height: int) -> str:
    """Return the drawing as the text of an SVG file."""
    middle = width * 0.55
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        *_curve(explanation, middle, height),
        *_bars(explanation, middle + 10, width, height),
        "</svg>",
    ]
    return "\n".join(parts)


def _curve(explanation: Explanation, right: float, height: int) -> Iterator[str]:
    steps, peak = explanation.steps, explanation.peak
    top = max(steps[peak], 1)
    across = (right - 2 * _MARGIN) / len(steps)
    up = (height - 2 * _MARGIN) / top
    base = height - _MARGIN
    points = [f"{_MARGIN},{base}"]
    for at, total in enumerate(steps):
        level = base - total * up
        points += [
            f"{_MARGIN + at * across:.1f},{level:.1f}",
            f"{_MARGIN + (at + 1) * across:.1f},{level:.1f}",
        ]
    points.append(f"{right - _MARGIN:.1f},{base}")
    marked = _MARGIN + (peak + 0.5) * across
    yield f'<polygon points="{" ".join(points)}" fill="#cfd8e3" stroke="#4c78a8"/>'
    yield (
        f'<line x1="{marked:.1f}" y1="{_MARGIN}" x2="{marked:.1f}" y2="{base}" stroke="#d62728" '
        f'stroke-dasharray="4 3"/>'
    )
    yield f'<text x="{_MARGIN}" y="{_MARGIN - 12}">{_title(explanation)}</text>'
    yield f'<text x="{_MARGIN}" y="{height - 14}">{len(steps)} steps</text>'


def _title(explanation: Explanation) -> str:
    values = ", ".join(f"{name} = {value}" for name, value in explanation.values.items())
    peak = format_size(explanation.steps[explanation.peak])
    return escape(f"live bytes per step, {values}: {peak} in step {explanation.peak}")


def _bars(explanation: Explanation, left: float, right: int, height: int) -> Iterator[str]:
    every = [each for each in explanation.live if each.nbytes]
    live = every[:_MOST_BARS]
    total = max(explanation.steps[explanation.peak], 1)
    space = (height - 2 * _MARGIN) / max(len(live), 1)
    thick = min(space * 0.8, 16.0)
    for at, each in enumerate(live):
        y: float = _MARGIN + at * space
        wide: float = max((right - left - _MARGIN) * each.nbytes / total, 1)
        colour = _COLOURS[each.buffer.kind]
        name = escape(f"{format_size(each.nbytes)} {each.buffer.where}")
        yield (
            f'<rect x="{left:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{thick:.1f}" '
            f'fill="{colour}" fill-opacity="0.45"><title>{name}</title></rect>'
        )
        yield f'<text x="{left + 4:.1f}" y="{y + thick * 0.75:.1f}">{name}</text>'
    if len(every) > len(live):
        rest = f"and {len(every) - len(live)} smaller ones"
        yield f'<text x="{left + 4:.1f}" y="{height - 14}">{rest}</text>'
