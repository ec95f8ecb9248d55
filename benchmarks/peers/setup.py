"""Make the environments of the peers that need their own: ``python -m benchmarks.peers.setup``.

All need CPython 3.11 (pyarrow 11 has wheels up to that version): run this with a 3.11, or name one
with ``--python``. What cannot be installed is reported, and skipped by the benchmark.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

from benchmarks.peers.registry import ENVIRONMENTS

PINNED = {
    "ray": ["ray==2.60.0", "torch==2.13.0", "numpy==2.4.6"],
    "plasma": ["pyarrow==11.0.0", "numpy==1.26.4"],
    "vineyard": ["vineyard==0.24.2", "numpy==2.4.6", "pandas==3.1.1", "pyarrow==26.0.1"],
    "ortools": ["ortools==9.15.6755"],
}


def main() -> int:
    """Install what is named, all by default; the exit status is the number of failures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(PINNED)}")
    parser.add_argument("--python", default=sys.executable, help="a CPython 3.11")
    options = parser.parse_args()
    if unknown := set(options.peers) - set(PINNED):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    return sum(not install(name, options.python) for name in options.peers or PINNED)


def install(name: str, python: str) -> bool:
    """Whether the environment is complete; an incomplete one is removed."""
    folder = ENVIRONMENTS / name
    print(f"{name}: {' '.join(PINNED[name])}", flush=True)
    try:
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, *PINNED[name]], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name}: not installed: {error}", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
