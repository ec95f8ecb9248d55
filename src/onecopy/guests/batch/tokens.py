"""Tokens as hosts give them: numbers, within the vocabulary."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument, UnsupportedValue

if TYPE_CHECKING:
    from collections.abc import Sequence


def checked_tokens(tokens: Sequence[int], size: int) -> list[int]:
    """Return tokens as a list of plain numbers.

    Raises:
        InvalidArgument: one is outside the vocabulary of `size`.
        UnsupportedValue: they are no numbers.
    """
    if type(tokens) is list and len(tokens) == 1 and type(tokens[0]) is int:
        if not 0 <= tokens[0] < size:
            raise _outside(tokens[0], size)
        return tokens  # what nearly every sequence is told in a step
    try:
        numbers = list(map(index, tokens))
    except TypeError:
        raise UnsupportedValue(
            f"tokens are a sequence of numbers, not {tokens!r:.80}; tokenize texts first"
        ) from None
    if numbers and not 0 <= min(numbers) <= max(numbers) < size:
        raise _outside(next(each for each in numbers if not 0 <= each < size), size)
    return numbers


def _outside(token: int, size: int) -> InvalidArgument:
    return InvalidArgument(
        f"token {token} is outside the vocabulary of {size}; if the model has more logits than its "
        "tokenizer has tokens, say size= when you make the Vocabulary"
    )
