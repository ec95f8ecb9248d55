"""Texts of a model that knows nothing are kept to a regular expression."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from onecopy.guests import Controllers, build

sys.path.append(str(Path(__file__).parents[1]))
from decoding import Model, decode, pool, vocabulary

HERE = Path(__file__).parent
PATTERN = r"(Mon|Tues|Wednes)day, [0-3]?[0-9] (May|June) 20[0-9]{2}( at [0-9]{2}:[0-9]{2})?"


def main() -> None:
    """Write some texts, and compare each with the expression."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pattern", default=PATTERN)
    parser.add_argument("--texts", type=int, default=8)
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json")
    options = parser.parse_args()
    wasm = build(HERE / "controller.c")
    with (
        vocabulary(options.tokenizer) as tokens,
        pool() as workers,
        Controllers(None, tokens, workers, batch=options.texts) as controllers,
    ):
        sequences = [controllers.open(wasm, options.pattern) for _ in range(options.texts)]
        texts = decode(controllers, sequences, Model(tokens), most=200)
    for text in texts:
        print(text if text is not None else "(did not end)")
    matching = sum(bool(re.fullmatch(options.pattern, text or "")) for text in texts)
    print(f"{matching} of {len(texts)} match")


if __name__ == "__main__":
    main()
