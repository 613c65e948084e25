"""One session's builds: a runner of each strategy on the node, and the jobs that it runs."""

import contextlib
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Generator
from concurrent import futures
from pathlib import Path
from typing import Any

import psutil
import yaml

from dev.local.stack import LocalStack
from dev.node.node import Node
from dev.node.registry import OPEN
from dev.toolchain.ensure import ensure
from tests.bench import figures, projects
from tests.bench.figures import Build, Case
from tests.bench.meters import Peak, Traffic, Workers, volumes
from tests.support.cluster import account, runner_config
from tests.support.configured import SETTINGS, STRATEGIES
from tests.support.kubernetes import core_v1
from tests.support.node.jobs import Pipeline, Result, Runner
from tests.support.node.project import TEMPLATES, pipeline

_ENGINE = "dood"
"""Its builds run in the node's Docker engine."""
_SERVICE = "buildkit-service"
"""Its builds run in a daemon's pod, in a separate namespace."""
_NAMESPACE = "bench"
_DAEMONS = f"{_NAMESPACE}-{_SERVICE}-buildkitd"


class BuildFailedError(Exception):
    """A job did not build its image; the message names it and has the end of its trace."""


class WatchedRunner(Runner):
    """A runner that shows each pod to ``watch`` before it is removed."""

    watch: Callable[[str], None]

    def _remove(self, pod: str, grace: int | None) -> None:
        self.watch(pod)
        super()._remove(pod, grace)


@contextlib.contextmanager
def deployed(node: Node, folder: Path) -> Generator[None]:
    """Deploy a stack with a runner of each strategy, by the code of ``make up``."""
    state = node.cluster.state.parent / "node-bench"
    stack_file = folder / "Pulumi.bench.yaml"
    # Four jobs at once must fit on 2 cores.
    asked = {"requests": {"cpu": "200m", "memory": "256Mi"}}
    runners: dict[str, Any] = {
        name: {
            "tags": [name],
            "strategy": STRATEGIES[name],
            "resources": {**asked, "service": asked},
        }
        for name in figures.STRATEGIES
    }
    settings = {
        "gitlab": {"url": "https://gitlab.example.com"},
        "cluster": SETTINGS["cluster"],
        "namespace": _NAMESPACE,
        # Jobs have a login, as in production, although this registry needs none.
        "registries": [{"host": OPEN.address, "insecure": True, "push": "out"}],
        "runners": runners,
    }
    stack_file.write_text(
        yaml.safe_dump({"config": {"image-builds:settings": settings}}), encoding="utf-8"
    )
    stack = LocalStack("bench", state, node.cluster.kubeconfig, stack_file=stack_file)
    with stack.open() as opened:
        opened.up()
    try:
        yield
    finally:
        with stack.open() as opened:
            opened.destroy(remove=True)


