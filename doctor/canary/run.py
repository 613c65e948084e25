"""Looks at the network of jobs, and builds, pushes, pulls and runs an image by each runner."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from doctor.canary import network, script
from doctor.canary.jobs import build_job, look_job, run_job
from doctor.canary.symptoms import NAMES as OF_BUILDS
from doctor.canary.symptoms import symptom
from doctor.canary.watch import Watch
from doctor.diagnosis import Fault, NotRun, UnseenError, fault
from doctor.examine import ODD, Visit, not_run, odd
from doctor.kubernetes_api import Api
from doctor.wanted import WantedRunner, entries, inside

_OF_NETWORK = ("job-name", "job-reach", "job-stalls", "job-proxy", "job-metadata", "job-unenforced")
_OF_IMAGES = ("build-start", *OF_BUILDS, "image-run")
NAMES = (*_OF_NETWORK, *_OF_IMAGES, "job-mtu")
"""The checks that a canary does."""
BASE = "docker.io/library/busybox:1.37.0"
"""What the canary's image is from, unless the user names another image."""
_LINES = 12
_SERVICE = "kubernetes.io/service-name"
_ON_NODES = {"dood"}
"""The strategies whose builds are in a network of the node, which no pod can measure."""


class Seen(NamedTuple):
    """What a part of a canary found, and the bytes of the largest packet where it looked."""

    found: list[Fault | NotRun]
    mtu: int | None = None


