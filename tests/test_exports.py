from __future__ import annotations

import onecopy
from onecopy import errors
from tests.processes import output_of


def test_the_public_names_are_these() -> None:
    assert set(onecopy.__all__) == {
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
    }


def test_every_public_name_is_there() -> None:
    for name in onecopy.__all__:
        assert getattr(onecopy, name) is not None
    assert set(onecopy.__all__) <= set(dir(onecopy))


def test_every_error_is_public() -> None:
    ours = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert ours <= set(onecopy.__all__)


def test_every_error_has_a_built_in_parent() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and kind is not errors.OnecopyError:
            built_in = [base for base in kind.__mro__ if base.__module__ == "builtins"]
            assert built_in[0] is not Exception, name


def test_importing_it_imports_neither_torch_nor_numpy() -> None:
    code = """
        import sys
        before = set(sys.modules)
        import onecopy
        print(sorted({"torch", "numpy", "msgspec", "typer", "logging"} & set(sys.modules) - before))
    """
    assert output_of(code) == "[]"


def test_the_daemon_imports_neither_torch_nor_numpy() -> None:
    code = """
        import sys
        import onecopy.store.daemon.process
        print(sorted({"torch", "numpy", "typer", "asyncio", "subprocess"} & set(sys.modules)))
    """
    assert output_of(code) == "[]"


def test_connecting_imports_neither_torch_nor_numpy() -> None:
    code = """
        import sys
        import onecopy
        with onecopy.start("imports", capacity="1MiB") as store:
            store.save("a", b"hello")
            store.load("a")
        print(sorted({"torch", "numpy"} & set(sys.modules)))
    """
    assert output_of(code) == "[]"
