"""The catalogue of doctor as Markdown: a table for each group of checks."""

import re

from dev.generate.keys import table, text
from doctor.catalogue import GROUPS, Check, catalogue


def sections() -> str:
    """Return what each check says, and what to do."""
    parts: list[str] = []
    for group, heading in GROUPS.items():
        checks = [check for check in catalogue().values() if check.group == group]
        if checks:
            columns = ["check", "severity", "what it says", "what to do", "more"]
            parts += [f"## {heading}", table(columns, map(_row, checks))]
    return "\n\n".join(parts)


def _row(check: Check) -> list[str]:
    return [
        f"`{check.name}`",
        check.severity,
        _shown(check.message),
        _shown(check.way_out),
        _link(check.page),
    ]


def _shown(message: str) -> str:
    """Write a text with gaps where values are put in."""
    gaps = re.sub(r"(?<!\{)\{\w+\}(?!\})", "…", message)
    return text(gaps.replace("{{", "{").replace("}}", "}"))


def _link(page: str) -> str:
    if page == "reference/doctor.md":
        return ""
    path, _, anchor = page.partition("#")
    words = (anchor or path.rpartition("/")[2].removesuffix(".md")).replace("-", " ")
    target = page.removeprefix("reference/") if page.startswith("reference/") else f"../{page}"
    return f"[{words}]({target})"
