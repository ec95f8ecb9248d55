"""How many webhooks a second does an agent server accept on disk, and have its agents run?"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import msgspec

from benchmarks import agents
from benchmarks.agent_serving import SECRET
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import Stage

CLIENTS = 32  # connections, each with one delivery at a time
DELIVERIES = 150  # of each connection, of one round
LINES = [f"line {n} of a payload such as GitHub's" for n in range(100)]  # 4 KB
ACCEPTED, RUN = "accepted while agents run", "run to their end"
SOURCES = Path(agents.__file__).with_name("agent_sources")
now = time.perf_counter


def ask(stage: Stage) -> Answer:
    """Deliver from many connections to a server process, and wait until all events are done."""
    rates = Table(f"webhooks of 4 KB, {CLIENTS} connections, an agent that does nothing", "1/s",
                  ours=ACCEPTED)  # fmt: skip
    waits = Table("from a delivery to its answer, which is after its commit", "ms", ours=ACCEPTED)
    targets = []
    for language in agents.components(stage):
        found = [_round(stage, language, turn) for turn in range(stage.scale.rounds)]
        accepted, run, slow = (Summary.of(each) for each in zip(*found, strict=True))
        rates.put_row(ACCEPTED, language, accepted)
        rates.put_row(RUN, language, run)
        waits.put_row(ACCEPTED, f"{language}, p99", slow)
        targets += [
            Target(f"webhooks accepted, {language}", 1000, accepted.median, "1/s", True),
            Target(f"until one is answered, p99, {language}", 50, slow.median, "ms"),
            Target(f"webhooks run, {language}", 200, run.median, "1/s", True),
        ]
    return Answer("agent_server", [rates, waits], targets)


def _round(stage: Stage, language: str, turn: int) -> tuple[float, float, float]:
    """Return events accepted and run in a second, and the p99 of the answers' times, in ms."""
    each = max(2, DELIVERIES * stage.scale.repeats // 10_000)
    with _server(stage, language, turn) as (process, url):
        begin = now()
        times = asyncio.run(_deliver(f"{url}/hook", each, turn))
        accepted = len(times) / (now() - begin)
        while _done(process) < len(times):
            time.sleep(0.02)
        run = len(times) / (now() - begin)
    return accepted, run, sorted(times)[int(0.99 * (len(times) - 1))] * 1e3


@contextmanager
def _server(stage: Stage, language: str, turn: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    folder = stage.root / f"{language}-{turn}"
    shutil.copytree(SOURCES, folder / "agent", dirs_exist_ok=True)
    manifest = folder / "agent/agent.toml"
    manifest.write_text(manifest.read_text().replace("SOURCE", agents.SOURCES[language]))
    command = [sys.executable, "-m", "benchmarks.agent_serving", str(folder / "agent")]
    command.append(str(folder / "state"))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        yield process, process.stdout.readline().strip()
        process.stdin.close()


def _done(process: subprocess.Popen[str]) -> int:
    assert process.stdin
    assert process.stdout
    process.stdin.write("\n")
    process.stdin.flush()
    return int(process.stdout.readline())


async def _deliver(url: str, each: int, turn: int) -> list[float]:
    times: list[float] = []
    connector = aiohttp.TCPConnector(limit=CLIENTS)

    async def client(number: int) -> None:
        for at in range(each):
            body, headers = _delivery(f"{turn}-{number}-{at}")
            begin = now()
            async with session.post(url, data=io.BytesIO(body), headers=headers) as answer:
                assert answer.status == 202, await answer.text()
            times.append(now() - begin)

    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*map(client, range(CLIENTS)))
    return times


def _delivery(name: str) -> tuple[bytes, dict[str, str]]:
    payload = {"action": "synchronize", "number": name, "lines": LINES}
    body = msgspec.json.encode(payload)
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return body, {
        "X-GitHub-Event": "pull_request",
        "X-GitHub-Delivery": name,
        "X-Hub-Signature-256": f"sha256={digest}",
    }
