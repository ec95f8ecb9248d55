"""What the file of an entry is called.

Readable where the name allows: letters, digits, `.`, `_` and `-` stand for themselves, all other
bytes of its UTF-8 are `%XX`. A file name holds 255 bytes; a name that would need more keeps its
beginning, a `~` (which is nowhere else) and a hash. The true name is in the file's trailer.
"""

from __future__ import annotations

from _blake2 import blake2b
from typing import Final

SUFFIX: Final = ".safetensors"
# A store's directory has the first beside its entries, a snapshot the second.
LOCK: Final = ".onecopy-lock"
MANIFEST: Final = "onecopy.json"

_LIMIT: Final = 255 - len(SUFFIX)
_KEPT: Final = 60
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
_WRITTEN: Final = [
    chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in range(256)
].__getitem__


def file_name(key: bytes) -> str:
    """Return the file name of the entry with that name."""
    text = "".join(map(_WRITTEN, key))
    if text.startswith("."):
        text = f"%2E{text[1:]}"  # Hidden files are no entries.
    if len(text) > _LIMIT:
        text = f"{text[:_KEPT]}~{blake2b(key, digest_size=16).hexdigest()}"
    return text + SUFFIX
