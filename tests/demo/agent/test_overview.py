"""What a change does, in its own words."""

from __future__ import annotations

from onecopy.demo.agent.changes import parse
from onecopy.demo.agent.overview import merged, overview

CHANGE = """Title: Add a reader.
--- file: src/reader.py, modified
@@ class Old:
     1 +class Reader:
     2 +    def _hidden(self): ...
     3 -def gone(): ...
     3 -def kept(a): ...
     4 +def kept(a, b): ...
--- file: pyproject.toml, modified
@@
     9 +dependencies = []
--- file: tests/test_reader.py, added
@@
     1 +def test_it_reads(): ...
"""


def test_it_is_told_what_is_new_and_what_is_gone() -> None:
    told = overview(parse(CHANGE), [])
    assert "“Add a reader” touches 3 files with 5 lines added and 2 removed" in told["summary"]
    assert "It defines Reader." in told["summary"]
    assert told["changes"][0] == (
        "src/reader.py (modified, +3 -2): adds Reader and _hidden; changes the definition of "
        "kept; removes gone; changes within Old"
    )
    assert any(risk.startswith("gone is gone, or elsewhere") for risk in told["risks"])
    assert any(risk.startswith("pyproject.toml: dependencies") for risk in told["risks"])
    assert told["risk"] == "low"


def test_where_nothing_is_defined_the_files_own_words_are_told() -> None:
    lines = ["     1 +# Notes", "     2 +- Ducks can swim, and so can we, " + "so " * 50]
    told = overview(parse("--- file: a.md, modified\n@@\n" + "\n".join(lines)), [])
    (change,) = told["changes"]
    assert change.startswith("a.md (modified, +2 -0): “Ducks can swim, and so can we, so ")
    assert change.endswith("so …”")
    assert len(change) < 150


def test_a_large_change_without_tests_is_a_risk() -> None:
    lines = "\n".join(f"{number:>6} +x{number} = {number}" for number in range(1, 500))
    told = overview(parse(f"--- file: a.py, added\n@@\n{lines}"), [])
    assert told["risk"] == "medium"
    assert any("No test" in risk for risk in told["risks"])


def test_reviews_of_parts_become_one() -> None:
    parts = [
        {
            "summary": "One. More.",
            "changes": ["a", "b"],
            "risks": ["r"],
            "findings": ["high: a: b", "low: c: d"],
        },
        {"summary": "Two.", "changes": ["b", "c"], "risks": [], "findings": []},
        "nonsense",
        {"findings": 5},
    ]
    told = merged(parts)
    assert told["changes"] == ["a", "b", "c"]
    assert told["risk"] == "high"
    assert "read in 3 parts: One. Two." in told["summary"]
    assert "2 remarks, the gravest high" in told["summary"]
    assert merged([{}])["risk"] == "low"
