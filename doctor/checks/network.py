"""What the network policies of a cluster do, as far as the API server shows it."""

import functools
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from doctor.at_once import at_once
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_runner, of_stack
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
    ("kube-flannel-ds", False),
    ("kube-flannel", False),
)


_SECONDS = 5.0


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
    hosts = [*dict.fromkeys(hosts)]
    asked = [functools.partial(_addresses, host) for host in hosts]
    for host, found in zip(hosts, at_once(asked, threads=8, seconds=_SECONDS), strict=True):
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
