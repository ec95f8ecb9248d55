from __future__ import annotations

from tests.processes import output_of


def test_threads_that_need_the_default_pool_at_once_get_the_same_one() -> None:
    code = """
        from concurrent.futures import ThreadPoolExecutor
        from onecopy.guests.workers.pools import default_pool
        with ThreadPoolExecutor(4) as threads:
            pools = set(threads.map(lambda _: default_pool(), range(4)))
        print(len(pools))
    """
    assert output_of(code) == "1"


def test_all_pools_are_closed_when_the_process_ends() -> None:
    code = """
        import atexit, os
        pids = []
        def check():
            for pid in pids:
                try:
                    os.kill(pid, 0)
                    print("it lives")
                except ProcessLookupError:
                    print("it ended")
        atexit.register(check)  # what is registered first is called last
        from onecopy.guests.workers.pool import Pool
        from onecopy.guests.workers.pools import default_pool
        pids = [each.workers[0].pid for each in (Pool(), default_pool())]
    """
    assert output_of(code).splitlines() == ["it ended"] * 2
