"""The API server: whether it answers, its version, its clock, and what it knows."""

import email.utils
import re
import time
from collections.abc import Iterator
from http import HTTPStatus

from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_stack

_OLDEST = 30
"""The first minor version whose pods have fields for AppArmor (kubernetes.io: AppArmor)."""
_SKEW = 3
"""How many minor versions a kubelet may be older (kubernetes.io: Version Skew Policy)."""
_SECONDS = 60
_MONITORS = ("monitoring.coreos.com/v1", "PodMonitor")


@of_stack("api-server", "api-account")
def answers(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask for the version with the account of the kubeconfig."""
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


@of_stack("kubernetes-version")
def version(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the API server's version with the oldest that works."""
    found = server_version(visit)
    if (minor(found) or 0) < _OLDEST:
        yield fault("kubernetes-version", version=found, needed=f"1.{_OLDEST}")


@of_stack("kubelet-version")
def kubelets(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the versions of kubelets with that of the API server."""
    server = server_version(visit)
    for node in visit.seen.list("v1", "Node"):
        found = str(node["status"].get("nodeInfo", {}).get("kubeletVersion", ""))
        known = minor(found)
        if known is not None and not 0 <= (minor(server) or 0) - known <= _SKEW:
            yield fault(
                "kubelet-version", node=node["metadata"]["name"], kubelet=found, server=server
            )


@of_stack("clock")
def clock(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the time of an answer with that of this machine."""
    date = visit.seen.ask("GET", "/version").date
    if not date:
        message = "the API server sends no time"
        raise UnseenError(message)
    difference = abs(email.utils.parsedate_to_datetime(date).timestamp() - time.time())
    if difference > _SECONDS:
        yield fault("clock", seconds=round(difference))


@of_stack("api-group")
def groups(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask for each API that an object of the stack belongs to."""
    wanted = {(item["apiVersion"], item["kind"]) for item in visit.stack.manifests}
    if any(
        runner.values.get("metrics", {}).get("podMonitor", {}).get("enabled")
        for runner in visit.stack.runners.values()
    ):
        wanted.add(_MONITORS)
    by_version: dict[str, str] = dict(sorted(wanted, reverse=True))
    for api_version, kind in by_version.items():
        root = "apis" if "/" in api_version else "api"
        answer = visit.seen.ask("GET", f"/{root}/{api_version}")
        if answer.status == HTTPStatus.NOT_FOUND:
            yield fault("api-group", api=api_version, kind=kind)
