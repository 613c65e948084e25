"""What the keys of a runner about its pods are in a real one: volumes, names and marks."""

import concurrent.futures
from collections.abc import Callable, Generator
from typing import Any

import pytest
from kubernetes.client import CoreV1Api

from components.settings.runners.runner import RunnerSettings
from dev.node.node import Node
from tests.support.kubernetes import core_v1
from tests.support.node.jobs import Control, Pipeline, Runner
from tests.support.node.keys import keyed
from tests.support.node.real import BINARY

NAME = "small"
CLASS = "kept-by-hand"
"""Volumes of this class are made here, since the node has nothing that makes them on demand."""
VOLUMES = {"keyed-kept": True, "keyed-builds": False}
"""Whether a volume is set aside for the claim that outlasts jobs."""
KEYS: dict[str, Any] = {
    "labels": {"team": "images", "project": "p-$CI_PROJECT_ID"},
    "annotations": {"sidecar.istio.io/inject": "false"},
    "spread": "node",
    "nodeAffinity": {
        "require": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}],
        "prefer": [{"key": "spot", "operator": "Exists"}],
    },
    "dns": {"servers": ["192.0.2.53"], "searches": ["corp.test"], "options": {"ndots": 1}},
    "volumes": [
        {"path": "/keys", "secret": "keyed"},
        {"path": "/site", "configMap": "keyed-site"},
        {"path": "/memory", "scratch": {"size": "8Mi", "memory": True}},
        {"path": "/scratch", "scratch": {"size": "1Gi"}},
        {"path": "/kept", "claim": "keyed-claim"},
        {"path": "/builds", "perJob": {"size": "1Mi", "storageClass": CLASS}},
    ],
}
SCRIPT = [
    'test "$(cat /keys/token)" = of-the-site && ! touch /keys/new 2>/dev/null && echo secret',
    'test "$(cat /site/note)" = hello && echo config-map',
    "grep -q ' /memory tmpfs ' /proc/mounts && echo of-job >/memory/file && echo memory",
    "echo of-job >/scratch/file && echo scratch",
    "touch /kept/file && echo claim",
    "touch /builds/file && grep -q ' /builds ' /proc/mounts && echo per-job",
    "grep -q '^192.0.2.7.*gitlab.site.test' /etc/hosts && echo host-alias",
    "grep -q '^nameserver 192.0.2.53$' /etc/resolv.conf && echo name-server",
    "grep -q '^search corp.test$' /etc/resolv.conf && echo search",
    "grep -q '^options ndots:1$' /etc/resolv.conf && echo option",
    # So that its pod can be looked at.
    "sleep 5",
]


def _settings(keys: dict[str, Any]) -> RunnerSettings:
    return RunnerSettings.model_validate({"tags": ["x"], **keys})


@pytest.fixture(scope="module")
def api(node: Node) -> Generator[CoreV1Api]:
    with node.cluster.api() as opened:
        yield core_v1(opened)


@pytest.fixture
def objects(api: CoreV1Api, runner: Callable[..., Runner]) -> Generator[None]:
    """Make what jobs mount: one volume is claimed here, and one by each job's own pod."""
    namespace = runner(NAME).namespace
    claim: Any = {
        "metadata": {"name": "keyed-claim"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": CLASS,
            "volumeName": "keyed-kept",
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    for_claim = {"claimRef": {"namespace": namespace, "name": "keyed-claim"}}
    for volume, reserved in VOLUMES.items():
        body: Any = {
            "metadata": {"name": volume},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "capacity": {"storage": "1Mi"},
                "storageClassName": CLASS,
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": f"/srv/{volume}", "type": "DirectoryOrCreate"},
                **(for_claim if reserved else {}),
            },
        }
        api.create_persistent_volume(body)
    api.create_namespaced_persistent_volume_claim(namespace, claim)
    secret: Any = {"metadata": {"name": "keyed"}, "stringData": {"token": "of-the-site"}}
    api.create_namespaced_secret(namespace, secret)
    note: Any = {"metadata": {"name": "keyed-site"}, "data": {"note": "hello"}}
    api.create_namespaced_config_map(namespace, note)
    yield
    api.delete_namespaced_config_map("keyed-site", namespace)
    api.delete_namespaced_secret("keyed", namespace)
    api.delete_namespaced_persistent_volume_claim("keyed-claim", namespace)
    for volume in VOLUMES:
        api.delete_persistent_volume(volume)


@pytest.mark.usefixtures("objects")
def test_a_job_has_what_its_runners_keys_say(api: CoreV1Api, runner: Callable[..., Runner]) -> None:
    found, control = keyed(runner(NAME), _settings(KEYS)), Control()
    with concurrent.futures.ThreadPoolExecutor(1) as aside:
        job = aside.submit(found.run, Pipeline(script=SCRIPT, files={}), control)
        assert control.began.wait(300), job.result().trace
        pod: Any = api.read_namespaced_pod(control.pod, found.namespace)
        listed: Any = api.list_namespaced_persistent_volume_claim(found.namespace)
        claims = {claim.metadata.name for claim in listed.items} - {"keyed-claim"}
        result = job.result()

    wanted = [line.rpartition("echo ")[2] for line in SCRIPT[:-1]]
    assert result.status == "success"
    assert [line for line in result.trace.splitlines() if line in wanted] == wanted
    assert pod.metadata.labels["team"] == "images"
    assert pod.metadata.labels["project"] == "p-1"
    assert pod.metadata.annotations["sidecar.istio.io/inject"] == "false"
    affinity = pod.spec.affinity
    (apart,) = affinity.pod_anti_affinity.preferred_during_scheduling_ignored_during_execution
    assert apart.pod_affinity_term.topology_key == "kubernetes.io/hostname"
    (claim,) = claims
    assert claim.startswith(f"{control.pod}-per-job-")


def test_a_job_without_a_node_ends_after_the_time_to_start(runner: Callable[..., Runner]) -> None:
    nowhere = {"require": [{"key": "pool", "operator": "In", "values": ["nowhere"]}]}
    found = keyed(runner(NAME), _settings({"nodeAffinity": nowhere, "podStartTimeout": 5}))

    result = found.run(
        Pipeline(script=["true"], files={}), patience=found.table["kubernetes"]["poll_timeout"]
    )

    assert result.status == "system failure"
    assert "timed out waiting for pod to start" in result.trace
    assert result.seconds < 120


@pytest.mark.skipif(BINARY is None, reason="only the real gitlab-runner limits a log")
def test_a_log_is_cut_off_at_its_limit(runner: Callable[..., Runner]) -> None:
    """The job goes on."""
    found = keyed(runner(NAME), _settings({"logLimit": "20Ki"}))
    lines = "i=0; while [ $i -lt 2000 ]; do echo a-line-of-the-job-$i; i=$((i + 1)); done"

    result = found.run(Pipeline(script=[lines], files={}))

    assert result.status == "success"
    assert "a-line-of-the-job-10\n" in result.trace.replace("\r", "")
    assert "a-line-of-the-job-1999" not in result.trace
