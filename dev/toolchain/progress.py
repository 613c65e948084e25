"""Lines of progress on standard error."""

import sys


def say(text: str, *, passing: bool = False) -> None:
    """Write a line of progress; a passing one is overwritten by the next on a terminal."""
    if not sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
        return
    print(f"\r\033[K{text}", end="" if passing else "\n", file=sys.stderr, flush=True)
