"""Findings on the lines of pipelines, as a Code Quality report.

The fields are those that GitLab reads (gitlab:doc/ci/testing/code_quality.md).
"""

import hashlib
import json
from collections.abc import Iterator

from convert.pipeline.check import Result

_SEVERITIES = {"note": "info", "change": "major", "cannot": "critical"}


def write(result: Result) -> str:
    """Return the findings of all jobs, and the files that cannot be read."""
    return json.dumps(list(_findings(result)), indent=1) + "\n"


def _findings(result: Result) -> Iterator[dict[str, object]]:
    for verdict in result.verdicts:
        for item in verdict.findings:
            text = f"{verdict.job}: {item.text}; {item.do}"
            yield _finding(item.rule, text, _SEVERITIES[item.outcome], item.file, item.line)
    for problem in result.problems:
        severity = "blocker" if problem.fatal else "info"
        yield _finding("pipeline", problem.text, severity, problem.file, problem.line)


def _finding(check: str, text: str, severity: str, file: str, line: int) -> dict[str, object]:
    identity = f"{check} {file} {text}"
    return {
        "check_name": check,
        "description": text,
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        "severity": severity,
        "location": {"path": file, "lines": {"begin": line}},
    }
