"""Every error that onecopy raises on purpose.

    OnecopyError
    ├── EntryNotFound      KeyError             no entry of that name
    ├── EntryExists        FileExistsError      the name is taken, and `overwrite` was not given
    ├── WaitTimeout        TimeoutError         waited in vain
    ├── StoreUnavailable   ConnectionError      no store of that name answers
    │   └── LockLost                            the store died while this lock was held
    ├── ProtocolError      ConnectionError      the other side speaks another version, or nonsense
    ├── StoreRunning       FileExistsError      a live store already has that name
    ├── StoreFull          MemoryError          no room, and nothing that may be evicted
    ├── LimitReached       OSError              out of file descriptors or memory maps
    ├── InvalidArgument    ValueError           a bad name or argument
    │   └── PackageMissing      ImportError     a package that only a part needs is not installed
    ├── StoreClosed        ValueError           used after `close()`
    ├── CorruptEntry       ValueError           an entry's bytes contradict its header
    ├── UnsupportedValue   TypeError            a value that cannot be stored, or rebuilt here
    ├── WeightsMismatch    RuntimeError         a module and the weights for it do not fit
    ├── LockHeld           RuntimeError         this thread already holds the lock
    ├── WindowRefused      ValueError           a tensor that cannot be mapped into a guest as it is
    ├── InvalidModule      ValueError           not WebAssembly, or asks for what no guest gets
    ├── BuildFailed        RuntimeError         a guest's source does not compile, or nothing can
    ├── InvalidGrammar     ValueError           a grammar that does not compile, or not in time
    ├── GuestError         RuntimeError         a guest failed, and is not called again
    │   ├── GuestTrapped                        it trapped, recursed too deeply or gave up
    │   ├── GuestTimeout        TimeoutError    it did not return in its time
    │   ├── GuestMisbehaved     ValueError      it asked for what is not possible
    │   └── GuestMemoryExceeded MemoryError     it used more memory than it may
    ├── WorkerLost         ConnectionError      a worker process ended, with the guests in it
    ├── InvalidProblem     ValueError           buffers, or a file of them, that cannot be packed
    ├── InvalidSolution    ValueError           offsets at which two live buffers overlap
    ├── InvalidBounds      ValueError           bounds of dimensions that contradict each other
    ├── UnboundedDimension ValueError           a dimension without an upper bound
    ├── ExportFailed       RuntimeError         torch.export does not take a module
    ├── AllocationMissed   MemoryError          a planned run needed memory that its plan lacks
    ├── AllocatorUnavailable RuntimeError       torch's allocator cannot be replaced here
    ├── BudgetExceeded     MemoryError          more memory was asked for than a budget allows
    ├── ModelNotFound      LookupError          no model of that name
    ├── InvalidModel       ValueError           a model's bytes are not what its backend takes
    ├── BackendMissing     ImportError          the library that runs such models is not installed
    ├── UnsupportedOperation RuntimeError       a model or a backend cannot do that
    ├── InferenceFailed    RuntimeError         a backend refused its inputs' values, or failed
    │   ├── BackendLost         ConnectionError the process that holds the model ended
    │   └── ModelBusy                           an endpoint asks to be asked later
    ├── EndOfSequence      EOFError             a text model ended its text
    ├── ContextFull        RuntimeError         a text model has no room for another token
    ├── PromptTooLong      ValueError           a prompt that does not fit a text model's context
    ├── InvalidManifest    ValueError           an agent's manifest that cannot be, and where
    ├── InvalidEvent       ValueError           an event that is malformed, too large or not awaited
    ├── ForgedEvent        PermissionError      a delivery whose signature is missing or wrong
    ├── QueueUnavailable   OSError              the file of events cannot be written or read
    ├── AgentFailed        RuntimeError         a run of an agent ended without success
    ├── ReplayDiverged     RuntimeError         a replayed agent asked for what the record lacks
    └── AccessDenied       PermissionError      another user's store, or a read-only client

Each text says what to do next (I8). The built-in parent is the one that callers
already catch for that kind of trouble.
"""

from __future__ import annotations


class OnecopyError(Exception):
    """The root of all errors that onecopy raises on purpose."""


class EntryNotFound(OnecopyError, KeyError):
    """No entry of that name exists."""

    def __str__(self) -> str:
        # KeyError shows repr(args[0]), which would put quotes around a sentence.
        return str(self.args[0]) if self.args else ""


class EntryExists(OnecopyError, FileExistsError):
    """The name is taken, and `overwrite=True` was not given."""


class WaitTimeout(OnecopyError, TimeoutError):
    """What was waited for did not happen in time."""


class StoreUnavailable(OnecopyError, ConnectionError):
    """No store of that name answers."""


class LockLost(StoreUnavailable):
    """The store died while this lock was held: others may have held it since."""


class ProtocolError(OnecopyError, ConnectionError):
    """The other side speaks another version of the protocol, or none."""


class StoreRunning(OnecopyError, FileExistsError):
    """A live store already has that name."""


class StoreFull(OnecopyError, MemoryError):
    """There is no room, and nothing that may be evicted to make some."""


