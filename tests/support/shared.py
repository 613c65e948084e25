"""What the workers of one run of the tests have in common, and take turns at."""

import contextlib
import pickle
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import filelock

Made = TypeVar("Made")


class Shared:
    """Things of a run, by name; ``folder`` is the same for all of its workers."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder."""
        self._folder = folder

    @contextlib.contextmanager
    def hold(
        self, name: str, up: Callable[[], object], down: Callable[[], object]
    ) -> Generator[None]:
        """Hold what the first worker brings ``up``, until the last one takes it ``down``.

        Raises:
            RuntimeError: another worker could not bring it up, and said why.
        """
        lock, users = self._lock(name), self._folder / f"{name}.users"
        with lock:
            before = users.read_text(encoding="ascii") if users.exists() else "0"
            if not before.isdigit():
                message = f"another worker could not bring up the {name}; its tests say why"
                raise RuntimeError(message)
            users.write_text("failed", encoding="ascii")
            try:
                if before == "0":
                    up()
            except BaseException:
                down()
                raise
            users.write_text(f"{int(before) + 1}", encoding="ascii")
        try:
            yield
        finally:
            with lock:
                left = int(users.read_text(encoding="ascii")) - 1
                users.write_text(f"{left}", encoding="ascii")
                if not left:
                    down()

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """Return what the first worker that asks for it makes."""
        file = self._folder / f"{name}.made"
        with self._lock(name):
            if not file.exists():
                file.write_bytes(pickle.dumps(make()))
            return pickle.loads(file.read_bytes())  # noqa: S301 - this run has just written it

    @contextlib.contextmanager
    def undisturbed(self, name: str, *, disturbs: bool) -> Generator[None]:
        """Use something with others, or, who ``disturbs`` them, alone."""
        lock = filelock.ReadWriteLock(self._folder / f"{name}.turns", is_singleton=False)
        with lock.write_lock() if disturbs else lock.read_lock():
            yield

    def _lock(self, name: str) -> filelock.FileLock:
        return filelock.FileLock(self._folder / f"{name}.lock")
