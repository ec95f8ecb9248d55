"""What one variant took: time and memory, over all of its workers."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

from onecopy.demo.crew import Crew
from onecopy.demo.memory import Memory
from onecopy.demo.variant import Variant
from onecopy.demo.worker import Order


@dataclass(frozen=True)
class Measurement:
    """Seconds of each worker, memory of all workers, and what each worker computed."""

    variant: Variant
    build_seconds: list[float]
    embed_seconds: list[float]
    idle: Memory
    loaded: Memory
    vectors: list[bytes]
    entry_nbytes: int = 0
    daemon: Memory = field(default_factory=Memory)

    @property
    def model_memory(self) -> int:
        """The bytes by which the workers grew when they loaded the model and used it."""
        return (self.loaded - self.idle).pss

    @property
    def untouched(self) -> int:
        """The bytes of the store's entry that no worker has touched; they take memory too."""
        touched = (self.loaded - self.idle).shared
        return max(0, self.entry_nbytes - touched) if self.entry_nbytes else 0

    @property
    def total(self) -> int:
        """The memory that the model takes on this machine in all, its store's too, in bytes."""
        return self.model_memory + self.untouched + self.daemon.pss

    @property
    def median_build(self) -> float:
        """Seconds until the model was ready, in the middle of the field."""
        return statistics.median(self.build_seconds)

    @property
    def slowest_build(self) -> float:
        """Seconds until the last worker's model was ready."""
        return max(self.build_seconds)

    @property
    def median_embed(self) -> float:
        """Seconds to embed all sentences for the first time."""
        return statistics.median(self.embed_seconds)


def measure(crew: Crew, variant: Variant) -> Measurement:
    """Let an idle crew build the model and embed, all workers at once."""
    idle = crew.memory()
    built = crew.all_do(Order.BUILD)
    embedded = crew.all_do(Order.EMBED)
    return Measurement(
        variant=variant,
        build_seconds=[done.seconds for done in built],
        embed_seconds=[done.seconds for done in embedded],
        idle=idle,
        loaded=crew.memory(),
        vectors=[done.vectors for done in embedded],
    )
