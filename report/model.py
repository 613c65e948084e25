"""One environment's planned change as plain data, of which every output is made."""

import dataclasses
from typing import Literal, TypeAlias


@dataclasses.dataclass(frozen=True, kw_only=True)
class PropertyChange:
    """A value that differs; ``old`` or ``new`` is None on the side that has no value."""

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
    """A risk that a change raises or lowers.

    ``key`` is the key of the stack file that causes it, and ``line`` the line of that key, None
    where the stack file has no such key. An acceptance names the ``identity``; it contains the new
    value, so an acceptance never covers a later, greater risk. ``accepted`` is the reason for the
    acceptance, empty where there is none.
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
        """Whether it is grave enough to count for the risk of the whole change."""
        return self.severity in {"critical", "major"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Violation:
    """Something in a stack that a rule forbids, whether it is new or old.

    ``identity``, ``key``, ``line`` and ``accepted`` are as in a risk change.
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
        """Whether it blocks a change."""
        return self.mandatory and not self.accepted


@dataclasses.dataclass(frozen=True, kw_only=True)
class SettingError:
    """An error in the stack file: the key, what is wrong with it, and its line if it has one."""

    key: str
    text: str
    line: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobEffect:
    """What happens to running or future jobs; where it is loud, jobs can be lost."""

    loud: bool
    text: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyChange:
    """A key of a runner's config.toml that differs, and what it means for a build."""

    runner: str
    change: PropertyChange
    meaning: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObjectChange:
    """A Kubernetes object that a chart renders differently."""

    operation: Literal["create", "update", "delete"]
    identity: str
    properties: tuple[PropertyChange, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """How many resources are created, updated, deleted and replaced, without components.

    Those to ``keep`` stay in the cluster, and leave only the stack.
    """

    create: int
    update: int
    delete: int
    replace: int
    keep: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.create + self.update + self.delete + self.replace + self.keep

    def __str__(self) -> str:
        """List the counts that are not zero."""
        counts = dataclasses.asdict(self).items()
        return ", ".join(f"{count} to {what}" for what, count in counts if count) or "no changes"


Risk: TypeAlias = Literal["failed", "raised", "accepted", "lowered", "minor", "unchanged"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that outputs say about one environment.

    Two previews with the same ``digest`` plan the same operations. ``base`` is the commit that the
    change is compared with, ``state`` the time of the state; either is empty where it is unknown.
    ``gaps`` lists what was not compared. ``violations`` are those of the whole stack as it will
    be. Where the preview failed, ``errors`` says why and nothing else is reliable. With ``drift``
    the report shows what others changed in the cluster, not a plan, and ``undo`` has the commands
    that revert it.
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
    setting_errors: tuple[SettingError, ...] = ()
    drift: bool = False
    undo: tuple[str, ...] = ()

    @property
    def risk(self) -> Risk:
        """The risk of the whole change, in one word."""
        if self.errors:
            return "failed"
        weighty = [item for item in self.risk_changes if item.weighs]
        raised = [item for item in weighty if item.direction == "raised"]
        if raised:
            return "accepted" if all(item.accepted for item in raised) else "raised"
        if weighty:
            return "lowered"
        return "minor" if self.raises_minor else "unchanged"

    @property
    def raises_minor(self) -> bool:
        """Whether a minor risk rises, which does not count beside greater ones."""
        raised = (item for item in self.risk_changes if item.direction == "raised")
        return any(item.severity == "minor" for item in raised)

    @property
    def accepts(self) -> bool:
        """Whether a risk rises that counts and is accepted."""
        raised = (item for item in self.risk_changes if item.direction == "raised" and item.weighs)
        return any(item.accepted for item in raised)

    @property
    def unaccepted(self) -> tuple[str, ...]:
        """The identities that the stack file must accept before the change may be deployed."""
        raised = (item for item in self.risk_changes if item.direction == "raised" and item.weighs)
        return (
            *(item.identity for item in raised if not item.accepted),
            *(item.identity for item in self.violations if item.stops),
        )

    @property
    def stops(self) -> bool:
        """Whether the change must not be deployed."""
        return not self.errors and bool(self.unaccepted)
