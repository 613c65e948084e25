"""Runs the checks at the same time, and collects what they find."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from doctor.at_once import at_once
from doctor.catalogue import catalogue
from doctor.diagnosis import WHOLE_STACK, Diagnosis, Fault, NotRun, UnseenError
from doctor.observed import Observed
from doctor.wanted import WantedRunner, WantedStack

_AT_ONCE = 16
_SECONDS = 6.0
"""How long all checks of three runners may take, so that doctor ends within ten seconds."""
_SECONDS_OF_A_RUNNER = 1.0
"""How much longer those of each further runner may take."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Visit:
    """What a check looks at; ``runner`` is None for a check of the whole stack.

    ``repository`` is one that the push logins may write, empty where nobody named one.
    """

    stack: WantedStack
    seen: Observed
    context: str = ""
    repository: str = ""
    runner: WantedRunner | None = None

    @property
    def of(self) -> WantedRunner:
        """The runner of a check that has one."""
        assert self.runner  # noqa: S101 - examine gives it to each check of a runner
        return self.runner


Look = Callable[[Visit], Iterator[Fault | NotRun]]


class Examination(NamedTuple):
    """A function with the names of the checks that it does."""

    look: Look
    names: tuple[str, ...]
    per_runner: bool


def of_stack(*names: str) -> Callable[[Look], Examination]:
    """Declare checks that are done once."""
    return lambda look: Examination(look, names, per_runner=False)


def of_runner(*names: str) -> Callable[[Look], Examination]:
    """Declare checks that are done for each runner."""
    return lambda look: Examination(look, names, per_runner=True)


def not_run(name: str, runner: str, reason: str) -> NotRun:
    """Return a check that did not run, with the reason."""
    return NotRun(catalogue()[name], runner, reason)


ODD = (AttributeError, LookupError, TypeError, ValueError)
"""What a check raises of an answer as no server is known to give it: extensions have their own."""


def odd(error: BaseException) -> str:
    """Say why a check ended early."""
    if isinstance(error, UnseenError):
        return str(error)
    return f"an answer is not understood ({type(error).__name__}: {error})"


def examine(
    examinations: Iterable[Examination],
    visit: Visit,
    done: Sequence[str] = (),
    given: Sequence[Fault | NotRun] = (),
) -> Diagnosis:
    """Do all checks; ``given`` is what others found, who did the checks ``done`` of each runner."""
    runners = visit.stack.runners
    todo = [
        (item, dataclasses.replace(visit, runner=runner))
        for item in examinations
        for runner in (runners.values() if item.per_runner else (None,))
    ]
    seconds = _SECONDS + _SECONDS_OF_A_RUNNER * max(0, len(runners) - 3)
    founds = [list[Fault | NotRun]() for _ in todo]
    looks = [functools.partial(_look, *one, into) for one, into in zip(todo, founds, strict=True)]
    ended = at_once(looks, threads=_AT_ONCE, seconds=seconds)
    late = f"no answer came within {seconds:g} seconds"
    found = [*given]
    for one, into, done_in_time in zip(todo, founds, ended, strict=True):
        known = [*into]
        found += known if done_in_time else [*known, *_missing(*one, known, late)]
    gaps = [item for item in found if isinstance(item, NotRun)]
    missing = {(item.check.name, item.runner) for item in gaps}
    ran: dict[str, set[str]] = {}
    for item, one in todo:
        runner = one.runner.name if one.runner else WHOLE_STACK
        ran.setdefault(runner, set()).update(
            name for name in item.names if (name, runner) not in missing
        )
    for runner in runners:
        ran.setdefault(runner, set()).update(name for name in done if (name, runner) not in missing)
    return Diagnosis(
        stack=visit.stack.name,
        context=visit.context,
        runners=[*runners],
        faults=_in_order([item for item in found if isinstance(item, Fault)]),
        not_run=gaps,
        ran=ran,
    )


def _in_order(faults: list[Fault]) -> list[Fault]:
    """Put errors first, in the order of the catalogue; the same fault counts once."""
    order = [*catalogue()]
    return sorted(
        dict.fromkeys(faults),
        key=lambda item: (item.check.severity, item.runner, order.index(item.check.name)),
    )


def _look(item: Examination, visit: Visit, found: list[Fault | NotRun]) -> bool:
    """Add to a list what is found, so that it counts even where the rest takes too long."""
    try:
        found.extend(item.look(visit))
    except (UnseenError, *ODD) as error:
        found += _missing(item, visit, found, odd(error))
    return True


def _missing(
    item: Examination, visit: Visit, found: list[Fault | NotRun], reason: str
) -> list[NotRun]:
    """Return what did not run; what was found before counts, and the rest is not known."""
    runner = visit.runner.name if visit.runner else WHOLE_STACK
    named = {entry.check.name for entry in found}
    return [not_run(name, runner, reason) for name in item.names if name not in named]
