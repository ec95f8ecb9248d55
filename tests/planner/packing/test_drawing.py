from __future__ import annotations

from xml.etree import ElementTree

from onecopy.planner import Buffer, Problem, draw, read_csv, solve
from tests.planner.packing.instances import CAPACITY, path_of

SVG = "{http://www.w3.org/2000/svg}"


def parts(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(SVG + tag))


def test_every_buffer_has_a_box_and_a_tooltip() -> None:
    problem = read_csv(path_of("A"))
    svg = draw(problem, solve(problem), CAPACITY)
    assert len(parts(svg, "rect")) == 1 + len(problem)
    assert len(parts(svg, "title")) == len(problem)
    assert "154 buffers, peak 1 MiB, lower bound 1 MiB, proven to be the best" in svg


def test_time_goes_across_and_addresses_up() -> None:
    problem = Problem([Buffer("low", 10, 0, 2, offset=0), Buffer("high", 30, 1, 4, offset=10)])
    _, low, high = parts(draw(problem, solve(problem)), "rect")
    assert float(low.attrib["y"]) > float(high.attrib["y"])
    assert float(low.attrib["x"]) < float(high.attrib["x"])
    assert float(high.attrib["height"]) == 3 * float(low.attrib["height"])


def test_a_buffer_has_a_box_for_each_time_between_its_gaps() -> None:
    problem = Problem([Buffer("a", 10, 0, 9, gaps=((2, 4), (6, 7)))])
    assert len(parts(draw(problem, solve(problem)), "rect")) == 1 + 3


def test_names_cannot_break_out_of_it() -> None:
    problem = Problem([Buffer("</title><script>alert(1)</script>&\0\x1b", 10, 0, 9)])
    svg = draw(problem, solve(problem))
    assert not parts(svg, "script")
    assert "<script>alert(1)</script>&??" in parts(svg, "title")[0].text


def test_there_may_be_nothing_to_draw() -> None:
    for problem in (Problem([]), Problem([Buffer("a", 0, 0, 1)])):
        assert len(parts(draw(problem, solve(problem)), "rect")) == 1