class LimitReached(OnecopyError, OSError):
    """The process or the store ran out of file descriptors or memory maps."""


class InvalidArgument(OnecopyError, ValueError):
    """A bad name or argument."""


class PackageMissing(InvalidArgument, ImportError):
    """A package that only a part of onecopy needs is not installed; the text has the extra."""


class StoreClosed(OnecopyError, ValueError):
    """The store, lock or watch was used after it was closed."""


class CorruptEntry(OnecopyError, ValueError):
    """An entry's bytes contradict its header; it was not written by onecopy."""


class UnsupportedValue(OnecopyError, TypeError):
    """A value that cannot be stored, or rebuilt here; the text names what is in the way."""


class WeightsMismatch(OnecopyError, RuntimeError):
    """A module and the weights for it do not fit; the text lists every difference."""


class LockHeld(OnecopyError, RuntimeError):
    """This thread already holds the lock; locks are not re-entrant."""


class AccessDenied(OnecopyError, PermissionError):
    """The store belongs to another user, or this client may only read."""


class WindowRefused(OnecopyError, ValueError):
    """A tensor cannot be a window of a guest as it is; the text says what would make it one."""


class InvalidModule(OnecopyError, ValueError):
    """A module that is not WebAssembly, or asks for what no guest is given."""


class BuildFailed(OnecopyError, RuntimeError):
    """A guest's source does not compile (the text is the compiler's), or there is no compiler."""


class InvalidGrammar(OnecopyError, ValueError):
    """A grammar has an error, is too large, or takes too long to compile."""


class GuestError(OnecopyError, RuntimeError):
    """A guest failed; its memory may be in any state, so it is not called again."""


class GuestTrapped(GuestError):
    """A guest trapped, recursed too deeply or gave up; the text has its reason."""


class GuestTimeout(GuestError, TimeoutError):
    """A guest did not return in its time."""


class GuestMisbehaved(GuestError, ValueError):
    """A controller's result is not possible; the text says which part, and what would be."""


class GuestMemoryExceeded(GuestError, MemoryError):
    """A guest used more memory than it may."""


class WorkerLost(OnecopyError, ConnectionError):
    """A worker process ended, and the guests in it; the pool starts another: open them again."""


class InvalidProblem(OnecopyError, ValueError):
    """Buffers, or a file of them, that cannot be packed; the text names the buffer or the line."""


class InvalidSolution(OnecopyError, ValueError):
    """Offsets at which two buffers overlap while both live; the text names them."""


class InvalidBounds(OnecopyError, ValueError):
    """Bounds of dimensions that are negative, crossed, or contradict each other."""


class UnboundedDimension(OnecopyError, ValueError):
    """A dimension has no upper bound: give it one, or keep it dynamic."""


class ExportFailed(OnecopyError, RuntimeError):
    """torch.export does not take a module; the text has its reason."""


class AllocationMissed(OnecopyError, MemoryError):
    """A planned run needed memory that its plan does not have, and `on_miss="error"` was given."""


class AllocatorUnavailable(OnecopyError, RuntimeError):
    """torch's CPU allocator cannot be replaced here; the text says why."""


class BudgetExceeded(OnecopyError, MemoryError):
    """More memory was asked for than a budget allows; the text says how much is missing."""


class ModelNotFound(OnecopyError, LookupError):
    """No model of that name was given, or what it stands for is gone."""


class InvalidModel(OnecopyError, ValueError):
    """A model's bytes are not what its backend takes."""


class BackendMissing(OnecopyError, ImportError):
    """The library that runs such models is not installed."""


class UnsupportedOperation(OnecopyError, RuntimeError):
    """A model or a backend cannot do that."""


class InferenceFailed(OnecopyError, RuntimeError):
    """A backend refused the values of its inputs, or failed."""


class BackendLost(InferenceFailed, ConnectionError):
    """The process that holds a model ended; the next request starts it again."""


class ModelBusy(InferenceFailed):
    """An endpoint asks to be asked later; the text says when, if it said so."""


class EndOfSequence(OnecopyError, EOFError):
    """A text model ended its text."""


class ContextFull(OnecopyError, RuntimeError):
    """A text model has no room for another token in its context."""


class PromptTooLong(OnecopyError, ValueError):
    """A prompt does not fit into the context of a text model."""


class InvalidManifest(OnecopyError, ValueError):
    """The manifest of an agent cannot be; the text names its file, line or key."""


class InvalidEvent(OnecopyError, ValueError):
    """An event is malformed or too large, or no trigger of the agent waits for such events."""


class ForgedEvent(OnecopyError, PermissionError):
    """A delivery is not signed with the secret of the trigger that it was sent to."""


class QueueUnavailable(OnecopyError, OSError):
    """The file with the events of the agents cannot be written or read."""


class AgentFailed(OnecopyError, RuntimeError):
    """A run of an agent ended without success; the text has its error."""


class ReplayDiverged(OnecopyError, RuntimeError):
    """A replayed agent did not ask for what its record has; it, or its code, has changed."""
