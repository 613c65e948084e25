"""A build on a made-up cluster: what it makes, what it says, and that it leaves nothing."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Generator, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.paths import CHECKOUT
from doctor.canary import script
from doctor.canary.jobs import SECONDS, build_job
from doctor.canary.run import NAMES, Canary, skipped
from doctor.diagnosis import Fault, NotRun
from doctor.every import EVERY
from doctor.examine import Visit, examine
from doctor.kubernetes_api import Answer
from doctor.observed import Observed
from tests.support.clinic import Changes, Object, World, stack, world
from tests.support.configured import FORMS, PULL, PUSH, STRATEGIES, TOKEN
from tests.support.servers import serving

REPOSITORY = "registry.example.com/group/app"
DIGEST = "sha256:" + "0" * 64
BUILT = f"image-builds-doctor: open http://x/\nStep 1\n{REPOSITORY}@{DIGEST}\n"


def _ended(code: int = 0) -> Object:
    return {"state": {"terminated": {"exitCode": code}}}


def _waiting(reason: str, message: str = "") -> Object:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


class MadeUpCluster:
    """An API server on which a Job's pod has a status and a log at once."""

    def __init__(self, at: World) -> None:
        self.at = at
        self.jobs: dict[str, Object] = {}
        self.made: list[Object] = []
        self.logs = {"build": BUILT, "run": f"{script.WORD}\n"}
        self.states: dict[str, Object] = {"build": _ended(), "run": _ended()}
        self.status: Object = {}
        self.mount = ""
        """What an event says of the volumes of a pod."""
        self.refusal = ""
        """What an event says of the pod of a Job."""
        self.pods = True
        self.refused = ""

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
        del kind
        where, _, parameters = path.partition("?")
        if method == "POST" and where.endswith("/jobs"):
            return self._made(body)
        if method == "DELETE":
            assert body == {"propagationPolicy": "Background"}
            self.jobs.pop(where.rpartition("/")[2], None)
            return Answer(HTTPStatus.OK, {})
        if where.endswith("/log"):
            return Answer(HTTPStatus.OK, {"text": self.logs[parameters.partition("=")[2]]})
        if "labelSelector" in parameters:
            job = self.jobs[parameters.rpartition("D")[2]]
            return Answer(HTTPStatus.OK, {"items": [self._pod(job)] if self.pods else []})
        if where.endswith("/events"):
            return Answer(HTTPStatus.OK, {"items": [*self._events()]})
        raise AssertionError(path)

    def _made(self, job: Object) -> Answer:
        if self.refused:
            return Answer(HTTPStatus.FORBIDDEN, {"message": self.refused})
        self.jobs[job["metadata"]["name"]] = job
        self.made.append(job)
        return Answer(HTTPStatus.CREATED, job)

    def _events(self) -> Iterator[Object]:
        if self.mount:
            about = {"involvedObject": {"kind": "Pod", "name": "of-the-job"}}
            yield {"reason": "FailedMount", "message": self.mount, **about}
        for name in self.jobs:
            about = {"involvedObject": {"kind": "Job", "name": name}}
            yield {"reason": "SuccessfulCreate", **about}
            if self.refusal:
                yield {"reason": "FailedCreate", "message": self.refusal, **about}

    def _pod(self, job: Object) -> Object:
        name = job["spec"]["template"]["spec"]["containers"][0]["name"]
        statuses: list[Object] = [
            {"name": "other", "state": {}},
            {"name": name, **self.states[name]},
        ]
        return {
            "metadata": {"name": "of-the-job"},
            "status": {"containerStatuses": statuses, **self.status},
        }


@contextlib.contextmanager
def _cluster(changes: Changes | None = None) -> Generator[MadeUpCluster]:
    with world(changes) as at:
        yield MadeUpCluster(at)


def _run(cluster: MadeUpCluster, repository: str = REPOSITORY) -> list[Fault | NotRun]:
    visit = Visit(
        stack=cluster.at.wanted, seen=Observed(cluster), context="a-cluster", repository=repository
    )
    return Canary(cluster, visit).run()


def _names(found: list[Fault | NotRun]) -> list[str]:
    return [item.check.name for item in found if isinstance(item, Fault)]