class Session:
    """Builds that push to repositories of this session alone."""

    def __init__(self, node: Node, folder: Path, traffic: Traffic) -> None:
        """Remember where things are; ``folder`` is for files of the runners."""
        self._node = node
        self._folder = folder
        self._traffic = traffic
        self._name = secrets.token_hex(4)
        self._primed: set[tuple[str, str]] = set()

    def warm_up(self, strategy: str) -> None:
        """Build once, so that the programs are in the page cache."""
        job = self._job(strategy, "small", "warm-up", cache=False)
        self._run(f"{strategy}, warm-up", strategy, job)

    def measure(self, case: Case, strategy: str, run: int) -> Build:
        """Build ``case`` and return its cost.

        Raises:
            BuildFailedError: a job failed.
        """
        what = f"{strategy}, {case.project}, {case.state}, {case.jobs} at once, run {run + 1}"
        cached = case.state == "cached"
        if cached:
            self._prime(strategy, case.project)
        else:
            self.prune(strategy)
        names = [secrets.token_hex(4) for _ in range(case.jobs)]
        jobs = [self._job(strategy, case.project, name, cache=cached) for name in names]
        workers = self._workers(strategy)
        before = workers.disk()
        began: list[float] = []
        ended: list[float] = []
        peak = Peak(workers)

        def watch(pod: str) -> None:
            scripts = self._scripts(strategy, pod)
            with contextlib.suppress(FileNotFoundError):  # the job failed
                began.append((scripts / "begun").stat().st_mtime)
                ended.append((scripts / "status").stat().st_mtime)
            peak.read_disk()

        runners = [self._runner(strategy, watch) for _ in jobs]
        load = psutil.getloadavg()[0]
        pulled, pushed = self._traffic.pulled(), self._traffic.pushed()
        started = time.time()
        with peak.watched(), futures.ThreadPoolExecutor(case.jobs) as pool:
            results = list(pool.map(Runner.run, runners, jobs))
        for result in results:
            _succeeded(what, result)
        return Build(
            strategy=strategy,
            project=case.project,
            state=case.state,
            jobs=case.jobs,
            run=run,
            seconds=max(ended) - min(began),
            total=max(ended) - started,
            memory=peak.memory,
            pulled=self._traffic.pulled() - pulled,
            pushed=self._traffic.pushed() - pushed,
            disk=peak.disk - before,
            load=load,
        )

    def prune(self, strategy: str) -> None:
        """Delete the layers in a daemon that outlives jobs, and the images of this benchmark."""
        if strategy in (_ENGINE, _SERVICE):
            self._primed = {entry for entry in self._primed if entry[0] != strategy}
        if strategy == _ENGINE:
            docker = str(ensure("docker").file)
            reference = f"reference={OPEN.address}/{_NAMESPACE}/*/*"
            listing = self._node.machine.call(docker, "images", "--quiet", "--filter", reference)
            if images := set(listing.split()):
                self._node.machine.call(docker, "image", "rm", "--force", *images)
            self._node.machine.call(docker, "builder", "prune", "--all", "--force")
        elif strategy == _SERVICE:
            subprocess.run(
                [
                    str(ensure("kubectl").file),
                    f"--kubeconfig={self._node.cluster.kubeconfig}",
                    *("--namespace", _DAEMONS, "exec", "deployment/buildkitd", "--"),
                    *("buildctl", "prune", "--all"),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )

    def _prime(self, strategy: str, project: str) -> None:
        """Build what cached builds reuse, unless it is still there."""
        if (strategy, project) not in self._primed:
            job = self._job(strategy, project, "first", cache=True)
            self._run(f"{strategy}, {project}, first build", strategy, job)
            self._primed.add((strategy, project))

    def _run(self, what: str, strategy: str, job: Pipeline) -> None:
        _succeeded(what, self._runner(strategy, lambda _: None).run(job))

    def _job(self, strategy: str, project: str, name: str, *, cache: bool) -> Pipeline:
        """Return a job that pushes to a new repository, or with ``cache`` to a known one."""
        path = re.sub(r"\W+", "-", f"{project}-{'cached' if cache else name}".lower())
        return pipeline(
            TEMPLATES[strategy],
            f"{_NAMESPACE}/{self._name}/{strategy}-{path}",
            name,
            OPEN,
            projects.files(project, "the same" if cache else name, name),
            cache=str(cache).lower(),
        )

    def _runner(self, strategy: str, watch: Callable[[str], None]) -> Runner:
        """Return the runner with a new token of its manager, since tokens expire."""
        with self._node.cluster.api() as api:
            text = runner_config(core_v1(api), _NAMESPACE, strategy)
        manager = account(self._node.cluster, f"gitlab-runner-{strategy}", _NAMESPACE)
        runner = WatchedRunner(text, manager, self._folder, {})
        runner.watch = watch
        return runner

    def _workers(self, strategy: str) -> Workers:
        """Return the workers of a strategy, once no pod of an earlier job is left."""
        daemons = [_DAEMONS] if strategy == _SERVICE else []
        namespaces = [f"{_NAMESPACE}-{strategy}", *daemons]
        workers = Workers(self._node, namespaces, engine=strategy == _ENGINE)
        deadline = time.monotonic() + 120
        while len(workers.pods()) > len(daemons):
            if time.monotonic() > deadline:
                message = f"pods of an earlier job stay in {namespaces[0]}; delete them"
                raise BuildFailedError(message)
            time.sleep(0.5)
        return workers

    def _scripts(self, strategy: str, pod: str) -> Path:
        """Return the volume with the files that mark a script's start and end."""
        with self._node.cluster.api() as api:
            found = core_v1(api).read_namespaced_pod(pod, f"{_NAMESPACE}-{strategy}")
        return volumes(self._node.machine, found.metadata.uid) / "scripts"


def _succeeded(what: str, result: Result) -> None:
    if result.status != "success":
        tail = "\n".join(result.trace.splitlines()[-15:])
        message = f"{what}: the job ended as {result.status}; its trace ends with:\n{tail}"
        raise BuildFailedError(message)
