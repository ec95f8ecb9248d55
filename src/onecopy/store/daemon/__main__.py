"""`python -m onecopy.store.daemon CONFIG`; people run `onecopy serve` instead."""

import sys

from onecopy.store.daemon.config import Config
from onecopy.store.daemon.process import main

if __name__ == "__main__":
    sys.exit(main(Config.of_argument(sys.argv[1])))
