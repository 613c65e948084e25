"""What a stack does beside its runners: to others, to what protects them, and by its addresses."""

import re
from collections.abc import Iterable, Iterator, Sequence

from components.platforms import keeper
from components.workloads import PATCH_FORCE
from report.analysis.kubernetes import namespace_of, pod_of
from report.analysis.pods.containers import digest
from report.analysis.rule import is_production
from report.analysis.trust.addresses import KEYS, PROVIDERS, addresses, logins
from report.analysis.trust.losses import safeguards
from report.analysis.trust.releases import chart_risks, release_risks
from report.analysis.trust.subjects import Declared, Origin, Placed, RiskFacts, Subject
from report.inputs.events import RELEASE, USER_RUNNER, Step
from report.redact import SECRET, UNKNOWN
from report.tree import Tree, differences, identity, inside, texts

_STACK = "the stack"
_KNOWN = ("kubernetes:", "pulumi:", "image-builds:", "StackFile")
_PLAIN = {"ConfigMap", "PersistentVolumeClaim", "Secret", "ServiceAccount"}
"""What only holds something, or names somebody."""
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
    registered = {step.name for step, _ in there if step.type == USER_RUNNER}
    runners = inside(outputs, "runners")
    for name in runners.keys() - registered:
        tags = Subject("tag", f"runner {name}", "")
        origin = Origin(("runners", name, "tags"), name)
        collected.add(tags, texts(inside(runners, name), "tags"), origin)
    for step, inputs in there:
        if step.type == RELEASE:
            _add_release(collected, step, inputs, registered)
        elif step.type != USER_RUNNER and not step.type.startswith(_KNOWN):
            subject = Subject("unknown", step.name, "")
            collected.add(subject, {f"the type {step.type}"}, Origin((), None))
            others = Subject("otherInputs", step.name, "")
            collected.add(others, {f"digest {digest(inputs)}"}, Origin((), None))
    for step, inputs, stays in side:
        if step.type.startswith(PROVIDERS):
            _add_provider(collected, step, inputs)
        if step.type.startswith("kubernetes:") and step.type != RELEASE:
            subject = Subject("kept", identity(inputs), "")
            kept = {"the stack lets go of it"} if stays else ()
            collected.add(subject, kept, Origin(("targetNamespaces",), None))
    held = Subject("gone", _STACK, "")
    collected.add(held, _holders(side), Origin(("targetNamespaces",), None))


def _add_provider(collected: RiskFacts, step: Step, inputs: Tree) -> None:
    options = {key: inputs[key] for key in inputs.keys() - _OF_PROVIDERS if inputs[key]}
    unknown = {f"{key} (digest {digest(value)})" for key, value in options.items()}
    collected.add(Subject("unknown", f"the provider {step.name}", ""), unknown, Origin((), None))
    # A kubeconfig is secret, so that both sides look alike.
    hidden = step.operation in {"update", "replace"} and not differences(step.old, step.new)
    known = any(re.match(r"kubeconfig\b", path) for path in step.changed_paths)
    if inputs is step.new and inputs.get("kubeconfig") == SECRET and (hidden or known):
        another = {"the cluster of another kubeconfig"}
        collected.add(Subject("cluster", _STACK, ""), another, Origin((), None))


def _holders(side: Sequence[Declared]) -> Iterator[str]:
    """Yield what holds data, or what others run, and goes when the stack lets go of it."""
    for step, inputs, stays in side:
        kind = inputs.get("kind")
        holds = kind in {"PersistentVolume", "PersistentVolumeClaim"} or (
            kind == "Namespace" and step.name.startswith("target-")
        )
        made_again = step.operation == "replace" and inputs is step.new
        if holds and not (stays or made_again):
            yield identity(inputs)


def _stack_of(there: Sequence[tuple[Step, Tree]]) -> str:
    """Return the stack's name, which is in the URN of each of its resources."""
    urns = (step.urn.split(":") for step, _ in there)
    return next((urn[2] for urn in urns if urn[:2] == ["urn", "pulumi"]), "")


def _add_release(collected: RiskFacts, step: Step, inputs: Tree, registered: set[str]) -> None:
    origin, chart = Origin(("runners", step.name), step.name), Origin(("chart", "version"), None)
    # Of a runner that the stack did not create in GitLab nothing is known here.
    unknown = () if step.name in registered else {"that only GitLab chooses"}
    collected.add(Subject("openTo", step.name, ""), unknown, origin)
    home = str(inputs.get("namespace") or "")
    known = collected.namespaces
    foreign = bool(known) and home not in {"", UNKNOWN, *known}
    manager = Subject("placement", f"the manager of runner {step.name}", "")
    collected.add(manager, {f"in the namespace {home}"} if foreign else (), origin)
    if home not in {"", UNKNOWN}:
        collected.add(Subject("home", "managers", ""), {home}, Origin(("namespace",), None))
    for (kind, name), risks in release_risks(step.name, inputs):
        collected.add(Subject(kind, name, ""), risks, origin)
    for (kind, name), risks in chart_risks(step.name, inputs):
        collected.add(Subject(kind, name, ""), risks, chart)


def add_objects(collected: RiskFacts, objects: Iterable[Placed]) -> None:
    """Add what objects do to others, and what protects these."""
    placed = list(objects)
    new = {origin.runner for _, origin, step in placed if _installs(step)} - {None}
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
        where = f"namespace {namespace}" if namespace else "the cluster"
        # A new runner has them, and the pods of its release.
        if item.get("kind") in _PLAIN and not (_installs(step) or origin.runner in new):
            collected.add(Subject("added", name, namespace), {where}, origin)
        if pod_of(item) is not None and not _installs(step):
            collected.add(Subject("workload", name, namespace), {where}, origin)
    everywhere = Origin(("namespace",), None)
    for subject, namespace, by in safeguards(item for item, _, _ in placed):
        protected = Subject("safeguard", subject, namespace)
        collected.add(protected, {by} if by else (), everywhere)


def _installs(step: Step) -> bool:
    return step.type == RELEASE and step.old is None
