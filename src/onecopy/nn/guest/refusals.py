"""What a guest is told when something fails: an error's number, and its text to the host's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy import errors
from onecopy.nn.standard import Errno

if TYPE_CHECKING:
    from collections.abc import Callable

_REPORTS: Final = 32
LONGEST: Final = 1000
"""Characters of a text that quotes a guest: it could have names of megabytes."""

# The first that fits. A missing library is an encoding that this host does not have. A name that
# stands for nothing has a number of WasmEdge's, by which its guests tell it from other failures.
_NUMBERS: Final[tuple[tuple[type[BaseException], Errno], ...]] = (
    (errors.EndOfSequence, Errno.END_OF_SEQUENCE),
    (errors.ContextFull, Errno.CONTEXT_FULL),
    (errors.PromptTooLong, Errno.PROMPT_TOO_LONG),
    (errors.ModelNotFound, Errno.MODEL_NOT_FOUND),
    (errors.BackendMissing, Errno.INVALID_ENCODING),
    (errors.UnsupportedOperation, Errno.UNSUPPORTED_OPERATION),
    (errors.AccessDenied, Errno.UNSUPPORTED_OPERATION),
    (errors.ModelBusy, Errno.BUSY),
    (errors.InferenceFailed, Errno.RUNTIME_ERROR),
    (errors.InvalidModel, Errno.INVALID_ARGUMENT),
    (errors.InvalidArgument, Errno.INVALID_ARGUMENT),
    (errors.LimitReached, Errno.TOO_LARGE),
    (MemoryError, Errno.TOO_LARGE),
    (errors.OnecopyError, Errno.RUNTIME_ERROR),
)


class Refused(Exception):
    """A call of a guest is answered with a number; the text is for people."""

    def __init__(self, errno: Errno, text: str) -> None:
        super().__init__(text)
        self.errno = errno


def errno_of(error: BaseException) -> Errno | None:
    """Return the number for an error, or None for one that nobody foresaw."""
    if isinstance(error, Refused):
        return error.errno
    return next((number for kind, number in _NUMBERS if isinstance(error, kind)), None)


class Reporter:
    """Passes on the texts of refusals, the first few of a guest: it can have one a microsecond."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._left = _REPORTS

    def __call__(self, function: str, errno: Errno, error: BaseException) -> None:
        """Tell of one call that failed, unless its guest has had its share."""
        if errno == Errno.END_OF_SEQUENCE or not self._left:
            return
        self._left -= 1
        more = "" if self._left else " (further ones are not told)"
        self._say(f"{function}: {errno.name.lower()}: {str(error)[:LONGEST]}{more}")
