"""`doctor` and its checks: each must find the trouble it is there for."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

import onecopy
from onecopy.cli import checks
from onecopy.cli.checks import Check, Status, guests, kernel, limits, memory, packages, stores
from onecopy.cli.checks.check import judge
from tests.cli.commands import run
from tests.conftest import open_files


def fail_with(code: int) -> Callable[..., int]:
    def fail(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    return fail


class TestDoctor:
    def test_on_a_machine_that_runs_the_tests_nothing_fails(self, store: onecopy.Store) -> None:
        found = json.loads(run("doctor", "--json").stdout)
        assert [list(each) for each in found] == [["name", "status", "detail", "remedy"]] * len(
            found
        )
        assert "fail" not in {each["status"] for each in found}
        assert {each["name"] for each in found} == {
            *("onecopy", "torch", "numpy"),
            *("memfd and seals", "noexec seals", "write leases", "/proc/<pid>/fd", "robust mutex"),
            *("overcommit", "open files", "memory maps", "huge pages", "Landlock"),
            *("free memory", "control group", "runtime directory", "store test"),
        }
        assert str(store.pid) in found[-1]["detail"]

    def test_it_shows_a_line_for_each_and_remedies_below(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = [Check("a", Status.OK, "fine"), Check("b", Status.WARN, "meh", "do this")]
        monkeypatch.setattr(checks, "examine", lambda: iter(found))
        lines = run("doctor").stdout.splitlines()
        assert [line.split() for line in lines] == [
            ["ok", "a", "fine"],
            ["warn", "b", "meh"],
            ["→", "do", "this"],
        ]

    def test_a_failure_is_exit_code_1(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(checks, "examine", lambda: iter([Check("a", Status.FAIL, "broken")]))
        assert "broken" in run("doctor", code=1).stdout
        assert json.loads(run("doctor", "--json", code=1).stdout)[0]["status"] == "fail"

    def test_a_check_that_breaks_has_failed_and_the_others_go_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken() -> Check:
            raise RuntimeError("oops")

        monkeypatch.setattr(checks, "_CHECKS", (broken, packages.python))
        first, second, *_ = checks.examine()
        assert (first.name, first.status) == ("broken", Status.FAIL)
        assert "RuntimeError: oops" in first.detail
        assert second.status is Status.OK

    def test_checks_leave_no_descriptor(self) -> None:
        list(checks.examine())
        before = open_files()
        list(checks.examine())
        assert open_files() == before

    def test_a_remedy_is_told_only_if_needed(self) -> None:
        assert judge("a", True, "fine", "do this") == Check("a", Status.OK, "fine")
        assert judge("a", False, "bad", "do this").remedy == "do this"


class TestKernel:
    @pytest.mark.parametrize(
        "check", [kernel.memfd, kernel.noexec, kernel.lease, kernel.proc, kernel.pulse]
    )
    def test_this_kernel_will_do(self, check: Callable[[], Check]) -> None:
        assert check().status is not Status.FAIL

    def test_without_memfds_it_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "memfd_create", fail_with(38))
        assert kernel.memfd().status is Status.FAIL
        assert kernel.noexec().status is Status.WARN

    def test_seals_that_do_not_hold_fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kernel.region, "seal", lambda _: None)
        assert kernel.memfd().status is Status.FAIL

    def test_leases_that_are_refused_fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kernel.leases, "in_use", fail_with(22))
        assert kernel.lease().status is Status.FAIL
        assert "fs.leases-enable" in kernel.lease().remedy

    def test_leases_that_see_no_mapping_fail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kernel.leases, "in_use", lambda _: False)
        assert kernel.lease().status is Status.FAIL

    def test_the_handler_of_sigio_stays_as_it_was(self) -> None:
        before = signal.getsignal(signal.SIGIO)
        kernel.lease()
        assert signal.getsignal(signal.SIGIO) == before

    def test_a_proc_that_cannot_be_seen_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = os.open
        refuse = fail_with(13)
        monkeypatch.setattr(
            os,
            "open",
            lambda path, *rest: refuse() if "/self/" not in path else opened(path, *rest),
        )
        found = kernel.proc()
        assert (found.status, "Permission denied" in found.detail) == (Status.WARN, True)

    def test_a_kernel_that_confines_nobody_to_folders_is_a_warning(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("onecopy.nn.guest.landlock.version", lambda: 0)
        check = guests.landlock()
        assert (check.status, "Linux 5.13" in check.remedy) == (Status.WARN, True)
        monkeypatch.setattr("onecopy.nn.guest.landlock.version", lambda: 7)
        assert guests.landlock() == Check("Landlock", Status.OK, "version 7")

    def test_a_mutex_that_says_nothing_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kernel, "_becomes", lambda *_: False)
        assert kernel.pulse().status is Status.FAIL


class TestLimits:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """A file to stand for one of the kernel's."""
        return tmp_path / "setting"

    @pytest.mark.parametrize(("text", "status"), [("0", "ok"), ("1", "ok"), ("2", "warn")])
    def test_strict_overcommit_is_a_warning(
        self, text: str, status: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text(f"{text}\n")
        monkeypatch.setattr(limits, "_OVERCOMMIT", file)
        assert limits.overcommit().status.value == status

    @pytest.mark.parametrize(
        ("hard", "status", "text"),
        [
            (1024, "warn", "about 1024 entries"),
            (20_000, "ok", "about 20000 entries"),
            (resource.RLIM_INFINITY, "ok", "any number of entries"),
        ],
    )
    def test_few_open_files_are_a_warning(
        self, hard: int, status: str, text: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
        found = limits.open_files()
        assert (found.status.value, text in found.detail) == (status, True)

    @pytest.mark.parametrize(("count", "status"), [(65_530, "ok"), (1000, "warn")])
    def test_few_maps_are_a_warning(
        self, count: int, status: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text(str(count))
        monkeypatch.setattr(limits, "_MAX_MAPS", file)
        assert limits.maps().status.value == status

    @pytest.mark.parametrize(
        ("text", "status"),
        [
            ("always [within_size] advise never deny force", "ok"),
            ("always within_size [advise] never deny force", "warn"),
            ("always within_size advise [never] deny force", "warn"),
        ],
    )
    def test_small_pages_are_a_warning(
        self, text: str, status: str, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text(text)
        monkeypatch.setattr(limits, "_SHMEM_HUGE", file)
        assert limits.huge_pages().status.value == status

    def test_a_kernel_without_huge_pages_is_fine(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "_SHMEM_HUGE", file)
        assert limits.huge_pages().status is Status.OK


class TestMemory:
    def test_too_little_free_memory_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(memory, "available_memory", lambda: 1 << 30)
        monkeypatch.setattr(memory, "default_capacity", lambda: 8 << 30)
        found = memory.free()
        assert (found.status, "below 1 GiB" in found.remedy) == (Status.WARN, True)

    def test_available_memory_is_a_part_of_all(self) -> None:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert 0 < memory.available_memory() <= total

    def test_a_limit_below_the_default_capacity_is_a_warning(self, monkeypatch) -> None:
        monkeypatch.setattr(memory, "limits", lambda: iter([1 << 20, 1 << 30]))
        found = memory.control_group()
        assert (found.status, found.detail) == (Status.WARN, "limit 1 MiB")

    def test_no_limit_is_fine(self, monkeypatch) -> None:
        monkeypatch.setattr(memory, "limits", lambda: iter([]))
        assert memory.control_group() == Check("control group", Status.OK, "no limit on memory")


class TestPackages:
    def test_a_missing_package_is_a_warning(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(name: str) -> str:
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "version", missing)
        assert packages.torch().detail == "not installed"
        assert "onecopy[numpy]" in packages.numpy().remedy

    @pytest.mark.parametrize(
        ("version", "status"), [("2.2.9", "warn"), ("2.3.0+cpu", "ok"), ("2.13.0", "ok")]
    )
    def test_an_old_package_is_a_warning(
        self, version: str, status: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(metadata, "version", lambda _: version)
        assert packages.torch().status.value == status


class TestStores:
    def test_a_runtime_directory_to_come_is_fine(self) -> None:
        assert stores.runtime_directory().status is Status.OK

    @pytest.mark.parametrize(("mode", "status"), [(0o700, "ok"), (0o755, "warn"), (0o777, "fail")])
    def test_a_runtime_directory_open_to_others_is_not(
        self, mode: int, status: str, runtime: Path
    ) -> None:
        runtime.mkdir()
        runtime.chmod(mode)
        found = stores.runtime_directory()
        assert found.status.value == status
        assert bool(found.remedy) == (status != "ok")

    def test_no_store_is_fine(self) -> None:
        assert [each.detail for each in stores.running()] == ["none is running"]

    def test_a_store_that_does_not_answer_fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stores, "answers", lambda: iter([("stuck", None)]))
        (found,) = stores.running()
        assert (found.name, found.status) == ("store stuck", Status.FAIL)
        assert "kill -CONT" in found.remedy
