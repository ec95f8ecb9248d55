"""The weights of a module: what a saved plan must fit, and what a run needs."""

from __future__ import annotations

from typing import Any

from onecopy.errors import InvalidArgument


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
