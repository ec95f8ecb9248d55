"""What a monitoring system reads: OpenMetrics."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from onecopy.agents.records.run import Totals
    from onecopy.agents.server.service import Service

_COUNTED = {
    "runs": "Runs that have ended",
    "failed": "Runs that ended without success",
    "calls": "Calls of the host",
    "input_tokens": "Tokens that models were asked",
    "output_tokens": "Tokens that models answered",
    "usd": "What models cost, in USD",
}


class Metrics:
    """Collects from queue and records when asked; totals are those of all days that are kept."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, _: web.Request) -> web.Response:
        """Answer a scrape."""
        queue, records = self._service.queue, self._service.resources.records
        await records.flush()
        totals = await asyncio.to_thread(records.totals)
        metrics = [
            self._running(),
            _states(await queue.counts()),
            _age(await queue.oldest()),
            *_counters(totals),
        ]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Once(metrics))
        response = web.Response(body=generate_latest(registry))  # type: ignore[no-untyped-call]
        response.headers["Content-Type"] = CONTENT_TYPE_LATEST
        return response

    def _running(self) -> Metric:
        gauge = GaugeMetricFamily("onecopy_agent_running", "Runs at present", labels=["agent"])
        for name, agent in self._service.agents.items():
            gauge.add_metric([name], agent.running)
        return gauge


class _Once(Collector):
    """Metrics that were collected already."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def _states(counts: dict[str, int]) -> Metric:
    gauge = GaugeMetricFamily("onecopy_agent_events", "Events in the queue", labels=["state"])
    for state, count in counts.items():
        gauge.add_metric([state], count)
    return gauge


def _age(oldest: float | None) -> Metric:
    age = 0.0 if oldest is None else max(0.0, time.time() - oldest)
    return GaugeMetricFamily(
        "onecopy_agent_oldest_seconds", "Seconds that the oldest event has waited", value=age
    )


def _counters(totals: list[Totals]) -> Iterator[Metric]:
    for name, text in _COUNTED.items():
        sums: dict[str, float] = {}
        for each in totals:
            sums[each.agent] = sums.get(each.agent, 0.0) + getattr(each, name)
        counter = CounterMetricFamily(f"onecopy_agent_{name}", text, labels=["agent"])
        for agent, value in sums.items():
            counter.add_metric([agent], value)
        yield counter
