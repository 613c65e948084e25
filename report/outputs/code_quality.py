"""Findings on the lines of the stack file, as a Code Quality report.

The fields are those that GitLab reads (gitlab:doc/ci/testing/code_quality.md).
"""

import hashlib
import json
from collections.abc import Iterator

from report.model import Report
from report.outputs.phrases import advice, why


def write(report: Report) -> str:
    """Return the findings: errors in the file, raised risks, and violations."""
    return json.dumps(list(_findings(report)), indent=1)


def _findings(report: Report) -> Iterator[dict[str, object]]:
    for item in report.setting_errors:
        yield _finding(report, "setting", f"{item.key}: {item.text}", "blocker", item.line)
    for item in report.risk_changes:
        if item.direction == "raised":
            severity = "info" if item.accepted else item.severity
            yield _finding(report, item.identity, f"{item.what}: {why(item)}", severity, item.line)
    for item in report.violations:
        severity = "info" if item.accepted else item.severity
        text = f"{item.what}: {advice(item)}"
        yield _finding(report, item.identity, text, severity, item.line)


def _finding(
    report: Report, check: str, text: str, severity: str, line: int | None
) -> dict[str, object]:
    identity = f"{report.environment} {check} {text}"
    return {
        "check_name": check.partition("/")[0],
        "description": text,
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        "severity": severity,
        "location": {"path": report.stack_file, "lines": {"begin": line or 1}},
    }
