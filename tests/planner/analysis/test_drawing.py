from __future__ import annotations

from xml.etree import ElementTree

import pytest

from onecopy.planner import SymbolicBuffer
from onecopy.planner.analysis.drawing import drawn
from onecopy.planner.analysis.explanation import Explanation, explanation

SVG = "{http://www.w3.org/2000/svg}"


def explained(*sizes: int, name: str = "b") -> Explanation:
    """Each lives from its number to the end but for the first, which ends before the last."""
    buffers = [
        SymbolicBuffer(f"{name}{at}", size, at, len(sizes), "intermediate")
        for at, size in enumerate(sizes)
    ]
    return explanation(buffers, {b.name: int(b.size) for b in buffers}, len(sizes), {"n": 3})


def parts(found: Explanation, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(drawn(found, 960, 480)).iter(SVG + tag))


def test_bars_are_as_long_as_their_part_of_the_peak() -> None:
    _, *bars = parts(explained(100, 300, 600), "rect")
    wide = [float(each.attrib["width"]) for each in bars]
    assert wide == pytest.approx([wide[0], wide[0] / 2, wide[0] / 6], rel=0.01)


def test_the_curve_has_a_level_for_each_step() -> None:
    (curve,) = parts(explained(100, 300, 600), "polygon")
    corners = [tuple(map(float, each.split(","))) for each in curve.attrib["points"].split()]
    levels = [440 - corners[at][1] for at in (1, 3, 5)]
    assert levels == pytest.approx([40, 160, 400])


def test_what_finds_no_room_is_counted() -> None:
    texts = [each.text for each in parts(explained(*range(1, 31)), "text")]
    assert texts[-1] == "and 6 smaller ones"
    assert len(parts(explained(*range(1, 31)), "rect")) == 1 + 24
    assert not any("smaller" in (each.text or "") for each in parts(explained(1, 2), "text"))


def test_names_cannot_break_out_of_it() -> None:
    svg = drawn(explained(5, name="</title><script>"), 960, 480)
    assert "<script>" not in svg
    ElementTree.fromstring(svg)
