"""Save a model, and start N web workers that all use this one copy."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

import onecopy

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from app import MODEL, STORE  # noqa: E402  (it lies beside this file)


def build_model(width: int) -> Any:
    """Return the model to serve; in real life it comes from a checkpoint."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, width), nn.GELU(), nn.Linear(width, 2)).eval()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--width", type=int, default=1024)
    options = parser.parse_args()
    if importlib.util.find_spec("uvicorn") is None:
        parser.error("uvicorn is not installed; run `pip install uvicorn`")
    import uvicorn

    with onecopy.start(STORE) as store:
        store.save_module(MODEL, build_model(options.width), pin=True)
        uvicorn.run("app:app", app_dir=str(HERE), workers=options.workers, port=options.port)


if __name__ == "__main__":
    main()
