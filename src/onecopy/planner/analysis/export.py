"""torch.export, whose refusals become errors that say what to do."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

from onecopy.errors import ExportFailed

# What torch says, and what helps. The first that occurs in the text counts.
_REMEDIES = {
    "must always be equal": "use one torch.export.Dim for both",
    "specialized it to be a constant": "leave that dimension out of dynamic_shapes, or let the "
    "module not depend on its value; an example of size 0 or 1 also does this: give a larger one",
    "Suggested fixes": "narrow the bounds as suggested, or widen what the module accepts",
    "satisfy the generated guard": "the module does something else at some of these sizes: raise "
    "`min` or lower `max` until the guard holds for all; often a size of 0, 1 or 2 is another case",
    "data-dependent": "a branch or a size depends on the values of a tensor: use torch.where or "
    "torch.cond, or torch._check to state what holds",
    "Unable to specify input integers": "use torch.export.Dim.DYNAMIC for an int",
    "expected None, an int, a Dim": "write a size that varies as torch.export.Dim(name, max=…)",
    "DynamicCache": "a model of transformers returns its cache: give it use_cache=False, or set "
    "model.config.use_cache = False; or, to plan the cache too, call transformers.integrations."
    "executorch.register_dynamic_cache_export_support() first",
    ".numpy() is not supported": "use operators of torch, which can be followed",
    "not a known type": "return tensors in dicts, lists and tuples only, or register the class: "
    "torch.export.register_dataclass",
    "Cannot associate shape": "pass tensors in dicts, lists and tuples, or register the class: "
    "torch.export.register_dataclass",
    "Must provide a tree_name": "what only **kwargs takes cannot have sizes that vary: give "
    "forward a parameter of that name",
}

_CHATTER = (
    "For more information",
    "For extended logs",
    "For more debugging help",
    "For C++ stack trace",
    "The error above",
    "If you suspect",
    "Caused by:",
    "consider using data-dependent friendly",
)
_NOISE = re.compile(
    r" \(unhinted: [^()]*(\([^()]*\)[^()]*)*\)|\s*\(Size-like symbols: [^)]*\)"
    r"| For more information.*| See https://github.com/pytorch/functorch/issues/475.*"
)


def exported(
    module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], dynamic_shapes: Any
) -> Any:
    """Return the ExportedProgram of a module, for inference.

    Raises:
        ExportFailed: torch.export does not take the module; the text has its reason, shortened.

    """
    import torch

    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.export.export(
                module, args, dict(kwargs), dynamic_shapes=dynamic_shapes, strict=False
            )
    except Exception as error:
        raise ExportFailed(_text(module, error)) from error


def _text(module: Any, error: Exception) -> str:
    said = str(error).strip()
    remedy = next((remedy for sign, remedy in _REMEDIES.items() if sign in said), None)
    advice = remedy or (
        "check that the module runs with the example; torch.export.draft_export(…) reports every "
        "obstacle in it"
    )
    own = type(error).__module__ == "builtins" and not isinstance(error, RuntimeError)
    kind = f"{type(error).__name__}: " if own and not remedy else ""
    return f"torch.export refuses {type(module).__name__}: {kind}{_short(said)}; {advice}"


def _short(said: str, longest: int = 600) -> str:
    lines = []
    for line in said.splitlines():
        if line.strip() and not line.startswith(_CHATTER):
            lines.append(_NOISE.sub("", line).strip())
        elif line.startswith("The error above"):
            break
    text = " ".join(lines) or "it gave no reason"
    return text if len(text) <= longest else text[:longest] + " …"
