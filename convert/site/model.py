"""What an import finds: what becomes of each key of a site's files."""

import dataclasses
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Literal, TypeAlias, cast

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

    ``name`` and ``chart`` are empty where no file says them; ``chart`` is a version. ``maps`` are
    the names of the ConfigMaps, and ``files`` those of the files, that it takes values from.
    """

    file: str
    name: str = ""
    chart: str = ""
    values: dict[str, Tree] = dataclasses.field(default_factory=dict[str, Tree])
    configs: list[Config] = dataclasses.field(default_factory=list[Config])
    maps: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclasses.dataclass(kw_only=True)
class Evidence:
    """What was found of one runner, and the findings that the choice of a strategy settles."""

    image: str = ""
    image_finding: KeyFinding | None = None
    executor: str = "kubernetes"
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


_STEP = re.compile(r"\[(\d{1,3})\]|((?:\\.|[^.\[\\])+)")
"""A step of a path of ``helm --set``: the place in a list, or a name in which a dot is escaped."""


def put(values: dict[str, Tree], path: str, value: Tree) -> None:
    """Set a value at a path, as ``helm --set`` does: ``a.b[0].c``, with lists as ``{a,b}``."""
    steps = [
        int(found[1]) if found[1] else re.sub(r"\\(.)", r"\1", found[2])
        for found in _STEP.finditer(path)
    ]
    place: Any = values
    for step, below in pairwise(steps):
        found: Any = _at(place, step)
        empty: Any = [] if isinstance(below, int) else {}
        place = found if type(found) is type(empty) else _set(place, step, empty)
    if steps:
        listed = isinstance(value, str) and re.fullmatch(r"\{(.*)\}", value)
        _set(place, steps[-1], [*listed[1].split(",")] if listed else value)


def _at(place: Any, step: str | int) -> Any:  # noqa: ANN401 - a mapping or a list
    if isinstance(step, int) and isinstance(place, list):
        return cast("list[Any]", place)[step] if step < len(cast("list[Any]", place)) else None
    return place.get(str(step))


def _set(place: Any, step: str | int, value: Any) -> Any:  # noqa: ANN401 - a mapping or a list
    if isinstance(step, int) and isinstance(place, list):
        entries = cast("list[Any]", place)
        entries += [None] * (step + 1 - len(entries))
        entries[step] = value
    else:
        place[str(step)] = value
    return value
