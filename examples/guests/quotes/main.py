"""Texts that quote a document: what stands between quotes is there, word for word."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

import onecopy
from onecopy.guests import Controllers, Vocabulary, build
from onecopy.guests.decoding.grammars import Grammars

sys.path.append(str(Path(__file__).parents[1]))
from decoding import Model, decode, pool, text_of, vocabulary

HERE = Path(__file__).parent
PROMPT = b"What is known about the harbour? "
QUOTATION = re.compile(r'"([^"]*)"')


class Chatterer(Model):
    """Writes the tokens of a document in any order, and loves quotes."""

    def __init__(self, vocabulary: Vocabulary, document: list[int], quote: int) -> None:
        super().__init__(vocabulary, end=0.01)
        self.known = {*document, quote}
        self._quote = quote

    def choose(self, tokens: list[int]) -> int:
        """Choose a quote now and then, and otherwise a token of the document."""
        if self._quote in tokens and self.random.random() < 0.1:
            return self._quote
        return super().choose([token for token in tokens if token in self.known] or tokens)


def report(texts: list[str | None], document: str) -> str:
    """Say how many of the quotations in some texts are in the document."""
    found = [quoted for text in texts if text is not None for quoted in QUOTATION.findall(text)]
    true = sum(quoted in document for quoted in found)
    return f"{true} of {len(found)} quotations are in the document"


def main() -> None:
    """Write texts with the controller and without it, and look their quotations up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--document", type=Path, default=HERE / "document.txt")
    parser.add_argument("--texts", type=int, default=8)
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json")
    options = parser.parse_args()
    wasm = build(HERE / "controller.c")
    document = options.document.read_text()
    with (
        onecopy.start(f"quotes-{os.getpid()}", capacity="16MiB") as store,
        vocabulary(options.tokenizer) as words,
        pool() as workers,
        Controllers(store, words, workers, batch=options.texts) as controllers,
    ):
        store.save("document", document.encode())
        tokenize = Grammars(words).tokenize
        model = Chatterer(words, tokenize(document.encode()), tokenize(b'"')[0])
        # The workers map the store's own pages: the document is there once, for all sequences.
        windows = {"document": store.ref("document")}
        sequences = [
            controllers.open(wasm, prompt=tokenize(PROMPT), windows=windows)
            for _ in range(options.texts)
        ]
        texts = decode(controllers, sequences, model, most=2000)
        known = sorted(model.known)
        free = [text_of([model.choose(known) for _ in range(200)], words) for _ in texts]
    quotations = [quoted for text in texts for quoted in QUOTATION.findall(text or "")]
    print(f"e.g. {', '.join(map(repr, quotations[:3]))}")
    print(f"with the controller: {report(texts, document)}")
    print(f"without it: {report(free, document)}")


if __name__ == "__main__":
    main()
