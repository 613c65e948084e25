"""One environment's planned change as plain data, of which every output is made."""

import dataclasses
from typing import Literal, TypeAlias


@dataclasses.dataclass(frozen=True, kw_only=True)
class PropertyChange:
    """One value that differs; ``old`` is None where there was none, ``new`` where none will be."""

    path: str
    old: str | None
    new: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceChange:
    """What the engine will do to one resource, with its operation's name."""

    operation: str
    type: str
    name: str
    urn: str
    properties: tuple[PropertyChange, ...]


RiskSeverity: TypeAlias = Literal["critical", "major", "minor", "info"]
Direction: TypeAlias = Literal["raised", "lowered"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RiskChange:
    """One thing that becomes more or less dangerous.

    ``key`` is the path of the stack file that caused it and ``line`` its line there, or None
    where the stack file does not say it. ``identity`` is what an acceptance names; it holds the
    new value, so that an acceptance does not stretch to a later, greater risk. ``accepted`` says
    why it is accepted, and is empty if it is not.
    """

    identity: str
    direction: Direction
    severity: RiskSeverity
    what: str
    reason: str
    key: str
    line: int | None
    accepted: str

    @property
    def weighs(self) -> bool:
        """Whether it is grave enough to decide on the risk of the whole change."""
        return self.severity in {"critical", "major"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Violation:
    """One thing in a stack that a rule does not allow, be it new or old.

    ``identity`` is what an acceptance names; ``key``, ``line`` and ``accepted`` are
    as in a item.
    """

    rule: str
    mandatory: bool
    severity: RiskSeverity
    identity: str
    what: str
    remediation: str
    key: str
    line: int | None
    accepted: str

    @property
    def stops(self) -> bool:
        """Whether it keeps a change from being let through."""
        return self.mandatory and not self.accepted


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake in the stack file: the key, what is wrong with it, and its line if it has one."""

    key: str
    text: str
    line: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobEffect:
    """What happens to running or future jobs; a loud one can lose something."""

    loud: bool
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyChange:
    """One key of a runner's config.toml that differs, and what it means for a build."""

    runner: str
    change: PropertyChange
    meaning: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectChange:
    """One object that a chart renders differently."""

    operation: Literal["create", "update", "delete"]
    identity: str
    properties: tuple[PropertyChange, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """How many resources are created, updated, deleted and replaced; components do not count."""

    create: int
    update: int
    delete: int
    replace: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.create + self.update + self.delete + self.replace

    def __str__(self) -> str:
        """Say the ones that are not zero."""
        words = (
            (self.create, "to create"),
            (self.update, "to update"),
            (self.delete, "to delete"),
            (self.replace, "to replace"),
        )
        return ", ".join(f"{count} {word}" for count, word in words if count) or "no changes"


Risk: TypeAlias = Literal["failed", "raised", "accepted", "lowered", "unchanged"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that is told of one environment.

    ``digest`` is of the planned operations: two previews with the same one do the same.
    ``base`` is the commit that the change is compared with, and ``state`` tells states apart;
    either is empty where it is not known. ``gaps`` are the things that could not be looked at, and
    ``violations`` are of the stack as it will be, not only of what changes.
    ``errors`` are not empty if the preview failed; nothing else is reliable then. ``drift`` says
    that it tells what others changed in the cluster, in place of what is planned, and ``undo``
    has the commands that take that back.
    """

    environment: str
    stack_file: str
    base: str
    state: str
    digest: str
    counts: Counts
    risk_changes: tuple[RiskChange, ...]
    resources: tuple[ResourceChange, ...]
    keys: tuple[KeyChange, ...]
    objects: tuple[ObjectChange, ...]
    gaps: tuple[str, ...]
    errors: tuple[str, ...]
    sentences: tuple[str, ...] = ()
    effects: tuple[JobEffect, ...] = ()
    violations: tuple[Violation, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
    drift: bool = False
    undo: tuple[str, ...] = ()

    @property
    def risk(self) -> Risk:
        """The one word that the heading has."""
        if self.errors:
            return "failed"
        weighty = [item for item in self.risk_changes if item.weighs]
        raised = [item for item in weighty if item.direction == "raised"]
        if raised:
            return "accepted" if all(item.accepted for item in raised) else "raised"
        return "lowered" if weighty else "unchanged"

    @property
    def unaccepted(self) -> tuple[str, ...]:
        """What somebody has to accept in writing before it is let through, by identity."""
        raised = (item for item in self.risk_changes if item.direction == "raised" and item.weighs)
        return (
            *(item.identity for item in raised if not item.accepted),
            *(item.identity for item in self.violations if item.stops),
        )

    @property
    def stops(self) -> bool:
        """Whether it may not be let through."""
        return not self.errors and bool(self.unaccepted)
