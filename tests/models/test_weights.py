from __future__ import annotations

import pytest

from onecopy.models import weights
from onecopy.models.codec import codec, only_weights
from onecopy.models.encoder import Encoder
from tests.models import zoo

KINDS = {kind: make for kind, (make, _) in zoo.TORCH.items()} | zoo.CONTAINERS


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_those_of_the_state_dict(kind: str) -> None:
    module = KINDS[kind]()
    names = [slot.name for slot in weights.slots(module) if slot.persistent]
    assert names == list(module.state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_a_skeleton_knows_the_same_names_and_tensors(kind: str) -> None:
    module = KINDS[kind]()
    encoder = Encoder()
    encoder.number(module, "")
    found = weights.of_skeleton(encoder.objects, [part for _, part in encoder.parts])
    expected = {slot.name: slot.tensor for slot in weights.slots(module)}
    assert found.keys() == expected.keys()
    assert all(found[name] is expected[name] for name in found)


def test_weights_of_a_stored_module_need_no_class() -> None:
    node = [0, 0, True, [], ["weight", 1], [], [], []]
    with only_weights():
        found = codec.assemble([1, "0.0", ["nobody.knows.This"], [node, [1, 0, []]]], ["a tensor"])
    assert found == {"weight": "a tensor"}
