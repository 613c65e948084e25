"""The note of a merge request and the issue of a drift, in GitLab's Markdown.

Values stand in code, where GitLab runs no quick action, notifies nobody and links nothing.
"""

import re
from collections.abc import Iterable, Iterator

from components.settings.models import ACCEPTED_RISKS
from report.model import (
    Counts,
    Delta,
    Report,
    Risk,
    Violation,
)
from report.outputs.phrases import (
    advice,
    diff,
    short_type,
    title,
    why,
    word,
)

LIMIT = 1_000_000
"""The most characters that a note may have (gitlab:app/models/note.rb); an issue may have more."""

_RISK: dict[Risk, str] = {
    "failed": "the preview failed",
    "raised": "risk RAISED and not accepted",
    "accepted": "risk raised, and accepted in the stack file",
    "lowered": "risk lowered",
    "unchanged": "risk unchanged",
}
_RISK_OF_DRIFT: dict[Risk, str] = {
    **_RISK,
    "failed": "it is not known whether the cluster has drifted",
    "raised": "risk RAISED",
}
_CUT = "… {count} more lines are in the report's page, which the job keeps as an artifact"


def marker(subject: str) -> str:
    """Return the comment by which an environment's note, or its drift's issue, is found again."""
    return f"<!-- image-builds:{subject} -->"


def drift_of(environment: str) -> str:
    """Return the subject of the issue."""
    return f"drift of {environment}"


def stamp(report: Report) -> str:
    """Say which plan it is, of what; ``planned`` reads it."""
    if report.drift:
        return f"Compared with the state of `{report.state}`."
    base = f", compared with commit `{report.base}`" if report.base else ""
    state = f", state of `{report.state}`" if report.state else ""
    return f"Plan `{report.digest}`{base}{state}."


def planned(text: str) -> str | None:
    """Return the digest of the plan that a note is about."""
    found = re.findall(r"Plan `([0-9a-f]{16})`", text)
    return found[-1] if found else None


def heading(report: Report) -> str:
    """Say in one line how much changes and how risky it is."""
    risk = (_RISK_OF_DRIFT if report.drift else _RISK)[report.risk]
    if report.errors:
        return f"{report.environment}: {risk}"
    parts = [_drifted(report.counts) if report.drift else str(report.counts), risk]
    if broken := sum(item.stops for item in report.violations):
        parts.append(f"{plural(broken, 'violation')} of policies, not accepted")
    return f"{report.environment}: {'; '.join(parts)}"


def _drifted(counts: Counts) -> str:
    words = ((counts.update, "changed"), (counts.delete, "deleted"))
    told = " and ".join(f"{count} {word}" for count, word in words if count)
    return f"{told} outside of Pulumi" if told else "nothing has drifted"


def write(report: Report, limit: int = LIMIT) -> str:
    """Return the note; what is too long is cut from its details."""
    if not (report.errors or report.counts.total or report.stops or report.gaps):
        quiet = f"{report.environment}: nothing changes. {stamp(report)}"
        return f"{marker(report.environment)}\n{quiet}\n"
    text = "\n".join(_summary(report))
    last = f"\n{stamp(report)}\n"
    if not report.errors:
        for name, lines in _details(report):
            room = limit - len(text) - len(last)
            text += _folded(name, list(lines), room)
    return text + last


def _summary(report: Report) -> Iterator[str]:
    yield marker(drift_of(report.environment) if report.drift else report.environment)
    yield f"### {heading(report)}"
    yield ""
    if report.errors:
        yield _fence("\n".join(report.errors), "text")
        return
    for effect in report.effects:
        if effect.loud:
            yield f"- :warning: **{_prose(effect.text)}**"
    for line in (*report.sentences, *(item.text for item in report.effects if not item.loud)):
        yield f"- {_prose(line)}"
    for gap in report.gaps:
        yield f"- Not looked at: {_prose(gap)}"
    yield ""
    yield from _sections(report)


def _sections(report: Report) -> Iterator[str]:
    if report.undo:
        yield from _undo(report)
    if report.deltas:
        yield from _security(report)
    if report.violations:
        yield from _policies(report)
    if report.unaccepted and not report.drift:
        yield from _acceptance(report)
    if report.resources:
        yield from _resources(report)


def _undo(report: Report) -> Iterator[str]:
    yield "To keep it, write it into the stack file or the program; to take it back:"
    yield ""
    yield _fence("\n".join(report.undo), "sh")
    yield ""


