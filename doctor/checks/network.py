"""What the network policies of a cluster do, as far as the API server shows it."""

import functools
import itertools
import re
from collections.abc import Iterator, Sequence

from components.settings.models import Settings
from doctor.at_once import at_once
from doctor.canary.network import Asked, places, proxy_of
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_runner, of_stack
from doctor.wanted import Manifest, entries
from doctor.web import FailedError, addresses

# The DaemonSets of network plugins, and whether they enforce NetworkPolicies.
_PLUGINS = (
    ("calico-node", True),
    ("canal", True),
    ("rke2-canal", True),
    ("cilium", True),
    ("anetd", True),
    ("antrea-agent", True),
    ("kube-router", True),
    ("weave-net", True),
    ("kindnet", True),
    ("ovnkube-node", True),
    ("sdn", True),
    ("kube-ovn-cni", True),
    ("azure-npm", True),
    ("kube-network-policies", True),
    ("kube-flannel-ds", False),
    ("kube-flannel", False),
)


_SECONDS = 5.0


@of_stack("network-policy-missing", "network-policy-foreign")
def policies(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for the stack's policies, and for others that open connections."""
    ours = {
        (item["metadata"]["namespace"], item["metadata"]["name"]): item["spec"]["policyTypes"]
        for item in visit.stack.of_kind("NetworkPolicy")
    }
    missing: list[str] = []
    for namespace in sorted({namespace for namespace, _ in ours}):
        if visit.seen.namespace(namespace) is None:
            missing.append(namespace)
            continue
        there = visit.seen.list("networking.k8s.io/v1", "NetworkPolicy", namespace)
        names = {item["metadata"]["name"] for item in there}
        for (place, name), kinds in sorted(ours.items()):
            if place == namespace and name not in names:
                limited = " and ".join(kinds).lower()
                yield fault(
                    "network-policy-missing", policy=name, namespace=namespace, direction=limited
                )
        for item in there:
            name = item["metadata"]["name"]
            if (namespace, name) not in ours and _opens(item):
                yield fault("network-policy-foreign", policy=name, namespace=namespace)
    if missing:
        message = f"before pulumi up these namespaces do not exist: {', '.join(missing)}"
        raise UnseenError(message)


@of_stack("network-unenforced")
def plugin(visit: Visit) -> Iterator[Fault | NotRun]:
    """Know a network plugin by its DaemonSet."""
    names = {item["metadata"]["name"] for item in visit.seen.list("apps/v1", "DaemonSet")}
    known = {name: enforces for name, enforces in _PLUGINS if name in names}
    if not known:
        message = "no DaemonSet is one of a network plugin that is known here"
        raise UnseenError(message)
    if not any(known.values()):
        yield fault("network-unenforced", plugin=", ".join(sorted(known)))


_DNS = {53, 5353}
"""The ports of DNS, which the stack leaves open too."""


def _opens(policy: Manifest) -> bool:
    """Whether a policy lets pods in, or out to more than DNS."""
    return bool(entries(policy, "spec", "ingress")) or any(
        not entries(rule, "ports") or {port.get("port") for port in entries(rule, "ports")} - _DNS
        for rule in entries(policy, "spec", "egress")
    )


def only_inside(settings: Settings, host: str) -> str:
    """Say why this machine cannot ask a host that pods reach, or nothing."""
    if re.search(r"\.svc(\.|$)|\.cluster\.local$", host):
        return f"only the cluster knows the name {host}"
    names = itertools.chain.from_iterable(settings.host_aliases.values())
    if host in names and not _addresses(host):
        return f"only pods know the name {host}, by hostAliases"
    return ""


@of_runner("egress-closed")
def egress(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the addresses of GitLab and registries with what jobs may reach."""
    settings = visit.stack.settings
    allowed = settings.network.egress
    if allowed.private and allowed.public:
        return
    # What a proxy leads to, jobs ask of the proxy.
    asked_for = ((proxy_of(visit.of, place), place) for place in places(settings, visit.of))
    hosts = [*dict.fromkeys(Asked(proxy, "").host or place.host for proxy, place in asked_for)]
    unknown: list[str] = []
    aliases = {
        name: [address] for address, names in settings.host_aliases.items() for name in names
    }
    asked = [functools.partial(_addresses, host) for host in hosts]
    for host, here in zip(hosts, at_once(asked, threads=8, seconds=_SECONDS), strict=True):
        found = aliases.get(host, here)
        if not found:
            unknown.append(host)
        elif not any(map(allowed.reaches, found)):
            yield fault("egress-closed", visit.of.name, host=host, address=", ".join(found))
    if unknown:
        message = f"the addresses of {', '.join(unknown)} are not known here"
        raise UnseenError(message)


def _addresses(host: str) -> Sequence[str]:
    try:
        return addresses(host)
    except FailedError:
        return ()
