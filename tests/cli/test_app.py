"""The application: help, version, errors, and what starting it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command

import onecopy
from onecopy.cli import entries
from onecopy.cli.app import app
from tests.cli.commands import command, refused, run
from tests.processes import output_of

COMMANDS = (
    "serve",
    "stop",
    "top",
    "ls",
    "stat",
    "rm",
    "put",
    "get",
    "snapshot",
    "verify",
    "doctor",
    "bench",
    "demo",
)


def test_help_names_every_command() -> None:
    text = run("--help").stdout
    for name in COMMANDS:
        assert f" {name} " in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_has_its_help(name: str) -> None:
    text = run(name, "-h").stdout
    assert "Usage: " in text
    assert "<module>" not in text


def test_help_is_not_broken_in_the_midst_of_lines() -> None:
    def wide(command: Any) -> list[str]:
        # What comes after the first paragraph keeps its own lines.
        _, _, rest = inspect.cleandoc(command.help or "").partition("\n\n")
        below = [line for each in getattr(command, "commands", {}).values() for line in wide(each)]
        return [line for line in rest.splitlines() if len(line) > 78] + below

    assert wide(get_command(app)) == []


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"onecopy {onecopy.__version__}\n"


def test_without_a_command_it_shows_the_help() -> None:
    result = run(code=2)
    assert "Usage: " in result.output


def test_the_module_is_the_command() -> None:
    assert command("--version").stdout == f"onecopy {onecopy.__version__}\n"


def test_help_imports_neither_torch_nor_numpy_nor_the_store() -> None:
    loaded = output_of(
        """
        import sys
        from onecopy.cli.app import app
        try:
            app(["--help"])
        except SystemExit:
            pass
        heavy = {"torch", "numpy", "msgspec", "onecopy.store", "onecopy.segments"}
        print("loaded:", *sorted(heavy & set(sys.modules)))
        """
    )
    assert loaded.splitlines()[-1].strip() == "loaded:"


def test_a_foreseen_error_is_one_line_without_a_traceback() -> None:
    result = command("ls", "nobody", check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("onecopy: no store 'nobody' is running")
    assert result.stderr.count("\n") == 1


def test_an_error_is_red_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert run("ls", "nobody", code=1).stderr.startswith("\x1b[31monecopy: ")


def test_a_bug_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(json: bool) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(entries, "_list_stores", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        run("ls")


def test_an_error_of_the_system_without_a_file_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(json: bool) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(entries, "_list_stores", fail)
    with pytest.raises(OSError, match="Bad file descriptor"):
        run("ls")


def test_a_store_that_is_not_there_names_those_that_are(store: onecopy.Store) -> None:
    assert "running here: test." in refused("ls", "tset")


def test_python_m_onecopy_is_the_command_too() -> None:
    line = [sys.executable, "-m", "onecopy", "--version"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == command("--version").stdout
