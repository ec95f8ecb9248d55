"""What components are answered when the host's side fails: a code, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy import errors, nn
from onecopy.errors import GuestTrapped, OnecopyError
from onecopy.nn.guest import component_nn
from onecopy.nn.standard import Encoding, Errno
from tests.nn.guest.components import building
from tests.nn.guest.components.building import component
from tests.nn.guest.test_component import CODES, run

pytestmark = pytest.mark.usefixtures("compiler")


class Failing(nn.Host):
    """A host whose models cannot be loaded."""

    def __init__(self, error: Exception) -> None:
        super().__init__({})
        self._error = error
        self.asked: list[tuple[bytes, str, str]] = []

    def load(self, name: str, config: str = "") -> nn.Graph:
        raise self._error

    def load_bytes(self, builders, encoding, target="cpu") -> nn.Graph:
        self.asked += [(bytes(each), encoding, target) for each in builders]
        raise self._error


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.ModelNotFound, "not-found"),
        (errors.BackendMissing, "invalid-encoding"),
        (errors.UnsupportedOperation, "unsupported-operation"),
        (errors.AccessDenied, "security"),
        (errors.PromptTooLong, "too-large"),
        (errors.LimitReached, "too-large"),
        (errors.InferenceFailed, "runtime-error"),
        (errors.BackendLost, "runtime-error"),
        (errors.InvalidModel, "invalid-argument"),
        (errors.InvalidArgument, "invalid-argument"),
        (errors.StoreUnavailable, "unknown"),
    ],
)
def test_an_error_has_a_code_and_its_text_is_the_hosts(tmp_path, kind, code) -> None:
    guest = component("bringing", "MODEL=1,2,3", "ENCODING=1")
    host = Failing(kind("the path of a file"))
    status, printed = run(guest, host, tmp_path)
    assert (status, CODES[int(printed[0])]) == (1, code)
    assert "path" not in "".join(printed)
    assert host.asked == [(b"\1\2\3", Encoding(1).name.lower(), "cpu")]


def test_who_asks_by_name_is_not_told_of_other_models_either(tmp_path) -> None:
    with pytest.raises(GuestTrapped):  # It goes on with a context that it did not get.
        run(component("mistakes"), Failing(errors.ModelNotFound("there are: secret")), tmp_path)
    printed = (tmp_path / "out").read_text()
    assert printed.startswith(f"{CODES.index('not-found')}")
    assert "secret" not in printed


def test_a_fault_of_the_host_ends_the_component(tmp_path) -> None:
    guest = component("bringing", "MODEL=1,2,3", "ENCODING=1")
    with pytest.raises(GuestTrapped, match="not the guest's: ZeroDivisionError"):
        run(guest, Failing(ZeroDivisionError()), tmp_path)


def test_what_is_refused_is_reported_with_the_number_of_modules() -> None:
    said: list[tuple[str, Errno]] = []

    class Kept:
        def hand_out(self, _: str, what: object) -> object:
            return what

    inference = component_nn.Inference(
        Failing(errors.AccessDenied("no")),
        Kept(),
        lambda name, errno, _: said.append((name, errno)),
    )
    answer = inference._load_by_name(None, "x")
    assert answer.tag == "err"
    assert answer.payload == component_nn.Error("security", "the host's log says why")
    assert said == [("load-by-name", Errno.UNSUPPORTED_OPERATION)]


def test_codes_are_those_of_the_interface_and_the_closest_class_counts_first() -> None:
    seen: list[type[BaseException]] = []
    for kind, code in component_nn._CODES:
        assert code in CODES
        assert not any(issubclass(kind, each) for each in seen), kind
        seen.append(kind)
    assert issubclass(errors.BackendLost, OnecopyError)


def test_the_interface_is_of_the_version_that_the_tests_are_written_for() -> None:
    world = (Path(building.__file__).parent / "world.wat").read_text()
    for name in ("tensor", "errors", "inference", "graph"):
        assert f"wasi:nn/{name}@{component_nn.VERSION}" in world
