"""The words that all outputs share: headings, risks, violations and the lines of a diff."""

import difflib
import re
from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest

from components.settings.errors import visible
from components.types import ACCEPTED_RISKS
from report.model import (
    Counts,
    ObjectChange,
    PropertyChange,
    Report,
    ResourceChange,
    Risk,
    RiskChange,
    Violation,
)

_LONG = 200
"""Characters of a value of one line that are shown: nobody compares more by eye."""
_BEFORE = 60
"""How many of them stand before the first difference."""
_RISK: dict[Risk, str] = {
    "failed": "the preview failed",
    "raised": "risk RAISED and not accepted",
    "accepted": "risk raised and accepted in the stack file",
    "lowered": "risk lowered",
    "minor": "only minor risks rise",
    "unchanged": "risk unchanged",
}
_RISK_OF_DRIFT: dict[Risk, str] = {
    **_RISK,
    "failed": "the cluster cannot be compared",
    "raised": "risk RAISED",
}


def heading(report: Report) -> str:
    """Return one line: how much changes, and the risk."""
    risk = (_RISK_OF_DRIFT if report.drift else _RISK)[report.risk]
    if report.risk == "lowered" and report.raises_minor:
        risk += ", minor risks rise"
    if report.errors:
        return f"{report.environment}: {risk}"
    parts = [_drift_counts(report.counts) if report.drift else str(report.counts), risk]
    if broken := sum(item.stops for item in report.violations):
        parts.append(f"{plural(broken, 'policy violation')} not accepted")
    return f"{report.environment}: {'; '.join(parts)}"


def _drift_counts(counts: Counts) -> str:
    words = ((counts.create, "added"), (counts.update, "changed"), (counts.delete, "deleted"))
    parts = [f"{count} {word}" for count, word in words if count]
    text = " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
    return f"{text} outside of Pulumi" if text else "no drift"


def stamp(report: Report) -> str:
    """Return the digest of the plan, and what it is compared with; ``plan_digest`` reads it."""
    if report.drift:
        return f"Compared with the state of `{report.state}`."
    base = f", compared with commit `{report.base}`" if report.base else ""
    state = f", state of `{report.state}`" if report.state else ""
    return f"Plan `{report.digest}`{base}{state}."


def plan_digest(text: str) -> str | None:
    """Return the digest of the plan that a note describes."""
    found = re.findall(r"Plan `([0-9a-f]{16})`", text)
    return found[-1] if found else None


def marker(subject: str) -> str:
    """Return the comment that identifies the note, or the drift issue, of an environment."""
    return f"<!-- image-builds:{subject} -->"


def drift_of(environment: str) -> str:
    """Return the subject of the drift issue."""
    return f"drift of {environment}"


def plural(count: int, word: str) -> str:
    """Return a count with its word."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def acceptance(identities: Iterable[str]) -> str:
    """Return the YAML that accepts these in a stack file, empty for none."""
    entries = "\n".join(f'    "{identity}": why it is acceptable' for identity in identities)
    return f"config:\n  {ACCEPTED_RISKS}:\n{entries}" if entries else ""


def word(change: RiskChange) -> str:
    """Return the direction of a risk, with its severity if it rises."""
    if change.direction == "lowered":
        return "lowered"
    return "raised, accepted" if _counts_as_accepted(change) else f"raised, {change.severity}"


def why(change: RiskChange) -> str:
    """Return why a risk matters, and why it is accepted."""
    accepted = f"; accepted: {change.accepted}" if _counts_as_accepted(change) else ""
    return change.reason + accepted


def _counts_as_accepted(change: RiskChange) -> bool:
    return bool(change.direction == "raised" and change.weighs and change.accepted)


def level(violation: Violation) -> str:
    """Return in a word whether a violation blocks a change."""
    if violation.accepted:
        return "accepted"
    return "mandatory" if violation.mandatory else "advisory"


def advice(violation: Violation) -> str:
    """Return what to do about a violation, or why it is accepted."""
    accepted = violation.accepted
    return f"nothing; accepted: {accepted}" if accepted else violation.remediation


def title(change: ResourceChange | ObjectChange) -> str:
    """Return the operation and the name of what changes."""
    if isinstance(change, ObjectChange):
        return f"{change.operation} {change.identity}"
    return f"{change.operation} {short_type(change)} {change.name}"


def short_type(change: ResourceChange) -> str:
    """Return a type without its package and version."""
    return change.type.rpartition(":")[2]


def diff(changes: Iterable[PropertyChange]) -> Iterator[str]:
    """Yield the lines of a diff, with the path of each value."""
    for change in changes:
        if _is_text(change):
            yield f"  {change.path}:"
            yield from values(change)
        else:
            yield from (f"{line[0]} {change.path}: {line[2:]}" for line in values(change))


def values(change: PropertyChange) -> Iterator[str]:
    """Yield a value before and after; a text of several lines is compared line by line.

    Characters that a reader cannot see are written as escapes, so that no two values look alike.
    """
    if _is_text(change):
        before, after = _lines(change)
        lines = difflib.unified_diff(before, after, lineterm="", n=1)
        # The first two name the sides. A line of the value may begin like them.
        yield from islice(lines, 2, None)
        return
    old, new = visible(change.old or ""), visible(change.new or "")
    pairs = enumerate(zip_longest(old, new))
    start = max(0, next((at for at, (a, b) in pairs if a != b), 0) - _BEFORE)
    if change.old is not None:
        yield f"- {_short(old, start)}"
    if change.new is not None:
        yield f"+ {_short(new, start)}"


def _lines(change: PropertyChange) -> list[list[str]]:
    """Return the lines of both sides; a final line break counts only where one side has none."""
    sides = (change.old, change.new)
    end = "\n" if all(text is None or text.endswith("\n") for text in sides) else ""
    return [[] if text is None else visible(text).removesuffix(end).split("\n") for text in sides]


def _is_text(change: PropertyChange) -> bool:
    return "\n" in (change.old or "") or "\n" in (change.new or "")


def _short(text: str, start: int) -> str:
    """Cut a long value on both sides of where it differs from the other."""
    if len(text) <= _LONG:
        return text
    before = "…" if start else ""
    after = "…" if len(text) > start + _LONG else ""
    return f"{before}{text[start : start + _LONG]}{after} ({len(text)} characters)"
