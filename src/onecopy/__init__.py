"""onecopy: one copy of every tensor per host.

    import onecopy, torch

    with onecopy.start("demo", capacity="1GiB") as store:
        store.save("weights", {"w": torch.randn(1000, 1000)})
        weights = store.load("weights")          # no copy: a view of the saved bytes

Another process gets at it with `onecopy.connect("demo").load("weights")`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.lazy import exports

if TYPE_CHECKING:
    from onecopy import agents, guests, models, nn, planner
    from onecopy._version import __version__
    from onecopy.errors import (
        AccessDenied,
        AgentFailed,
        AllocationMissed,
        AllocatorUnavailable,
        BackendLost,
        BackendMissing,
        BudgetExceeded,
        BuildFailed,
        ContextFull,
        CorruptEntry,
        EndOfSequence,
        EntryExists,
        EntryNotFound,
        ExportFailed,
        ForgedEvent,
        GuestError,
        GuestMemoryExceeded,
        GuestMisbehaved,
        GuestTimeout,
        GuestTrapped,
        InferenceFailed,
        InvalidArgument,
        InvalidBounds,
        InvalidEvent,
        InvalidGrammar,
        InvalidManifest,
        InvalidModel,
        InvalidModule,
        InvalidProblem,
        InvalidSolution,
        LimitReached,
        LockHeld,
        LockLost,
        ModelBusy,
        ModelNotFound,
        OnecopyError,
        PackageMissing,
        PromptTooLong,
        ProtocolError,
        QueueUnavailable,
        ReplayDiverged,
        StoreClosed,
        StoreFull,
        StoreRunning,
        StoreUnavailable,
        UnboundedDimension,
        UnsupportedOperation,
        UnsupportedValue,
        WaitTimeout,
        WeightsMismatch,
        WindowRefused,
        WorkerLost,
    )
    from onecopy.store.client import Store
    from onecopy.store.launch import connect, start
    from onecopy.store.lock import Lock
    from onecopy.store.messages import EntryStat, Event, StoreStats
    from onecopy.store.ref import Ref
    from onecopy.store.snapshot import Snapshot, open
    from onecopy.store.watch import Watch
    from onecopy.tensors.arena import SlowStorageWarning
    from onecopy.tensors.codec import Codec
    from onecopy.tensors.codec import register as register_codec

__all__ = [
    "start",
    "connect",
    "open",
    "Store",
    "Snapshot",
    "Ref",
    "Lock",
    "Watch",
    "Event",
    "EntryStat",
    "StoreStats",
    "Codec",
    "register_codec",
    "models",
    "guests",
    "planner",
    "nn",
    "agents",
    "OnecopyError",
    "EntryNotFound",
    "EntryExists",
    "WaitTimeout",
    "StoreUnavailable",
    "LockLost",
    "ProtocolError",
    "StoreRunning",
    "StoreFull",
    "LimitReached",
    "InvalidArgument",
    "PackageMissing",
    "StoreClosed",
    "CorruptEntry",
    "UnsupportedValue",
    "WeightsMismatch",
    "LockHeld",
    "AccessDenied",
    "WindowRefused",
    "InvalidModule",
    "BuildFailed",
    "GuestError",
    "GuestTrapped",
    "GuestTimeout",
    "GuestMisbehaved",
    "GuestMemoryExceeded",
    "InvalidGrammar",
    "WorkerLost",
    "InvalidProblem",
    "InvalidSolution",
    "InvalidBounds",
    "UnboundedDimension",
    "ExportFailed",
    "AllocationMissed",
    "ModelNotFound",
    "InvalidModel",
    "BackendMissing",
    "UnsupportedOperation",
    "InferenceFailed",
    "BackendLost",
    "ModelBusy",
    "EndOfSequence",
    "ContextFull",
    "PromptTooLong",
    "InvalidManifest",
    "InvalidEvent",
    "ForgedEvent",
    "QueueUnavailable",
    "AgentFailed",
    "ReplayDiverged",
    "AllocatorUnavailable",
    "BudgetExceeded",
    "SlowStorageWarning",
    "__version__",
]

# Where each public name lives; errors are the rest. Imported when first asked for.
_HOMES: dict[str, str | None] = {
    "start": "store.launch",
    "connect": "store.launch",
    "open": "store.snapshot",
    "Store": "store.client",
    "Snapshot": "store.snapshot",
    "Ref": "store.ref",
    "Lock": "store.lock",
    "Watch": "store.watch",
    "Event": "store.messages",
    "EntryStat": "store.messages",
    "StoreStats": "store.messages",
    "Codec": "tensors.codec",
    "register_codec": "tensors.codec:register",
    "SlowStorageWarning": "tensors.arena",
    "__version__": "_version",
    **dict.fromkeys(("agents", "guests", "models", "nn", "planner")),
}

_ERRORS = dict.fromkeys(set(__all__) - set(_HOMES), "errors")

__getattr__, __dir__ = exports(__name__, _HOMES | _ERRORS)
