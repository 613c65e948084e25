"""Makes the package a command: ``python -m report``."""

import sys

from report.command import main

sys.exit(main(sys.argv[1:]))
