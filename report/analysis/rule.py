"""What a rule of the policies is, and what it finds."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from report.model import RiskSeverity
from report.tree import Tree


class Resource(NamedTuple):
    """A resource as rules see it: type and name in Pulumi, and inputs after ``redact.clean``.

    ``components`` are the types of the components that contain it. ``unseen`` has what a release
    installs that a preview does not show; only a preview knows it.
    """

    type: str
    name: str
    components: frozenset[str]
    inputs: Tree
    unseen: tuple[str, ...] = ()


class Finding(NamedTuple):
    """A violation: its subject, what is wrong with it, and both in a sentence."""

    subject: str
    detail: str
    text: str


Check: TypeAlias = Callable[[Resource], Iterator[Finding]]


@dataclasses.dataclass
class Rule:
    """A rule, as the decorator of its check, whose docstring says what the rule demands.

    A violation of a mandatory rule blocks a change unless the stack file accepts it. A rule for
    ``production`` applies to production stacks only. ``key`` is the key of the stack file that
    decides it, below the runner.
    """

    name: str
    severity: RiskSeverity
    remediation: str
    _: dataclasses.KW_ONLY
    mandatory: bool = True
    production: bool = False
    key: tuple[str, ...] = ("strategy",)
    check: Check = dataclasses.field(init=False)

    def __call__(self, check: Check) -> Check:
        """Check by a function, as its decorator."""
        self.check = check
        RULES.append(self)
        return check

    @property
    def description(self) -> str:
        """What the rule demands: the docstring of its check."""
        return " ".join((self.check.__doc__ or "").split())

    def findings(self, resource: Resource, *, production: bool) -> Iterator[Finding]:
        """Yield the violations of a resource, in a production stack or another one."""
        if production or not self.production:
            yield from self.check(resource)

    def identity(self, finding: Finding) -> str:
        """Return what an acceptance names; it contains the detail, so it covers no other."""
        return f"{self.name}/{finding.subject}/{finding.detail}".replace(" ", "-")


def is_production(stack: str, said: object) -> bool:
    """Whether a stack is one of production: as its file says, or else by its name.

    ``said`` is the key ``production``, None where there is none. A name with ``prod`` in it is one
    of production, whatever stands around it: a rule that is checked in vain costs less than one
    that is not checked. The owner before the name does not count.
    """
    return said if isinstance(said, bool) else "prod" in stack.rpartition("/")[2].lower()


RULES: list[Rule] = []
"""Every rule, in the order of definition."""