def _resources(report: Report) -> Iterator[str]:
    yield "| | resource | type | what changes |"
    yield "| --- | --- | --- | --- |"
    for change in report.resources:
        paths = ", ".join(_code(item.path) for item in change.properties[:3])
        more = len(change.properties) - 3
        told = "" if change.operation in {"create", "delete"} else paths
        told += f" and {more} more" if told and more > 0 else ""
        loud = change.operation in {"delete", "replace"}
        operation = f"**{change.operation}**" if loud else change.operation
        yield f"| {operation} | {_code(change.name)} | {short_type(change)} | {told} |"
    yield ""


def _security(report: Report) -> Iterator[str]:
    yield "| security | what | why it matters | where |"
    yield "| --- | --- | --- | --- |"
    for delta in report.deltas:
        line = f":{delta.line}" if delta.line else ""
        where = f"{_code(f'{report.stack_file}{line}')} {_code(delta.key)}"
        yield f"| {_word(delta)} | {_prose(delta.what)} | {_prose(why(delta))} | {where} |"
    yield ""


def _policies(report: Report) -> Iterator[str]:
    yield "| policy | what violates it | what to do | where |"
    yield "| --- | --- | --- | --- |"
    for item in report.violations:
        line = f":{item.line}" if item.line else ""
        where = f"{_code(f'{report.stack_file}{line}')} {_code(item.key)}"
        cells = (f"{item.rule}, {level(item)}", _prose(item.what), _prose(advice(item)), where)
        yield f"| {' | '.join(cells)} |"
    yield ""


def level(violation: Violation) -> str:
    """Say in a word whether a violation stops a change."""
    if violation.accepted:
        return "accepted"
    return "mandatory" if violation.mandatory else "advisory"


def acceptance(identities: Iterable[str]) -> str:
    """Write what a stack file has to say to accept these; nothing for none."""
    entries = "\n".join(f'    "{identity}": why it is acceptable' for identity in identities)
    return f"config:\n  {ACCEPTED_RISKS}:\n{entries}" if entries else ""


def _acceptance(report: Report) -> Iterator[str]:
    yield f"To accept this, give the reasons in {_code(report.stack_file)}:"
    yield ""
    yield _fence(acceptance(report.unaccepted), "yaml")
    yield ""


def _word(delta: Delta) -> str:
    bold = delta.direction == "raised" and delta.weighs and not delta.accepted
    return word(delta).replace("raised", "**raised**") if bold else word(delta)


def _details(report: Report) -> Iterator[tuple[str, Iterator[str]]]:
    for runner in dict.fromkeys(item.runner for item in report.keys):
        keys = [item for item in report.keys if item.runner == runner]
        yield (
            f"config.toml of runner {runner}: {plural(len(keys), 'key')}",
            (
                line
                for item in keys
                for line in (f"# {item.change.path}: {item.meaning}", *diff([item.change]))
            ),
        )
    if report.objects:
        yield (
            f"What the chart renders: {plural(len(report.objects), 'object')}",
            (
                line
                for item in report.objects
                for line in (f"# {title(item)}", *diff(item.properties))
            ),
        )
    if report.resources:
        yield (
            f"Every property: {plural(len(report.resources), 'resource')}",
            (
                line
                for item in report.resources
                for line in (f"# {title(item)}", *diff(item.properties))
            ),
        )


def plural(count: int, word: str) -> str:
    """Say how many there are."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _folded(name: str, lines: list[str], room: int) -> str:
    """Fold a part of the details, with as many of its lines as there is room for."""
    for kept in _halves(len(lines)):
        rest = [_CUT.format(count=len(lines) - kept)] if kept < len(lines) else []
        body = _fence("\n".join([*lines[:kept], *rest]), "diff")
        text = f"<details><summary>{_prose(name)}</summary>\n\n{body}\n\n</details>\n"
        if len(text) <= room:
            return text
    return ""


def _halves(count: int) -> Iterable[int]:
    while count:
        yield count
        count //= 2
    yield 0


def _fence(text: str, language: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _code(text: str) -> str:
    shown = re.sub(r"\s+", " ", text.replace("`", "'")).replace("|", "\\|")
    return f"`{shown}`" if shown.strip() else ""


def _prose(text: str) -> str:
    """Keep Markdown, mentions, references and HTML out of a sentence that names things."""
    shown = re.sub(r"\s+", " ", text)
    shown = re.sub(r"([\\`*_{}\[\]<>|~$^])", r"\\\1", shown)
    return re.sub(r"([@#!&%])(?=\w)", "\\1\u200b", shown)
