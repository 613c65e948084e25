"""What a stack does beside its runners: to others, to what protects them, and by its addresses."""

import re
from collections.abc import Iterable, Sequence

from components.platforms import keeper
from components.workloads import PATCH_FORCE
from report.analysis.kubernetes import namespace_of, pod_of
from report.analysis.pods.containers import digest
from report.analysis.rule import is_production
from report.analysis.trust.addresses import KEYS, PROVIDERS, addresses, logins
from report.analysis.trust.losses import safeguards
from report.analysis.trust.subjects import Declared, Origin, Placed, RiskFacts, Subject
from report.inputs.events import RELEASE, USER_RUNNER, Step
from report.tree import Tree, flat, identity, inside

_STACK = "the stack"
_KNOWN = ("kubernetes:", "pulumi:", "image-builds:", "StackFile")
# Of a provider, what is judged elsewhere, or how it creates and changes objects of the stack itself
# (pulumi-kubernetes: sdk/python/pulumi_kubernetes/provider.py).
_OF_PROVIDERS = {
    "baseUrl",
    "cluster",
    "clusterIdentifier",
    "context",
    "enableConfigMapMutable",
    "enableSecretMutable",
    "kubeconfig",
    "token",
    "upsertExistingObjects",
    "version",
}
# Of a release, what is judged elsewhere or decides only how long the deployment waits
# (pulumi-kubernetes: sdk/python/pulumi_kubernetes/helm/v3/Release.py).
_OF_RELEASES = {
    "atomic",
    "chart",
    "checksum",
    "cleanupOnFail",
    "compat",
    "description",
    "lint",
    "maxHistory",
    "name",
    "namespace",
    "repositoryOpts",
    "resourceNames",
    "skipAwait",
    "timeout",
    "values",
    "version",
    "waitForJobs",
}
# Of the values for the chart, what is judged elsewhere, or only says how much and how often.
_OF_VALUES = re.compile(
    "|".join(
        re.escape(known) + r"(?![\w-])"
        for known in (
            "values.checkInterval",
            "values.concurrent",
            "values.deploymentAnnotations",
            "values.gitlabUrl",
            "values.livenessProbe",
            "values.logFormat",
            "values.logLevel",
            "values.metrics",
            'values.podAnnotations["image-builds/token-digest"]',
            "values.podDisruptionBudget",
            "values.probeTimeoutSeconds",
            "values.probes",
            "values.readinessProbe",
            "values.replicas",
            "values.resources",
            "values.runners.config",
            "values.terminationGracePeriodSeconds",
        )
    )
)


def add_resources(
    collected: RiskFacts, side: Sequence[Declared], objects: Iterable[Tree], outputs: Tree
) -> None:
    """Add what the resources of a side say as a whole; nothing for a side without any."""
    there = [(step, inputs) for step, inputs, _ in side if not step.is_component]
    if not there:
        return
    resources = [(step.type, inputs) for step, inputs, _ in side]
    for kind, found in addresses(resources, objects, outputs).items():
        collected.add(Subject(kind, _STACK, ""), found, Origin(KEYS[kind], None))
    production = is_production(_stack_of(there), outputs.get("production"))
    policies = {"the policies for production"} if production else ()
    collected.add(Subject("production", _STACK, ""), policies, Origin(("production",), None))
    for step, inputs in there:
        if step.type == RELEASE:
            _add_release(collected, step, inputs)
        elif step.type != USER_RUNNER and not step.type.startswith(_KNOWN):
            subject = Subject("unknown", step.name, "")
            collected.add(subject, {f"the type {step.type}"}, Origin((), None))
    for step, inputs, stays in side:
        if step.type.startswith(PROVIDERS):
            options = {key: inputs[key] for key in inputs.keys() - _OF_PROVIDERS if inputs[key]}
            unknown = {f"{key} (digest {digest(value)})" for key, value in options.items()}
            subject = Subject("unknown", f"the provider {step.name}", "")
            collected.add(subject, unknown, Origin((), None))
        if step.type.startswith("kubernetes:") and step.type != RELEASE:
            subject = Subject("kept", identity(inputs), "")
            kept = {"the stack lets go of it"} if stays else ()
            collected.add(subject, kept, Origin(("targetNamespaces",), None))


def _stack_of(there: Sequence[tuple[Step, Tree]]) -> str:
    """Return the stack's name, which is in the URN of each of its resources."""
    urns = (step.urn.split(":") for step, _ in there)
    return next((urn[2] for urn in urns if urn[:2] == ["urn", "pulumi"]), "")


def _add_release(collected: RiskFacts, step: Step, inputs: Tree) -> None:
    origin, name = Origin(("runners", step.name), step.name), f"runner {step.name}"
    # A runner that the stack did not create in GitLab takes jobs of which nothing is known here.
    collected.add(Subject("openTo", step.name, ""), (), origin)
    values = inside(inputs, "values")
    concurrent, replicas = values.get("concurrent"), values.get("replicas")
    if isinstance(concurrent, int):
        jobs = concurrent * (replicas if isinstance(replicas, int) else 1)
        collected.add(Subject("concurrent", name, ""), {str(jobs)}, origin)
    version, chart = str(inputs.get("version") or ""), Origin(("chart", "version"), None)
    known = {version} if version else ()
    collected.add(Subject("olderChart", f"the chart of {name}", ""), known, chart)
    other = {
        path: value for path, value in flat(values, "values").items() if not _OF_VALUES.match(path)
    }
    given = {f"digest {digest(other)}"} if values else ()
    collected.add(Subject("values", f"the release of {name}", ""), given, origin)
    options = {key: inputs[key] for key in inputs.keys() - _OF_RELEASES if inputs[key]}
    repository = inside(inputs, "repositoryOpts")
    also = {key for key in repository.keys() - {"repo"} if repository[key]}
    unknown = {
        *(f"{key} (digest {digest(value)})" for key, value in options.items()),
        *(f"repositoryOpts.{key}" for key in also),
    }
    collected.add(Subject("unknown", f"the release of {name}", ""), unknown, origin)


def add_objects(collected: RiskFacts, objects: Iterable[Placed]) -> None:
    """Add what objects do to others, and what protects these."""
    placed = list(objects)
    for item, origin, step in placed:
        name, namespace = identity(item), namespace_of(item)
        metadata = inside(item, "metadata")
        annotations = inside(metadata, "annotations")
        overwrites = {
            "by a patch": step.type.endswith("Patch"),
            f"by {PATCH_FORCE}": annotations.get(PATCH_FORCE) == "true",
        }
        forced = {how for how, does in overwrites.items() if does}
        collected.add(Subject("takesOver", name, namespace), forced, origin)
        whose = keeper(namespace) if namespace else None
        if whose:
            content = {key: value for key, value in item.items() if key != "metadata"}
            risk = f"{whose} (digest {digest(content)})"
            collected.add(Subject("systemNamespace", name, namespace), {risk}, origin)
        if (held := logins(item)) and namespace not in collected.namespaces:
            collected.add(Subject("foreignLogin", name, namespace), held, origin)
        # The pods of a new runner come with its release.
        if pod_of(item) is not None and not (step.type == RELEASE and step.old is None):
            where = f"namespace {namespace}" if namespace else "the cluster"
            collected.add(Subject("workload", name, namespace), {where}, origin)
    everywhere = Origin(("namespace",), None)
    for subject, namespace, by in safeguards(item for item, _, _ in placed):
        protected = Subject("safeguard", subject, namespace)
        collected.add(protected, {by} if by else (), everywhere)
