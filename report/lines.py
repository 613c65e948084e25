"""Differences as lines of a diff, the same for every output."""

import difflib
from collections.abc import Iterable, Iterator

from report.model import ObjectChange, PropertyChange, ResourceChange

_LONG = 200
"""Characters from which a value of one line is cut: nobody compares more by eye."""


def diff(changes: Iterable[PropertyChange]) -> Iterator[str]:
    """Yield the lines of a diff; a text of many lines is compared line by line."""
    for change in changes:
        old, new = change.old or "", change.new or ""
        if "\n" in old or "\n" in new:
            yield f"  {change.path}:"
            pairs = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)
            yield from (line for line in pairs if not line.startswith(("---", "+++")))
            continue
        if change.old is not None:
            yield f"- {change.path}: {_short(old)}"
        if change.new is not None:
            yield f"+ {change.path}: {_short(new)}"


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}… ({len(text)} characters)"


def title(change: ResourceChange | ObjectChange) -> str:
    """Name what changes, with what happens to it."""
    if isinstance(change, ObjectChange):
        return f"{change.operation} {change.identity}"
    return f"{change.operation} {short_type(change)} {change.name}"


def short_type(change: ResourceChange) -> str:
    """Return a type without its package and version."""
    return change.type.rpartition(":")[2]