class Canary:
    """Canaries of a stack; ``stop`` ends them early."""

    def __init__(self, api: Api, visit: Visit, base: str = BASE) -> None:
        """Remember where and what to build."""
        self._jobs = Watch(api)
        self._visit = visit
        self._base = base
        # OpenShift chooses the user of a pod itself.
        self._user = visit.stack.settings.cluster.platform != "openShift"

    def run(self) -> list[Fault | NotRun]:
        """Look and build by all runners at once, and return what is wrong."""
        runners = [*self._visit.stack.runners.values()]
        with ThreadPoolExecutor(16, thread_name_prefix="canary") as threads:
            try:
                looks = [threads.submit(self._part, self._look, one) for one in runners]
                builds = [threads.submit(self._part, self._build, one) for one in runners]
                found: list[Fault | NotRun] = []
                for runner, look, build in zip(runners, looks, builds, strict=True):
                    seen, built = look.result(), build.result()
                    found += [*seen.found, *built.found, *_packets(runner, seen.mtu, built.mtu)]
                return found
            finally:
                self.stop()

    def stop(self) -> None:
        """End early; what was made is removed."""
        self._jobs.stop()

    def _part(self, part: Callable[[WantedRunner], Seen], runner: WantedRunner) -> Seen:
        try:
            return part(runner)
        except (UnseenError, *ODD) as error:
            names = _OF_NETWORK if part == self._look else _OF_IMAGES
            return Seen([not_run(name, runner.name, odd(error)) for name in names])

    def _look(self, runner: WantedRunner) -> Seen:
        """Look from a pod that may do nothing else."""
        settings = self._visit.stack.settings
        found: list[Fault | NotRun] = []
        closed: list[network.Asked] = []
        try:
            closed.extend(self._closed(runner))
        except UnseenError as error:
            found.append(not_run("job-unenforced", runner.name, str(error)))
        metadata = network.Asked(network.METADATA, "")
        text = network.script(runner, [*network.places(settings, runner), metadata, *closed])
        job = look_job(runner, text, user=self._user)
        ended = self._jobs.run(job, "look")
        if ended.status is None:
            message = f"the pod that looks at the network does not start: {ended.text}"
            raise UnseenError(message)
        facts = network.read(ended.text)
        found += self._network(runner, facts.addresses, {place.url for place in closed})
        return Seen(found, facts.mtu)

    def _closed(self, runner: WantedRunner) -> Iterator[network.Asked]:
        """Yield an address that answers, and that the stack's policies close: the API server's."""
        egress = self._visit.stack.settings.network.egress
        if runner.plan.account_token or (egress.private and egress.public):
            return
        for item in self._visit.seen.list("discovery.k8s.io/v1", "EndpointSlice", "default"):
            if inside(item, "metadata", "labels").get(_SERVICE) != "kubernetes":
                continue
            pairs = itertools.product(entries(item, "endpoints"), entries(item, "ports"))
            for endpoint, port in pairs:
                (address, *_) = endpoint["addresses"]
                host = f"[{address}]" if ":" in address else address
                if not egress.reaches(address):
                    yield network.Asked(f"https://{host}:{port['port']}", "")

    def _network(
        self, runner: WantedRunner, addresses: Mapping[str, str], closed: set[str]
    ) -> Iterator[Fault | NotRun]:
        for address, found in addresses.items():
            if address in closed or address == network.METADATA:
                yield from self._opened(runner, address, found)
            elif check := _CHECKS.get(found):
                yield fault(check, runner.name, address=address)
            elif found.startswith("proxy-"):
                answer = found.partition("-")[2]
                yield fault("job-proxy", runner.name, address=address, answer=answer)
        if not addresses or "unknown" in addresses.values():
            for name in _OF_NETWORK:
                yield not_run(name, runner.name, "the image of GitLab's helper cannot look")

    def _opened(self, runner: WantedRunner, address: str, found: str) -> Iterator[Fault]:
        if found not in {"open", "stalls"}:
            return
        if address != network.METADATA:
            yield fault("job-unenforced", runner.name, address=address)
        elif not self._visit.stack.settings.network.egress.metadata:
            yield fault("job-metadata", runner.name)

    def _build(self, runner: WantedRunner) -> Seen:
        if not runner.plan.builds:
            message = "jobs of this runner build nothing"
            raise UnseenError(message)
        if not self._visit.repository:
            message = "name a repository that builds push to, by --repository"
            raise UnseenError(message)
        text = script.build(runner, self._visit.repository, self._base)
        ended = self._jobs.run(build_job(runner, text), "build")
        image = script.image(ended.text)
        if ended.hangs:
            found = fault("build-hangs", runner.name, log=_end(ended.text))
        elif ended.status is None:
            found = fault("build-start", runner.name, reason=ended.text)
        elif ended.status or not image:
            check = symptom(ended.status, ended.text)
            found = fault(check, runner.name, status=ended.status, log=_end(ended.text))
        else:
            return self._image(runner, image)
        return Seen([found, not_run("image-run", runner.name, "the canary built no image")])

    def _image(self, runner: WantedRunner, image: str) -> Seen:
        secret, found = runner.names["pull_secret"], list[Fault | NotRun]()
        targets: Sequence[str] = [*self._visit.stack.settings.target_namespaces]
        mtu: int | None = None
        for namespace in targets or [runner.names["job_namespace"]]:
            job = run_job(namespace, image, secret, user=self._user)
            ended = self._jobs.run(job, "run")
            if ended.status != 0 or script.WORD not in ended.text:
                reason = _end(ended.text) or f"it ended with {ended.status}"
                where = {"image": image, "namespace": namespace}
                found.append(fault("image-run", runner.name, **where, reason=reason))
            else:
                mtu = script.packets(ended.text)
        return Seen(found, mtu)


_CHECKS = {"name": "job-name", "closed": "job-reach", "stalls": "job-stalls"}


def _packets(runner: WantedRunner, pod: int | None, build: int | None) -> Iterator[Fault | NotRun]:
    """Compare the network of builds with that of the pod."""
    if runner.plan.strategy in _ON_NODES:
        yield not_run("job-mtu", runner.name, "builds are in a network of their node")
    elif pod is None or build is None:
        yield not_run("job-mtu", runner.name, "it needs the network of a pod and a build")
    elif build > pod:
        yield fault("job-mtu", runner.name, pod=pod, build=build)


def skipped(visit: Visit) -> list[NotRun]:
    """Return the checks of a canary that nobody asked for."""
    return [
        not_run(name, runner, "it needs a pod; ask for a build by --build")
        for runner in visit.stack.runners
        for name in NAMES
    ]


def _end(log: str) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.splitlines()[-_LINES:])
