"""The stack file of an import: YAML with comments on what was guessed and what is left to set."""

import textwrap
from collections.abc import Iterator
from typing import cast

import yaml

from components.types import PROJECT
from convert.site.draft import Draft, Path
from convert.site.importer import Imported
from convert.site.secrets import scrub

_HEAD = """\
# yaml-language-server: $schema=./schema/stack.json
# Written by "python -m commands import". Read each comment, and remove it when it is settled.
"""


def write(imported: Imported, context: str) -> str:
    """Return the text of a stack file; an empty ``context`` is left to the user."""
    draft = imported.draft
    settings = yaml.safe_dump(draft.settings, sort_keys=False, allow_unicode=True, width=100)
    remarks = dict(draft.remarks)
    for finding in imported.findings:
        if finding.outcome == "asks":
            for key in finding.keys:
                place = _nearest(draft, key)
                said = f"{key}: {finding.text}; {finding.do}".replace(": ; ", ": ")
                known = remarks.get(place, "").splitlines()
                remarks[place] = "\n".join([*known, *({said} - {*known})])
    lines = settings.splitlines()
    for path, line in sorted(_lines(settings), key=lambda item: -item[1]):
        if path in remarks:
            indent = " " * (len(lines[line]) - len(lines[line].lstrip()))
            width = 92 - len(indent)
            said = [
                f"{indent}# {part}"
                for remark in scrub(remarks[path]).splitlines()
                for part in textwrap.wrap(remark, width, break_long_words=False)
            ]
            lines[line:line] = said
    named = f"  kubernetes:context: {context}\n" if context else ""
    body = "".join(f"    {line}\n" for line in lines)
    return f"{_HEAD}config:\n{named}  {PROJECT}:settings:\n{body}"


def _nearest(draft: Draft, key: str) -> Path:
    """Return the path of a key, or of the nearest one above it that there is."""
    path: Path = tuple(key.replace("[]", "").split("."))
    while len(path) > 1 and draft.get(path) is None:
        path = path[:-1]
    return path


def _lines(text: str) -> Iterator[tuple[Path, int]]:
    yield from _below(cast("yaml.Node", yaml.compose(text, yaml.SafeLoader)), ())


def _below(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, str(key.value))
            yield below, key.start_mark.line
            yield from _below(value, below)
