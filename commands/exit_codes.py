"""The exit codes of every command: what a pipeline decides by."""

import enum

from report.model import Report


class ExitCode(enum.IntEnum):
    """What a command found; a usage error is FAILED too, since 2 says that something changes."""

    NO_CHANGE = 0
    FAILED = 1
    CHANGES = 2
    RISK_RAISED = 3
    STALE = 4

    @property
    def meaning(self) -> str:
        """The row of this code in the help and in the docs."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.NO_CHANGE: "nothing changes, nothing has drifted, or no policy is violated",
    ExitCode.FAILED: "the command failed; the message says why and what to do",
    ExitCode.CHANGES: "something changes, or something has drifted",
    ExitCode.RISK_RAISED: (
        "a risk rises or a mandatory policy is violated, and the stack file does not accept it"
    ),
    ExitCode.STALE: "the plan is not the one that was reviewed",
}


def exit_code(report: Report) -> ExitCode:
    """Return the code for a report."""
    if report.errors:
        return ExitCode.FAILED
    if report.stops:
        return ExitCode.RISK_RAISED
    return ExitCode.CHANGES if report.counts.total else ExitCode.NO_CHANGE
