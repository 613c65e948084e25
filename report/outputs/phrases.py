"""Differences as lines of a diff, the same for every output."""

import difflib
from collections.abc import Iterable, Iterator

from report.model import (
    Delta,
    ObjectChange,
    PropertyChange,
    ResourceChange,
    Violation,
)

_LONG = 200
"""Characters from which a value of one line is cut: nobody compares more by eye."""


def diff(changes: Iterable[PropertyChange]) -> Iterator[str]:
    """Yield the lines of a diff, with the path of each value."""
    for change in changes:
        if _is_text(change):
            yield f"  {change.path}:"
            yield from values(change)
        else:
            yield from (f"{line[0]} {change.path}: {line[2:]}" for line in values(change))


def values(change: PropertyChange) -> Iterator[str]:
    """Yield one value before and after; a text of many lines is compared line by line."""
    old, new = change.old or "", change.new or ""
    if _is_text(change):
        pairs = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)
        yield from (line for line in pairs if not line.startswith(("---", "+++")))
        return
    if change.old is not None:
        yield f"- {_short(old)}"
    if change.new is not None:
        yield f"+ {_short(new)}"


def _is_text(change: PropertyChange) -> bool:
    return "\n" in (change.old or "") or "\n" in (change.new or "")


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


def word(delta: Delta) -> str:
    """Say which way a risk goes, and how far."""
    if delta.direction == "lowered":
        return "lowered"
    return "raised, accepted" if _counts_as_accepted(delta) else f"raised, {delta.severity}"


def why(delta: Delta) -> str:
    """Say why a risk matters, and why it was accepted."""
    return delta.reason + (f"; accepted: {delta.accepted}" if _counts_as_accepted(delta) else "")


def _counts_as_accepted(delta: Delta) -> bool:
    return bool(delta.direction == "raised" and delta.weighs and delta.accepted)


def advice(violation: Violation) -> str:
    """Say what to do about a violation, or why nothing is to be done."""
    accepted = violation.accepted
    return f"nothing, it is accepted: {accepted}" if accepted else violation.remediation
