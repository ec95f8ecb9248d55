from __future__ import annotations

import math
import pickle
import warnings

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import UnsupportedValue
from onecopy.tensors import torch_codec, torch_dtypes
from tests.tensors.roundtrip import file_bytes, roundtrip

DTYPES = sorted(torch_dtypes.DTYPES)


def raw(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def sample(dtype: str, *shape: int) -> torch.Tensor:
    kind, itemsize = torch_dtypes.DTYPES[dtype]
    high = 2 if dtype == "bool" else 256
    return torch.randint(0, high, (*shape, itemsize), dtype=torch.uint8).view(kind).squeeze(-1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back_bit_for_bit(dtype: str) -> None:
    tensor = sample(dtype, 3, 5)
    loaded = roundtrip(tensor)
    assert loaded.dtype == tensor.dtype
    assert loaded.shape == tensor.shape
    assert torch.equal(raw(loaded), raw(tensor))


# Complex numbers it knows only as complex64; F4 and F8_E8M0 it cannot turn into torch tensors.
FOREIGN = ("complex32", "complex128", "float4_e2m1fn_x2", "float8_e8m0fnu")
SAFE = [dtype for dtype in DTYPES if dtype not in FOREIGN]


@pytest.mark.parametrize("dtype", SAFE)
def test_safetensors_reads_every_dtype_that_it_knows(dtype: str) -> None:
    tensor = sample(dtype, 3, 5)
    loaded = safetensors.torch.load(file_bytes({"t": tensor}))["t"]
    assert loaded.dtype == tensor.dtype
    assert loaded.shape == tensor.shape
    assert torch.equal(raw(loaded), raw(tensor))


def test_safetensors_sees_complex128_as_pairs() -> None:
    tensor = torch.randn(3, dtype=torch.complex128)
    loaded = safetensors.torch.load(file_bytes({"t": tensor}))["t"]
    assert torch.equal(loaded, torch.view_as_real(tensor))


def test_safetensors_sees_empty_tensors_too() -> None:
    tree = {"a": torch.empty(0, 3), "b": torch.ones(2), "c": torch.empty(0, dtype=torch.int8)}
    loaded = safetensors.torch.load(file_bytes(tree))
    assert loaded["a"].shape == (0, 3)
    assert loaded["c"].dtype == torch.int8
    assert torch.equal(loaded["b"], tree["b"])
    assert roundtrip(tree)["a"].shape == (0, 3)


def test_safetensors_reads_a_file_of_strided_views_that_share_memory() -> None:
    base = torch.arange(9.0)
    for tree in ({"x": base[::2], "y": base[::2]}, {"x": base[::2], "y": base}):
        assert len(safetensors.torch.load(file_bytes(tree))) >= 2
        loaded = roundtrip(tree)
        assert torch.equal(loaded["x"], base[::2])
        assert torch.equal(loaded["y"], tree["y"])


def test_the_names_of_a_state_dict_are_those_in_the_file() -> None:
    state = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)).state_dict()
    loaded = safetensors.torch.load(file_bytes(state))
    for name, tensor in state.items():
        assert torch.equal(loaded[name], tensor)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(3.5),
        torch.empty(0),
        torch.empty(3, 0, 2),
        torch.arange(12.0).reshape(3, 4).t(),
        torch.arange(12.0).reshape(3, 4)[:, 1],
        torch.arange(12.0)[::5],
        torch.tensor([7.0]).expand(1000),
        torch.arange(3.0).expand(4, 3),
        torch.randn(2, 3, 4, 5).permute(3, 1, 0, 2),
        torch.randn(4, 4).diagonal(),
        torch.randn(3, dtype=torch.complex64).conj(),
        torch._neg_view(torch.randn(3)),
        torch.randn(2, 3).to(memory_format=torch.contiguous_format),
        torch.randn(1, 3, 8, 8).to(memory_format=torch.channels_last),
    ],
)
def test_any_shape_and_stride_comes_back_equal(tensor: torch.Tensor) -> None:
    loaded = roundtrip(tensor)
    assert torch.equal(loaded, tensor)
    assert loaded.shape == tensor.shape


@given(st.data())
def test_any_view_of_a_tensor_comes_back_equal(data: st.DataObject) -> None:
    ndim = data.draw(st.integers(0, 4))
    shape = data.draw(st.lists(st.integers(0, 4), min_size=ndim, max_size=ndim))
    tensor = torch.arange(math.prod(shape)).reshape(shape)
    for dim in range(ndim):
        step = data.draw(st.integers(1, 3))
        start = data.draw(st.integers(0, shape[dim]))
        tensor = tensor[(slice(None),) * dim + (slice(start, None, step),)]
    tensor = tensor.permute(data.draw(st.permutations(range(ndim))))
    assert torch.equal(roundtrip(tensor), tensor)


def test_a_transpose_keeps_its_strides() -> None:
    tensor = torch.randn(3, 4).t()
    assert roundtrip(tensor).stride() == tensor.stride()


def test_channels_last_stays_channels_last() -> None:
    tensor = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    assert roundtrip(tensor).is_contiguous(memory_format=torch.channels_last)


