"""Makes the package a command: ``python -m commands``."""

import sys

from commands.app import main

sys.exit(main(sys.argv[1:]))
