"""Starts the process of a model: `python -m onecopy.nn.service <descriptor of its config>`."""

import os
import sys

# Before all that is slow to import: who started us waits for the process that ends here, and what
# goes on is nobody's child.
if os.fork():
    os._exit(0)

from onecopy.nn.service.process import main

main(int(sys.argv[1]))
