"""What holds guests besides WebAssembly."""

from __future__ import annotations

from onecopy.cli.checks.check import Check, judge


def landlock() -> Check:
    """Check that the kernel confines a process to some folders: those of guests with files."""
    from onecopy.nn.guest import landlock as kernel

    version = kernel.version()
    return judge(
        "Landlock",
        version > 0,
        f"version {version}" if version else "this kernel has none: WASI alone confines guests",
        "run Linux 5.13 or later with landlock among its LSMs (lsm=landlock,… at boot)",
    )
