"""The codec of `torch.nn.Module`: a branch of its tensors, with its skeleton as the meta."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from onecopy.errors import CorruptEntry, UnsupportedValue
from onecopy.models import classes, skeleton
from onecopy.models.decoder import Decoder
from onecopy.tensors.codec import Branch, Meta

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_only_weights: ContextVar[bool] = ContextVar("only_weights", default=False)


@contextmanager
def only_weights() -> Iterator[None]:
    """Within, loaded modules are dicts of their weights; no class need be known for that."""
    token = _only_weights.set(True)
    try:
        yield
    finally:
        _only_weights.reset(token)


class ModuleCodec:
    """Stores modules whose classes may be rebuilt (see `onecopy.models.classes`)."""

    name = "module"
    types = ("torch.nn.modules.module.Module",)

    def encode(self, value: Any) -> Branch:
        """Take a module apart; nothing of it is copied yet."""
        from onecopy.models.encoder import Encoder  # Readers do not need it.

        encoder = Encoder()
        try:
            encoder.number(value, "")
        except RecursionError:
            raise UnsupportedValue("the module is nested too deep to be stored") from None
        version = _transformers_version(encoder.classes)
        meta = [skeleton.VERSION, version, list(encoder.classes), encoder.objects]
        return Branch(meta, encoder.parts)

    def assemble(self, meta: Meta, parts: Sequence[Any]) -> Any:
        """Return the module; within `only_weights` a dict of its tensors instead."""
        version, transformers, paths, nodes = meta
        if version != skeleton.VERSION:
            raise CorruptEntry(
                f"the skeleton of a module has version {version}, and this onecopy reads "
                f"{skeleton.VERSION}; upgrade the older side"
            )
        if _only_weights.get():
            from onecopy.models import weights

            return weights.of_skeleton(nodes, parts)
        _check_transformers(transformers)
        return Decoder(paths, nodes, parts).module()

    def decode(self, *_: Any) -> NoReturn:
        """Refuse: a module is no leaf."""
        raise CorruptEntry("a module is stored as a branch, not as a leaf")


def _transformers_version(paths: dict[str, int]) -> str | None:
    if not any(classes.is_transformers(path) for path in paths):
        return None
    import transformers

    return str(transformers.__version__)


def _check_transformers(saved: str | None) -> None:
    """Refuse a module of another transformers: attributes of its classes come and go."""
    if saved is None:
        return
    try:
        import transformers
    except ImportError as error:
        raise UnsupportedValue(
            f"this module needs transformers {saved}; run `pip install transformers=={saved}`"
        ) from error
    if transformers.__version__ != saved:
        raise UnsupportedValue(
            f"this module was saved with transformers {saved}, and here is "
            f"{transformers.__version__}; save it again, or load its weights with load_into"
        )


codec = ModuleCodec()
