"""What becomes of each job that handles images: on which runner it lands, and how it runs there."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.strategies import STRATEGIES
from components.strategies.shared import FALLBACK
from convert.items import Item, Problem, SourceError
from convert.pipeline.edits import Change, change
from convert.pipeline.includes import Files, Resolve, checkout
from convert.pipeline.job import PipelineJob
from convert.pipeline.jobs import Jobs
from convert.pipeline.rule import PAGE, Case, Outcome
from convert.pipeline.rules import RULES
from convert.pipeline.runner import StackRunner
from convert.pipeline.tools import handles_images, only_builds

_ORDER: Sequence[Outcome] = ("note", "change", "cannot")
_DEFAULT_TAG = Item("K8s-Runner", "", 0)
"""The tag of a job whose include names none, as in ``templates/``."""
VERDICTS = {"note": "unchanged", "change": "change", "cannot": "cannot"}
"""What becomes of a job, by the worst that is found."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobFinding:
    """What a rule found in a job; ``change`` is the text to write, where it is known."""

    rule: str
    outcome: Outcome
    file: str
    line: int
    text: str
    do: str
    change: Change | None = None

    @property
    def page(self) -> str:
        """Where the rule is explained."""
        return f"{PAGE}#{self.rule}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobVerdict:
    """What becomes of a job.

    ``runner`` is the one that takes it, or would with its tag. ``elsewhere`` is a runner of the
    stack that runs it with less change. ``suits`` is the least privileged strategy that can run it,
    and ``suits_as`` how: unchanged, or with a change.
    """

    job: str
    file: str
    line: int
    runner: str
    strategy: str
    outcome: Outcome
    findings: tuple[JobFinding, ...]
    elsewhere: str
    suits: str
    suits_as: str

    @property
    def verdict(self) -> str:
        """The outcome in a word."""
        return VERDICTS[self.outcome]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What becomes of the jobs of a checkout; ``others`` is how many handle no images."""

    root: Path
    verdicts: tuple[JobVerdict, ...]
    problems: tuple[Problem, ...]
    others: int

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs have each verdict."""
        found = [verdict.verdict for verdict in self.verdicts]
        return {name: found.count(name) for name in VERDICTS.values()}

    @property
    def failed(self) -> bool:
        """Whether a file could not be read."""
        return any(problem.fatal for problem in self.problems)


def check(
    paths: Sequence[Path],
    runners: Sequence[StackRunner],
    candidates: Sequence[StackRunner],
    *,
    merged: bool = False,
    resolve: Resolve | None = None,
) -> Result:
    """Return what becomes of the jobs of files of one checkout, child pipelines included.

    ``runners`` are those of the stack, and ``candidates`` all strategies, both from the least
    privileged on. In ``merged`` files includes are in place; otherwise ``resolve`` brings those
    that are not local.
    """
    root = checkout(paths[0])
    verdicts: list[JobVerdict] = []
    problems: list[Problem] = []
    others = 0
    queue = list(dict.fromkeys(path.resolve() for path in paths))
    for path in queue:
        files = Files(root, merged=merged, resolve=resolve)
        try:
            jobs = Jobs(files, files.pipeline(path))
        except SourceError as error:
            name = files.name(path)
            problems.append(Problem(file=name, line=error.line, text=error.text, fatal=True))
            continue
        found = [*jobs, *_templates(files)]
        handling = [job for job in found if handles_images(job)]
        others += len(found) - len(handling)
        judge = _Judge(files, found, runners, candidates)
        verdicts += map(judge.verdict, handling)
        queue += [child for child in dict.fromkeys(jobs.children()) if child not in queue]
        problems += files.problems
    return Result(root=root, verdicts=tuple(verdicts), problems=tuple(problems), others=others)


class _Judge:
    """Judges the jobs of one pipeline."""

    def __init__(
        self,
        files: Files,
        jobs: Sequence[PipelineJob],
        runners: Sequence[StackRunner],
        candidates: Sequence[StackRunner],
    ) -> None:
        self._files = files
        self._jobs = jobs
        self._runners = runners
        self._candidates = candidates

    def verdict(self, job: PipelineJob) -> JobVerdict:
        """Return what becomes of a job."""
        runner = self._landing(job)
        findings = tuple(self._findings(job, runner))
        outcome = _worst(findings)
        suits, suits_as = self._suiting(job)
        return JobVerdict(
            job=job.name,
            file=job.place.file,
            line=job.line,
            runner=runner.name,
            strategy=runner.strategy,
            outcome=outcome,
            findings=findings,
            elsewhere=self._elsewhere(job, runner, outcome),
            suits=suits,
            suits_as=suits_as,
        )

    def _landing(self, job: PipelineJob) -> StackRunner:
        """Return the runner that takes a job; of several the one on which the most is to change.

        Where none takes it, it is the one on which the least is to change.
        """
        taking = [runner for runner in self._runners if runner.takes(job)]
        choose = max if taking else min
        return choose(taking or self._runners, key=lambda runner: self._weight(job, runner))

    def _weight(self, job: PipelineJob, runner: StackRunner) -> int:
        findings = [item for item in self._findings(job, runner) if item.rule != "tags"]
        return _ORDER.index(_worst(findings))

    def _findings(self, job: PipelineJob, runner: StackRunner) -> Iterator[JobFinding]:
        case = Case(job, runner, self._jobs)
        for rule in RULES:
            for found in rule.check(case):
                yield JobFinding(
                    rule=rule.name,
                    outcome=found.outcome or rule.outcome,
                    file=found.place.file,
                    line=found.place.line,
                    text=found.text,
                    do=found.do,
                    change=change(found.edit, self._files.texts) if found.edit else None,
                )

    def _elsewhere(self, job: PipelineJob, landed: StackRunner, outcome: Outcome) -> str:
        """Return the runner of the stack on which a job has the least to change, if less."""
        if outcome == "note":
            return ""
        weights = {
            runner.name: self._weight(job, runner)
            for runner in self._runners
            if runner is not landed
        }
        least = min(weights, key=weights.__getitem__, default="")
        return least if least and weights[least] < _ORDER.index(outcome) else ""

    def _suiting(self, job: PipelineJob) -> tuple[str, str]:
        """Return the least privileged strategy that can run a job, and how."""
        for candidate in self._candidates:
            outcome = _ORDER[self._weight(job, candidate)]
            if outcome == "cannot" and only_builds(job) and not candidate.has_engine:
                outcome = "change"
                how = "by its template"
            else:
                how = "unchanged" if outcome == "note" else "with a change"
            if outcome != "cannot":
                refused = f"; this stack cannot have it: it {candidate.refused}"
                return candidate.strategy, how + (refused if candidate.refused else "")
        return "", ""


def _worst(findings: Sequence[JobFinding]) -> Outcome:
    found: list[Outcome] = ["note", *(item.outcome for item in findings)]
    return max(found, key=_ORDER.index)


def _templates(files: Files) -> Iterator[PipelineJob]:
    """Yield the job of each template of this project that is included."""
    for component in files.components:
        name = component.name
        given = {key: item.text for key, item in component.inputs.items()}
        kind = given.get("strategy", FALLBACK) if name == "build-image" else name
        tags = component.inputs.get("tags", Item((_DEFAULT_TAG,), "", 0))
        if kind in STRATEGIES:
            yield PipelineJob(
                name=given.get("job", name),
                place=component.place,
                tags=tuple(tags.items),
                template=kind,
            )
