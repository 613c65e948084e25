"""What doctor found, and what it could not look at."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

from doctor.catalogue import Check, catalogue

WHOLE_STACK = ""
"""The runner of what concerns all of them."""


class Fault(NamedTuple):
    """Something that is wrong, with the way out; ``runner`` is by its name in the stack file."""

    check: Check
    runner: str
    message: str
    way_out: str


class NotRun(NamedTuple):
    """A check that did not run, so nobody knows whether that is right."""

    check: Check
    runner: str
    reason: str


class UnseenError(Exception):
    """What a check asks for cannot be seen; the message says why."""


class NobodyError(UnseenError):
    """Nobody answers at the address of the API server, so it need not be asked again."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The result for a stack; ``ran`` holds the names of checks that ran, by runner."""

    stack: str
    context: str
    runners: Sequence[str]
    faults: Sequence[Fault]
    not_run: Sequence[NotRun]
    ran: dict[str, set[str]]

    def verdict(self, runner: str) -> str:
        """Say in a phrase how a runner is, or what concerns all of them."""
        own = [fault for fault in self.faults if fault.runner == runner]
        missing = sum(item.runner == runner for item in self.not_run)
        found = f"{len(own)} fault{'s' * (len(own) != 1)}" if own else "no fault found"
        checks = len(self.ran.get(runner, ()))
        return f"{found}; {checks} checks ran, {missing} did not"

    def scrubbed(self, scrub: Callable[[str], str]) -> "Diagnosis":
        """Return it without secrets, which the answers of servers may repeat."""
        return dataclasses.replace(
            self,
            faults=[
                item._replace(message=scrub(item.message), way_out=scrub(item.way_out))
                for item in self.faults
            ],
            not_run=[item._replace(reason=scrub(item.reason)) for item in self.not_run],
        )


def fault(check: str, runner: str = WHOLE_STACK, /, **values: object) -> Fault:
    """Return what a check found, with ``values`` in its texts."""
    known = catalogue()[check]
    values = {name: str(value) for name, value in values.items()}
    return Fault(known, runner, known.message.format(**values), known.way_out.format(**values))
