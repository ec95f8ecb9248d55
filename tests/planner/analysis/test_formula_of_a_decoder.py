"""The closed form of a decoder of Llama's shape, on the meta device: worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from onecopy.planner import plan
from onecopy.planner.analysis.peak import live_at_steps, peak_of
from onecopy.planner.analysis.upper import box_of

# Not in a source distribution.
decoder = pytest.importorskip("benchmarks.decoder")

# In the first of two, the mask is still needed by the second.
LAYERS = 2


@pytest.fixture(scope="module")
def made() -> Any:
    shape = decoder.Shape(layers=LAYERS)
    return plan(decoder.made(shape), decoder.example(shape), dynamic_shapes=decoder.bounds(shape))


def test_weights_and_caches_are_counted_once(made: Any) -> None:
    attention = 2 * 2048 * 2048 + 2 * 512 * 2048
    per_layer = attention + 3 * 8192 * 2048 + 2 * 2048
    assert made.weights_nbytes == 2 * (128256 * 2048 + LAYERS * per_layer + 2048)
    b, s = made.dims["b"].symbol, made.dims["s"].symbol
    assert [each.size for each in made.state] == [2048 * b * s] * LAYERS


def test_the_peak_is_in_the_perceptron_the_logits_the_mask_or_attention(made: Any) -> None:
    b, c, s = (made.dims[name].symbol for name in "bcs")
    seen = [e for e in made.buffers if e.kind in ("intermediate", "output") and not e.temporary]
    peak = peak_of(live_at_steps(seen, made.steps), box_of(made.dims))
    # The residual, both halves of the gate and their product, 2 bytes each; mask; cos and sin.
    perceptron = (2048 + 3 * 8192) * 2 * b * c + c * s + 2 * 64 * 2 * c
    # The last state, normalised, and its logits.
    logits = (2048 + 128256) * 2 * b
    mask = 2048 * 2 * b * c + c * s + 8 * s
    assert set(peak.args) == {perceptron, logits, mask}


def test_the_mask_that_attention_converts_is_seen(made: Any) -> None:
    c, s = made.dims["c"].symbol, made.dims["s"].symbol
    assert any(each.temporary and each.size == 2 * c * s for each in made.buffers)


def test_it_stays_small_enough_to_be_evaluated_often(made: Any) -> None:
    assert len(made.bytes.atoms()) < 40
    assert made.nbytes(b=1, c=512, s=4096) == int(
        made.bytes.subs({made.dims[k].symbol: v for k, v in {"b": 1, "c": 512, "s": 4096}.items()})
    )
