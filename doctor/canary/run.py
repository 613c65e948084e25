"""Builds, pushes, pulls and runs an image by each runner's strategy, and removes what it made."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any, NamedTuple

from doctor.canary import script
from doctor.canary.jobs import LABEL, SECONDS, build_job, run_job
from doctor.diagnosis import Fault, NotRun, UnseenError, fault
from doctor.examine import Visit, not_run
from doctor.kubernetes_api import Api, query
from doctor.observed import folder
from doctor.wanted import Manifest, WantedRunner, entries, inside

NAMES = ("job-name", "job-reach", "job-metadata", "build-start", "build", "image-run")
"""The checks that a canary does."""
BASE = "docker.io/library/busybox:1.37.0"
"""What the canary's image is from, unless the user names another image."""
_POLL = 0.5
_LINES = 12
_PATIENCE = 20
"""How often a pod is looked at before a mount that fails counts."""
_MOUNTS = {"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"}
_REFUSED = {"FailedCreate"}
_STUCK = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}


class Ended(NamedTuple):
    """How a container of a Job ended: its status, None where it never began, and why or its log."""

    status: int | None
    text: str


class Canary:
    """Canaries of a stack; ``stop`` ends them early."""

    def __init__(self, api: Api, visit: Visit, base: str = BASE) -> None:
        """Remember where and what to build."""
        self._api = api
        self._visit = visit
        self._base = base
        self._stopped = threading.Event()

    def run(self) -> list[Fault | NotRun]:
        """Build by all runners at once, and return what is wrong."""
        runners = [*self._visit.stack.runners.values()]
        with ThreadPoolExecutor(8, thread_name_prefix="canary") as threads:
            try:
                return [item for found in threads.map(self._of_runner, runners) for item in found]
            finally:
                self.stop()

    def stop(self) -> None:
        """End early; what was made is removed."""
        self._stopped.set()

    def _of_runner(self, runner: WantedRunner) -> list[Fault | NotRun]:
        found: list[Fault | NotRun] = []
        try:
            found.extend(self._steps(runner))
        except UnseenError as error:
            named = {item.check.name for item in found}
            found += [not_run(name, runner.name, str(error)) for name in NAMES if name not in named]
        return found

    def _steps(self, runner: WantedRunner) -> Iterator[Fault | NotRun]:
        if not runner.plan.builds:
            message = "jobs of this runner build nothing"
            raise UnseenError(message)
        if not self._visit.repository:
            message = "name a repository that builds push to, by --repository"
            raise UnseenError(message)
        text = script.build(runner, self._visit.repository, self._base, _addresses(self._visit))
        ended = self._job(build_job(runner, text), "build")
        facts = script.read(ended.text)
        yield from self._network(runner, facts.addresses)
        if ended.status is None:
            yield fault("build-start", runner.name, reason=ended.text)
        elif ended.status or not facts.image:
            yield fault("build", runner.name, status=ended.status, log=_end(ended.text))
        else:
            yield from self._image(runner, facts.image)
            return
        yield not_run("image-run", runner.name, "the canary built no image")

    def _network(
        self, runner: WantedRunner, addresses: Mapping[str, str]
    ) -> Iterator[Fault | NotRun]:
        closed = not self._visit.stack.settings.network.egress.metadata
        for address, found in addresses.items():
            if address == script.METADATA:
                if found == "open" and closed:
                    yield fault("job-metadata", runner.name)
            elif found == "name":
                yield fault("job-name", runner.name, address=address)
            elif found == "closed":
                yield fault("job-reach", runner.name, address=address)
        if not addresses or "unknown" in addresses.values():
            for name in ("job-name", "job-reach", "job-metadata"):
                yield not_run(name, runner.name, "the image of the build cannot look")

    def _image(self, runner: WantedRunner, image: str) -> Iterator[Fault]:
        secret = runner.names["pull_secret"]
        targets: Sequence[str] = [*self._visit.stack.settings.target_namespaces]
        for namespace in targets or [runner.names["job_namespace"]]:
            ended = self._job(run_job(namespace, image, secret), "run")
            if ended.status != 0 or script.WORD not in ended.text:
                yield fault(
                    "image-run",
                    runner.name,
                    image=image,
                    namespace=namespace,
                    reason=_end(ended.text) or f"it ended with {ended.status}",
                )

    def _job(self, job: Manifest, container: str) -> Ended:
        """Run a Job until one of its containers ends, and remove it.

        Raises:
            UnseenError: the account of the kubeconfig may not make it, or doctor was stopped.
        """
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        jobs = folder("batch/v1", "Job", namespace)
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
        for number in range(int(SECONDS / _POLL)):
            answer = self._api.ask("GET", f"{pods}{query(labelSelector=f'{LABEL}={name}')}")
            for pod in entries(answer.body, "items"):
                ended, reason = _state(pod, container)
                if ended is not None:
                    log = self._log(pods, pod, container)
                    return Ended(ended, log) if ended >= 0 else Ended(None, reason)
                # A mount may fail once, before the kubelet knows of its Secret.
                waits = number > _PATIENCE and inside(pod, "status").get("phase") == "Pending"
                if waits and (failed := self._said(pod, namespace, _MOUNTS)):
                    return Ended(None, failed)
            if not entries(answer.body, "items"):
                reason = self._said({"metadata": {"name": name}}, namespace, _REFUSED) or reason
            if self._stopped.wait(_POLL):
                message = "doctor was stopped"
                raise UnseenError(message)
        return Ended(None, f"{reason} within {SECONDS} seconds")

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
        answer = self._api.ask("GET", f"{pods}/{name}/log{query(container=container)}")
        return str(answer.body.get("text", ""))


def skipped(visit: Visit) -> list[NotRun]:
    """Return the checks of a canary that nobody asked for."""
    return [
        not_run(name, runner, "it needs a pod; ask for a build by --build")
        for runner in visit.stack.runners
        for name in NAMES
    ]


def _state(pod: Manifest, container: str) -> tuple[int | None, str]:
    """Return a container's status, None while it runs and -1 where it cannot, and why."""
    for status in entries(pod, "status", "containerStatuses"):
        waiting = inside(status, "state", "waiting")
        if waiting.get("reason") in _STUCK:
            return -1, str(waiting.get("message") or waiting["reason"])
        terminated: Mapping[str, Any] = inside(status, "state", "terminated")
        if status["name"] == container and terminated:
            return int(terminated["exitCode"]), ""
    for condition in entries(pod, "status", "conditions"):
        if condition.get("reason") == "Unschedulable":
            return None, str(condition.get("message"))
    if inside(pod, "status").get("phase") == "Failed":
        return -1, str(inside(pod, "status").get("message") or "the pod failed")
    return None, "the pod did not end"


def _addresses(visit: Visit) -> list[str]:
    """Return what jobs reach: GitLab, registries and mirrors; and what they must not."""
    settings = visit.stack.settings
    schemes = {item.host.partition("/")[0]: item.insecure for item in settings.registries}
    hosts = dict.fromkeys([*schemes, *settings.registry_mirrors])
    urls = [f"http{'' if schemes.get(host) else 's'}://{host}/v2/" for host in hosts]
    return [settings.gitlab.url, *urls, script.METADATA]


def _end(log: str) -> str:
    """Return the last lines of a log, without what doctor asked."""
    lines = [line for line in log.splitlines() if not line.startswith("image-builds-doctor: ")]
    return "\n".join(lines[-_LINES:])
