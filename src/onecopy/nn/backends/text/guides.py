"""Guides: controllers (docs/controllers.md) that the host gives a text model, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InferenceFailed, InvalidArgument, LimitReached, ModelBusy, OnecopyError
from onecopy.guests.batch.adapters.generation import ControllerLogits
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.workers.pool import Pool

if TYPE_CHECKING:
    import torch

    from onecopy.guests.decoding.vocabulary import Vocabulary

ROWS: Final = 64
"""How many generations may be guided at a time."""


class GuideLogits:
    """A logits processor that asks a controller; its failure is the generation's, in words."""

    def __init__(self, name: str, guide: ControllerLogits) -> None:
        self._name = name
        self._guide = guide

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """As a `LogitsProcessor`."""
        try:
            found = self._guide(input_ids, scores)
        except LimitReached as error:
            raise ModelBusy(f"the guide {self._name!r} has no place: {error}") from error
        except (OnecopyError, OSError) as error:
            raise InferenceFailed(f"the guide {self._name!r}: {error}") from error
        if self._guide.error is not None:
            raise InferenceFailed(f"the guide {self._name!r}: {self._guide.error}")
        return found

    def close(self) -> None:
        """Give its place back; twice is fine."""
        self._guide.close()


class Guides:
    """The guides of one model; the first that is asked for starts their worker process."""

    def __init__(self, known: Mapping[str, tuple[str, str]], vocabulary: Vocabulary) -> None:
        self._known = known
        self._vocabulary = vocabulary
        self._pool: Pool | None = None
        self._controllers: Controllers | None = None

    def processor(self, name: str) -> GuideLogits:
        """Return what has a guide steer one generation.

        Raises:
            InvalidArgument: there is no guide of that name.
        """
        if name not in self._known:
            listed = ", ".join(sorted(self._known)) or "none"
            raise InvalidArgument(f"no guide {name!r} for this model; there are: {listed}")
        module, config = self._known[name]
        return GuideLogits(name, ControllerLogits(self._started(), module, config))

    def _started(self) -> Controllers:
        if self._controllers is None:
            self._pool = Pool(workers=1)
            self._controllers = Controllers(None, self._vocabulary, self._pool, batch=ROWS)
        return self._controllers

    def close(self) -> None:
        """End the worker; twice is fine."""
        if self._controllers is not None:
            self._controllers.close()
            self._controllers = None
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def checked(guides: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what a host says about guides as paths of modules and configurations.

    Raises:
        InvalidArgument: one is neither a path nor `[path, config]`, or there is no such file.
    """
    return {name: _checked(name, guide) for name, guide in guides.items()}


def _checked(name: str, guide: Any) -> tuple[str, str]:
    parts = [guide] if isinstance(guide, str) else guide
    texts = isinstance(parts, list | tuple) and all(isinstance(part, str) for part in parts)
    if not texts or not 1 <= len(parts) <= 2:
        raise InvalidArgument(f"guides: {name!r} is not the path of a module, or [path, config]")
    if not Path(parts[0]).is_file():
        raise InvalidArgument(f"guides: {name!r}: there is no file {parts[0]}")
    return parts[0], parts[1] if len(parts) == 2 else ""
