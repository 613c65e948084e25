"""The rules that every stack is held to, whatever a change does: each looks at one resource.

They are pure, and three use them: the report of a preview (``policies``), the check of a state
without a cluster (``commands.policies``), and the pack that Pulumi runs (``policy/``), whose own
environment has of this project no more than what is imported here.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from report.analysis import facts
from report.analysis.runner_config import RELEASE, parsed
from report.inputs.events import DAEMON, RUNNER
from report.model import Severity
from report.values import (
    SECRET,
    entries,
    flat,
    inside,
)

NAMESPACE = "kubernetes:core/v1:Namespace"
ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
_LEVELS = {"privileged", "baseline", "restricted"}
_PRODUCTION = re.compile(r"(^|[-_.])prod(uction)?($|[-_.])")
# A whole value, and not a word that happens to be somebody's user name too: the engine masks every
# secret of the config wherever its text stands (pulumi: pkg/engine/events.go).
_SECRET = re.compile(rf"(?:(?<![^\s\"'=,])|(?<=://)){re.escape(SECRET)}(?![^\s\"',@])")
# What makes pods, itself or by a controller.
_PODS = {"pods", "replicationcontrollers", "deployments", "replicasets", "statefulsets"} | {
    "daemonsets",
    "jobs",
    "cronjobs",
    "*",
}


class Resource(NamedTuple):
    """A resource as rules see it: Pulumi's type and name, and inputs as ``values.clean`` has them.

    ``components`` are the types of the components that it is in.
    """

    type: str
    name: str
    components: frozenset[str]
    inputs: Mapping[str, Any]


class Finding(NamedTuple):
    """One violation: what it is about, the thing that is wrong there, and both in a sentence."""

    subject: str
    thing: str
    text: str


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
    severity: Severity
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


def _jobs(resource: Resource) -> Mapping[str, Any]:
    """Return the ``[runners.kubernetes]`` of a runner's release; of anything else nothing."""
    if resource.type != RELEASE:
        return inside(None)
    return inside(parsed(inside(resource.inputs, "values")), "kubernetes")


def _things(resource: Resource, kind: str) -> Iterator[tuple[str, str]]:
    """Yield the facts of a kind, of a Kubernetes object or of a runner's jobs."""
    jobs = _jobs(resource)
    found = facts.of_jobs(resource.name, jobs) if jobs else facts.of_object(resource.inputs)
    for (fact, name), things in found:
        if fact == kind:
            yield from ((name, thing) for thing in sorted(things))


def _node_paths(resource: Resource) -> Iterator[Finding]:
    if _jobs(resource):
        for name, path in _things(resource, "hostPath"):
            yield Finding(name, path, f"{name} sees {path} of the node")


def _privileged_services(resource: Resource) -> Iterator[Finding]:
    if facts.of_context(_jobs(resource), "service")["privileged"] is True:
        name = f"each service container of runner {resource.name}"
        yield Finding(name, "privileged", f"{name} is privileged")


def _pod_makers(resource: Resource) -> Iterator[Finding]:
    own = resource.type == ROLE and RUNNER in resource.components and resource.name.endswith("-job")
    if not own:
        return
    for name, right in _things(resource, "right"):
        verb, _, what = right.partition(" ")
        if verb in {"create", "update", "patch", "*"} and what.partition(".")[0] in _PODS:
            yield Finding(name, right, f"jobs may {right} by {name}, and so make any pod there")


def _privileged_builds(resource: Resource) -> Iterator[Finding]:
    own_users = not list(_things(resource, "userNamespace"))
    for name, _ in _things(resource, "privileged"):
        if name.startswith("the build container") and not own_users:
            yield Finding(name, "privileged", f"{name} is privileged")


def _wildcards(resource: Resource) -> Iterator[Finding]:
    for name, right in _things(resource, "right"):
        if "*" in right:
            yield Finding(name, right, f"{name} may {right}")


def _secrets_in_values(resource: Resource) -> Iterator[Finding]:
    if resource.type == RELEASE:
        for path, value in flat(resource.inputs.get("values"), "values").items():
            if _SECRET.search(value):
                name = f"release {resource.name}"
                yield Finding(name, path, f"{path} of {name} holds a secret")


def _unpinned_images(resource: Resource) -> Iterator[Finding]:
    for name, image in _things(resource, "unpinned"):
        yield Finding(name, image, f"{name} runs {image}, which is not pinned")


