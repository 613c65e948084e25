"""What the network policies of a cluster do, as far as the API server shows it."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_runner, of_stack

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
    ("kube-flannel-ds", False),
    ("kube-flannel", False),
)


@of_stack("network-policy-missing", "network-policy-foreign")
def policies(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for the stack's policies, and for others that open connections."""
    ours = {
        (item["metadata"]["namespace"], item["metadata"]["name"])
        for item in visit.stack.of_kind("NetworkPolicy")
    }
    missing: list[str] = []
    for namespace in sorted({namespace for namespace, _ in ours}):
        if visit.seen.namespace(namespace) is None:
            missing.append(namespace)
            continue
        there = visit.seen.list("networking.k8s.io/v1", "NetworkPolicy", namespace)
        names = {item["metadata"]["name"] for item in there}
        for place, name in sorted(ours):
            if place == namespace and name not in names:
                yield fault("network-policy-missing", policy=name, namespace=namespace)
        for item in there:
            name = item["metadata"]["name"]
            opens = item["spec"].get("egress") or item["spec"].get("ingress")
            if (namespace, name) not in ours and opens:
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


def of_the_cluster(host: str) -> bool:
    """Whether only the cluster's own DNS knows a name."""
    return host.endswith((".svc", ".svc.cluster.local", ".local"))


@of_runner("egress-closed")
def egress(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the addresses of GitLab and registries with what jobs may reach."""
    settings = visit.stack.settings
    allowed = settings.network.egress
    if allowed.private and allowed.public:
        return
    hosts = [urlsplit(settings.gitlab.url).hostname or ""]
    hosts += [urlsplit(f"//{item.host}").hostname or "" for item in settings.registries]
    hosts += [urlsplit(f"//{mirror}").hostname or "" for mirror in settings.registry_mirrors]
    unknown: list[str] = []
    for host in dict.fromkeys(hosts):
        addresses = _addresses(host)
        if not addresses:
            unknown.append(host)
        elif not any(map(allowed.reaches, addresses)):
            yield fault("egress-closed", visit.of.name, host=host, address=", ".join(addresses))
    if unknown:
        message = f"the addresses of {', '.join(unknown)} are not known here"
        raise UnseenError(message)


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(item[4][0]) for item in found})
