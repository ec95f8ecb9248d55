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


# Now and then a process that used gloo aborts when it ends, its work done: 2 of 42 runs under load,
# and as many of a program that does not know onecopy (torch 2.13).
GLOO_ABORTED = "terminate called without an active exception"


def run(*command: str) -> str:
    """Run Python with these arguments, and return what it prints."""
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, timeout=110, cwd=EXAMPLES
        )
        if done.returncode == 0 or GLOO_ABORTED not in done.stderr:
            break
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(output: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d+", output)]


def test_every_example_says_its_question_and_its_command() -> None:
    folders = [path.parent for path in EXAMPLES.glob("**/README.md") if path.parent != EXAMPLES]
    assert {path for path in EXAMPLES.iterdir() if path.is_dir()} <= set(folders)
    for folder in folders:
        text = (folder / "README.md").read_text()
        assert "**Question.**" in text
        assert f"examples/{folder.relative_to(EXAMPLES)}/" in text
        assert f"({folder.name}/README.md)" in (folder.parent / "README.md").read_text()


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


@pytest.mark.usefixtures("compiler")
class TestGuests:
    """The examples with guests; their READMEs have the scripts that are fed here."""

    def test_a_regular_expression_is_kept(self) -> None:
        assert "3 of 3 match" in run("guests/regex/main.py", "--texts", "3")

    def test_a_schema_is_kept_within_a_budget(self) -> None:
        output = run("guests/json_budget/main.py", "--texts", "3", "--budget", "99")
        assert "with a budget of 99: 3 orders, 3 within 99" in output

    def test_quotations_are_in_the_document(self) -> None:
        output = run("guests/quotes/main.py", "--texts", "2")
        found = re.search(r"with the controller: (\d+) of (\d+) quotations", output)
        assert found is not None
        assert found[1] == found[2] != "0"

    def test_a_schema_is_scanned_by_four_and_is_there_once(self) -> None:
        output = run("guests/schema_scan/main.py", "--mib", "8")
        assert "as the host counts: yes" in output
        alone, share, together = map(
            float, re.findall(r"([\d.]+)(?: MiB (?:of|each)| tog)", output)
        )
        assert alone == pytest.approx(8, abs=0.2)
        assert share == pytest.approx(2, abs=0.1)
        assert together == pytest.approx(8, abs=0.4)

    def test_a_frame_is_filtered_where_it_lies(self, tmp_path: Path) -> None:
        out = tmp_path / "out.ppm"
        size = ("--height", "37", "--width", "50")
        output = run("guests/image_filter/main.py", *size, "--out", str(out))
        assert "equal to what torch computes: yes" in output
        assert "seen by another process: yes" in output
        assert out.stat().st_size == len("P6 50 37 255\n") + 37 * 50 * 3

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("regex", ("--config-text", "(Mon|Tues)day")),
            ("json_budget", ("--config-text", "50\n{schema}")),
            ("quotes", ("--prompt", "{document}")),
        ],
    )
    def test_a_controller_does_what_its_script_says(
        self, name: str, options: tuple[str, str]
    ) -> None:
        folder = EXAMPLES / "guests" / name
        texts = {path.stem: path.read_text() for path in folder.glob("[sd]*.[jt]*")}
        option, text = options
        for key, value in texts.items():
            text = text.replace(f"{{{key}}}", value)
        command = ("-m", "onecopy.cli", "guest", "test", str(folder / "controller.c"))
        run(*command, "--script", str(folder / "script.txt"), option, text)
