"""The checks of the rules: what a resource violates, by its inputs alone."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from report.analysis.kubernetes import (
    ENFORCE,
    container_risks,
    job_risks,
    object_risks,
    security_context,
)
from report.analysis.risk_kinds import RiskName
from report.analysis.runner_config import parse
from report.inputs.events import DAEMON, RELEASE, RUNNER
from report.redact import SECRET
from report.tree import Tree, entries, flat, inside

NAMESPACE = "kubernetes:core/v1:Namespace"
ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
_LEVELS = {"privileged", "baseline", "restricted"}
# A whole value, not a word that is equal to a user name: the engine masks the text of every secret
# of the config wherever it occurs (pulumi: pkg/engine/events.go).
_SECRET = re.compile(rf"(?:(?<![^\s\"'=,])|(?<=://)){re.escape(SECRET)}(?![^\s\"',@])")
# What creates pods, itself or through a controller.
_PODS = {"pods", "replicationcontrollers", "deployments", "replicasets", "statefulsets"} | {
    "daemonsets",
    "jobs",
    "cronjobs",
    "*",
}


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


def _jobs(resource: Resource) -> Tree:
    """Return the ``[runners.kubernetes]`` of a runner's release, empty for other resources."""
    if resource.type != RELEASE:
        return inside(None)
    return inside(parse(inside(resource.inputs, "values")), "kubernetes")


def _risks(resource: Resource, kind: RiskName) -> Iterator[tuple[str, str]]:
    """Yield the risks of a kind, of a Kubernetes object or of a runner's jobs."""
    jobs = _jobs(resource)
    found = job_risks(resource.name, jobs) if jobs else object_risks(resource.inputs)
    for (found_kind, name), risks in found:
        if found_kind == kind:
            yield from ((name, risk) for risk in sorted(risks))


def find_node_paths(resource: Resource) -> Iterator[Finding]:
    """Find paths of the node in a runner's jobs."""
    if _jobs(resource):
        for name, path in _risks(resource, "hostPath"):
            yield Finding(name, path, f"{name} mounts {path} from the node")


def find_privileged_services(resource: Resource) -> Iterator[Finding]:
    """Find privileged service containers of a runner's jobs."""
    if security_context(_jobs(resource), "service")["privileged"] is True:
        name = f"each service container of runner {resource.name}"
        yield Finding(name, "privileged", f"{name} is privileged")


def find_pod_makers(resource: Resource) -> Iterator[Finding]:
    """Find permissions by which a job can create pods."""
    own = resource.type == ROLE and RUNNER in resource.components and resource.name.endswith("-job")
    if not own:
        return
    for name, permission in _risks(resource, "permission"):
        verb, _, what = permission.partition(" ")
        if verb in {"create", "update", "patch", "*"} and what.partition(".")[0] in _PODS:
            text = f"{name} lets jobs {permission}, and so create any pod there"
            yield Finding(name, permission, text)


def find_privileged_builds(resource: Resource) -> Iterator[Finding]:
    """Find a privileged build container in the node's own user namespace."""
    own_users = not list(_risks(resource, "userNamespace"))
    for name, _ in _risks(resource, "privileged"):
        if name.startswith("the build container") and not own_users:
            yield Finding(name, "privileged", f"{name} is privileged")


def find_wildcards(resource: Resource) -> Iterator[Finding]:
    """Find wildcards in the rules of a Role."""
    for name, permission in _risks(resource, "permission"):
        if "*" in permission:
            yield Finding(name, permission, f"{name} may {permission}")


def find_secrets_in_values(resource: Resource) -> Iterator[Finding]:
    """Find secrets in the values of a release, config.toml included."""
    if resource.type == RELEASE:
        for path, value in flat(resource.inputs.get("values"), "values").items():
            if _SECRET.search(value):
                name = f"release {resource.name}"
                yield Finding(name, path, f"{path} of {name} contains a secret")


def find_unpinned_images(resource: Resource) -> Iterator[Finding]:
    """Find images without a digest whose tag is missing or latest."""
    for name, image in _risks(resource, "unpinned"):
        yield Finding(name, image, f"{name} runs {image}, which is not pinned")


def find_unlabelled_namespace(resource: Resource) -> Iterator[Finding]:
    """Find a namespace without a Pod Security level."""
    if resource.type == NAMESPACE and _level(resource) not in _LEVELS:
        name = f"namespace {inside(resource.inputs, 'metadata').get('name')}"
        yield Finding(name, ENFORCE, f"{name} has no Pod Security level in its label {ENFORCE}")


def find_unrestricted_managers(resource: Resource) -> Iterator[Finding]:
    """Find a managers' namespace, or a manager, that is not restricted."""
    others = {RUNNER, DAEMON} & resource.components or resource.name.startswith("target-")
    level = _level(resource)
    if resource.type == NAMESPACE and not others and level != "restricted":
        name = f"namespace {inside(resource.inputs, 'metadata').get('name')}"
        yield Finding(name, level, f"managers run in {name}, which enforces {level}")
    if resource.type == RELEASE:
        name = f"the manager of runner {resource.name}"
        values = inside(resource.inputs, "values")
        context = {**inside(values, "podSecurityContext"), **inside(values, "securityContext")}
        for (kind, _), risks in container_risks(name, context):
            if list(risks):
                yield Finding(name, kind, f"{name} does not meet the level restricted ({kind})")


def _level(resource: Resource) -> str:
    return str(inside(resource.inputs, "metadata", "labels").get(ENFORCE, "none"))


def find_missing_limits(resource: Resource) -> Iterator[Finding]:
    """Find containers of jobs without a memory limit."""
    jobs = _jobs(resource)
    wanted = {"memory_limit": "the build container"} if jobs else {}
    if entries(jobs, "services"):
        wanted["service_memory_limit"] = "each service container"
    for key, container in wanted.items():
        if not jobs.get(key):
            name = f"{container} of runner {resource.name}"
            yield Finding(name, key, f"{name} has no memory limit")
