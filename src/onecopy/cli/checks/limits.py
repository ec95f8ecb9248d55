"""What the administrator set."""

from __future__ import annotations

import resource
from pathlib import Path

from onecopy.cli.checks.check import Check, Status, judge

_OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
_MAX_MAPS = Path("/proc/sys/vm/max_map_count")
_SHMEM_HUGE = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")

# Each entry costs the daemon a descriptor, each loaded one its client a map.
_ENOUGH_FILES = 16_384
_DEFAULT_MAPS = 65_530

_NEVER_OVERCOMMIT = "2"


def overcommit() -> Check:
    """Check that private loads of large entries are not refused."""
    found = _OVERCOMMIT.read_text().strip()
    strict = found == _NEVER_OVERCOMMIT
    effect = ": private loads count as if all were copied" if strict else ""
    remedy = "run `sysctl vm.overcommit_memory=0`, or load with mode='readonly'"
    return judge("overcommit", not strict, f"vm.overcommit_memory is {found}{effect}", remedy)


def open_files() -> Check:
    """Check how many entries a daemon can hold; it raises its soft limit itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fine = hard == resource.RLIM_INFINITY or hard >= _ENOUGH_FILES
    count = "any number of" if hard == resource.RLIM_INFINITY else f"about {hard}"
    return judge(
        "open files",
        fine,
        f"limits {soft} (soft) and {hard} (hard): {count} entries in a store",
        f"raise the hard limit (`ulimit -Hn {_ENOUGH_FILES}`, or LimitNOFILE= of a service), or "
        "save several tensors as one entry",
    )


def maps() -> Check:
    """Check how many entries a client can have loaded at a time."""
    found = int(_MAX_MAPS.read_text())
    detail = f"vm.max_map_count is {found}: as many entries loaded at a time by one process"
    remedy = f"run `sysctl vm.max_map_count={_DEFAULT_MAPS}`"
    return judge("memory maps", found >= _DEFAULT_MAPS, detail, remedy)


def huge_pages() -> Check:
    """Check whether shared memory may use huge pages: faster, for large entries."""
    try:
        chosen = _chosen(_SHMEM_HUGE.read_text())
    except FileNotFoundError:
        return Check("huge pages", Status.OK, "this kernel has none for shared memory (optional)")
    used = chosen in ("always", "within_size", "force")
    detail = f"shmem_enabled is {chosen}" + ("" if used else ": small pages (optional)")
    return judge(
        "huge pages",
        used,
        detail,
        f"`echo within_size > {_SHMEM_HUGE}` (as root) may speed up saves and first touches of "
        "large entries; compare `onecopy bench` before and after",
    )


def _chosen(text: str) -> str:
    """Return the word in brackets."""
    return text.partition("[")[2].partition("]")[0]
