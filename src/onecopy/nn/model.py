"""What a name that guests may load stands for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import InvalidArgument, ModelNotFound
from onecopy.nn.backends import registry
from onecopy.nn.backends.backend import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onecopy.store.client import Store
    from onecopy.store.snapshot import Snapshot

_DEFAULT: Final = "pytorch"


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a store, or files, and what runs it.

    >>> from onecopy.nn import Model
    >>> Model.parse("embedder,backend=pytorch,threads=2")
    Model(what='embedder', files=(), store='', backend='pytorch', options={'threads': 2})
    """

    what: str = ""
    """The name of an entry or, if there is none, the path of a file."""
    files: tuple[str, ...] = ()
    """Instead: several files, in the order in which the backend wants them."""
    store: str = ""
    """The store of the entry, or the path of a snapshot; empty for the store of the `Host`."""
    backend: str = ""
    """Empty: by the file's ending, and PyTorch for entries."""
    options: Mapping[str, Any] = {}
    """What the backend understands."""

    @staticmethod
    def parse(text: str) -> Model:
        """Parse `ENTRY|FILE[,key=value…]`, as the command line has it.

        Values are JSON where they can be; `backend`, `store` and `file` (again for each further
        file) are not options.
        """
        what, *pairs = text.split(",")
        fields: dict[str, Any] = {"what": what, "files": (), "options": {}}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals or not key:
                raise InvalidArgument(f"{pair!r} is not key=value, in model {text!r}")
            if key in ("backend", "store"):
                fields[key] = value
            elif key == "file":
                fields["files"] = (*(fields["files"] or (what,)), value)
            else:
                fields["options"][key] = _value(value)
        return Model(**fields)

    def source(self, store: Store | Snapshot | None = None) -> Source:
        """Return where it comes from, given the store of a host.

        Raises:
            ModelNotFound: there is neither such an entry nor such a file.
            InvalidArgument: no backend takes such a file.
        """
        if self._is_remote:
            return Source(backend=self.backend, options={"model": self.what, **self.options})
        if self.files:
            return self._of_files(self.files)
        if self.store:
            return self._of_entry(self.store)
        if store is not None and self.what in store:
            return self._of_entry(_name(store))
        if Path(self.what).exists():
            return self._of_files((self.what,))
        if store is None:
            raise ModelNotFound(
                f"no file {self.what!r}; give its path or, of an entry, the store (store=, --store)"
            )
        raise ModelNotFound(
            f"no entry {self.what!r} in store {_name(store)!r}, and no file {self.what!r}; "
            "save it, or give its path"
        )

    @property
    def _is_remote(self) -> bool:
        return bool(self.backend) and getattr(registry.find(self.backend), "remote", False)

    def _of_entry(self, store: str) -> Source:
        backend = self.backend or _DEFAULT
        return Source(backend=backend, store=store, entry=self.what, options=self.options)

    def _of_files(self, files: tuple[str, ...]) -> Source:
        for each in files:
            if not Path(each).exists():
                raise ModelNotFound(f"there is no file {each!r}")
        backend = self.backend or registry.for_file(files[0])
        paths = tuple(str(Path(each).absolute()) for each in files)
        return Source(backend=backend, files=paths, options=self.options)


def as_model(value: Model | str | os.PathLike[str]) -> Model:
    """Return a model as a host takes it: text is parsed, a path is a file."""
    if isinstance(value, Model):
        return value
    return Model.parse(value) if isinstance(value, str) else Model(what=os.fspath(value))


def _name(store: Store | Snapshot) -> str:
    path = getattr(store, "path", None)
    return store.name if path is None else str(path)  # type: ignore[union-attr]


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
