"""deploy/agents: what the container file and the unit say can be, and what they start serves."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from typer.main import get_command

from onecopy.agents.code_review.setup import files
from onecopy.agents.manifest import Manifest
from onecopy.cli.agent import app
from tests.agents import syscalls
from tests.agents.server.conftest import SECRET, make_agent
from tests.cli import commands
from tests.cli.agents import Agent
from tests.cli.serving import serving_folder
from tests.cli.test_agent_serve import found
from tests.pages import ROOT

DEPLOY = ROOT / "deploy/agents"
UNIT = DEPLOY / "onecopy-agents.service"
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])
BOT = DEPLOY / "onecopy-agents.service.d/code-review.conf"
LANDLOCK = ("create_ruleset", "add_rule", "restrict_self")
TEXT = re.sub(r"^#.*\n", "", (DEPLOY / "Containerfile").read_text(), flags=re.MULTILINE)
STEPS = [
    tuple(line.split(maxsplit=1)) for line in TEXT.replace("\\\n", " ").splitlines() if line.strip()
]
KNOWN = {"ARG", "FROM", "RUN", "COPY", "ENV", "USER", "VOLUME", "EXPOSE"}
KNOWN |= {"STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
OPTIONS = {each for param in get_command(app).commands["serve"].params for each in param.opts}


def steps(keyword: str) -> list[str]:
    return [rest for each, rest in STEPS if each == keyword]


def words(keyword: str) -> list[str]:
    """The words of an instruction in JSON."""
    (text,) = steps(keyword)
    return json.loads(text)


def test_it_has_known_instructions_and_stages_that_are_named_before_they_are_used() -> None:
    assert {keyword for keyword, _ in STEPS} == KNOWN
    named: list[str] = []
    for keyword, rest in STEPS:
        if keyword == "FROM":
            assert re.fullmatch(r"\$\{PYTHON\} AS \w+", rest)
            named.append(rest.split()[-1])
        elif source := re.match(r"--from=(\w+)", rest):
            assert source[1] in named[:-1]
    assert named == ["build", "agent"]


def test_what_it_copies_from_the_repository_is_there() -> None:
    for rest in steps("COPY"):
        *sources, _ = [each for each in rest.split() if not each.startswith("--")]
        if not rest.startswith("--from") and "${" not in rest:
            assert all((ROOT / each).exists() for each in sources), rest


def test_the_shell_understands_its_commands() -> None:
    for rest in steps("RUN"):
        subprocess.run(["sh", "-n", "-c", rest], check=True)


def test_the_image_has_no_toolchain_no_secret_and_no_root() -> None:
    final = TEXT.partition(" AS agent")[2]
    assert "/opt/build" not in final
    assert "pip" not in final
    assert steps("USER") == ["10001"]
    assert not re.search(r"(?i)secret|token|password", TEXT)
    kept = steps("VOLUME")[0]
    assert all(value.startswith(kept) for value in re.findall(r"(?:HOME)=(\S+)", final))


def test_what_it_starts_serves_the_agent_that_it_has_put_together(tmp_path: Path) -> None:
    """The last step of the build, as it is but for the toolchain; then the command of the image."""
    source, made = make_agent(tmp_path / "source"), tmp_path / "agent"
    manifest = source / "agent.toml"
    manifest.write_text(manifest.read_text().replace("component =", "source  =").replace(
        '"agent.wasm"', '"agent.py"'
    ))  # fmt: skip
    build = "/opt/build/bin/onecopy agent build /source --out"
    line = steps("RUN")[-2]
    assert build in line
    line = line.replace("/source/", f"{source}/").replace(build, f"cp {source}/agent.wasm")
    subprocess.run(["sh", "-euc", line.replace(" /agent", f" {made}")], check=True)
    assert Manifest.load(made).agent.component == "agent.wasm"

    program, *rest = words("ENTRYPOINT") + words("CMD")
    assert program == "onecopy"
    assert rest[:4] == ["agent", "serve", "/agent", "--state"]
    assert set(rest[3::2]) <= OPTIONS
    with serving_folder(made, tmp_path / "state", {"HOOK_SECRET": SECRET}) as server:
        assert server.send("e", "1")["status"] == "new"
        assert server.end() == 0


def section(path: Path, name: str) -> dict[str, str]:
    """A section of a unit; of what is there several times, the last."""
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(path)
    return dict(unit[name])


def test_the_unit_starts_a_command_that_is_one() -> None:
    service = section(UNIT, "Service")
    program, *rest = shlex.split(service["ExecStart"])
    assert program.endswith("/onecopy")
    assert rest[:2] == ["agent", "serve"]
    assert {each for each in rest if each.startswith("--")} <= OPTIONS
    # The server says when it is ready, and ends its workers itself.
    assert (service["Type"], service["KillMode"]) == ("notify", "mixed")
    assert "${STATE_DIRECTORY}" in rest
    assert {"StateDirectory", "CacheDirectory"} <= service.keys()


def test_the_unit_allows_what_workers_need_to_close_themselves_off() -> None:
    filters = re.findall(r"^SystemCallFilter=([^~].*)$", UNIT.read_text(), re.MULTILINE)
    allowed = {name for each in filters for name in each.split()}
    needed = {"seccomp"} | {f"landlock_{each}" for each in LANDLOCK}
    assert needed <= allowed
    assert "MemoryDenyWriteExecute" not in section(UNIT, "Service")  # native code is made here


@pytest.mark.skipif(
    not shutil.which("systemd-analyze") or not syscalls.HEADER.exists(),
    reason="no systemd, or no header with the numbers of system calls",
)
def test_an_event_is_done_with_the_system_calls_that_the_unit_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = [sys.executable, "-m", "tests.agents.syscalls", str(UNIT), *commands.LINE]
    monkeypatch.setattr(commands, "LINE", line)
    agent = Agent(tmp_path)
    with serving_folder(agent.folder, agent.kept, {"HOOK_SECRET": SECRET}) as server:
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
        event = server.send("e", "1")["id"]
        assert found(agent, event, "done", "dead").state == "done"
        assert server.end() == 0


def credentials(path: Path) -> set[str]:
    return set(re.findall(r"^LoadCredential=(\w+):/etc/", path.read_text(), re.MULTILINE))


def test_secrets_that_the_page_names_are_those_that_the_unit_has() -> None:
    page = (ROOT / "docs/agents.md").read_text()
    used = set(re.findall(r"/run/credentials/onecopy-agents\.service/(\w+)", page))
    assert used == credentials(UNIT) == set(re.findall(r"/etc/onecopy/secrets/(\w+)", page))


def test_the_bot_of_an_app_gets_its_secrets_from_files_that_units_make(tmp_path: Path) -> None:
    """The page's own command changes the manifest that `init` writes."""
    page = (ROOT / "docs/code-review.md").read_text()
    (script,) = re.findall(r"^ +(sed -i .*?agent\.toml)$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "bot").mkdir()
    url = "https://api.github.com"
    written = files(github=url, llm="https://llm.example/v1", model="m")["agent.toml"]
    (tmp_path / "bot/agent.toml").write_text(written)
    subprocess.run(["sh", "-euc", script], cwd=tmp_path, check=True)
    manifest = Manifest.parse((tmp_path / "bot/agent.toml").read_text(), tmp_path)
    assert manifest.agent.component == "agent.wasm"
    given = {f"file:/run/credentials/{UNIT.name}/{each}" for each in credentials(BOT)}
    assert set(manifest.secrets) == given | {"file:/run/onecopy-github/token"}


def test_the_token_of_an_app_is_made_where_the_bot_reads_it() -> None:
    service = section(DEPLOY / "onecopy-github-token.service", "Service")
    program, *rest = shlex.split(service["ExecStart"])
    assert (DEPLOY / Path(program).name).stat().st_mode & 0o111
    assert rest[-1] == "/run/onecopy-github/token"
    assert Path(rest[-1]).parent == Path("/run", service["RuntimeDirectory"])
    assert section(BOT, "Service")["SupplementaryGroups"] == service["Group"]
    page = (ROOT / "docs/code-review.md").read_text()
    for path in (program, *re.findall(r"/etc/onecopy/[\w./-]+", str(service))):
        assert path in page, path


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd")
@pytest.mark.parametrize("name", [each.name for each in UNITS])
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path, name: str) -> None:
    for unit in (*UNITS, BOT):
        text = re.sub(r"/opt/onecopy/\S+", "/bin/true", unit.read_text())
        copy = tmp_path / unit.relative_to(DEPLOY)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(text)
    line = ["systemd-analyze", "verify", str(tmp_path / name)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and "connect" in done.stderr:
        pytest.skip("systemd-analyze needs a running systemd here")
    assert (done.returncode, "onecopy" in done.stderr) == (0, False), done.stderr
