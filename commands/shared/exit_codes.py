"""The exit codes of all commands, by which a pipeline decides."""

import enum

from report.model import Report


class ExitCode(enum.IntEnum):
    """The result of a command; a usage error is FAILED, since 2 means that something changes."""

    NO_CHANGE = 0
    FAILED = 1
    CHANGES = 2
    RISK_RAISED = 3
    STALE = 4

    @property
    def meaning(self) -> str:
        """What the help and the docs say about this code."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.NO_CHANGE: (
        "no change, no drift, no fault, no mandatory policy is violated, all jobs run unchanged, "
        "or deployed as previewed"
    ),
    ExitCode.FAILED: "the command failed; the message says why and what to do",
    ExitCode.CHANGES: (
        "something changes or has drifted, a job does not run unchanged, or doctor found a fault"
    ),
    ExitCode.RISK_RAISED: (
        "a risk rises or a mandatory policy is violated, and the stack file does not accept it"
    ),
    ExitCode.STALE: (
        "the plan differs from the one that was reviewed, or the update did something else"
    ),
}


def exit_code(report: Report) -> ExitCode:
    """Return the code for a report."""
    if report.errors:
        return ExitCode.FAILED
    if report.stops:
        return ExitCode.RISK_RAISED
    return ExitCode.CHANGES if report.counts.total else ExitCode.NO_CHANGE
