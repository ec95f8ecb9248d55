"""Orders that follow a JSON schema and stay in a budget, beside others that only do the first."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from onecopy.guests import Controllers, build

sys.path.append(str(Path(__file__).parents[1]))
from decoding import Model, decode, pool, vocabulary

HERE = Path(__file__).parent


def spent(text: str) -> int:
    """Return what an order costs."""
    return sum(item["price"] for item in json.loads(text)["items"])


def main() -> None:
    """Write orders with a budget and without one, and add up their prices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=int, default=500)
    parser.add_argument("--texts", type=int, default=8)
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json")
    options = parser.parse_args()
    wasm = build(HERE / "controller.c")
    schema = (HERE / "schema.json").read_text()
    with vocabulary(options.tokenizer) as tokens, pool() as workers:
        for budget in (options.budget, 10**9):
            with Controllers(None, tokens, workers, batch=options.texts) as controllers:
                config = f"{budget}\n{schema}"
                sequences = [controllers.open(wasm, config) for _ in range(options.texts)]
                texts = decode(controllers, sequences, Model(tokens), most=1000)
            costs = [spent(text) for text in texts if text is not None]
            within = sum(cost <= options.budget for cost in costs)
            print(f"e.g. {texts[0]}")
            print(
                f"with a budget of {budget}: {len(costs)} orders, {within} within {options.budget}"
            )


if __name__ == "__main__":
    main()
