"""What a budget is for, by name: a function, a file, or a folder."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from onecopy.errors import InvalidArgument


def opened(name: str, *, weights: bool) -> Any:
    """Return what a name stands for: something with `module` and `inputs_at`, or a module.

        "package.module:function"     what it returns: a Plan, or a module
        "plan.json"                   a plan that was saved, without its module
        "folder"                      with a config.json of transformers: a `Decoder`

    `weights` says whether it will be run; else a folder's model is made on the meta device.

    Raises:
        InvalidArgument: there is no such file, folder or function.
    """
    path = Path(name)
    if path.is_dir():
        return _folder(path, weights)
    if path.is_file():
        from onecopy.planner.analysis.plan import Plan

        return Plan.load(path)
    return _called(name)


def planned(name: str) -> Any:
    """Return the plan that a name stands for.

    Raises:
        InvalidArgument: it stands for a module only, or for nothing.
    """
    subject = opened(name, weights=False)
    if hasattr(subject, "bytes"):
        return subject
    if not hasattr(subject, "plan"):
        raise InvalidArgument(
            f"{name} returns {type(subject).__name__}, not a plan; let it return "
            "planner.plan(module, args, dynamic_shapes=...)"
        )
    return subject.plan()


def _folder(path: Path, weights: bool) -> Any:
    if not (path / "config.json").is_file():
        raise InvalidArgument(f"{path} has no config.json: it is no folder of transformers")
    from onecopy.planner.budget.decoders import of_folder

    return of_folder(path, weights=weights)


def _called(name: str) -> Any:
    where, colon, what = name.partition(":")
    if not colon:
        raise InvalidArgument(
            f"there is neither a file nor a folder {name!r} here; name a file of Plan.save, a "
            "folder with a config.json (a model of a hub has to be downloaded), or a function as "
            "package.module:function"
        )
    if where.endswith(".py"):
        raise InvalidArgument(
            f"name a module, not its file: {where.removesuffix('.py').replace('/', '.')}:{what} "
            "for a function in it"
        )
    try:
        found = getattr(importlib.import_module(where), what)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise InvalidArgument(
            f"{name!r} is no function ({error}); write a function as "
            "package.module:function, and check that the package can be imported"
        ) from error
    if not callable(found):
        raise InvalidArgument(f"{name!r} is no function that returns a plan or a module")
    return found()
