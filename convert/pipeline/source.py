"""The file of a pipeline: its header and its jobs, as GitLab reads them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from convert.items import Item, Limit, Problem, SourceError, documents
from convert.items import read as read_text

# gitlab:doc/administration/instance_limits.md, ``max_yaml_size_bytes``
_LIMIT = Limit(2 * 1024 * 1024, "GitLab reads", "split it by include")
REFERENCE = "!reference"
_CORE = "tag:yaml.org,2002:"


def read(path: Path, name: str) -> str:
    """Return the text of a file of a pipeline; messages call it ``name``.

    Raises:
        SourceError: it is not there, too large, or not text.
    """
    return read_text(path, name, _LIMIT)


def parse(text: str, name: str, problems: list[Problem]) -> tuple[Item | None, Item]:
    """Return the header with ``spec``, if there is one, and the content.

    Of a key that stands twice the last counts, as in GitLab, and ``problems`` gets a line.

    Raises:
        SourceError: with the line, if GitLab would not take it as YAML.
    """
    items = documents(text, name, problems)
    head = items.pop(0) if len(items) == 2 and "spec" in items[0].entries else None
    if len(items) > 1:
        message = "must be one YAML document; remove the line '---'"
        raise SourceError(name, items[1].line, message)
    content = items[0] if items else Item({}, name, 1)
    if not isinstance(content.value, Mapping):
        message = "must be a mapping of jobs; write 'name:' above each job"
        raise SourceError(name, content.line, message)
    return head, content


def write(content: Item) -> str:
    """Return YAML with this content, in which each text and number is what it was."""
    return str(cast("Any", yaml).serialize(_node(content), Dumper=yaml.SafeDumper))


def _node(item: Item) -> yaml.Node:
    if isinstance(item.value, Mapping):
        pairs = [(_node(Item(key, "", 0)), _node(value)) for key, value in item.value.items()]
        return yaml.MappingNode(f"{_CORE}map", pairs)
    if item.value is None:
        return yaml.ScalarNode(f"{_CORE}null", "null")
    if isinstance(item.value, str):
        return yaml.ScalarNode(item.tag or f"{_CORE}str", item.value)
    return yaml.SequenceNode(item.tag or f"{_CORE}seq", [_node(child) for child in item.value])