def test_a_build_that_works_has_no_fault_and_leaves_no_job() -> None:
    with _cluster() as cluster:
        found = _run(cluster)

    assert found == []
    assert cluster.jobs == {}
    build, run = cluster.made
    assert build["metadata"]["namespace"] == "builds-main"
    assert run["metadata"]["namespace"] == "apps"
    pod = run["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"{REPOSITORY}@{DIGEST}"
    assert pod["imagePullSecrets"] == [{"name": "registry-pull"}]


def test_kubernetes_ends_and_removes_what_a_killed_doctor_leaves() -> None:
    with _cluster() as cluster:
        _run(cluster)

    for job in cluster.made:
        assert job["spec"]["activeDeadlineSeconds"] == SECONDS
        assert job["spec"]["ttlSecondsAfterFinished"] > 0
        assert job["spec"]["backoffLimit"] == 0


def test_the_canary_has_the_pod_of_a_job_and_no_secret() -> None:
    with _cluster() as cluster:
        _run(cluster)
    spec = cluster.made[0]["spec"]["template"]["spec"]
    text = json.dumps(cluster.made)

    assert spec["serviceAccountName"] == "gitlab-job-main"
    assert [item["name"] for item in spec["containers"]] == ["build"]
    assert "initContainers" not in spec
    assert [secret for secret in (TOKEN, PULL, PUSH) if secret in text] == []


def test_without_targets_the_image_runs_where_jobs_do() -> None:
    with _cluster({"targetNamespaces": {}}) as cluster:
        assert _run(cluster) == []

    assert cluster.made[1]["metadata"]["namespace"] == "builds-main"


def test_a_build_that_fails_says_the_end_of_its_log() -> None:
    with _cluster() as cluster:
        cluster.states["build"] = _ended(1)
        cluster.logs["build"] = "image-builds-doctor: open http://x/\nunauthorized: no push\n"
        found = _run(cluster)

    assert _names(found) == ["build"]
    assert isinstance(found[0], Fault)
    assert found[0].message == "A build by this strategy ends with 1: unauthorized: no push"
    assert [item.check.name for item in found if isinstance(item, NotRun)] == ["image-run"]
    assert cluster.jobs == {}


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        (_waiting("ErrImagePull", "no such tag"), {}, "no such tag"),
        (_waiting("InvalidImageName"), {}, "InvalidImageName"),
        ({}, {"phase": "Failed", "message": "evicted"}, "evicted"),
        ({}, {"phase": "Failed"}, "the pod failed"),
    ],
    ids=["no image", "no name", "evicted", "failed"],
)
def test_a_pod_that_does_not_start_is_named(state: Object, status: Object, reason: str) -> None:
    with _cluster() as cluster:
        cluster.states["build"], cluster.status = state, status
        found = _run(cluster)

    assert _names(found) == ["build-start"]
    assert isinstance(found[0], Fault | NotRun)
    assert reason in str(found)


@pytest.mark.parametrize("why", ["unschedulable", "refused", "silent", "slow", "mount"])
def test_a_pod_that_never_ends_is_not_waited_for(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctor.canary.run._POLL", 0.01)
    monkeypatch.setattr("doctor.canary.run.SECONDS", 0.03)
    with _cluster() as cluster:
        cluster.states["build"] = {"state": {"running": {}}}
        condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}
        cluster.status = (
            {"conditions": [{"type": "Ready"}, condition]} if why == "unschedulable" else {}
        )
        cluster.pods = why in {"unschedulable", "slow", "mount"}
        cluster.refusal = "exceeded quota" if why == "refused" else ""
        if why == "mount":
            monkeypatch.setattr("doctor.canary.run._PATIENCE", 1)
            cluster.status = {"phase": "Pending"}
            cluster.mount = "docker.sock is not a socket file"
        found = _run(cluster)

    expected = {
        "unschedulable": "0/1 nodes",
        "refused": "exceeded quota",
        "silent": "no pod was made",
        "slow": "the pod did not end",
        "mount": "docker.sock is not a socket file",
    }
    assert _names(found) == ["build-start"]
    assert expected[why] in str(found)
    assert cluster.jobs == {}


def test_an_image_that_does_not_run_is_named() -> None:
    with _cluster() as cluster:
        cluster.states["run"] = _ended(1)
        cluster.logs["run"] = ""
        found = _run(cluster)

    assert _names(found) == ["image-run"]
    assert "in apps: it ended with 1" in str(found)


def test_what_jobs_reach_is_named() -> None:
    with _cluster() as cluster:
        cluster.logs["build"] = (
            "image-builds-doctor: name http://gitlab/\n"
            "image-builds-doctor: closed http://registry/v2/\n"
            f"image-builds-doctor: open {script.METADATA}\n{BUILT}"
        )
        found = _run(cluster)

    assert _names(found) == ["job-name", "job-reach", "job-metadata"]


def test_metadata_that_is_closed_or_meant_to_be_open_is_no_fault() -> None:
    for found, changes in (("closed", {}), ("open", {"network.egress": {"metadata": True}})):
        with _cluster(changes) as cluster:
            cluster.logs["build"] = f"image-builds-doctor: {found} {script.METADATA}\n{BUILT}"
            assert _run(cluster) == []


