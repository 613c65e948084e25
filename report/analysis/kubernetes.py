"""The risks of one Kubernetes object.

Only objects count, never the name of a strategy. What a risk weighs is in ``risk_kinds``.
"""

import json
from collections.abc import Iterator

from components.workloads import LEVEL
from report.analysis.pods.amounts import size_risks
from report.analysis.pods.containers import digest
from report.analysis.pods.labels import described, marks
from report.analysis.pods.pod import pod_risks, taken
from report.analysis.risk_kind import RisksOf
from report.analysis.trust.contents import config_map_risks, identity_risks
from report.analysis.trust.peers import reach, unfiltered
from report.tree import Tree, entries, identity, inside, texts

ENFORCE = "pod-security.kubernetes.io/enforce"
_LEVELS = {"restricted": set[str](), "baseline": {"baseline"}}
_AGGREGATES = "rbac.authorization.k8s.io/aggregate-to-"
OF_THE_CLUSTER = {
    "APIService",
    "CSIDriver",
    "CertificateSigningRequest",
    "ClusterTrustBundle",
    "CustomResourceDefinition",
    "FlowSchema",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "SecurityContextConstraints",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
}
"""What decides on objects, or offers something, of the whole cluster."""
# What limits others, or only holds something; ``trust.losses`` has what goes with them.
_HARMLESS = {
    "ClusterRoleBinding",
    "ControllerRevision",
    "Event",
    "Lease",
    "LimitRange",
    "PodDisruptionBudget",
    "ResourceQuota",
    "RoleBinding",
}
_COUNTED = {"Deployment", "ReplicaSet", "ReplicationController", "StatefulSet"}
_TUNED = {"HorizontalPodAutoscaler", "PersistentVolumeClaim"}
"""What decides how much others get."""
# What lets traffic into the cluster by a host name.
_ROUTES = {"GRPCRoute", "Gateway", "HTTPRoute", "Ingress", "Route", "TCPRoute", "TLSRoute"}
_OF_SERVICES = {
    "clusterIP",
    "clusterIPs",
    "externalIPs",
    "externalName",
    "loadBalancerSourceRanges",
    "ports",
    "selector",
    "type",
}
"""Of a Service, what is judged, or which address it happens to have."""
_OF_THE_NETWORK = {"EndpointSlice", "Endpoints", "NetworkPolicy", "Service", *_ROUTES}


def namespace_of(item: Tree) -> str:
    """Return the namespace of an object, empty for one that has none."""
    return str(inside(item, "metadata").get("namespace") or "")


def objects_of(item: Tree) -> Iterator[Tree]:
    """Yield an object, or what is in it if it is a list of objects."""
    if str(item.get("kind")).endswith("List") and "items" in item:
        for entry in entries(item, "items"):
            yield from objects_of(entry)
    else:
        yield item


def object_risks(item: Tree) -> Iterator[RisksOf]:
    """Yield the risks of one Kubernetes object."""
    name, kind, metadata = identity(item), item.get("kind"), inside(item, "metadata")
    content: Tree = {key: value for key, value in item.items() if key != "metadata"}
    yield from _label_risks(name, item)
    yield from _pods_risks(name, item)
    group = str(item.get("apiVersion")).rpartition("/")[0]
    yield ("volume", name), {text for claim in _claims(item) for text in taken(claim)}
    if is_custom(item):
        yield ("customResource", name), {f"{group} (digest {digest(content)})"}
    if kind == "Namespace":
        yield ("podSecurity", name), _levels(inside(metadata, "labels"))
    elif kind in {"Role", "ClusterRole"}:
        yield ("permission", name), _permissions(item)
        level = inside(metadata, "annotations").get(LEVEL)
        yield ("labels", name), {f"the level {level}"} if level else ()
    elif kind in OF_THE_CLUSTER:
        yield ("clusterWide", name), {digest(content)}
    elif kind in {"ServiceAccount", "Secret"}:
        yield from identity_risks(name, item)
    elif kind in _OF_THE_NETWORK:
        yield from _network_risks(name, item)
    elif kind == "ConfigMap":
        yield from config_map_risks(name, item)
    elif kind in _TUNED:
        yield ("settings", name), {f"digest {digest(content)}"}
    elif kind and kind not in _HARMLESS and not is_custom(item) and pod_of(item) is None:
        yield ("unknown", name), {f"the kind {kind} (digest {digest(content)})"}


def _label_risks(name: str, item: Tree) -> Iterator[RisksOf]:
    if item.get("kind"):
        pod = pod_of(item)
        # A controller shares its name with its pods, which have separate labels.
        called = name if pod is None or pod is item else f"the object {name}"
        yield ("labels", called), described(inside(item, "metadata"))


