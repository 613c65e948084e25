"""What an import finds: what becomes of each key of a site's files."""

import dataclasses
from collections.abc import Mapping
from typing import Literal, TypeAlias

Tree: TypeAlias = "str | list[Tree] | dict[str, Tree] | None"
"""A value of a site's file. Each scalar is text as it stands there, since charts take a number in
quotes for a number."""

Outcome = Literal["taken", "asks", "product", "extra", "refused", "unknown"]

OUTCOMES: Mapping[Outcome, str] = {
    "taken": "taken",
    "asks": "needs a value from you",
    "product": "done by the product itself",
    "extra": "moved to extra",
    "refused": "refused",
    "unknown": "had no effect",
}
"""What each outcome is called."""


@dataclasses.dataclass(kw_only=True)
class KeyFinding:
    """What becomes of a key, at ``path`` in ``file``.

    ``keys`` are those of the stack file that it becomes. ``text`` says why, and ``do`` what is left
    to do; neither contains a value of the site.
    """

    file: str
    path: str
    outcome: Outcome
    keys: tuple[str, ...] = ()
    text: str = ""
    do: str = ""

    def refuse(self, text: str, do: str = "") -> None:
        """Turn it into a refusal."""
        self.outcome, self.keys, self.text, self.do = "refused", (), text, do


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """A ``config.toml``: where it stands, and its tables."""

    file: str
    tables: dict[str, Tree]


@dataclasses.dataclass(kw_only=True)
class ChartRelease:
    """An installation of the chart, or a ``config.toml`` without one.

    ``name`` and ``chart`` are empty where no file says them; ``chart`` is a version.
    """

    file: str
    name: str = ""
    chart: str = ""
    values: dict[str, Tree] = dataclasses.field(default_factory=dict[str, Tree])
    configs: list[Config] = dataclasses.field(default_factory=list[Config])


@dataclasses.dataclass(kw_only=True)
class Evidence:
    """What was found of one runner, and the findings that the choice of a strategy settles."""

    image: str = ""
    image_finding: KeyFinding | None = None
    privileged: bool = False
    socket: bool = False
    services: list[str] = dataclasses.field(default_factory=list[str])
    findings: list[KeyFinding] = dataclasses.field(default_factory=list[KeyFinding])


def table(value: Tree) -> dict[str, Tree]:
    """Return a mapping, an empty one for all else."""
    return value if isinstance(value, dict) else {}


def items(value: Tree) -> list[Tree]:
    """Return the items of a list, none for all else."""
    return value if isinstance(value, list) else []


def text(value: Tree) -> str:
    """Return a scalar, empty for all else."""
    return value if isinstance(value, str) else ""


def is_set(value: Tree) -> bool:
    """Whether a value says anything: not empty, null or false, nor made of such."""
    if isinstance(value, str):
        return value.strip().lower() not in {"", "false", "no", "off"}
    return any(map(is_set, value.values() if isinstance(value, dict) else value or []))


def leaves(value: Tree) -> list[str]:
    """Return every text in a value, keys included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [*value, *(leaf for below in value.values() for leaf in leaves(below))]
    return [leaf for below in value or [] for leaf in leaves(below)]


def merged(first: Mapping[str, Tree], second: Mapping[str, Tree]) -> dict[str, Tree]:
    """Return two mappings as one, in which the second outranks the first."""
    result = dict(first)
    for key, value in second.items():
        below = result.get(key)
        both = isinstance(below, dict) and isinstance(value, dict)
        result[key] = merged(table(below), table(value)) if both else value
    return result


def put(values: dict[str, Tree], path: str, value: Tree) -> None:
    """Set a value at a dotted path, as ``helm --set`` does; a list's item is left out."""
    *parents, last = path.split(".")
    for part in parents:
        below = values.get(part)
        if not isinstance(below, dict):
            below = values[part] = {}
        values = below
    values[last] = value
