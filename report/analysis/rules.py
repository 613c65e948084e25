"""The rules for every stack, each of which checks one resource by its inputs alone.

They apply to the whole stack, not only to what changes. The report of a preview (``violations``),
the check of a state (``commands.policies``) and the policy pack (``policy/``) use them. The
environment of the pack has only the packages that are imported here.
"""

import re
from collections.abc import Iterator

from components.network.addresses import METADATA_NAME
from components.workloads import LEVEL, creates_pods
from report.analysis.kubernetes import ENFORCE, object_risks, objects_of
from report.analysis.pods.containers import container_risks
from report.analysis.pods.job import job_risks, own_service
from report.analysis.risk_kind import RiskName
from report.analysis.rule import RULES, Finding, Resource, Rule
from report.analysis.runner_config import parse
from report.analysis.trust.identity import find_identities as find_identities  # noqa: PLC0414 - it adds its rule
from report.inputs.events import DAEMON, RELEASE, RUNNER
from report.redact import SECRET
from report.tree import Tree, entries, flat, identity, inside

NAMESPACE = "kubernetes:core/v1:Namespace"
ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
_LEVELS = {"privileged", "baseline", "restricted"}
_NOT_OF_A_LEVEL = {"nodeProfile", "writableRoot"}
"""Risks of a container that no Pod Security level is about."""
# A whole value, not a word that is equal to a user name: the engine masks the text of every secret
# of the config wherever it occurs (pulumi: pkg/engine/events.go).
_SECRET = re.compile(rf"(?:(?<![^\s\"'=,])|(?<=://)){re.escape(SECRET)}(?![^\s\"',@])")
_ANOTHER = "use a strategy that needs no root on the node; the command explain lists them"


def _entry(resource: Resource) -> Tree:
    """Return the ``[[runners]]`` entry of a runner's release, empty for other resources."""
    if resource.type != RELEASE:
        return inside(None)
    return parse(inside(resource.inputs, "values"))


def _jobs(resource: Resource) -> Tree:
    return inside(_entry(resource), "kubernetes")


def _risks(resource: Resource, kind: RiskName) -> Iterator[tuple[str, str]]:
    """Yield each risk of a kind, of a Kubernetes object or of a runner's jobs, once."""
    found = (
        job_risks(resource.name, _entry(resource))
        if _jobs(resource)
        else (risks for item in objects_of(resource.inputs) for risks in object_risks(item))
    )
    risks = {(name, risk) for (known, name), risks in found if known == kind for risk in risks}
    yield from sorted(risks)


def _level(resource: Resource) -> str:
    return str(inside(resource.inputs, "metadata", "labels").get(ENFORCE, "none"))


@Rule("no-dood-in-prod", "critical", _ANOTHER, production=True)
def find_node_paths(resource: Resource) -> Iterator[Finding]:
    """In production, jobs mount no path of the node, such as a Docker socket."""
    if _jobs(resource):
        for name, path in _risks(resource, "hostPath"):
            yield Finding(name, path, f"{name} mounts {path} from the node")


@Rule("no-dind-in-prod", "critical", _ANOTHER, production=True)
def find_privileged_services(resource: Resource) -> Iterator[Finding]:
    """In production, no service of a job is privileged, as a Docker daemon is."""
    services = ("the service ", "a service ")
    if any(name.startswith(services) for name, _ in _risks(resource, "privileged")):
        name = f"each service container of runner {resource.name}"
        yield Finding(name, "privileged", f"{name} is privileged")


@Rule(
    "no-buildx-in-prod",
    "critical",
    "use a strategy that needs no root on the node, and deploy to target namespaces that the "
    "stack creates; accept it where the owner of the namespace enforces a level",
    production=True,
)
def find_pod_makers(resource: Resource) -> Iterator[Finding]:
    """In production, no job may create pods where no Pod Security level is known to hold,
    since they could be privileged.
    """  # noqa: D205 - one sentence
    own = resource.type == ROLE and RUNNER in resource.components
    level = inside(resource.inputs, "metadata", "annotations").get(LEVEL)
    if not own or resource.name.endswith("-manager") or level in {"baseline", "restricted"}:
        return
    for name, permission in _risks(resource, "permission"):
        verb, _, what = permission.partition(" ")
        if creates_pods(verb, re.split("[. ]", what)[0]):
            text = f"{name} lets jobs {permission}, and so create any pod there"
            yield Finding(name, permission, text)


@Rule(
    "no-shared-daemon-in-prod",
    "major",
    "remove daemonOf, so that each runner has its own daemon",
    production=True,
)
def find_shared_daemons(resource: Resource) -> Iterator[Finding]:
    """In production, no two runners build in one daemon, where builds that run at the same time
    can read each other's secrets and change each other's images.
    """  # noqa: D205 - one sentence
    of_a_namespace = "ingress from namespace "
    jobs = [
        risk.split()[3] for _, risk in _risks(resource, "reach") if risk.startswith(of_a_namespace)
    ]
    if DAEMON in resource.components and len(jobs) > 1:
        name = identity(resource.inputs)
        text = f"{name} lets jobs of {' and '.join(jobs)} build in one daemon"
        yield Finding(name, " ".join(jobs), f"{text}, where they can read each other's secrets")


