"""What a rule of the check is, and what it finds."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from convert.items import Item
from convert.pipeline.job import PipelineJob
from convert.pipeline.runner import StackRunner
from convert.pipeline.tools import Use, uses

Outcome = Literal["note", "change", "cannot"]
"""The job runs all the same; it runs with a change; it cannot run on this runner."""

PAGE = "docs/reference/pipeline-rules.md"
"""The page that explains each rule."""


class Case(NamedTuple):
    """A job on a runner, among the jobs of its pipeline."""

    job: PipelineJob
    runner: StackRunner
    jobs: Sequence[PipelineJob] = ()

    @property
    def uses(self) -> tuple[Use, ...]:
        """What it does with images."""
        return uses(self.job)

    @property
    def needs_engine(self) -> bool:
        """Whether it calls a Docker engine, or may do so where one stands beside it."""
        called = any(use.need in {"engine", "builder"} for use in self.uses)
        return called or self.job.engine is not None or not self.uses

    @property
    def own_engine_serves(self) -> bool:
        """Whether the engine that the job names as a service runs there."""
        engine, runner = self.job.engine, self.runner
        privileged = runner.plan.service.privileged and not runner.has_engine_over_tls
        return bool(engine and privileged and runner.allows_service(engine.name))


class Edit(NamedTuple):
    """What is to stand in a file in place of ``old``; nothing where the entry is to go.

    ``place`` is the text or the entry that holds it; whether it can be written by itself depends
    on how it stands there.
    """

    place: Item
    old: str
    new: str


def removal(place: Item) -> Edit | None:
    """Return the edit by which an entry goes; of a script, a text that is one command."""
    if place.key < 0 and re.search(r"\n|&&|\|\||; *\w", place.text) and not _LOOP.match(place.text):
        return None
    return Edit(place, place.text, "")


_LOOP = re.compile(r"(while|until) [^;&|\n]+; *do [^;&|\n]+; *done$")


class Match(NamedTuple):
    """What a rule finds: where, what is wrong and why, and what to do."""

    place: Item
    text: str
    do: str
    edit: Edit | None = None
    outcome: Outcome | None = None


Check: TypeAlias = Callable[[Case], Iterator[Match]]


@dataclasses.dataclass
class PipelineRule:
    """A rule, as the decorator of its check, whose docstring says what it looks for and why.

    ``example`` is a job that shows it on a runner with the strategy of the form ``form``.
    """

    name: str
    outcome: Outcome
    remedy: str
    form: str
    example: str
    check: Check = dataclasses.field(init=False)

    def __call__(self, check: Check) -> Check:
        """Check by a function, as its decorator."""
        self.check = check
        RULES.append(self)
        return check

    @property
    def description(self) -> str:
        """What it looks for: the docstring of its check."""
        return " ".join((self.check.__doc__ or "").split())


RULES: list[PipelineRule] = []
"""Every rule, in the order of definition; ``convert.pipeline.rules`` defines them."""
