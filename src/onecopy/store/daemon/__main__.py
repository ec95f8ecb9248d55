"""`python -m onecopy.store.daemon CONFIG`; people run `onecopy serve` instead."""

import sys

# msgspec asks for it, for annotations that we have none of, and does without if it must. It
# brings `inspect` along: a tenth of the time that the daemon takes to start.
sys.modules.setdefault("typing_extensions", None)  # type: ignore[arg-type]

from onecopy.store.daemon.config import Config  # noqa: E402
from onecopy.store.daemon.process import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(Config.of_argument(sys.argv[1])))
