"""What a rule of the policies is, and what it finds."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from report.model import RiskSeverity
from report.tree import Tree

_PRODUCTION = re.compile(r"(^|[-_.])prod(uction)?($|[-_.])")


class Resource(NamedTuple):
    """A resource as rules see it: type and name in Pulumi, and inputs after ``redact.clean``.

    ``components`` are the types of the components that contain it.
    """

    type: str
    name: str
    components: frozenset[str]
    inputs: Tree


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
    ``production`` applies to stacks with ``prod`` or ``production`` in their name, such as
    ``prod-eu``. ``key`` is the key of the stack file that decides it, below the runner.
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

    def findings(self, resource: Resource, stack: str) -> Iterator[Finding]:
        """Yield the violations of a resource; the owner in the name of the stack does not count."""
        if not self.production or _PRODUCTION.search(stack.rpartition("/")[2]):
            yield from self.check(resource)

    def identity(self, finding: Finding) -> str:
        """Return what an acceptance names; it contains the detail, so it covers no other."""
        return f"{self.name}/{finding.subject}/{finding.detail}".replace(" ", "-")


RULES: list[Rule] = []
"""Every rule, in the order of definition."""
