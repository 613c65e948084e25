"""The network policies: nobody reaches jobs and managers, and they reach what the stack file says.

A network plugin has to enforce them. Nothing needs to open a connection to the pod of a job or of
a manager, but for its metrics: commands, attached streams and logs come from the kubelet, and the
containers of a job share one pod.
"""

import ipaddress
from collections.abc import Sequence

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import LabelSelectorRequirementArgsDict
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicyEgressRuleArgsDict,
    NetworkPolicyIngressRuleArgsDict,
    NetworkPolicyPeerArgsDict,
    NetworkPolicyPortArgsDict,
    NetworkPolicySpecArgsDict,
)

from components.network.addresses import METADATA, Route, route, routes
from components.network.egress import Egress

# The default of the chart.
_METRICS = 9252
# 5353 is that of OpenShift's DNS pods, and policies see the port of the pod.
_DNS: list[NetworkPolicyPortArgsDict] = [
    {"port": port, "protocol": protocol} for port in (53, 5353) for protocol in ("UDP", "TCP")
]
# Cilium matches a node, and so an API server on one, by no range of addresses unless it is set to
# (docs.cilium.io: "Known missing features for Kubernetes Network Policy"). No cloud serves the
# credentials of a node at these ports.
_API_SERVER: list[NetworkPolicyPortArgsDict] = [
    {"port": port, "protocol": "TCP"} for port in (443, 6443)
]


def of_managers(egress: Egress) -> Egress:
    """Return what managers may reach: the API server and GitLab may be anywhere."""
    return Egress(metadata=egress.metadata)


def metrics_ingress(hidden_from: Sequence[str] | None) -> list[NetworkPolicyIngressRuleArgsDict]:
    """Let all but some namespaces read the metrics of managers; None is for no metrics.

    They have no login, and the port has Go's profiler too
    (gitlab-runner:docs/monitoring/_index.md).
    """
    if hidden_from is None:
        return []
    others: LabelSelectorRequirementArgsDict = {
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": list(hidden_from),
    }
    return [
        {
            "from_": [{"namespace_selector": {"match_expressions": [others]}}],
            "ports": [{"port": _METRICS, "protocol": "TCP"}],
        }
    ]


def network_policies(  # noqa: PLR0913 - policies have these parts
    name: str,
    called: str,
    namespace: pulumi.Input[str],
    egress: Egress,
    opts: pulumi.ResourceOptions,
    *,
    ingress: Sequence[NetworkPolicyIngressRuleArgsDict] = (),
    daemon: str | None = None,
) -> list[k8s.networking.v1.NetworkPolicy]:
    """Declare the policies of all pods of a namespace, one for each direction.

    ``called`` begins their names in the cluster. ``daemon`` is the namespace of the daemon that the
    pods use, if they use one.

    kube-router applies all rules of a policy to each connection from and to its pods, so with one
    policy of both directions these reach each other (v2.1.0: pkg/controllers/netpol/pod.go).
    """
    comes_in: NetworkPolicySpecArgsDict = {"pod_selector": {}, "policy_types": ["Ingress"]}
    if ingress:
        comes_in["ingress"] = list(ingress)
    goes_out: NetworkPolicySpecArgsDict = {
        "pod_selector": {},
        "policy_types": ["Egress"],
        "egress": _rules(egress, daemon),
    }
    return [
        k8s.networking.v1.NetworkPolicy(
            f"{name}-{direction}",
            metadata={"name": f"{called}-{direction}", "namespace": namespace},
            spec=spec,
            opts=opts,
        )
        for direction, spec in (("ingress", comes_in), ("egress", goes_out))
    ]


def _rules(egress: Egress, daemon: str | None) -> list[NetworkPolicyEgressRuleArgsDict]:
    if egress.unlimited:
        return [{}]
    wide = [
        *map(
            _block, routes(public=egress.public, private=egress.private, metadata=egress.metadata)
        ),
        # Cilium matches a pod by no range of addresses.
        *([_NAMESPACES] if egress.private else []),
    ]
    rules: list[NetworkPolicyEgressRuleArgsDict] = [{"to": wide}] if wide else []
    rules.append({"ports": _DNS})
    if egress.private and egress.public:
        rules.append({"ports": _API_SERVER})
    if daemon and not egress.private:
        selected = {"kubernetes.io/metadata.name": daemon}
        rules.append({"to": [{"namespace_selector": {"match_labels": selected}}]})
    denied = () if egress.metadata else METADATA
    for item in egress.allow:
        to = [_block(route(ipaddress.ip_network(item.cidr), denied))]
        ports: list[NetworkPolicyPortArgsDict] = [
            {"port": port, "protocol": "TCP"} for port in item.ports
        ]
        rules.append({"to": to, "ports": ports} if ports else {"to": to})
    return rules


_NAMESPACES: NetworkPolicyPeerArgsDict = {"namespace_selector": {}}


def _block(item: Route) -> NetworkPolicyPeerArgsDict:
    if item.without:
        return {"ip_block": {"cidr": item.cidr, "except_": list(item.without)}}
    return {"ip_block": {"cidr": item.cidr}}