def _pods_risks(name: str, item: Tree) -> Iterator[RisksOf]:
    pod = pod_of(item)
    if pod is None:
        return
    yield from pod_risks(name, inside(pod, "metadata"), inside(pod, "spec"))
    yield ("labels", name), described(inside(pod, "metadata"))
    if pod is not item:
        yield from _controller_risks(name, item)


def _controller_risks(name: str, item: Tree) -> Iterator[RisksOf]:
    """Yield how many pods a controller has, and how it makes, replaces and ends them."""
    spec = inside(item, "spec")
    if item.get("kind") in _COUNTED:
        yield from size_risks(f"the number of pods of {name}", spec.get("replicas", 1))
    job = inside(spec, "jobTemplate", "spec")
    rest = [
        {key: table[key] for key in table if key not in {"jobTemplate", "replicas", "template"}}
        for table in (spec, job)
    ]
    yield ("settings", f"the object {name}"), {f"digest {digest(rest)}"}


def _claims(item: Tree) -> list[Tree]:
    """Return the claims that an object is, or makes for its pods."""
    spec = inside(item, "spec")
    own = [spec] if item.get("kind") == "PersistentVolumeClaim" else []
    return [*own, *(inside(claim, "spec") for claim in entries(spec, "volumeClaimTemplates"))]


def is_custom(item: Tree) -> bool:
    """Whether an object is of a kind that an operator has added to the cluster."""
    group = str(item.get("apiVersion")).rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def _network_risks(name: str, item: Tree) -> Iterator[RisksOf]:
    kind, spec = item["kind"], inside(item, "spec")
    if kind == "NetworkPolicy":
        yield ("reach", name), reach(spec)
        yield ("unfiltered", name), unfiltered(spec)
    elif kind == "Service":
        annotations = marks({"annotations": inside(item, "metadata", "annotations")})
        yield ("exposed", name), _exposed(spec, annotations)
        behind = {key: spec.get(key) for key in ("selector", "externalName", "ports")}
        yield ("leads", name), {f"other pods or ports (digest {digest(behind)})"}
        rest = {key: spec[key] for key in spec if key not in _OF_SERVICES}
        yield ("settings", name), {f"digest {digest(rest)}"}
    elif kind in _ROUTES:
        annotations = marks({"annotations": inside(item, "metadata", "annotations")})
        yield ("exposed", name), {f"as of digest {digest([spec, *annotations])}"}
    else:
        addresses = [item.get(key) for key in ("endpoints", "ports", "subsets")]
        yield ("names", name), {f"a Service as of digest {digest(addresses)}"}


def pod_of(item: Tree) -> Tree | None:
    """Return the pods that an object makes, with metadata and spec, or None if it makes none."""
    if item.get("kind") == "Pod":
        return item
    if item.get("kind") == "CronJob":
        return inside(item, "spec", "jobTemplate", "spec", "template")
    return inside(item, "spec", "template") or inside(item, "template") or None


def _levels(labels: Tree) -> Iterator[str]:
    yield from _LEVELS.get(str(labels.get(ENFORCE)), {"baseline", "privileged"})
    version = labels.get(f"{ENFORCE}-version", "latest")
    if version != "latest":
        yield f"{labels.get(ENFORCE)} as of {version}"


def _exposed(spec: Tree, annotations: set[str]) -> Iterator[str]:
    """Yield how a Service is reached; in clouds, annotations say from where a balancer is."""
    if spec.get("type") in {"NodePort", "LoadBalancer", "ExternalName"}:
        yield f"by type {spec['type']}"
    if spec.get("type") == "LoadBalancer":
        yield from (f"with annotations of {text}" for text in annotations)
        yield from () if annotations else ("without annotations for its cloud",)
        ranges = texts(spec, "loadBalancerSourceRanges") or ["everywhere"]
        yield from (f"from {source}" for source in ranges)
    yield from (f"at {address}" for address in texts(spec, "externalIPs"))


def _permissions(role: Tree) -> Iterator[str]:
    for rule in entries(role, "rules"):
        for group in texts(rule, "apiGroups") or [""]:
            for resource in texts(rule, "resources") or texts(rule, "nonResourceURLs"):
                for verb in texts(rule, "verbs"):
                    permission = f"{verb} {resource}{f'.{group}' if group else ''}"
                    yield from (f"{permission}{name}" for name in _names(rule) or [""])
    if aggregated := inside(role, "aggregationRule"):
        yield f"do what other roles grant, by {json.dumps(aggregated, sort_keys=True)}"
    for label, value in inside(role, "metadata", "labels").items():
        if label.startswith(_AGGREGATES) and value == "true":
            yield f"extend the ClusterRole {label.removeprefix(_AGGREGATES)}"


def _names(rule: Tree) -> list[str]:
    """Return the objects that a rule is limited to, none if it is for all."""
    return [f" named {name}" for name in texts(rule, "resourceNames")]
