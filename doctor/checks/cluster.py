"""The API server: whether it answers, its version, its clock, and what it knows."""

import datetime as dt
import email.utils
import itertools
import operator
import re
import time
from collections.abc import Iterator
from http import HTTPStatus

from doctor.checks.placement import admitting, info, is_ready, name_of
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_runner, of_stack
from doctor.job_pod import job_pod
from doctor.observed import folder
from doctor.wanted import Manifest, entries, inside

_OLDEST = 30
"""The first minor version whose pods have fields for AppArmor (kubernetes.io: AppArmor)."""
_WHOLE = 34
"""The first minor version that has resources of pods by default (kubernetes.io: Pod-level)."""
_SKEW = 3
"""How many minor versions a kubelet may be older (kubernetes.io: Version Skew Policy)."""
MONITORS = ("monitoring.coreos.com/v1", "PodMonitor")
"""What the chart makes where the cluster has the Prometheus Operator's."""
_SECONDS = 60
_RENEWED = 120
"""How old the lease of a ready node may be: kubelets renew it every ten seconds."""
_LEASES = ("coordination.k8s.io/v1", "Lease", "kube-node-lease")
_WHO = "authentication.k8s.io/v1"
_DNS = ("coredns", "kube-dns", "rke2-coredns-rke2-coredns")
"""The Deployments of a cluster's DNS."""


