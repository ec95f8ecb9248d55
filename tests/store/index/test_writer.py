from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from onecopy.store.index.writer import IndexWriter
from tests.store.index.sides import reader, record


def test_an_update_changes_the_generation(writer: IndexWriter) -> None:
    writer.insert(0, record(writer, b"a", 1))
    view = reader(writer)
    before = view.find(b"a")
    writer.update(0, record(writer, b"a", 2))
    after = view.find(b"a")
    assert before is not None
    assert after is not None
    assert before.generation != after.generation
    assert (before.generation | after.generation) & 1 == 0
    assert after.ino == 2


def test_a_removed_slot_has_another_generation(writer: IndexWriter) -> None:
    writer.insert(0, record(writer, b"a"))
    generation = writer.generation(0)
    writer.remove(0, writer.hash(b"a"))
    assert writer.generation(0) != generation
    assert reader(writer).find(b"a") is None


def test_removing_leaves_others_that_were_probed_past_it(writer: IndexWriter) -> None:
    keys = [f"{i}".encode() for i in range(64)]
    for slot, key in enumerate(keys):
        writer.insert(slot, record(writer, key, slot))
    view = reader(writer)
    for slot, key in enumerate(keys):
        writer.remove(slot, writer.hash(key))
        for other, rest in enumerate(keys[slot + 1 :], start=slot + 1):
            found = view.find(rest)
            assert found is not None
            assert found.ino == other


def test_a_moved_index_says_so_and_its_successor_has_everything(writer: IndexWriter) -> None:
    first = IndexWriter(64)
    for slot in range(64):
        first.insert(slot, record(first, f"{slot}".encode(), slot))
    old = reader(first)
    assert old.current
    second = first.moved_to(256)
    assert not old.current
    new = reader(second)
    assert new.current
    for slot in range(64):
        found = new.find(f"{slot}".encode())
        assert found is not None
        assert (found.slot, found.ino) == (slot, slot)
    second.close()
    assert not new.current


class IndexAgainstDict(RuleBasedStateMachine):
    """The index, kept small so that slots, buckets and tombstones are used again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.writer = IndexWriter(8)
        self.view = reader(self.writer)
        self.model: dict[bytes, tuple[int, int]] = {}

    keys = st.integers(0, 20).map(lambda i: f"k{i}".encode())

    @rule(key=keys, ino=st.integers(0, 2**64 - 1))
    def save(self, key: bytes, ino: int) -> None:
        new = record(self.writer, key, ino)
        if key in self.model:
            slot = self.model[key][0]
            self.writer.update(slot, new)
        else:
            free = set(range(8)) - {slot for slot, _ in self.model.values()}
            if not free:
                return
            slot = min(free)
            self.writer.insert(slot, new)
        self.model[key] = slot, ino

    @rule(key=keys)
    def remove(self, key: bytes) -> None:
        if key in self.model:
            self.writer.remove(self.model.pop(key)[0], self.writer.hash(key))

    @rule()
    def move(self) -> None:
        self.writer = self.writer.moved_to(8)
        self.view = reader(self.writer)

    @invariant()
    def agrees(self) -> None:
        for number in range(21):
            key = f"k{number}".encode()
            found = self.view.find(key)
            expected = self.model.get(key)
            assert (found and (found.slot, found.ino)) == expected
        assert {each.key for each in self.view.records()} == set(self.model)

    def teardown(self) -> None:
        self.writer.close()


TestIndexAgainstDict = IndexAgainstDict.TestCase
TestIndexAgainstDict.settings = settings(max_examples=50, stateful_step_count=60, deadline=None)
