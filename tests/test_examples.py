"""The programs in examples/, at their smallest size."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import onecopy

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(*command: str) -> str:
    """Run Python with these arguments, and return what it prints."""
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=110, cwd=EXAMPLES
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(output: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d+", output)]


def test_every_example_says_its_question_and_its_command() -> None:
    folders = [path for path in EXAMPLES.iterdir() if path.is_dir()]
    assert folders
    for folder in folders:
        text = (folder / "README.md").read_text()
        assert "**Question.**" in text
        assert f"examples/{folder.name}/" in text
        assert f"({folder.name}/README.md)" in (EXAMPLES / "README.md").read_text()


def test_hogwild_makes_the_loss_smaller() -> None:
    before, after = losses(run("hogwild/train.py", "--workers", "2", "--steps", "300"))
    assert after < before


def test_the_student_comes_closer_to_the_teacher() -> None:
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    first, last = losses(run(*torchrun, "distillation/distill.py", "--steps", "60"))
    assert last < first


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application of a worker, whose store has the model."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "inference_server"))
    serve = runpy.run_path(str(EXAMPLES / "inference_server" / "serve.py"))
    app = runpy.run_path(str(EXAMPLES / "inference_server" / "app.py"))
    with onecopy.start(app["STORE"], capacity="16MiB") as store:
        model = serve["build_model"](16)
        store.save_module(app["MODEL"], model)
        yield app["App"](), model


async def exchange(app: Any, bodies: list[bytes]) -> list[tuple[int, Any]]:
    """Start the application, post each body, and stop it."""
    inbox: asyncio.Queue[Any] = asyncio.Queue()
    outbox: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(app({"type": "lifespan"}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    answers = []
    for body in bodies:
        requests: asyncio.Queue[Any] = asyncio.Queue()
        await requests.put({"type": "http.request", "body": body[:1], "more_body": True})
        await requests.put({"type": "http.request", "body": body[1:]})
        await app({"type": "http"}, requests.get, outbox.put)
        status = (await outbox.get())["status"]
        answers.append((status, json.loads((await outbox.get())["body"])))
    await inbox.put({"type": "lifespan.shutdown"})
    await life
    return answers


def test_a_worker_answers_with_what_the_model_computes(server: Any) -> None:
    import torch

    app, model = server
    row = [float(i) for i in range(8)]
    good, *bad = asyncio.run(exchange(app, [json.dumps(row).encode(), b"[1]", b"{", b'["x"]']))
    assert good[0] == 200
    assert good[1]["output"] == model(torch.tensor(row)).tolist()
    assert [status for status, _ in bad] == [400, 400, 400]


def test_a_server_without_uvicorn_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, runpy; sys.modules['uvicorn'] = None; sys.argv = ['x'];"
         "import importlib.util as u; f = u.find_spec;"
         "u.find_spec = lambda n, *a: None if n == 'uvicorn' else f(n, *a);"
         "runpy.run_path('inference_server/serve.py', run_name='__main__')"],
        capture_output=True, text=True, timeout=60, cwd=EXAMPLES,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install uvicorn" in done.stderr
