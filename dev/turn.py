"""One command at a time works with the state folder: two at once would write the same files."""

import contextlib
import sys
from collections.abc import Generator

import filelock

from dev.paths import state_folder


@contextlib.contextmanager
def turn() -> Generator[None]:
    """Wait until no other command of this checkout is at work, and keep the next ones waiting."""
    # The lock is beside the folder, which `make clean` removes.
    file = state_folder().with_name(f"{state_folder().name}.lock")
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(file)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        print("another command of this checkout is at work, waiting for it", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
