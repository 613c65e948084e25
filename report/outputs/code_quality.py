"""Findings on the lines of the stack file, as a Code Quality report.

The fields are those that GitLab reads (gitlab:doc/ci/testing/code_quality.md).
"""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from components.settings.models import ACCEPTED_RISKS
from report.model import Report
from report.outputs.phrases import advice, why
from report.stack_file import SETTINGS, StackFile

_MISTAKE = re.compile(rf"^({SETTINGS}|{ACCEPTED_RISKS})(?:\.(\S+))?: (.*)$", re.MULTILINE)


def write(report: Report, stack_file: StackFile) -> str:
    """Return the findings: mistakes in the file, each risk that rises, and violated rules."""
    return json.dumps(
        [*_mistakes(report, stack_file), *_risks(report), *_policies(report)], indent=1
    )


def _mistakes(report: Report, stack_file: StackFile) -> Iterator[dict[str, Any]]:
    for error in report.errors:
        for found in _MISTAKE.finditer(error):
            under, where, text = found.groups("")
            path = [where] if under == ACCEPTED_RISKS else re.findall(r"[\w-]+", where)
            _, line = stack_file.find(*path, under=under)
            yield _finding(report, "mistake", f"{where or under}: {text}", "blocker", line)


def _risks(report: Report) -> Iterator[dict[str, Any]]:
    for delta in report.deltas:
        if delta.direction == "raised":
            severity = "info" if delta.accepted else delta.severity
            text = f"{delta.what}: {why(delta)}"
            yield _finding(report, delta.identity, text, severity, delta.line)


def _policies(report: Report) -> Iterator[dict[str, Any]]:
    for item in report.violations:
        severity = "info" if item.accepted else item.severity
        text = f"{item.what}: {advice(item)}"
        yield _finding(report, item.identity, text, severity, item.line)


def _finding(
    report: Report,
    check: str,
    text: str,
    severity: str,
    line: int | None,
) -> dict[str, Any]:
    identity = f"{report.environment} {check} {text}"
    return {
        "check_name": check.partition("/")[0],
        "description": text,
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        "severity": severity,
        "location": {"path": report.stack_file, "lines": {"begin": line or 1}},
    }
