"""The risks of one Kubernetes object.

Only objects count, never the name of a strategy. What a risk weighs is in ``risk_kinds``.
"""

import json
from collections.abc import Collection, Iterator

from components.network.addresses import CLASSES, classes_of, kind_of
from components.workloads import LEVEL
from report.analysis.pods.containers import RisksOf, digest
from report.analysis.pods.labels import marks
from report.analysis.pods.pod import pod_risks
from report.analysis.trust.contents import config_map_risks, identity_risks
from report.tree import Tree, entries, identity, inside, texts

ENFORCE = "pod-security.kubernetes.io/enforce"
_LEVELS = {"restricted": set[str](), "baseline": {"baseline"}}
_DIRECTIONS = (("Ingress", "from"), ("Egress", "to"))
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
    "HorizontalPodAutoscaler",
    "Lease",
    "LimitRange",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "ResourceQuota",
    "RoleBinding",
}
# What lets traffic into the cluster by a host name.
_ROUTES = {"GRPCRoute", "Gateway", "HTTPRoute", "Ingress", "Route", "TCPRoute", "TLSRoute"}
_NAME = "kubernetes.io/metadata.name"
_ALL_PODS = "pods of all namespaces"
_ALL_OF_EGRESS = (*CLASSES, _ALL_PODS)
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
    group = str(item.get("apiVersion")).rpartition("/")[0]
    if is_custom(item):
        yield ("customResource", name), {f"{group} (digest {digest(content)})"}
    if kind == "Namespace":
        yield ("podSecurity", name), _levels(inside(metadata, "labels"))
        yield ("labels", name), marks(metadata)
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
        yield from config_map_risks(name, inside(item, "data"))
    elif (pod := pod_of(item)) is not None:
        yield from pod_risks(name, inside(pod, "metadata"), inside(pod, "spec"))
        yield ("labels", name), marks({"labels": inside(pod, "metadata", "labels")})
    elif kind and kind not in _HARMLESS and not is_custom(item):
        yield ("unknown", name), {f"the kind {kind} (digest {digest(content)})"}


def is_custom(item: Tree) -> bool:
    """Whether an object is of a kind that an operator has added to the cluster."""
    group = str(item.get("apiVersion")).rpartition("/")[0]
    return "." in group and not group.endswith(".k8s.io")


def _network_risks(name: str, item: Tree) -> Iterator[RisksOf]:
    kind, spec = item["kind"], inside(item, "spec")
    if kind == "NetworkPolicy":
        yield ("reach", name), _reach(spec)
        yield ("unfiltered", name), _unfiltered(spec)
    elif kind == "Service":
        annotations = marks({"annotations": inside(item, "metadata", "annotations")})
        yield ("exposed", name), _exposed(spec, annotations)
        behind = {key: spec.get(key) for key in ("selector", "externalName", "ports")}
        yield ("leads", name), {f"other pods or ports (digest {digest(behind)})"}
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


def _reach(spec: Tree) -> Iterator[str]:
    """Yield each peer that a policy lets through."""
    for kind, side in _DIRECTIONS:
        direction = kind.lower()
        for rule in entries(spec, direction):
            ports = ", ".join(map(_port, entries(rule, "ports")))
            suffix = f" on port {ports}" if ports else ""
            for peer in entries(rule, side) or [{}]:
                # Named by what is open, since another policy may open all but one of it.
                opened = (
                    _ALL_OF_EGRESS if kind == "Egress" and not (peer or ports) else _peers(peer)
                )
                yield from (f"{direction} {side} {label}{suffix}" for label in opened)


def _port(port: Tree) -> str:
    protocol = port.get("protocol", "TCP")
    return f"{port.get('port', 'all')}{'' if protocol == 'TCP' else f'/{protocol}'}"


def _peers(peer: Tree) -> Iterator[str]:
    """Yield the names of a peer, one for each namespace if it lists namespaces."""
    namespaces, block = inside(peer, "namespaceSelector"), inside(peer, "ipBlock")
    labels = inside(namespaces, "matchLabels")
    selected = entries(namespaces, "matchExpressions")
    kinds = [(item.get("key"), item.get("operator")) for item in selected]
    if block:
        cidr, without = str(block.get("cidr")), texts(block, "except")
        apart = f" without {', '.join(without)}" if without else ""
        yield from classes_of(cidr, without) or (f"addresses {cidr}{apart}",)
    elif len(peer) == 1 and kinds == [(_NAME, "In")]:
        yield from (f"namespace {value}" for value in texts(selected[0], "values"))
    elif len(peer) == 1 and kinds == [(_NAME, "NotIn")]:
        yield f"{_ALL_PODS} but {', '.join(texts(selected[0], 'values'))}"
    elif len(peer) == 1 and [*namespaces, *labels] == ["matchLabels", _NAME]:
        yield f"namespace {labels[_NAME]}"
    elif [*peer] == ["namespaceSelector"] and not namespaces:
        yield _ALL_PODS
    else:
        yield json.dumps(peer, sort_keys=True) if peer else "everywhere"


def is_allowed(risk: str, known: Collection[str]) -> bool:
    """Whether a policy that allows what is known allows a peer too, by the names of both."""
    base = risk.partition(" on port ")[0]
    direction, side, *rest = base.split(" ", 3)
    way = f"{direction} {side}"
    if {f"{way} {item}" for item in _ALL_OF_EGRESS} <= {*known}:
        return True
    wider = {base, f"{way} everywhere"}
    if rest[:1] == ["namespace"]:
        wider.add(f"{way} {_ALL_PODS}")
    elif rest[:1] == ["addresses"] and " " not in rest[1]:
        wider.add(f"{way} {kind_of(rest[1])}")
    return not wider.isdisjoint(known)


def _unfiltered(spec: Tree) -> Iterator[str]:
    """Yield what a policy does not limit; by default one without egress rules limits ingress."""
    default = ["Ingress", "Egress"] if "egress" in spec else ["Ingress"]
    kinds = texts(spec, "policyTypes") or default
    yield from (kind.lower() for kind, _ in _DIRECTIONS if kind not in kinds)
    if selector := inside(spec, "podSelector"):
        yield f"pods other than {json.dumps(selector, sort_keys=True)}"
