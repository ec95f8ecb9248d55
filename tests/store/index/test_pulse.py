from __future__ import annotations

import mmap
import os
import signal

from onecopy.store.index.pulse import Pulse

DIED = 0x4000_0000


def word(memory: mmap.mmap) -> int:
    return int.from_bytes(memory[:4], "little")


def test_the_word_shows_the_thread_that_lives() -> None:
    memory = mmap.mmap(-1, 4096)
    pulse = Pulse(memoryview(memory))
    assert word(memory) == pulse.thread
    pulse.stop()
    assert word(memory) == 0


def test_the_kernel_marks_the_word_of_a_killed_process() -> None:
    memory = mmap.mmap(-1, 4096)
    beating, begin = os.pipe()
    child = os.fork()
    if child == 0:
        Pulse(memoryview(memory))
        os.write(begin, b"x")
        signal.pause()
    os.read(beating, 1)
    assert word(memory) == child
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert word(memory) & DIED
    for fd in (beating, begin):
        os.close(fd)
