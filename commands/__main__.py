"""Makes the package a command: ``python -m commands``."""

import sys

from commands.preview import main

sys.exit(main(sys.argv[1:]))
