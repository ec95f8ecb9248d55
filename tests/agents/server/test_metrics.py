"""Metrics are what a monitoring system's own parser reads, and count what happened."""

from __future__ import annotations

from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.agents.server.looking import Look, looking
from tests.agents.server.test_service import end_of, put


def test_runs_and_events_are_counted(serving: Any) -> None:
    async def act(look: Look) -> str:
        for number in (1, 2):
            await end_of(look.service, await put(look.service, "e", number))
        status, text = await look.get("/metrics")
        assert status == 200
        return text

    text = looking(serving, act)
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["onecopy_agent_runs_total", "actions"] == 2
    assert found["onecopy_agent_failed_total", "actions"] == 0
    assert found["onecopy_agent_events", "done"] == 2
    assert found["onecopy_agent_running", "actions"] == 0
    assert found["onecopy_agent_oldest_seconds",] == 0
