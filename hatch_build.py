"""Hatchling's hook: compile the C library into the wheel, or without a compiler leave it out."""

from __future__ import annotations

import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_BUILD = Path("src/onecopy/native/build.py")


class NativeBuildHook(BuildHookInterface):
    """Builds `onecopy/native/_native.so`, for wheels and for editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile; on success the wheel is one of this platform, for any Python 3."""
        recipe = runpy.run_path(str(Path(self.root) / _BUILD))
        try:
            library = recipe["build"]()
        except recipe["CompilerMissing"] as error:
            self.app.display_warning(f"storage() will be slower: {error}")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"
        build_data["artifacts"].append(str(library.relative_to(self.root)))


def _platform() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")
