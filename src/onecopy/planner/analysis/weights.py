"""The weights of a module: what a saved plan must fit; and what a run needs beside them."""

from __future__ import annotations

import os
from typing import Any

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.units import format_size


def weights_list_of(module: Any) -> list[tuple[str, str, list[int]]]:
    """Return name, dtype and shape of each parameter and buffer of a module."""
    inner = getattr(module, "_orig_mod", module)
    found = [*inner.named_parameters(), *inner.named_buffers()]
    return [(name, str(each.dtype), list(each.shape)) for name, each in found]


def check_module(module: Any) -> None:
    """Refuse what has no weights to be compared with those of a plan.

    Raises:
        InvalidArgument: it is no module.

    """
    if not hasattr(module, "named_parameters"):
        raise InvalidArgument(
            f"a plan is loaded with its nn.Module, not with {type(module).__name__}"
        )


def check_runnable(module: Any) -> None:
    """Refuse a plan's module that cannot be run.

    Raises:
        InvalidArgument: the plan was loaded without it, or it is on the meta device.

    """
    if module is None:
        raise InvalidArgument(
            "the plan was loaded without its module: Plan.load(path, module) gives it one"
        )
    if any(each.is_meta for each in (*module.parameters(), *module.buffers())):
        raise InvalidArgument(
            "the module is on the meta device, so it has no weights to run with: plan one that "
            "has, or save this plan and load it with one"
        )


def check_room(nbytes: int) -> None:
    """Refuse a run at bounds that this machine has not the memory for.

    Raises:
        BudgetExceeded: the bytes are more than there is memory at all.

    """
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if nbytes > there:
        raise BudgetExceeded(
            f"a run at the bounds of the plan needs {format_size(nbytes)}, and this machine has "
            f"{format_size(there)}; plan with smaller bounds (`max` of a Dim)"
        )
