"""Makes the package a command: ``python -m commands``."""

import sys

from commands.shared import interrupt

interrupt.end_in_one_line()

from commands.app import main  # noqa: E402 - it takes a second, in which Ctrl-C may come

sys.exit(main(sys.argv[1:]))
