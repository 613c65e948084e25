"""A pipeline from its files: local includes in place, and the rest listed as not read."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from components.types import PROJECT
from convert.items import Item, Problem, SourceError, as_list
from convert.pipeline.source import parse, read, write

_MOST = 150
"""How many includes GitLab takes (gitlab:doc/ci/yaml/_index.md, include)."""
_OURS = re.compile(rf"(^|/){PROJECT}(/[\w-]+@|$)")
"""What a mirror of this project is called where it is included from."""
_COMPARISON = re.compile(r'"([^"$]*)" (==|!=) "([^"$]*)"')
_PATH = re.compile(r"(?:\w|\./)[\w./-]{0,200}")
_SCRIPT_SIZE = 1 << 16
"""Bytes of a script of the project that are read."""
_INPUT = re.compile(r"\$\[\[\s*inputs\.([\w-]+)[^\]]*\]\]")
_REMOTE = ("remote", "project", "template", "component", "artifact")


class Full(NamedTuple):
    """The full configuration of a pipeline, empty where its includes cannot be read: ``why``."""

    text: str
    why: str = ""


Resolve: TypeAlias = Callable[[str], Full]
"""Resolves the includes in the text of a pipeline, as GitLab does."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Component:
    """A template of this project that is included: its name, its inputs, and where it stands."""

    name: str
    inputs: Mapping[str, Item]
    place: Item


class Files:
    """The files of a checkout that make a pipeline."""

    def __init__(self, root: Path, *, merged: bool = False, resolve: Resolve | None = None) -> None:
        """Read below ``root``, the folder that local includes are relative to.

        In ``merged`` files, as GitLab shows them, includes are in place already; otherwise
        ``resolve`` brings those that are not local.
        """
        self.root = root.resolve()
        self._merged = merged
        self._resolve = resolve
        self._elsewhere: list[Item] = []
        self.problems: list[Problem] = []
        self.components: list[Component] = []
        self.texts: dict[str, str] = {}
        self._open: list[Path] = []
        self._count = 0

    def pipeline(self, path: Path, inputs: Mapping[str, Item] | None = None) -> Item:
        """Return the content of a file over that of its includes; ``inputs`` are of an include.

        Raises:
            SourceError: the file itself cannot be read; of includes it is a problem.
        """
        name = self.name(path)
        text = self.texts[name] = read(path, name).removeprefix("\ufeff")
        head, content = parse(text, name, self.problems)
        if head:
            content = _filled(content, _inputs(head, inputs or {}))
        self._open.append(path)
        below = Item({}, name, 1)
        for include in () if self._merged else as_list(content.get("include")):
            for found in self._include(include):
                below = merge(below, found)
        self._open.pop()
        content = merge(below, content)
        if self._resolve and self._elsewhere and not self._open:
            return merge(self._resolved(content, self._resolve), content)
        return content

    def name(self, path: Path) -> str:
        """Return how messages call a file: its path in the checkout, if it is there."""
        path = path.resolve()
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def path(self, local: str) -> Path:
        """Return where a local file is."""
        return (self.root / local.lstrip("/")).resolve()

    def scripts(self, words: Iterable[str]) -> dict[str, str]:
        """Return the text of each file of the checkout that some words name, by its path."""
        found: dict[str, str] = {}
        for word in filter(_PATH.fullmatch, words):
            path = word.removeprefix("./")
            file = (self.root / path).resolve()
            if file.is_relative_to(self.root) and file.is_file():
                with file.open("rb") as opened:
                    found[path] = opened.read(_SCRIPT_SIZE).decode("utf-8", "replace")
        return found

    def problem(self, place: Item, text: str) -> None:
        """Add a line on what is wrong at a place, once."""
        problem = Problem(file=place.file, line=place.line, text=text)
        if problem not in self.problems:
            self.problems.append(problem)

    def _include(self, include: Item) -> Iterator[Item]:
        local = include.get("local") or include
        given = include.under("inputs")
        if not _applies(include):
            return
        kind = next((key for key in _REMOTE if key in include.entries), None)
        if kind or "://" in local.text:
            what = include.entries[kind] if kind else local
            if not _OURS.search(what.text.rstrip("/")):
                self._unread(include, f"{kind or 'remote'} {what.text}".rstrip())
                return
            for each in as_list(what if kind == "component" else include.get("file")):
                name = each.text.partition("@")[0].rpartition("/")[2].removesuffix(".yml")
                self.components.append(Component(name=name, inputs=given, place=what))
        elif not local.text:
            self.problem(include, "an include must name a local file; write 'local: path'")
        elif "$" in local.text:
            self._unread(include, f"local {local.text}")
        else:
            yield from self._local(local, given)

    def _resolved(self, content: Item, resolve: Resolve) -> Item:
        """Return a pipeline with all includes in place, each value at the first of those."""
        first = self._elsewhere[0]
        include = dataclasses.replace(first, value=tuple(self._elsewhere), tag="")
        asked = dataclasses.replace(content, value={**content.entries, "include": include})
        full = resolve(write(asked))
        if not full.text:
            text = f"GitLab cannot resolve the includes, so their jobs are not checked: {full.why}"
            self.problem(first, text)
            return Item({}, first.file, first.line)
        _, found = parse(full.text, "GitLab's full configuration", self.problems)
        return _placed(found, first)

    def _unread(self, include: Item, what: str) -> None:
        self._elsewhere.append(include)
        if not self._resolve:
            text = (
                f"{what} is not read, so its jobs are not checked; let GitLab resolve it by "
                "--project, or check what the pipeline editor shows as the full configuration by "
                "--merged"
            )
            self.problem(include, text)

    def _local(self, place: Item, inputs: Mapping[str, Item]) -> Iterator[Item]:
        """Yield the content of the files that an include names, by a wildcard too."""
        pattern = place.text.lstrip("/")
        try:
            found = sorted(self.root.glob(pattern)) if "*" in pattern else [self.root / pattern]
        except (ValueError, NotImplementedError):
            found = []
        if not found:
            self.problem(place, f"include {place.text}: no file has such a path; correct it")
        for path in found:
            self._count += 1
            if not path.resolve().is_relative_to(self.root):
                self.problem(
                    place, f"include {place.text}: must be in this checkout; move it there"
                )
            elif path in self._open:
                self.problem(place, f"include {place.text}: the file includes itself; remove it")
            elif self._count > _MOST:
                self.problem(place, f"more than {_MOST} includes, which GitLab rejects; merge some")
                return
            else:
                try:
                    yield self.pipeline(path, inputs)
                except SourceError as error:
                    self.problem(place, f"include {place.text}: {error}")


