"""JSON that is nested deeply ends the run that cannot take it; its worker and others go on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.agents.attacks.whole import Whole, make_agent, whole

# The first one builds and compiles a component, of Python with all of Python in it.
pytestmark = pytest.mark.timeout(400)
DEEP = 100_000


@pytest.mark.parametrize("made_by", ["probe", "python_agent"])
def test_a_guest_that_nests_too_deeply_ends_its_run_only(
    tmp_path: Path, shared_folder: Path, request: pytest.FixtureRequest, made_by: str
) -> None:
    component = request.getfixturevalue(made_by)

    async def act() -> None:
        agent = make_agent(tmp_path / "one", component, limits="attempts = 1")
        async with whole(tmp_path / "state", agent, cache=shared_folder) as server:
            await _deep(server)

    asyncio.run(act())


async def _deep(server: Whole) -> None:
    for what in ("parse", "write", "answer", "compare"):
        entry = await server.end_of(await server.put("one", whole=[what, DEEP]))
        assert entry.state == "dead"
        assert "recurs" in entry.why, f"{what}: {entry.why}"
        (run,) = await server.ended_runs(entry.id)
        assert run.summary.status in ("failed", "error")
    for depth in (99, 300, 600, 900, 1100):
        status, _, told = await server.deliver("one", whole=["size"], deep=depth)
        if status == 202:
            entry = await server.end_of(told["id"])
            shown = await _shown(server, entry.id)
            assert entry.state == "done" or "recurs" in entry.why or "nested" in entry.why
            assert set(shown) == {200}
        else:
            assert status == 400
    assert await server.answer("one", whole=["size"]) == 1
    # It was one worker all the time.
    assert "ended" not in server.log


async def _shown(server: Whole, event: str) -> list[int]:
    (run,) = await server.ended_runs(event)
    return [await server.page(each) for each in (f"/events/{event}", f"/runs/{run.summary.id}")]
