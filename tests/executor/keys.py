"""The keys in a config.toml, and those of them that a runner would drop.

``make runner-keys`` compares the table of the program with the runner's source.
"""

import tomllib
from collections.abc import Iterator
from typing import Any, cast

from components.gitlab_runner.keys import known_keys

SOURCES = ("18.9.0", "18.10.0", "18.11.0", "19.0.0", "19.1.0", "19.2.0", "19.3.0")
"""The first release of each minor version whose source could be read.

The table has what the main branch of 2026-08-22, on the way to 19.4.0, has beside these.
"""


def keys_of(text: str) -> set[str]:
    """Return the dotted paths of all keys in a config.toml, ``*`` for those that people choose."""
    maps = {key.removesuffix(".*") for key in known_keys(SOURCES[-1]) if key.endswith(".*")}
    return set(_paths(tomllib.loads(text), "", maps))


def _paths(value: object, path: str, maps: set[str]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from _paths(item, f"{path}.{'*' if path in maps else key}".lstrip("."), maps)
    elif isinstance(value, list) and any(
        isinstance(item, dict) for item in cast("list[Any]", value)
    ):
        for item in cast("list[Any]", value):
            yield from _paths(item, path, maps)
    else:
        yield path


def unknown_keys(text: str, runner: str) -> list[str]:
    """Return the keys that this version of the runner would drop silently."""
    return sorted(keys_of(text) - known_keys(runner).keys())
