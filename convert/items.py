"""YAML with its places: what a file says, and on which line."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import yaml

_DEEP = 100
"""How deep values may lie: as deep as GitLab lets them (``max_yaml_depth``,
gitlab:doc/administration/instance_limits.md)."""
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_LARGE = 200_000
"""How many values a file may hold when its aliases are written out."""

Value: TypeAlias = "str | Sequence[Item] | Mapping[str, Item] | None"


class Limit(NamedTuple):
    """The most bytes that a file may have, who sets that, and what to do about a larger one."""

    size: int
    program: str
    advice: str


class SourceError(Exception):
    """A file cannot be read; the message says where, why and what to do."""

    def __init__(self, file: str, line: int, text: str) -> None:
        super().__init__(f"{file}:{line}: {text}")
        self.file = file
        self.line = line
        self.text = text


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A value and where it stands.

    ``start`` and ``end`` are offsets in the text of the file, and ``key`` that of the key that it
    belongs to; each is -1 where the value does not stand in the file like this. ``tag`` is YAML's.
    """

    value: Value
    file: str
    line: int
    start: int = -1
    end: int = -1
    key: int = -1
    tag: str = ""

    @property
    def text(self) -> str:
        """The text of a scalar, empty for all else."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def entries(self) -> Mapping[str, "Item"]:
        """The entries of a mapping, none for all else."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> Sequence["Item"]:
        """The items of a list, none for all else."""
        return () if self.value is None or isinstance(self.value, (str, Mapping)) else self.value

    def under(self, *path: str) -> Mapping[str, "Item"]:
        """Return the entries of the mapping at a path of keys, none where there is none."""
        found = self.get(*path)
        return found.entries if found else _NONE

    def get(self, *path: str) -> "Item | None":
        """Return what stands at a path of keys, or None."""
        found: Item | None = self
        for key in path:
            found = found.entries.get(key) if found else None
        return found


_NONE: Mapping[str, Item] = {}


def as_list(item: Item | None) -> tuple[Item, ...]:
    """Return the items of a list, or a single value as one."""
    if item is None or item.value is None:
        return ()
    return tuple(item.items) if isinstance(item.value, tuple) else (item,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with a file, or what was not read; ``fatal`` where nothing was read of it."""

    file: str
    line: int
    text: str
    fatal: bool = False

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.file}:{self.line}: {self.text}"


def read(path: Path, name: str, limit: Limit) -> str:
    """Return the text of a file, each line break as it is; messages call it ``name``.

    Raises:
        SourceError: it is not there, too large, or not text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit.size + 1)
    except OSError as error:
        reason = (error.strerror or "it cannot be read").lower()
        message = f"cannot be read ({reason}); name another file"
        raise SourceError(name, 1, message) from None
    if len(content) > limit.size:
        message = f"has more bytes than the {limit.size} that {limit.program}; {limit.advice}"
        raise SourceError(name, 1, message)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        message = "must be text in UTF-8; save it as such"
        raise SourceError(name, 1, message) from None


def documents(text: str, name: str, problems: list[Problem]) -> list[Item]:
    """Return the documents in a text that are not empty.

    Of a key that stands twice the last counts, as in GitLab and Helm, and ``problems`` gets a line.

    Raises:
        SourceError: with the line, if it is not YAML, too deep, or too large by its aliases.
    """
    try:
        nodes = list(yaml.compose_all(text, yaml.SafeLoader))
        return [_Reader(name, problems).item(node) for node in nodes if node]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        # A name that it quotes can be what was meant as a value: a password may begin with '*'.
        problem = re.sub(r"(alias|anchor|tag handle) ['\"].*", r"\1", str(error.problem))
        message = f"must be YAML, and {problem}; correct that line"
        raise SourceError(name, line, message) from None
    except (yaml.YAMLError, ValueError):
        message = "must be YAML, and has a character that is not allowed; remove it"
        raise SourceError(name, 1, message) from None
    except RecursionError:
        message = f"has values more than {_DEEP} levels deep, which nobody reads; flatten it"
        raise SourceError(name, 1, message) from None


class _Reader:
    """Turns nodes into items; those of an alias are the items of its anchor."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self._name = name
        self._problems = problems
        self._known: dict[int, Item | None] = {}
        self._sizes: dict[int, int] = {}

    def item(self, node: yaml.Node) -> Item:
        """Return a node's item; raise SourceError if it holds itself."""
        line = node.start_mark.line + 1
        if id(node) not in self._known:
            self._known[id(node)] = None
            places = (node.start_mark.index, node.end_mark.index)
            self._sizes[id(node)] = 1
            value = self._value(node)
            self._known[id(node)] = Item(value, self._name, line, *places, tag=str(node.tag))
        known = self._known[id(node)]
        if known is None:
            message = "an anchor holds an alias of itself; remove the alias"
            raise SourceError(self._name, line, message)
        return known

    def _below(self, node: yaml.Node, child: yaml.Node) -> Item:
        """Return the item of a child, whose values are among those of its node."""
        item = self.item(child)
        self._sizes[id(node)] += self._sizes[id(child)]
        if self._sizes[id(node)] > _LARGE:
            message = "aliases make it too large; remove them"
            raise SourceError(self._name, item.line, message)
        return item

    def _value(self, node: yaml.Node) -> Value:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self._below(node, child) for child in node.value)
        return None if node.tag == _NULL else str(node.value)

    def _mapping(self, node: yaml.MappingNode) -> Mapping[str, Item]:
        own: dict[str, Item] = {}
        merged: dict[str, Item] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for source in self._sources(self._below(node, value)):
                    merged = {**source.entries, **merged}
                continue
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            line = key.start_mark.line + 1
            if name in own:
                text = f"the key {name} stands twice here, and the last one counts; remove one"
                self._problems.append(Problem(file=self._name, line=line, text=text))
            item = self._below(node, value)
            own[name] = dataclasses.replace(item, key=key.start_mark.index, line=line)
        return {**merged, **own}

    @staticmethod
    def _sources(item: Item) -> Iterator[Item]:
        yield from item.items or (item,)
