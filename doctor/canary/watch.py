"""Runs Jobs of the canary to the end of one of their containers, and removes them."""

import threading
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from doctor.canary.jobs import LABEL, SECONDS
from doctor.checks.pods import CONTAINERS, IMAGES, STARTS
from doctor.diagnosis import UnseenError
from doctor.kubernetes_api import Answer, Api, query
from doctor.observed import folder
from doctor.wanted import Manifest, entries, inside

_POLL = 0.5
_WAIT = SECONDS - 30
"""How many seconds a container may take: after SECONDS Kubernetes removes its log."""
_PATIENCE = 20
"""How often a pod is looked at before a mount that fails counts, or that none is admitted."""
_MOUNTS = {"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"}
_REFUSED = {"FailedCreate"}
_STUCK = IMAGES | CONTAINERS


class Ended(NamedTuple):
    """How a container of a Job ended: its status, None where it never did, and why or its log.

    ``hangs`` says that it began, and ran when the time was over.
    """

    status: int | None
    text: str
    hangs: bool = False


class Watch:
    """Jobs of one cluster; ``stop`` ends the wait for all of them."""

    def __init__(self, api: Api) -> None:
        """Remember where they run."""
        self._api = api
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End early; what was made is removed."""
        self._stopped.set()

    def run(self, job: Manifest, container: str) -> Ended:
        """Run a Job until one of its containers ends, and remove it.

        Raises:
            UnseenError: the account of the kubeconfig may not make it, or doctor was stopped.
        """
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        jobs = folder("batch/v1", "Job", namespace)
        if self._stopped.is_set():
            raise UnseenError(_STOPPED)
        try:
            answer = self._api.ask("POST", jobs, job)
            if answer.status != HTTPStatus.CREATED:
                message = f"the Job of the canary cannot be made in {namespace}: {answer.message}"
                raise UnseenError(message)
            return self._ended(name, namespace, container)
        finally:
            self._api.ask("DELETE", f"{jobs}/{name}", {"propagationPolicy": "Background"})

    def _ended(self, name: str, namespace: str, container: str) -> Ended:
        pods = folder("v1", "Pod", namespace)
        reason = "no pod was made"
        last: Manifest = {}
        for number in range(int(_WAIT / _POLL)):
            answer = self._asked(f"{pods}{query(labelSelector=f'{LABEL}={name}')}", "list pods")
            for pod in entries(answer.body, "items"):
                last = pod
                ended, reason = _state(pod, container)
                if ended is not None:
                    log = self._log(pods, pod, container)
                    return Ended(ended, log) if ended >= 0 else Ended(None, reason)
                # A mount may fail once, before the kubelet knows of its Secret.
                waits = number > _PATIENCE and inside(pod, "status").get("phase") == "Pending"
                if waits and (failed := self._said(pod, namespace, _MOUNTS)):
                    return Ended(None, failed)
            if not entries(answer.body, "items"):
                refused = self._said({"metadata": {"name": name}}, namespace, _REFUSED)
                if refused and number > _PATIENCE:
                    return Ended(None, refused)
                reason = refused or reason
            if self._stopped.wait(_POLL):
                raise UnseenError(_STOPPED)
        if _runs(last, container):
            return Ended(None, self._log(pods, last, container), hangs=True)
        return Ended(None, f"{reason} within {_WAIT} seconds")

    def _asked(self, path: str, what: str) -> Answer:
        answer = self._api.ask("GET", path)
        if answer.status == HTTPStatus.FORBIDDEN:
            message = f"the account of the kubeconfig may not {what}: {answer.message}"
            raise UnseenError(message)
        return answer

    def _said(self, item: Manifest, namespace: str, reasons: Collection[str]) -> str:
        """Return what the last event of an object says, of those with one of the reasons."""
        answer = self._api.ask("GET", folder("v1", "Event", namespace))
        said = [
            str(event.get("message", ""))
            for event in entries(answer.body, "items")
            if event.get("reason") in reasons
            and inside(event, "involvedObject").get("name") == item["metadata"]["name"]
        ]
        return said[-1] if said else ""

    def _log(self, pods: str, pod: Manifest, container: str) -> str:
        name = pod["metadata"]["name"]
        answer = self._asked(f"{pods}/{name}/log{query(container=container)}", "read logs")
        return str(answer.body.get("text", ""))


_STOPPED = "doctor was stopped"


def _runs(pod: Manifest, container: str) -> bool:
    return any(
        status["name"] == container and "running" in inside(status, "state")
        for status in entries(pod, "status", "containerStatuses")
    )


def _state(pod: Manifest, container: str) -> tuple[int | None, str]:
    """Return a container's status, None while it runs and -1 where it cannot, and why."""
    begun = entries(pod, "status", "initContainerStatuses")
    for status in [*begun, *entries(pod, "status", "containerStatuses")]:
        waiting = inside(status, "state", "waiting")
        if waiting.get("reason") in _STUCK:
            return -1, str(waiting.get("message") or waiting["reason"])
        terminated: Mapping[str, Any] = inside(status, "state", "terminated")
        if terminated.get("reason") in STARTS:
            return -1, str(terminated.get("message") or terminated["reason"])
        if status["name"] == container and terminated:
            return int(terminated["exitCode"]), ""
    for condition in entries(pod, "status", "conditions"):
        if condition.get("reason") == "Unschedulable":
            return None, str(condition.get("message"))
    if inside(pod, "status").get("phase") == "Failed":
        return -1, str(inside(pod, "status").get("message") or "the pod failed")
    return None, "the pod did not end"