def merge(below: Item, above: Item) -> Item:
    """Return a mapping over another one, key by key; anything else replaces."""
    if not (isinstance(below.value, Mapping) and isinstance(above.value, Mapping)):
        return above
    merged = dict(below.value)
    for key, item in above.value.items():
        merged[key] = merge(merged[key], item) if key in merged else item
    return dataclasses.replace(above, value=merged)


def _placed(item: Item, place: Item) -> Item:
    """Return an item as if it, and all that is in it, stood at a place."""
    value = item.value
    if isinstance(value, Mapping):
        value = {key: _placed(child, place) for key, child in value.items()}
    elif not isinstance(value, str) and value is not None:
        value = tuple(_placed(child, place) for child in value)
    return Item(value, place.file, place.line, tag=item.tag)


def _applies(include: Item) -> bool:
    """Whether an include is read: not where all of its rules compare texts that differ."""
    conditions = [rule.get("if") for rule in as_list(include.get("rules"))]
    found = [_COMPARISON.fullmatch(condition.text) for condition in conditions if condition]
    compared = [(each[1] == each[3]) == (each[2] == "==") for each in found if each]
    return len(compared) < len(conditions) or not compared or any(compared)


def _inputs(head: Item, given: Mapping[str, Item]) -> dict[str, Item]:
    defaults = {
        name: default
        for name, entry in head.under("spec", "inputs").items()
        if (default := entry.get("default"))
    }
    return {**defaults, **given}


def _filled(item: Item, inputs: Mapping[str, Item]) -> Item:
    """Return an item with the inputs in place; what was filled in does not stand in the file."""
    value = item.value
    if isinstance(value, str):
        whole = _INPUT.fullmatch(value.strip())
        if whole and whole[1] in inputs:
            given = inputs[whole[1]]
            return dataclasses.replace(item, value=given.value, tag=given.tag, start=-1)
        filled = _fill(value, inputs)
        return item if filled == value else dataclasses.replace(item, value=filled, start=-1)
    if isinstance(value, Mapping):
        entries = {_fill(key, inputs): _filled(child, inputs) for key, child in value.items()}
        return dataclasses.replace(item, value=entries)
    if value is None:
        return item
    return dataclasses.replace(item, value=tuple(_filled(child, inputs) for child in value))


def _fill(text: str, inputs: Mapping[str, Item]) -> str:
    return _INPUT.sub(lambda found: inputs[found[1]].text if found[1] in inputs else found[0], text)


def checkout(path: Path) -> Path:
    """Return the folder of the checkout that a file is in, or else the file's own folder."""
    above = path.resolve().parents
    return next((folder for folder in above if (folder / ".git").exists()), above[0])
