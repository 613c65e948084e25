"""The rules for every stack, each of which checks one resource.

They apply to the whole stack, not only to what changes. The report of a preview (``violations``),
the check of a state (``commands.policies``) and the policy pack (``policy/``) use them. The
environment of the pack has only the packages that are imported here.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator

from report.analysis import checks
from report.analysis.checks import Finding, Resource
from report.model import RiskSeverity

_PRODUCTION = re.compile(r"(^|[-_.])prod(uction)?($|[-_.])")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule: what it demands, what to do about a violation, and how it is checked.

    A violation of a mandatory rule blocks a change unless the stack file accepts it. A rule for
    ``production`` applies to stacks with ``prod`` or ``production`` in their name, such as
    ``prod-eu``. ``key`` is the key of the stack file that decides it, below the runner.
    """

    name: str
    description: str
    remediation: str
    severity: RiskSeverity
    check: Callable[[Resource], Iterator[Finding]]
    mandatory: bool = True
    production: bool = False
    key: tuple[str, ...] = ("strategy",)

    def findings(self, resource: Resource, stack: str) -> Iterator[Finding]:
        """Yield the violations of a resource; the owner in the name of the stack does not count."""
        if not self.production or _PRODUCTION.search(stack.rpartition("/")[2]):
            yield from self.check(resource)

    def identity(self, finding: Finding) -> str:
        """Return what an acceptance names; it contains the detail, so it covers no other."""
        return f"{self.name}/{finding.subject}/{finding.detail}".replace(" ", "-")


_ANOTHER = "use a strategy that needs no root on the node; the command explain lists them"

RULES: tuple[Rule, ...] = (
    Rule(
        name="no-dood-in-prod",
        description="In production, jobs mount no path of the node, such as a Docker socket.",
        remediation=_ANOTHER,
        severity="critical",
        production=True,
        check=checks.find_node_paths,
    ),
    Rule(
        name="no-dind-in-prod",
        description="In production, no service of a job is privileged, as a Docker daemon is.",
        remediation=_ANOTHER,
        severity="critical",
        production=True,
        check=checks.find_privileged_services,
    ),
    Rule(
        name="no-buildx-in-prod",
        description="In production, no job may create pods, since they could be privileged.",
        remediation=_ANOTHER,
        severity="critical",
        production=True,
        check=checks.find_pod_makers,
    ),
    Rule(
        name="no-privileged-job-container",
        description="A job's container may be privileged only inside its own user namespace.",
        remediation="use a variant that is not privileged",
        severity="critical",
        check=checks.find_privileged_builds,
    ),
    Rule(
        name="no-wildcard-permissions",
        description="A Role lists verbs, resources and API groups, without wildcards.",
        remediation="list each permission in place of the wildcard",
        severity="major",
        check=checks.find_wildcards,
    ),
    Rule(
        name="no-secrets-in-values",
        description="The values of a release, config.toml included, contain no token or password.",
        remediation="store it in GitLab as a masked CI/CD variable, or in a Secret",
        severity="critical",
        check=checks.find_secrets_in_values,
        key=("environment",),
    ),
    Rule(
        name="pinned-images",
        description="Every image of a job or a pod has a digest, or a tag other than latest.",
        remediation="set a version or a digest",
        severity="major",
        check=checks.find_unpinned_images,
        key=("strategy", "image"),
    ),
    Rule(
        name="pod-security-labels",
        description="Every namespace of the stack enforces a Pod Security level.",
        remediation="leave the labels to the stack, which sets the level of the strategy",
        severity="major",
        check=checks.find_unlabelled_namespace,
    ),
    Rule(
        name="restricted-managers",
        description="Managers run in a namespace that enforces restricted, and meet that level.",
        remediation="leave the managers' namespace and security context to the stack",
        severity="major",
        check=checks.find_unrestricted_managers,
    ),
    Rule(
        name="job-memory-limits",
        description=(
            "Every container of a job has a memory limit, so that concurrent bounds the memory of "
            "all jobs."
        ),
        remediation="set resources.limits.memory of the runner, and of resources.service",
        severity="minor",
        check=checks.find_missing_limits,
        mandatory=False,
        key=("resources", "limits", "memory"),
    ),
)


def findings(resource: Resource, stack: str) -> Iterator[tuple[Rule, Finding]]:
    """Yield the violations of a resource, each with its rule."""
    for rule in RULES:
        for finding in rule.findings(resource, stack):
            yield rule, finding
