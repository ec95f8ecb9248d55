"""Three guests and the host scan one large schema; its pages are in memory once."""

from __future__ import annotations

import argparse
import re
from contextlib import ExitStack
from pathlib import Path

import torch

import onecopy
from onecopy.guests import Guest, Pool, build

HERE = Path(__file__).parent
WORDS = ("uint64", "nullable", "timestamp")
MIB = 1 << 20


def schema(nbytes: int) -> torch.Tensor:
    """Return so many bytes of column definitions."""
    kinds = ("uint64", "timestamp", "text nullable", "float32 nullable")
    lines = [f"column_{i:05} {kinds[i * i % 7 % 4]};\n" for i in range(20_000)]
    block = torch.frombuffer(bytearray("".join(lines).encode()), dtype=torch.uint8)
    text = torch.empty(nbytes, dtype=torch.uint8)
    for start in range(0, nbytes, len(block)):
        part = text[start : start + len(block)]
        part.copy_(block[: len(part)])
    return text


def occurrences(text: torch.Tensor, word: bytes) -> int:
    """Count a word, in place."""
    return sum(1 for _ in re.finditer(re.escape(word), memoryview(text.numpy())))


def share_of(tensor: torch.Tensor) -> float:
    """Return the MiB of a tensor's pages that count as this process's: Pss, of the kernel.

    The kernel divides each page by the number of those who have it mapped.
    """
    address = tensor.data_ptr()
    for area in re.split(r"^(?=[0-9a-f]+-)", Path("/proc/self/smaps").read_text(), flags=re.M)[1:]:
        start, end = (int(each, 16) for each in area.split(maxsplit=1)[0].split("-"))
        if start <= address < end:
            return int(re.search(r"^Pss: +(\d+)", area, re.M)[1]) / 1024
    raise LookupError("the tensor is not mapped")


def own_memory(pid: int) -> float:
    """Return the MiB that a process has for itself."""
    _, resident, shared, *_ = map(int, Path(f"/proc/{pid}/statm").read_text().split())
    return (resident - shared) * 4096 / MIB


def main() -> None:
    """Save the schema, scan it four times, and tell where its pages are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=100)
    nbytes = parser.parse_args().mib * MIB
    wasm = build(HERE / "scan.c")
    with ExitStack() as stack:
        store = stack.enter_context(onecopy.start("schema_scan", capacity=2 * nbytes + MIB))
        with store.storage():
            store.save("schema", schema(nbytes), align=4096)
        text = store.load("schema")
        expected = [occurrences(text, word.encode()) for word in WORDS]
        print(f"host alone: {share_of(text):.1f} MiB of the schema count as its own")

        pool = stack.enter_context(Pool(len(WORDS)))
        guests = [
            stack.enter_context(Guest(wasm, {"schema": text}, config=word.encode(), pool=pool))
            for word in WORDS
        ]
        before = [own_memory(worker.pid) for worker in pool.workers]
        found = [guest.call("count", timeout=60) for guest in guests]
        after = [own_memory(worker.pid) for worker in pool.workers]
        for word, guest, count in zip(WORDS, guests, found, strict=True):
            print(f"guest in worker {guest.worker.index}: {count} times {word!r}")
        print(f"as the host counts: {'yes' if found == expected else f'no, {expected}'}")
        share = share_of(text)
        parts = 1 + len(guests)
        print(f"host and {len(guests)} guests: {share:.1f} MiB each, {parts * share:.1f} together")
        grown = sum(after) - sum(before)
        print(f"the workers' own memory grew by {grown:.1f} MiB while they scanned")


if __name__ == "__main__":
    main()
