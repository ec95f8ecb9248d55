from __future__ import annotations

import pytest
import torch
from torch.utils.data import default_collate

from onecopy import CorruptEntry, Store
from onecopy.data.stack import StackCodec, Stacked, gather

SIZE = 1 << 14  # 64 KiB of float32


def through(store: Store, samples: list) -> object:
    store.save("b", gather(samples), overwrite=True)
    return store.load("b")


def rows(count: int = 3, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.full((4, SIZE), number, dtype=dtype) for number in range(count)]


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.int8, torch.bool, torch.bfloat16, torch.complex128]
)
def test_large_samples_come_back_stacked(store: Store, dtype: torch.dtype) -> None:
    samples = rows(dtype=dtype)
    assert isinstance(gather(samples), Stacked)
    assert through(store, samples).equal(torch.stack(samples))


def test_the_stack_is_one_view_of_the_store(store: Store) -> None:
    batch = through(store, rows())
    assert store.stat("b").in_use
    assert batch.is_contiguous()
    assert batch.untyped_storage().nbytes() == 3 * 4 * SIZE * 4
    batch[1] = 7
    assert store.load("b")[1].sum() == 4 * SIZE


@pytest.mark.parametrize("count", [1, 2, 200])
def test_any_number_of_samples_stacks(store: Store, count: int) -> None:
    samples = [torch.full((SIZE,), number) for number in range(count)]
    assert through(store, samples).equal(torch.stack(samples))


def test_slices_of_one_tensor_stack(store: Store) -> None:
    whole = torch.arange(4.0 * SIZE).reshape(4, SIZE)
    assert through(store, [whole[2], whole[1], whole[3]]).equal(whole[[2, 1, 3]])
    assert through(store, list(whole)).equal(whole)


def test_samples_that_overlap_stack(store: Store) -> None:
    line = torch.arange(3.0 * SIZE)
    samples = [line[:SIZE], line[16 : SIZE + 16], line[:SIZE]]
    assert through(store, samples).equal(torch.stack(samples))


def test_two_stacks_and_small_things_share_a_batch(store: Store) -> None:
    samples = [
        {"a": torch.full((SIZE,), n), "b": torch.full((2, SIZE), -n), "n": n, "s": torch.ones(3)}
        for n in range(3)
    ]
    batch, expected = through(store, samples), default_collate(samples)
    assert batch.keys() == expected.keys()
    assert all(batch[key].equal(expected[key]) for key in batch)


def test_one_tensor_under_two_keys_stacks_twice(store: Store) -> None:
    samples = [{"a": row, "b": row} for row in rows()]
    batch = through(store, samples)
    assert batch["a"].equal(torch.stack(rows()))
    assert batch["b"].equal(torch.stack(rows()))


def test_arrays_become_tensors_as_in_torch(store: Store) -> None:
    samples = [row.numpy() for row in rows()]
    assert through(store, samples).equal(torch.stack(rows()))


@pytest.mark.parametrize(
    "samples",
    [
        [torch.ones(3), torch.zeros(3)],
        [torch.ones(SIZE + 1), torch.zeros(SIZE + 1)],
        [torch.ones(SIZE, 2).T, torch.zeros(SIZE, 2).T],
        [torch.ones(SIZE), torch.zeros(SIZE, dtype=torch.float64)],
    ],
)
def test_what_leaves_gaps_is_stacked_by_torch(store: Store, samples: list) -> None:
    assert isinstance(gather(samples), torch.Tensor)
    assert through(store, samples).equal(torch.stack(samples))


def test_sparse_samples_are_refused_as_in_torch() -> None:
    with pytest.raises(RuntimeError, match="sparse tensors are not currently supported"):
        gather([torch.eye(3).to_sparse(), torch.eye(3).to_sparse()])


def test_unlike_shapes_are_an_error_as_in_torch() -> None:
    with pytest.raises(RuntimeError, match="equal size"):
        gather([torch.ones(SIZE), torch.ones(2 * SIZE)])


def test_a_plain_reader_finds_every_sample(store: Store, tmp_path) -> None:
    from safetensors.torch import load_file

    store.save("b", {"x": gather(rows())})
    fd, segment = store._entries.open("b")
    with open(fd, "rb") as source:
        (tmp_path / "b.safetensors").write_bytes(source.read(segment.size))
    found = load_file(tmp_path / "b.safetensors")
    assert [int(found[name][0, 0]) for name in ("x", "x#2", "x#3")] == [0, 1, 2]


@pytest.mark.parametrize("meta", [[0, ["float32", [4]]], [2, ["float32", [4]]], [-1, ["x", []]]])
def test_a_hostile_stack_is_refused(meta: list) -> None:
    with pytest.raises(CorruptEntry):
        StackCodec().decode(meta, [0, 0], None)
