"""Which keys of config.toml a version of GitLab Runner knows, with the type of each.

The runner ignores any other key without an error (gitlab-runner:common/config.go, LoadConfig).
Tables of other executors, and of what is not about jobs, are left out.
"""

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path

_FILE = Path(__file__).with_suffix(".toml")


def known_keys(runner: str) -> Mapping[str, str]:
    """Return the type of each key by its dotted path; ``*`` stands for the keys of a map.

    Types are TOML's: ``string``, ``integer``, ``boolean``, ``float``; a plural is an array of them.
    ``duration`` is a string such as ``1h``. For a newer runner than the table has, it is that of
    the newest one.
    """
    found: dict[str, str] = {}
    for since, keys in _tables().items():
        if as_numbers(since) <= as_numbers(runner):
            found |= keys
    return {key: kind for key, kind in found.items() if kind != "removed"}


def since(key: str) -> str:
    """Return the first runner that knows a key, empty where none does."""
    return next((version for version, keys in _tables().items() if key in keys), "")


def as_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers by which versions compare."""
    return tuple(map(int, version.split(".")))


@functools.cache
def _tables() -> Mapping[str, Mapping[str, str]]:
    """Read the keys by the first runner that has them, the oldest supported one first."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))