def test_views_share_memory_after_a_load_and_are_stored_once() -> None:
    whole = torch.arange(1000.0)
    tree = {"whole": whole, "slice": whole[10:20], "square": whole[:9].view(3, 3).t()}
    assert len(file_bytes(tree)) < len(file_bytes(whole)) + 1000
    loaded = roundtrip(tree)
    loaded["whole"][:] = -1
    assert loaded["slice"].eq(-1).all()
    assert loaded["square"].eq(-1).all()
    storages = {each.untyped_storage()._cdata for each in loaded.values()}
    assert len(storages) == 1


def test_views_of_unlike_dtypes_share_memory() -> None:
    floats = torch.arange(8.0)
    tree = [floats.view(torch.uint8)[1:9], floats[1:], floats.view(torch.int64)]
    loaded = roundtrip(tree)
    for before, after in zip(tree, loaded, strict=True):
        assert torch.equal(raw(before), raw(after))
    loaded[1][0] = 99.0
    assert torch.equal(loaded[0][3:7].clone().view(torch.float32), torch.tensor([99.0]))


def test_tied_weights_stay_tied() -> None:
    model = torch.nn.Linear(4, 4)
    state = {"in": model.weight.data, "out": model.weight.data}
    loaded = roundtrip(state)
    loaded["in"].zero_()
    assert loaded["out"].eq(0).all()


def test_a_slice_of_a_large_storage_is_stored_alone() -> None:
    large = torch.zeros(1 << 20)
    assert len(file_bytes(large[5:10])) < 2000
    assert len(file_bytes(large.view(1024, 1024)[:, 0])) < 10_000


def test_slices_that_do_not_overlap_do_not_carry_what_lies_between() -> None:
    large = torch.arange(float(1 << 20))
    tree = [large[:10], large[-10:]]
    assert len(file_bytes(tree)) < 3000
    assert torch.equal(roundtrip(tree)[1], large[-10:])


def test_a_tensor_does_not_carry_its_neighbours_when_it_is_pickled() -> None:
    loaded = roundtrip({"large": torch.zeros(1 << 20), "small": torch.ones(3)})
    assert len(pickle.dumps(loaded["small"])) < 1000


def test_parameters_and_requires_grad_come_back() -> None:
    tree = [
        torch.nn.Parameter(torch.ones(3)),
        torch.nn.Parameter(torch.ones(3), requires_grad=False),
        torch.ones(3, requires_grad=True),
        torch.ones(3, requires_grad=True) * 2,
    ]
    loaded = roundtrip(tree)
    assert [type(each) for each in loaded] == [type(each) for each in tree]
    assert [each.requires_grad for each in loaded] == [True, False, True, False]
    loaded[0].sum().backward()
    assert torch.equal(loaded[0].grad, torch.ones(3))


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch announces that sparse layouts are young.
    SPARSE = {
        "coo": torch.eye(4).to_sparse(),
        "uncoalesced coo": torch.sparse_coo_tensor([[0, 0, 2]], [1.0, 2.0, 3.0], (4,)),
        "hybrid coo": torch.sparse_coo_tensor([[0, 2]], torch.ones(2, 3), (4, 3)),
        "empty coo": torch.zeros(3, 3).to_sparse(),
        "csr": torch.eye(4).to_sparse_csr(),
        "csc": torch.eye(4).to_sparse_csc(),
        "bsr": torch.eye(4).to_sparse_bsr((2, 2)),
        "bsc": torch.eye(4).to_sparse_bsc((2, 2)),
        "empty csr": torch.zeros(3, 3).to_sparse_csr(),
    }


@pytest.mark.parametrize("tensor", SPARSE.values(), ids=SPARSE.keys())
def test_sparse_tensors_come_back(tensor: torch.Tensor) -> None:
    loaded = roundtrip(tensor)
    assert loaded.layout == tensor.layout
    assert torch.equal(loaded.to_dense(), tensor.to_dense())
    if tensor.layout == torch.sparse_coo:
        assert loaded.is_coalesced() == tensor.is_coalesced()


def test_a_sparse_tensor_is_loaded_without_a_copy() -> None:
    loaded = roundtrip({"s": torch.eye(4).to_sparse(), "d": torch.eye(4)})
    values, dense = loaded["s"]._values(), loaded["d"]
    assert abs(values.data_ptr() - dense.data_ptr()) < 4096


class Subclass(torch.Tensor):
    pass


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: torch.empty(3, device="meta"), "materialize"),
        (lambda: torch.ones(3).as_subclass(Subclass), "subclass Subclass"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8), "quantized"),
        (lambda: torch.nested.as_nested_tensor([torch.ones(2), torch.ones(3)]), "nested"),
    ],
    ids=["meta", "subclass", "quantized", "nested"],
)
@pytest.mark.filterwarnings("ignore")  # torch is about to drop quantized tensors.
def test_what_cannot_be_stored_says_so(make, text: str) -> None:
    with pytest.raises(UnsupportedValue, match=text):
        roundtrip([make()])


class OnGpu:
    """Stands for a tensor on a GPU: what the codec asks of one."""

    is_cpu = False
    device = torch.device("cuda:1")


def test_a_gpu_tensor_is_refused_for_now() -> None:
    with pytest.raises(UnsupportedValue, match=r"cuda:1 cannot be stored yet.*\.cpu\(\)"):
        torch_codec._refuse_unstorable(OnGpu(), torch.Tensor)
