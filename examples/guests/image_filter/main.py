"""A guest filters a frame where it lies; a process that only loads the frame sees the result."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import zlib
from pathlib import Path

import torch

import onecopy
from onecopy.guests import Guest, build

HERE = Path(__file__).parent
STORE, FRAME = "image_filter", "frame"


def picture(height: int, width: int) -> torch.Tensor:
    """Return an image of circles, [height, width, 3], as bytes."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    rings = (x - width // 2).square() + (y - height // 2).square()
    return torch.stack([rings // 40, rings // 90, x + y], dim=-1).remainder(256).to(torch.uint8)


def blurred(image: torch.Tensor) -> torch.Tensor:
    """Return what the filter should make of an image, computed by torch."""
    padded = torch.nn.functional.pad(
        image.permute(2, 0, 1).float().unsqueeze(0), (1, 1, 1, 1), mode="replicate"
    )
    sums = torch.nn.functional.avg_pool2d(padded, 3, stride=1, divisor_override=1).squeeze(0)
    return (sums.permute(1, 2, 0).to(torch.int32) // 9).to(torch.uint8)


def write_ppm(image: torch.Tensor, path: str) -> None:
    """Write an image in a format that most viewers read."""
    height, width, _ = image.shape
    data = image.contiguous().numpy().tobytes()
    Path(path).write_bytes(f"P6 {width} {height} 255\n".encode() + data)


def checksum_elsewhere() -> str:
    """Return the CRC of the frame's bytes, as another process sees them."""
    code = f"""
import onecopy, zlib
print(zlib.crc32(onecopy.connect({STORE!r}).load({FRAME!r}).numpy()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main() -> None:
    """Blur a frame in a guest, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--width", type=int, default=1920)
    parser.add_argument("--out", help="where to write the result, as .ppm")
    options = parser.parse_args()
    before = picture(options.height, options.width)
    with onecopy.start(STORE, capacity="256MiB") as store:
        store.save(FRAME, before, mutable=True, align=4096)
        frame = store.load(FRAME)  # of a mutable entry: the shared pages themselves
        with Guest(build(HERE / "filter.c", flags=["-O3"]), {"frame": (frame, "rw")}) as guest:
            start = time.perf_counter()
            guest.call("blur", timeout=30)
            seconds = time.perf_counter() - start
        same = torch.equal(frame, blurred(before))
        print(f"{frame.numel() >> 10} KiB blurred in place in {seconds * 1e3:.1f} ms")
        print(f"equal to what torch computes: {'yes' if same else 'no'}")
        ours = str(zlib.crc32(frame.numpy()))
        print(f"seen by another process: {'yes' if checksum_elsewhere() == ours else 'no'}")
        if options.out:
            write_ppm(frame, options.out)


if __name__ == "__main__":
    main()
