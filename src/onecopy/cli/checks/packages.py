"""What is installed; looked up, not imported."""

from __future__ import annotations

import platform
import re
from importlib import metadata

from onecopy._version import __version__
from onecopy.cli.checks.check import Check, Status, judge


def python() -> Check:
    """Tell which Python, and which onecopy."""
    return Check("onecopy", Status.OK, f"{__version__} on Python {platform.python_version()}")


def torch() -> Check:
    """Check for torch."""
    return _check("torch", "2.3")


def numpy() -> Check:
    """Check for numpy."""
    return _check("numpy", "1.26")


def _check(package: str, least: str) -> Check:
    remedy = f"to store its tensors, run `pip install 'onecopy[{package}]'`"
    try:
        found = metadata.version(package)
    except metadata.PackageNotFoundError:
        return Check(package, Status.WARN, "not installed", remedy)
    new_enough = _numbers(found) >= _numbers(least)
    detail = found if new_enough else f"{found} is older than {least}"
    return judge(package, new_enough, detail, remedy)


def _numbers(version: str) -> tuple[int, ...]:
    """Return the first two numbers of a version."""
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
