"""Fixtures of tests that are not about time: workers that wait for as long as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.tokenizers_of import byte_level

SCRIPTED = Path(__file__).parents[1] / "modules" / "scripted.c"
PATIENT = {"guest_ms": 5000, "step_ms": 60_000}


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Vocabulary]:
    """A thousand tokens."""
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        yield vocabulary


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """Two workers with time."""
    with Pool(workers=2, **PATIENT) as pool:  # type: ignore[arg-type]
        yield pool


@pytest.fixture(scope="module")
def scripted(build: Callable[..., bytes]) -> bytes:
    """The guest that does as its configuration says."""
    return build(SCRIPTED)


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of four."""
    with Controllers(None, vocabulary, pool, batch=4, keep=0) as controllers:
        yield controllers
