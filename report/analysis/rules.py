"""The rules that every stack is held to, whatever a change does: each looks at one resource.

They are pure, and three use them: the report of a preview (``violations``), the check of a state
without a cluster (``commands.policies``), and the pack that Pulumi runs (``policy/``), whose own
environment has of this project no more than what is imported here.
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
    """One rule: what it demands, what to do where it does not hold, and how it is checked.

    A violation of a mandatory one stops a change unless the stack file accepts it. One for
    ``production`` holds in stacks with ``prod`` or ``production`` in their name, such as
    ``prod-eu``. ``key`` is where the stack file decides on it, below the runner.
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
        """Yield each violation by a resource of a stack; the name alone is without its owner."""
        if not self.production or _PRODUCTION.search(stack.rpartition("/")[2]):
            yield from self.check(resource)

    def identity(self, finding: Finding) -> str:
        """Return what an acceptance names; with the thing, so that it stretches to no other."""
        return f"{self.name}/{finding.subject}/{finding.thing}".replace(" ", "-")


_ANOTHER = "choose a strategy that needs no root on the node: kaniko or buildkit-service"

RULES: tuple[Rule, ...] = (
    Rule(
        name="no-dood-in-prod",
        description="In production, jobs see no path of their node, such as its engine's socket.",
        remediation=_ANOTHER,
        severity="critical",
        production=True,
        check=checks.find_node_paths,
    ),
    Rule(
        name="no-dind-in-prod",
        description="In production, no service of a job is privileged, as a Docker engine is.",
        remediation=_ANOTHER,
        severity="critical",
        production=True,
        check=checks.find_privileged_services,
    ),
    Rule(
        name="no-buildx-in-prod",
        description="In production, no job may make pods, which could be privileged ones.",
        remediation=_ANOTHER,
        severity="critical",
        production=True,
        check=checks.find_pod_makers,
    ),
    Rule(
        name="no-privileged-job-container",
        description="The container of a job is privileged in a user namespace of its own at most.",
        remediation="choose a variant that is not privileged, such as rootless of BuildKit",
        severity="critical",
        check=checks.find_privileged_builds,
    ),
    Rule(
        name="no-wildcard-rights",
        description="A Role lists the verbs, resources and API groups that it needs.",
        remediation="list each right that is used in place of the wildcard",
        severity="major",
        check=checks.find_wildcards,
    ),
    Rule(
        name="no-secrets-in-values",
        description="No token or password is in a release's values, config.toml included.",
        remediation="give it to GitLab as a masked CI/CD variable, or keep it in a Secret",
        severity="critical",
        check=checks.find_secrets_in_values,
        key=("environment",),
    ),
    Rule(
        name="pinned-images",
        description="Every image of a job or a pod has a tag other than latest, or a digest.",
        remediation="name a version or a digest",
        severity="major",
        check=checks.find_unpinned_images,
        key=("strategy", "image"),
    ),
    Rule(
        name="pod-security-labels",
        description="Every namespace that the stack makes enforces a Pod Security level.",
        remediation="leave the namespace's labels to the stack, which sets its strategy's level",
        severity="major",
        check=checks.find_unlabelled_namespace,
    ),
    Rule(
        name="restricted-managers",
        description="Managers run in a namespace that enforces restricted, and fit that level.",
        remediation="leave the managers' namespace and security context to the stack",
        severity="major",
        check=checks.find_unrestricted_managers,
    ),
    Rule(
        name="job-memory-limits",
        description=(
            "Each container of a job has a memory limit, so that with concurrent it is known "
            "what jobs can take."
        ),
        remediation="set resources.limits.memory of the runner, and resources.service likewise",
        severity="minor",
        check=checks.find_missing_limits,
        mandatory=False,
        key=("resources", "limits", "memory"),
    ),
)


def findings(resource: Resource, stack: str) -> Iterator[tuple[Rule, Finding]]:
    """Yield each violation by a resource of a stack, with the rule that it violates."""
    for rule in RULES:
        for finding in rule.findings(resource, stack):
            yield rule, finding
