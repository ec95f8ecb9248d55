"""What every worker needs, imported once: the fork server runs this before it forks workers.

Importing this module *does* things, unlike any other in the package. The worker's own
measurements start after it, so that no variant is charged for imports.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from pathlib import Path


def _preload() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # on Ctrl-C go at once, and without a traceback
    import torch
    import transformers

    import onecopy.store.launch  # the client is imported late, and so is each codec
    import onecopy.tensors.torch_codec  # noqa: F401

    torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # A model that cannot be built is reported by the workers, which can reach the user.
    with contextlib.suppress(Exception):
        _warm_up(Path(os.environ["ONECOPY_DEMO_MODEL"]))
    gc.collect()
    gc.freeze()  # a collection in a worker would write to, and so copy, the pages it shares


def _warm_up(directory: Path) -> None:
    """Do everything once, since the first time in a process imports and allocates a lot."""
    from onecopy.demo import builders
    from onecopy.demo.embedder import BATCH, Embedder
    from onecopy.demo.sentences import SENTENCES

    builders.skeleton(directory)
    Embedder(directory, SENTENCES[:BATCH]).embed(builders.from_file(directory))


_preload()
