"""A diagnosis as Markdown, for a note."""

import re

from doctor.diagnosis import Diagnosis
from doctor.outputs.phrases import parts, reasons, title


def write(found: Diagnosis) -> str:
    """Return the text; nothing in it is taken for Markdown or HTML but what is written here."""
    lines = [f"## Doctor: {_plain(found.stack)} on {_plain(found.context)}", ""]
    lines += ["| what | verdict |", "| --- | --- |"]
    lines += [f"| {_plain(title(one))} | {_plain(found.verdict(one))} |" for one in parts(found)]
    if found.faults:
        lines += ["", "| severity | check | where | fault | what to do |"]
        lines.append("| --- | --- | --- | --- | --- |")
        lines += [
            f"| {item.check.severity} | `{item.check.name}` | {_plain(title(item.runner))} "
            f"| {_plain(item.message)} | {_plain(item.way_out)} |"
            for item in found.faults
        ]
    grouped = reasons(found)
    if grouped:
        lines += ["", "<details><summary>Checks that did not run</summary>", ""]
        lines += [
            f"- {_plain(title(runner))}: {', '.join(f'`{name}`' for name in names)}: "
            f"{_plain(reason)}"
            for (runner, reason), names in grouped.items()
        ]
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Take all meaning from what servers say."""
    line = re.sub(r"\s+", " ", text)
    return re.sub(r"([\\`*_{}\[\]<>#|~!@&])", r"\\\1", line)
