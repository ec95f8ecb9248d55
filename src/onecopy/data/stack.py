"""Stacking samples by saving them: a batch whose rows are written one by one into its segment.

`torch.stack` would copy every sample into fresh memory, from which the save copies once more. Here
each sample goes where it belongs at once. It relies on how blocks are placed: one after another,
each at a multiple of 64 bytes, so that samples of whole multiples of 64 leave no gaps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils.data._utils.collate import collate, default_collate_fn_map

from onecopy.errors import CorruptEntry
from onecopy.tensors import codec as codecs
from onecopy.tensors.codec import Leaf, Segment
from onecopy.tensors.torch_codec import codec as torch_codec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.tensors.codec import Meta

_ALIGN: Final = 64
# Below, a block of its own for each sample costs more than a second copy.
_SMALL: Final = 1 << 16


class Stacked:
    """Tensors of one dtype and shape that a load shall return as one, stacked."""

    __slots__ = ("samples",)

    def __init__(self, samples: Sequence[torch.Tensor]) -> None:
        self.samples = samples


def gather(samples: Any) -> Any:
    """Make a batch as torch's `default_collate` does, but leave large tensors to the save."""
    return collate(samples, collate_fn_map={**default_collate_fn_map, torch.Tensor: _stack})


def _stack(samples: Sequence[torch.Tensor], *, collate_fn_map: Any = None) -> Any:
    del collate_fn_map
    first = samples[0]
    if first.is_nested or first.layout is not torch.strided:
        # torch refuses them, and says what to do.
        return default_collate_fn_map[torch.Tensor](samples)
    nbytes = first.numel() * first.element_size()
    if nbytes >= _SMALL and nbytes % _ALIGN == 0 and all(_fits(each, first) for each in samples):
        return Stacked(samples)
    return torch.stack(list(samples))


def _fits(sample: torch.Tensor, first: torch.Tensor) -> bool:
    plain = type(sample) is torch.Tensor and sample.is_cpu and not sample.requires_grad
    same = sample.shape == first.shape and sample.dtype == first.dtype
    return bool(plain and same and sample.is_contiguous())


class StackCodec:
    """Stores `Stacked`, and loads it as one tensor. The meta is `[count, meta of a sample]`."""

    name = "stack"
    types: tuple[str, ...] = (f"{__name__}.Stacked",)

    def encode(self, value: Stacked) -> Leaf:
        """Describe the samples, each of which gets a block."""
        leaves = [torch_codec.encode(sample) for sample in value.samples]
        return Leaf(
            [len(leaves), leaves[0].meta], [each for leaf in leaves for each in leaf.memory]
        )

    def decode(self, meta: Meta, places: Sequence[int], segment: Segment) -> torch.Tensor:
        """Return the stack: a view, unless samples share memory, which are stored once."""
        count, (dtype, shape) = meta
        if count < 1 or len(places) != 2 * count:
            raise CorruptEntry(f"{count} stacked tensors have {len(places)} places")
        start = _start(places, segment)
        if start is None:
            pairs = [places[index : index + 2] for index in range(0, 2 * count, 2)]
            samples = [torch_codec.decode([dtype, shape], pair, segment) for pair in pairs]
            return torch.stack(samples)
        nbytes = sum(segment.blocks[block][1] for block in places[::2])
        whole = Segment(segment.mapping, segment.start, [(start, nbytes)], segment.mode)
        return torch_codec.decode([dtype, [count, *shape]], [0, 0], whole)


def _start(places: Sequence[int], segment: Segment) -> int | None:
    """Return where the first block begins if all are whole, in order and without gaps."""
    blocks = [segment.blocks[block] for block in places[::2]]
    end = start = blocks[0][0]
    for (offset, nbytes), inside in zip(blocks, places[1::2], strict=True):
        if offset != end or inside != 0 or nbytes != blocks[0][1]:
            return None
        end += nbytes
    return start


codecs.register(StackCodec())
