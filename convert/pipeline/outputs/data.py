"""The result of a check as JSON, for programs."""

import json

from convert.pipeline.check import JobFinding, JobVerdict, Result


def write(result: Result) -> str:
    """Return the result; keys stay, and others may join them."""
    content = {
        "counts": {**result.counts, "others": result.others},
        "jobs": [_job(verdict) for verdict in result.verdicts],
        "problems": [
            {"file": each.file, "line": each.line, "text": each.text, "fatal": each.fatal}
            for each in result.problems
        ],
    }
    return json.dumps(content, indent=1) + "\n"


def _job(verdict: JobVerdict) -> dict[str, object]:
    return {
        "name": verdict.job,
        "file": verdict.file,
        "line": verdict.line,
        "runner": verdict.runner,
        "strategy": verdict.strategy,
        "verdict": verdict.verdict,
        "findings": [_finding(finding) for finding in verdict.findings],
        "elsewhere": verdict.elsewhere or None,
        "leastPrivilege": {"strategy": verdict.suits, "how": verdict.suits_as},
    }


def _finding(finding: JobFinding) -> dict[str, object]:
    change = finding.change
    return {
        "rule": finding.rule,
        "outcome": finding.outcome,
        "file": finding.file,
        "line": finding.line,
        "text": finding.text,
        "do": finding.do,
        "page": finding.page,
        "change": change
        and {
            "file": change.file,
            "line": change.line,
            "old": change.old,
            "new": change.new,
            "mechanical": change.start >= 0,
        },
    }
