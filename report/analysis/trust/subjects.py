"""The facts of one side of a change: who or what has which risks, and what they follow from."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from report.analysis.risk_kind import RiskName
from report.inputs.events import Step
from report.tree import Tree


class Subject(NamedTuple):
    """What has risks of one kind, and its namespace; none if it reaches beyond one."""

    kind: RiskName
    name: str
    namespace: str


class Origin(NamedTuple):
    """What a subject follows from: a key of the stack file, and the runner if it is of one."""

    key: tuple[str, ...]
    runner: str | None


class Declared(NamedTuple):
    """A resource on one side, and whether it stays when the stack lets go of it."""

    step: Step
    inputs: Tree
    stays: bool


class Placed(NamedTuple):
    """A Kubernetes object, what it follows from, and the step that it comes with."""

    item: Tree
    origin: Origin
    step: Step


class RiskFacts:
    """One side of a change: the risks of each subject, and the namespaces that the stack has.

    ``made`` are those that the change itself creates. ``limited`` has the directions that network
    policies of all pods of a namespace limit, and ``allowed`` what these let through.
    """

    def __init__(self) -> None:
        self.risks: dict[Subject, frozenset[str]] = {}
        self.origins: dict[Subject, Origin] = {}
        self.namespaces: set[str] = set()
        self.made: set[str] = set()
        self.limited: dict[str, set[str]] = defaultdict(set)
        self.allowed: dict[str, set[str]] = defaultdict(set)

    def add(self, subject: Subject, risks: Iterable[str], origin: Origin) -> None:
        """Add risks of one subject."""
        self.risks[subject] = self.risks.get(subject, frozenset()) | frozenset(risks)
        self.origins[subject] = origin
