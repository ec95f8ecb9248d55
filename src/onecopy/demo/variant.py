"""The three ways in which the demo's workers come by the model's weights."""

from __future__ import annotations

from enum import Enum


class Variant(Enum):
    """Where a worker's weights live; the value is the heading of its column."""

    COPY = "private copy\nper worker"
    FILE = "from_pretrained\n(as it is)"
    STORE = "onecopy\nstore"
