"""Values of resources as trees: what they contain, and where two of them differ."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, NamedTuple, TypeAlias, TypeVar, cast

from report.model import PropertyChange

JSON: TypeAlias = "Mapping[str, JSON] | Sequence[JSON] | str | int | float | bool | None"
Tree: TypeAlias = Mapping[str, JSON]
"""A value with keys: the inputs of a resource, or a Kubernetes object."""
Objects: TypeAlias = Mapping[str, Tree]
"""Kubernetes objects by their kind, namespace and name."""
_PARTS = re.compile(r'\["([^"]*)"\]|([^.\[\]]+)')
"""The parts of a path, such as ``metadata.labels["a.b/c"]`` and ``containers[0].image``."""
T = TypeVar("T")
U = TypeVar("U")


class Pair(NamedTuple, Generic[T]):
    """The two sides of a change."""

    old: T
    new: T

    def map(self, function: Callable[[T], U]) -> "Pair[U]":
        """Return what a function makes of each side."""
        return Pair(function(self.old), function(self.new))


def inside(value: JSON, *keys: str) -> Tree:
    """Return the mapping under ``keys``, empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def identity(item: Tree) -> str:
    """Name a Kubernetes object by its kind, namespace and name."""
    metadata = inside(item, "metadata")
    namespace = metadata.get("namespace")
    name = metadata.get("name", "")
    return f"{item.get('kind')} {f'{namespace}/' if namespace else ''}{name}"


def entries(value: Tree, key: str) -> list[Tree]:
    """Return the mappings in the list under ``key``."""
    items = value.get(key)
    return [inside(item) for item in items] if isinstance(items, list) else []


def texts(value: Tree, key: str) -> list[str]:
    """Return the list under ``key``, each entry as text."""
    items = value.get(key)
    return [str(item) for item in items] if isinstance(items, list) else []


def number(text: str) -> int | float:
    """Return a number that a protocol without integers has made a floating one."""
    return int(float(text)) if float(text).is_integer() else float(text)


def leaves(value: object) -> Iterator[object]:
    """Yield the leaves of dictionaries and lists, in order."""
    if isinstance(value, dict):
        for item in cast("dict[str, object]", value).values():
            yield from leaves(item)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            yield from leaves(item)
    else:
        yield value


def flat(value: JSON, path: str = "") -> dict[str, str]:
    """Return the leaves of a value by their path, each as text."""
    if isinstance(value, Mapping) and value:
        found: dict[str, str] = {}
        for key, item in value.items():
            found |= flat(item, _join(path, key))
        return found
    if isinstance(value, list) and value:
        found = {}
        for index, item in enumerate(value):
            found |= flat(item, f"{path}[{_name(item, index)}]")
        return found
    return {path: value if isinstance(value, str) else json.dumps(value)}


def _join(path: str, key: str) -> str:
    if not re.fullmatch(r"[\w-]+", key):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def _name(item: JSON, index: int) -> str:
    """Name an entry of a list by its own name if it has one, so that moving it changes nothing."""
    if isinstance(item, str) and (variable := re.match(r"(\w+)=", item)):
        return variable[1]
    name = inside(item).get("name")
    return name if isinstance(name, str) else str(index)


def at(value: JSON, path: str) -> JSON:
    """Return the value at a path in a provider's spelling, None where there is none."""
    return _at(value, [name or key for name, key in _PARTS.findall(path)])


def _at(value: JSON, parts: list[str]) -> JSON:
    if not parts:
        return value
    if isinstance(value, list):
        index = int(parts[0]) if parts[0].isdigit() else len(value)
        return _at(value[index], parts[1:]) if index < len(value) else None
    table = inside(value)
    # Not every provider quotes a key that has a dot.
    for count in range(1, len(parts) + 1):
        key = ".".join(parts[:count])
        if key in table:
            return _at(table[key], parts[count:])
    return None


def differences(old: JSON, new: JSON) -> tuple[PropertyChange, ...]:
    """Return each leaf that differs, in the order of the paths."""
    before = {} if old is None else flat(old)
    after = {} if new is None else flat(new)
    return tuple(
        PropertyChange(path=path, old=before.get(path), new=after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )
