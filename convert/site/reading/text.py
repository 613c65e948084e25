"""Reads YAML and TOML as trees of text; what cannot be read is one line, without a value."""

import re
import tomllib
from pathlib import Path
from typing import Any, cast

from convert.items import Item, Limit, Problem, SourceError, documents, read
from convert.site.model import Tree, table, text

# Helm keeps a release in a Secret, and etcd takes no larger one (helm.sh: storage backends).
_LIMIT = Limit(1024 * 1024, "Helm can keep of a release", "give the values of the runner alone")
_PLACE = re.compile(r"\(at (?:line (\d+)|end of document)")
_ACTION = re.compile(r"^\s*\{\{-?\s*(?:if|else|end|with|range|include|template|/\*|define|\$).*$")
_UNQUOTED = re.compile(r"(=\s*)(\{\{[^\n\"]*?\}\})\s*$", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}")
_KNOWN = re.compile(r"\{\{-?[^{}]*\.Release\.(Namespace|Name)\b[^{}]*\}\}")
_VALUE = r"\.Values\.[\w.-]*\w"
_LOOKUP = re.compile(
    rf'\{{\{{-?\s*(?:printf\s+"([^"\n]*)"\s+)?({_VALUE}(?:\s+{_VALUE})*)\s*(\|\s*quote\s*)?-?\}}\}}'
)
"""A template of values alone: ``.Values.a``, or several in a format."""


def file_text(path: Path, name: str) -> str:
    """Return the text of a file.

    Raises:
        SourceError: it is not there, too large, or not text.
    """
    found = read(path, name, _LIMIT)
    if "\0" in found:
        message = "must be text in UTF-8, and is a binary file; name another file"
        raise SourceError(name, 1, message)
    return found.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")


def from_yaml(content: str, name: str, problems: list[Problem]) -> list[Tree]:
    """Return the documents of a YAML or JSON text.

    Raises:
        SourceError: with the line, if it is not YAML, or is a template of YAML.
    """
    try:
        return [_plain(item) for item in documents(content, name, problems)]
    except SourceError as error:
        if "{{" in content:
            message = (
                "must be YAML, and is a template; render it first (helm get values, helmfile "
                "write-values), and import the result"
            )
            raise SourceError(name, error.line, message) from None
        raise


def from_toml(content: str, name: str, values: dict[str, Tree] | None = None) -> dict[str, Tree]:
    """Return the tables of a ``config.toml``, also of one that the chart renders with ``values``.

    Other templates are kept as text; those that say the namespace or the name of the release say
    nothing that the stack needs, and become empty.

    Raises:
        SourceError: with the line, if it is not TOML.
    """
    lines = ["" if _ACTION.match(line) else line for line in content.splitlines()]
    rendered = _LOOKUP.sub(lambda found: _looked_up(found, values or {}), "\n".join(lines))
    rendered = _TEMPLATE.sub(lambda found: found[0].replace('"', "'"), rendered)
    rendered = _KNOWN.sub("", _UNQUOTED.sub(r'\1"\2"', rendered))
    try:
        tables = tomllib.loads(rendered)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place and place[1] else max(len(lines), 1)
        message = "must be TOML, as GitLab Runner reads it; correct that line"
        if "{{" in content:
            message = "must be TOML, and is a template; give it as the chart renders it"
        raise SourceError(name, line, message) from None
    except RecursionError:
        message = "has values that lie too deep for GitLab Runner; flatten it"
        raise SourceError(name, 1, message) from None
    return {key: from_object(value) for key, value in tables.items()}


def _looked_up(found: re.Match[str], values: dict[str, Tree]) -> str:
    """Return what the chart writes for values, or the template where one is not known."""
    result, paths = found[1] or "%s", found[2].split()
    for path in paths:
        place: Tree = values
        for part in path.removeprefix(".Values.").split("."):
            place = table(place).get(part)
        known = text(place)
        if not known or re.search(r"[\"\\\n]", known) or "%s" not in result:
            return found[0]
        result = result.replace("%s", known, 1)
    return f'"{result}"' if found[3] else result


def from_object(value: object) -> Tree:
    """Return a value of TOML or JSON as a tree: each scalar as a file spells it."""
    match value:
        case dict():
            tables = cast("dict[str, Any]", value)
            return {key: from_object(below) for key, below in tables.items()}
        case list():
            return [from_object(below) for below in cast("list[Any]", value)]
        case None:
            return None
        case bool():
            return str(value).lower()
        case _:
            return str(value)


def _plain(item: Item) -> Tree:
    value = item.value
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, tuple):
        return [_plain(below) for below in value]
    return {key: _plain(below) for key, below in item.entries.items()}