@of_stack("api-server", "api-account")
def answers(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask for the version with the account of the kubeconfig, and who that is."""
    try:
        answer = visit.seen.ask("GET", "/version")
    except UnseenError as error:
        yield fault("api-server", context=visit.context, reason=error)
        return
    if answer.status == HTTPStatus.UNAUTHORIZED:
        yield fault("api-account", context=visit.context, reason=answer.message)
    elif answer.status not in {HTTPStatus.OK, HTTPStatus.FORBIDDEN}:
        yield fault("api-server", context=visit.context, reason=f"it has status {answer.status}")
    elif answer.status == HTTPStatus.OK and not answer.body.get("gitVersion"):
        reason = "what answers there is not Kubernetes"
        yield fault("api-server", context=visit.context, reason=reason)
    elif "system:anonymous" in _refusal_of_reviews(visit):
        # A kubeconfig may have none, and the client goes on where a program for it fails.
        reason = "no login is sent; run the command of its exec entry"
        yield fault("api-account", context=visit.context, reason=reason)


def _refusal_of_reviews(visit: Visit) -> str:
    """Return what the API server says to one who may not even ask who they are, or nothing."""
    body = {"apiVersion": _WHO, "kind": "SelfSubjectReview"}
    answer = visit.seen.ask("POST", f"/apis/{_WHO}/selfsubjectreviews", body)
    return answer.message if answer.status == HTTPStatus.FORBIDDEN else ""


def minor(version: str) -> int | None:
    """Return the minor version of Kubernetes in a text, None if there is none."""
    found = re.match(r"v?1\.(\d+)", version)
    return int(found[1]) if found else None


def server_version(visit: Visit) -> str:
    """Return the API server's version.

    Raises:
        UnseenError: it does not say it.
    """
    answer = visit.seen.ask("GET", "/version")
    version = str(answer.body.get("gitVersion", ""))
    if answer.status != HTTPStatus.OK or minor(version) is None:
        message = f"the API server does not say its version: {answer.message}"
        raise UnseenError(message)
    return version


def nodes_of_jobs(visit: Visit) -> list[Manifest]:
    """Return the nodes that take the jobs of any runner: others may be quite different."""
    every = visit.seen.list("v1", "Node")
    pods = [job_pod(runner) for runner in visit.stack.runners.values()]
    names = {name_of(node) for pod in pods for node in admitting(pod, every)}
    return [node for node in every if name_of(node) in names]


@of_stack("kubernetes-version")
def version(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the API server's version with the oldest that works."""
    found = server_version(visit)
    if (minor(found) or 0) < _OLDEST:
        yield fault("kubernetes-version", version=found, needed=f"1.{_OLDEST}")


@of_runner("pod-resources")
def pods(visit: Visit) -> Iterator[Fault | NotRun]:
    """See that the API server knows resources of a pod as a whole, where a runner has some."""
    if not visit.of.settings.resources.pod.by_key():
        return
    found = server_version(visit)
    if (minor(found) or 0) < _WHOLE:
        yield fault("pod-resources", visit.of.name, version=found, needed=f"1.{_WHOLE}")


@of_stack("kubelet-version")
def kubelets(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the versions of kubelets with that of the API server."""
    server = server_version(visit)
    for node in nodes_of_jobs(visit):
        found = str(info(node).get("kubeletVersion", ""))
        known = minor(found)
        if known is not None and not 0 <= (minor(server) or 0) - known <= _SKEW:
            yield fault("kubelet-version", node=name_of(node), kubelet=found, server=server)


@of_stack("api-group")
def groups(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask for each API that an object of the stack belongs to, and whether it has its kind."""
    wanted = {(item["apiVersion"], item["kind"]) for item in visit.stack.manifests}
    if visit.stack.has_monitors:
        wanted.add(MONITORS)
    for api_version, pairs in itertools.groupby(sorted(wanted), key=operator.itemgetter(0)):
        root = "apis" if "/" in api_version else "api"
        answer = visit.seen.ask("GET", f"/{root}/{api_version}")
        # An answer that lists nothing says nothing of kinds.
        there = {item["kind"] for item in entries(answer.body, "resources")}
        known = there or answer.status == HTTPStatus.NOT_FOUND
        if missing := [kind for _, kind in pairs if known and kind not in there]:
            yield fault("api-group", api=api_version, kind=" and ".join(missing))


@of_stack("api-service")
def services(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for parts of the API that other servers provide, and do not answer."""
    for item in visit.seen.list("apiregistration.k8s.io/v1", "APIService"):
        for condition in entries(item, "status", "conditions"):
            if condition["type"] == "Available" and condition["status"] == "False":
                reason = str(condition.get("message", "no reason is given")).rstrip(".")
                yield fault("api-service", api=item["metadata"]["name"], reason=reason)


@of_stack("cluster-dns")
def dns(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look at the Deployment of the cluster's DNS, by its usual names."""
    found = [
        item
        for item in visit.seen.list("apps/v1", "Deployment", "kube-system")
        if item["metadata"]["name"] in _DNS
        # GKE scales its own to zero where Cloud DNS takes its place.
        and (item["metadata"]["name"] != "kube-dns" or inside(item, "spec").get("replicas") != 0)
    ]
    if not found:
        message = "no Deployment of kube-system is one of a DNS that is known here"
        raise UnseenError(message)
    if not any(inside(item, "status").get("availableReplicas") for item in found):
        names = ", ".join(item["metadata"]["name"] for item in found)
        yield fault("cluster-dns", deployment=names)


def _seconds(date: str) -> float:
    """Return the time that an answer says."""
    if not date:
        message = "the API server sends no time"
        raise UnseenError(message)
    return email.utils.parsedate_to_datetime(date).timestamp()


@of_stack("clock")
def clock(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the time of an answer with that of this machine."""
    difference = abs(_seconds(visit.seen.ask("GET", "/version").date) - time.time())
    if difference > _SECONDS:
        yield fault("clock", seconds=round(difference))


@of_stack("node-clock")
def clocks(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the time at which kubelets renewed their leases with that of the API server."""
    leases = {item["metadata"]["name"]: item for item in visit.seen.list(*_LEASES)}
    now = _seconds(visit.seen.ask("GET", folder(*_LEASES)).date)
    # A kubelet that does not run renews nothing, and others see that its node is not ready.
    ready = [name_of(node) for node in nodes_of_jobs(visit) if is_ready(node)]
    for name in ready:
        lease = inside(leases.get(name, {}), "spec")
        if not lease.get("renewTime"):
            continue
        ahead = dt.datetime.fromisoformat(lease["renewTime"]).timestamp() - now
        # A site may have its kubelets renew theirs less often.
        if not -max(_RENEWED, lease.get("leaseDurationSeconds", 0)) <= ahead <= _SECONDS:
            yield fault("node-clock", node=name, seconds=round(abs(ahead)))
