"""Makes the package a command: ``python -m dev``."""

import sys

from dev.app import main

sys.exit(main(sys.argv[1:]))