def test_an_image_without_clients_cannot_look() -> None:
    with _cluster() as cluster:
        cluster.logs["build"] = f"image-builds-doctor: unknown http://gitlab/\n{BUILT}"
        found = _run(cluster)

    assert _names(found) == []
    assert {item.check.name for item in found} == {"job-name", "job-reach", "job-metadata"}


def test_without_the_right_nothing_ran() -> None:
    with _cluster() as cluster:
        cluster.refused = 'jobs.batch is forbidden: User "x" cannot create'
        found = _run(cluster)

    assert {item.check.name for item in found if isinstance(item, NotRun)} == {*NAMES}
    assert "cannot be made in builds-main: jobs.batch is forbidden" in str(found)


def test_without_a_repository_nothing_is_built() -> None:
    with _cluster() as cluster:
        found = _run(cluster, "")

    assert "by --repository" in str(found)
    assert cluster.made == []


def test_a_runner_that_builds_nothing_has_no_canary() -> None:
    read = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    deploy = {"kind": "deploy", "permissions": {"apps": [read]}}
    with _cluster({"runners.main.strategy": deploy}) as cluster:
        found = _run(cluster)

    assert "build nothing" in str(found)
    assert _names(found) == []


def test_who_is_interrupted_removes_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("doctor.canary.run._POLL", 0.05)
    with _cluster() as cluster:
        cluster.states["build"] = {"state": {"running": {}}}
        visit = Visit(stack=cluster.at.wanted, seen=Observed(cluster), repository=REPOSITORY)
        canary = Canary(cluster, visit)
        found: list[list[Fault | NotRun]] = []
        thread = threading.Thread(target=lambda: found.append(canary.run()))
        thread.start()
        while not cluster.jobs:
            pass
        canary.stop()
        thread.join(10)

    assert cluster.jobs == {}
    assert "doctor was stopped" in str(found)


def test_a_diagnosis_counts_what_a_canary_did() -> None:
    with world() as at:
        visit = Visit(stack=at.wanted, seen=Observed(at.api))
        without = examine(EVERY, visit, NAMES, skipped(visit))
        within = examine(EVERY, visit, NAMES, [])

    assert not {*NAMES} & without.ran["main"]
    assert {*NAMES} <= within.ran["main"]


BY_KIND = {FORMS[name].kind: entry for name, entry in STRATEGIES.items()}


@pytest.mark.parametrize("kind", BY_KIND)
def test_the_canary_builds_with_the_inputs_of_its_template(kind: str) -> None:
    """All that it does not set itself have the default of the template."""
    head, body = yaml.safe_load_all((CHECKOUT / "templates" / f"{kind}.yml").read_text("utf-8"))
    (job,) = body.values()
    defaults = {name: entry.get("default") for name, entry in head["spec"]["inputs"].items()}
    expected = {
        name: re.sub(r"\$\[\[ inputs\.(\w+) ]]", lambda found: str(defaults[found[1]]), value)
        for name, value in job["variables"].items()
    }
    runner = stack({"runners.main.strategy": BY_KIND[kind]}).runners["main"]
    text = script.build(runner, REPOSITORY, "busybox", [])
    given = dict(re.findall(r"^export (BUILD_\w+)='?([^\n']*)'?$", text, re.MULTILINE))

    own = {"IMAGE", "TAG", "DOCKERFILE", "CONTEXT", "CACHE", "OCI_LABELS", "INSECURE"}
    chosen = {f"BUILD_{name}" for name in own}
    assert {name: given.get(name) for name in expected if name not in chosen} == {
        name: value for name, value in expected.items() if name not in chosen
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_script_of_every_strategy_is_shell(strategy: str) -> None:
    runner = stack({"runners.main.strategy": STRATEGIES[strategy]}).runners["main"]
    text = script.build(runner, REPOSITORY, "busybox", [script.METADATA])
    job = build_job(runner, text)
    shell = shutil.which("sh")

    assert shell
    subprocess.run([shell, "-n"], input=text, text=True, check=True)
    (build,) = [
        item for item in job["spec"]["template"]["spec"]["containers"] if item["name"] == "build"
    ]
    assert build["command"] == ["sh", "-c", text]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("http://nobody.invalid/", "name"), ("http://localhost:9/", "closed"), ("", "open")],
)
def test_the_shell_sees_what_an_address_answers(
    address: str, expected: str, tmp_path: Path
) -> None:
    """Another server is open, whatever it answers."""
    with world() as at, serving(at.gitlab) as host:
        url = address or f"http://{host}/"
        runner = at.wanted.runners["main"]
        text = script.build(runner, REPOSITORY, "busybox", [url]).partition("export ")[0]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        said = subprocess.check_output(["sh", "-c", text], text=True, env=environment)

    assert script.read(said).addresses == {url: expected}
