from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from onecopy import InvalidArgument, LockHeld, Store, WaitTimeout
from tests.processes import script


@pytest.fixture
def direct() -> bool:
    """No entry is opened here."""
    return True


def in_thread(function):
    """Run `function` in a thread of its own, for locks belong to threads."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def is_free(store: Store, name: str | None, *, shared: bool = False) -> bool:
    def probe() -> bool:
        try:
            with store.lock(name, shared=shared, timeout=0):
                return True
        except WaitTimeout:
            return False

    return in_thread(probe)


@pytest.mark.parametrize("name", ["a", None])
def test_an_exclusive_lock_keeps_others_out(store: Store, client: Store, name) -> None:
    with store.lock(name) as lock:
        assert lock.held
        assert not is_free(client, name)
        assert not is_free(client, name, shared=True)
    assert not lock.held
    assert is_free(client, name)


def test_shared_locks_go_together(store: Store, client: Store) -> None:
    with store.lock("a", shared=True):
        assert is_free(client, "a", shared=True)
        assert not is_free(client, "a")


def test_locks_of_unlike_names_do_not_meet(store: Store, client: Store) -> None:
    with store.lock("a"), store.lock("b"), store.lock():
        assert is_free(client, "c")


def test_a_name_need_not_exist(store: Store) -> None:
    with store.lock("nothing"):
        assert "nothing" not in store


def test_a_second_try_by_the_holder_is_an_error(store: Store, client: Store) -> None:
    with store.lock("a"):
        for handle in (store, client):
            with pytest.raises(LockHeld, match="not re-entrant"):
                handle.lock("a").acquire()
    assert is_free(store, "a")


def test_waiting_in_vain_is_a_timeout(store: Store, client: Store) -> None:
    with store.lock("a"):
        with pytest.raises(WaitTimeout, match=r"'a' was not free within 0\.01 s"):
            in_thread(client.lock("a", timeout=0.01).acquire)
        assert store.stats().clients <= 3


def test_waiters_are_served_first_come_first_served(store: Store) -> None:
    order: list[int] = []

    def work(number: int) -> None:
        with store.lock("a"):
            order.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(5)]
    with store.lock("a"):
        for waiting, thread in enumerate(threads, start=1):
            thread.start()
            # A waiter has a connection of its own: when it is there, it is in the queue.
            while store.stats().clients < waiting + 1:
                pass
            store.stat([])
    for thread in threads:
        thread.join()
    assert sorted(order) == list(range(5))


def test_a_waiting_writer_is_not_overtaken_by_readers(store: Store, client: Store) -> None:
    entered = threading.Event()

    def write() -> None:
        with client.lock("a"):
            entered.set()

    with store.lock("a", shared=True):
        writer = threading.Thread(target=write)
        writer.start()
        while is_free(store, "a", shared=True):
            pass
    writer.join()
    assert entered.is_set()


def test_the_lock_of_a_killed_process_goes_to_the_next(store: Store) -> None:
    code = """
        import sys
        import onecopy
        store = onecopy.connect("test")
        store.lock("a").acquire()
        print("held", flush=True)
        sys.stdin.read()
    """
    with script(code) as holder:
        assert holder.stdout.readline() == "held\n"
        assert not is_free(store, "a")
        holder.kill()
        holder.wait()
        with store.lock("a", timeout=30):
            pass


def test_a_forked_child_does_not_hold_its_parents_lock(store: Store) -> None:
    code = """
        import os, sys
        import onecopy
        store = onecopy.connect("test")
        store.lock("a").acquire()
        child = os.fork()
        if child == 0:
            sys.stdin.read()
            os._exit(0)
        print("held", flush=True)
        os.waitpid(child, 0)
    """
    with script(code) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.kill()
        holder.wait()
        with store.lock("a", timeout=30):
            pass


def test_releasing_what_is_not_held_is_an_error(store: Store) -> None:
    lock = store.lock("a")
    with pytest.raises(InvalidArgument, match="not held"):
        lock.release()


def test_a_lock_can_be_used_again(store: Store) -> None:
    lock = store.lock("a")
    for _ in range(3):
        with lock:
            pass


def test_a_process_that_exits_normally_gives_its_locks_back(store: Store) -> None:
    child = os.fork()
    if child == 0:
        store.lock("a").acquire()
        os._exit(0)
    os.waitpid(child, 0)
    with store.lock("a", timeout=30):
        pass


@pytest.mark.parametrize("name", ["", "x" * 256, 5])
def test_a_bad_name_is_refused(store: Store, name) -> None:
    with pytest.raises(InvalidArgument):
        store.lock(name)


def test_a_refusal_that_crosses_a_withdrawal_leaves_the_handle_good(store: Store) -> None:
    with store.lock("a"):
        os.kill(store.pid, signal.SIGSTOP)
        try:
            # The daemon answers the request and the withdrawal after it only when it goes on.
            waker = threading.Timer(0.2, os.kill, (store.pid, signal.SIGCONT))
            waker.start()
            with pytest.raises(LockHeld):
                store.lock("a", timeout=0.01).acquire()
        finally:
            os.kill(store.pid, signal.SIGCONT)
            waker.join()
        assert store.stats().entries == 0


def test_an_interrupted_waiter_holds_nothing(store: Store) -> None:
    code = """
        import sys
        import onecopy
        store = onecopy.connect("test")
        print("waiting", flush=True)
        try:
            store.lock("a").acquire()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        sys.stdin.read()
    """
    with store.lock("a", shared=True), script(code) as waiter:
        assert waiter.stdout.readline() == "waiting\n"
        while is_free(store, "a", shared=True):
            pass  # Readers are let in until a writer waits.
        waiter.send_signal(signal.SIGINT)
        assert waiter.stdout.readline() == "interrupted\n"
        waiter.stdin.close()
    assert is_free(store, "a")