@Rule(
    "no-metadata-in-prod",
    "major",
    "remove network.egress.metadata; accept it where jobs need the identity of their node",
    production=True,
    key=(),
)
def find_open_metadata(resource: Resource) -> Iterator[Finding]:
    """In production, no network policy lets pods reach the metadata service of a cloud, which gives
    them the permissions of their node.
    """  # noqa: D205 - one sentence
    for name, risk in _risks(resource, "reach"):
        if risk == f"egress to {METADATA_NAME}":
            yield Finding(name, "metadata", f"{name} allows {risk}")


@Rule("no-privileged-job-container", "critical", "use a variant that is not privileged")
def find_privileged_builds(resource: Resource) -> Iterator[Finding]:
    """A job's container may be privileged only inside its own user namespace."""
    own_users = not list(_risks(resource, "userNamespace"))
    for name, _ in _risks(resource, "privileged"):
        if name.startswith(("the build container", "the helper")) and not own_users:
            yield Finding(name, "privileged", f"{name} is privileged")


@Rule("no-wildcard-permissions", "major", "list each permission in place of the wildcard")
def find_wildcards(resource: Resource) -> Iterator[Finding]:
    """A Role lists verbs, resources and API groups, without wildcards."""
    for name, permission in _risks(resource, "permission"):
        if "*" in permission:
            yield Finding(name, permission, f"{name} may {permission}")


@Rule(
    "no-secrets-in-values",
    "critical",
    "store it in GitLab as a masked CI/CD variable, or in a Secret",
    key=("environment",),
)
def find_secrets_in_values(resource: Resource) -> Iterator[Finding]:
    """The values of a release, config.toml included, contain no token or password."""
    if resource.type == RELEASE:
        for path, value in flat(resource.inputs.get("values"), "values").items():
            if _SECRET.search(value):
                name = f"release {resource.name}"
                yield Finding(name, path, f"{path} of {name} contains a secret")


@Rule(
    "predictable-charts",
    "critical",
    "let reports find helm and the chart, and use a chart whose templates need only values",
    production=True,
    key=(),
)
def find_unseen_charts(resource: Resource) -> Iterator[Finding]:
    """In production, a preview shows all that a chart installs."""
    name = f"release {resource.name}"
    for what in resource.unseen:
        yield Finding(name, what, f"{name} installs what no preview shows: {what}")


@Rule("pinned-images", "major", "set a version or a digest", key=("strategy", "image"))
def find_unpinned_images(resource: Resource) -> Iterator[Finding]:
    """Every image of a job or a pod has a digest, or a tag other than latest."""
    for name, image in _risks(resource, "unpinned"):
        yield Finding(name, image, f"{name} runs {image}, which is not pinned")


@Rule(
    "pod-security-labels",
    "major",
    "leave the labels to the stack, which sets the level of the strategy",
)
def find_unlabelled_namespace(resource: Resource) -> Iterator[Finding]:
    """Every namespace of the stack enforces a Pod Security level."""
    if resource.type == NAMESPACE and _level(resource) not in _LEVELS:
        name = f"namespace {inside(resource.inputs, 'metadata').get('name')}"
        yield Finding(name, ENFORCE, f"{name} has no Pod Security level in its label {ENFORCE}")


@Rule(
    "restricted-managers",
    "major",
    "leave the managers' namespace and security context to the stack",
)
def find_unrestricted_managers(resource: Resource) -> Iterator[Finding]:
    """Managers run in a namespace that enforces restricted, and meet that level."""
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
            if list(risks) and kind not in _NOT_OF_A_LEVEL:
                yield Finding(name, kind, f"{name} does not meet the level restricted ({kind})")


@Rule(
    "job-memory-limits",
    "minor",
    "set resources.limits.memory of the runner, and of resources.service",
    mandatory=False,
    key=("resources", "limits", "memory"),
)
def find_missing_limits(resource: Resource) -> Iterator[Finding]:
    """Every container of a job has a memory limit, or its pod has one for all of them."""
    jobs = _jobs(resource)
    wanted = {"memory_limit": "the build container"} if jobs else {}
    # Where builds have none, all that the stack file lacks is theirs.
    limited = bool(jobs.get("memory_limit"))
    if limited:
        wanted["helper_memory_limit"] = "the helper"
    if entries(jobs, "services") or (limited and own_service(jobs)):
        wanted["service_memory_limit"] = "each service container"
    for key, container in wanted.items():
        if not (jobs.get(key) or jobs.get("pod_memory_limit")):
            name = f"{container} of runner {resource.name}"
            yield Finding(name, key, f"{name} has no memory limit")


def findings(resource: Resource, *, production: bool) -> Iterator[tuple[Rule, Finding]]:
    """Yield the violations of a resource, each with its rule."""
    for rule in RULES:
        for finding in rule.findings(resource, production=production):
            yield rule, finding
