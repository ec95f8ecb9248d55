"""`python -m onecopy.store.daemon CONFIG`; people run `onecopy serve` instead."""

import os
import sys

# msgspec asks for it, for annotations that we have none of, and does without if it must. It
# brings `inspect` along: a tenth of the time that the daemon takes to start.
sys.modules.setdefault("typing_extensions", None)  # type: ignore[arg-type]

from onecopy.store.daemon.config import Config  # noqa: E402
from onecopy.store.daemon.process import main  # noqa: E402

if __name__ == "__main__":
    code = main(Config.of_argument(sys.argv[1]))
    sys.stderr.flush()
    # All is closed and removed. The owner waits for our end, and the interpreter's own way to take
    # itself apart is an eighth of the time that a short-lived daemon needs at all.
    os._exit(code)