def _unlabelled(resource: Resource) -> Iterator[Finding]:
    if resource.type == NAMESPACE and _level(resource) not in _LEVELS:
        name = f"namespace {inside(resource.inputs, 'metadata').get('name')}"
        yield Finding(name, facts.ENFORCE, f"{name} has no level in its label {facts.ENFORCE}")


def _unrestricted_managers(resource: Resource) -> Iterator[Finding]:
    others = {RUNNER, DAEMON} & resource.components or resource.name.startswith("target-")
    level = _level(resource)
    if resource.type == NAMESPACE and not others and level != "restricted":
        name = f"namespace {inside(resource.inputs, 'metadata').get('name')}"
        yield Finding(name, level, f"{name}, where managers run, enforces {level}")
    if resource.type == RELEASE:
        name = f"the manager of runner {resource.name}"
        values = inside(resource.inputs, "values")
        context = {**inside(values, "podSecurityContext"), **inside(values, "securityContext")}
        for (kind, _), things in facts.of_container(name, context):
            if list(things):
                yield Finding(name, kind, f"{name} does not fit the level restricted ({kind})")


def _level(resource: Resource) -> str:
    return str(inside(resource.inputs, "metadata", "labels").get(facts.ENFORCE, "none"))


def _without_limits(resource: Resource) -> Iterator[Finding]:
    jobs = _jobs(resource)
    wanted = {"memory_limit": "the build container"} if jobs else {}
    if entries(jobs, "services"):
        wanted["service_memory_limit"] = "each service container"
    for key, container in wanted.items():
        if not jobs.get(key):
            name = f"{container} of runner {resource.name}"
            yield Finding(name, key, f"{name} has no memory limit")


_ANOTHER = "choose a strategy that needs no root on the node: kaniko or buildkit-service"

RULES: tuple[Rule, ...] = (
    Rule(
        name="no-dood-in-prod",
        description="In production, jobs see no path of their node, such as its engine's socket.",
        remediation=_ANOTHER,
        severity="critical",
        production=True,
        check=_node_paths,
    ),
    Rule(
        name="no-dind-in-prod",
        description="In production, no service of a job is privileged, as a Docker engine is.",
        remediation=_ANOTHER,
        severity="critical",
        production=True,
        check=_privileged_services,
    ),
    Rule(
        name="no-buildx-in-prod",
        description="In production, no job may make pods, which could be privileged ones.",
        remediation=_ANOTHER,
        severity="critical",
        production=True,
        check=_pod_makers,
    ),
    Rule(
        name="no-privileged-job-container",
        description="The container of a job is privileged in a user namespace of its own at most.",
        remediation="choose a variant that is not privileged, such as rootless of BuildKit",
        severity="critical",
        check=_privileged_builds,
    ),
    Rule(
        name="no-wildcard-rights",
        description="A Role lists the verbs, resources and API groups that it needs.",
        remediation="list each right that is used in place of the wildcard",
        severity="major",
        check=_wildcards,
    ),
    Rule(
        name="no-secrets-in-values",
        description="No token or password is in a release's values, config.toml included.",
        remediation="give it to GitLab as a masked CI/CD variable, or keep it in a Secret",
        severity="critical",
        check=_secrets_in_values,
        key=("environment",),
    ),
    Rule(
        name="pinned-images",
        description="Every image of a job or a pod has a tag other than latest, or a digest.",
        remediation="name a version or a digest",
        severity="major",
        check=_unpinned_images,
        key=("strategy", "image"),
    ),
    Rule(
        name="pod-security-labels",
        description="Every namespace that the stack makes enforces a Pod Security level.",
        remediation="leave the namespace's labels to the stack, which sets its strategy's level",
        severity="major",
        check=_unlabelled,
    ),
    Rule(
        name="restricted-managers",
        description="Managers run in a namespace that enforces restricted, and fit that level.",
        remediation="leave the managers' namespace and security context to the stack",
        severity="major",
        check=_unrestricted_managers,
    ),
    Rule(
        name="job-memory-limits",
        description=(
            "Each container of a job has a memory limit, so that with concurrent it is known "
            "what jobs can take."
        ),
        remediation="set resources.limits.memory of the runner, and resources.service likewise",
        severity="minor",
        check=_without_limits,
        mandatory=False,
        key=("resources", "limits", "memory"),
    ),
)


def findings(resource: Resource, stack: str) -> Iterator[tuple[Rule, Finding]]:
    """Yield each violation by a resource of a stack, with the rule that it violates."""
    for rule in RULES:
        for finding in rule.findings(resource, stack):
            yield rule, finding
