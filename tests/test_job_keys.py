"""What a runner's keys about job pods make of config.toml, of values and of the daemon's pod."""

import dataclasses
import json
import tomllib
from typing import Any

import pytest
from pydantic import TypeAdapter
from syrupy.assertion import SnapshotAssertion

from components.plan import Service
from components.settings.runners.runner import RunnerSettings
from components.site import Cluster, Nodes, Site
from components.strategies.buildkit import Buildkit
from components.strategies.kaniko import Kaniko
from report.analysis.pods.patches import merge
from tests.executor.pod import Request, job_pod
from tests.executor.rendered import config_toml
from tests.support.configured import CERTIFICATE
from tests.support.runners import Toml, rendered

SITE = Site(cluster=Cluster(kind="onPrem", nodes=Nodes()))
JOBS: dict[str, Any] = {
    "podStartTimeout": 1800,
    "nodeAffinity": {
        "require": [
            {"key": "pool", "operator": "In", "values": ["ci", "spare"]},
            {"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"},
        ],
        "prefer": [{"key": "spot", "operator": "Exists", "weight": 10}],
    },
    "spread": "node",
    "labels": {"team": "images", "project": "$CI_PROJECT_ID", "empty": ""},
    "annotations": {"sidecar.istio.io/inject": "false", "note": "any text"},
    "dns": {
        "servers": ["192.0.2.53"],
        "searches": ["corp.example.com"],
        "options": {"use-vc": None, "ndots": 1},
    },
    "volumes": [
        {"path": "/cache", "claim": "cache"},
        {"path": "/keys", "secret": "signing", "readOnly": True},
        {"path": "/etc/site", "configMap": "site"},
        {"path": "/memory", "scratch": {"size": "1Gi", "memory": True}},
        {"path": "/scratch", "scratch": {"size": "20Gi"}},
        {"path": "/builds", "perJob": {"size": "100Gi", "storageClass": "fast"}},
    ],
    "caCertificates": CERTIFICATE,
    "logLimit": "20Mi",
    "allowedImages": ["registry.example.com/**/*", "alpine:*"],
    "allowedServices": ["postgres:*"],
    "resources": {
        "extended": {"nvidia.com/gpu": 2},
        "pod": {"requests": {"memory": "4Gi"}, "limits": {"cpu": "8"}},
    },
}


def _runner(**keys: object) -> RunnerSettings:
    return TypeAdapter(RunnerSettings).validate_python({"tags": ["build"], **keys})


def _changes(**keys: object) -> dict[str, Any]:
    given = _runner(**keys)
    return {name: getattr(given, name) for name in given.model_fields_set if name != "tags"}


def _entry(**keys: object) -> dict[str, Any]:
    return tomllib.loads(rendered(Kaniko().plan(SITE), **_changes(**keys)))["runners"][0]


def test_the_text_with_all_keys_of_jobs_is_as_reviewed(snapshot: SnapshotAssertion) -> None:
    text = rendered(Kaniko().plan(SITE), **_changes(**JOBS))

    assert text == snapshot(extension_class=Toml)


def test_a_pod_may_take_ten_minutes_to_start() -> None:
    assert _entry()["kubernetes"]["poll_timeout"] == 600
    assert _entry(podStartTimeout=60)["kubernetes"]["poll_timeout"] == 60


@pytest.mark.parametrize(("limit", "kibibytes"), [("20Mi", 20480), ("1M", 977), (1, 1)])
def test_a_log_is_limited_in_kibibytes(limit: object, kibibytes: int) -> None:
    assert _entry(logLimit=limit)["output_limit"] == kibibytes
    assert "output_limit" not in _entry()


def test_jobs_that_run_at_the_same_time_may_have_a_claim_each() -> None:
    entry = _entry(volumes=[{"path": "/cache", "claim": "cache-$CI_CONCURRENT_ID"}])

    assert entry["kubernetes"]["volumes"]["pvc"][0]["name"] == "cache-$CI_CONCURRENT_ID"
    pod = job_pod(entry, Request(), "login")
    claims = [
        item["persistentVolumeClaim"] for item in pod["spec"]["volumes"] if "persist" in str(item)
    ]
    assert claims == [{"claimName": "cache-0"}]


def test_a_claim_for_each_job_takes_the_place_of_a_folder() -> None:
    """The runner mounts the folder into every container, services of the job included."""
    entry = _entry(volumes=[{"path": "/data", "perJob": {"size": "5Gi"}}])

    (folder,) = entry["kubernetes"]["volumes"]["empty_dir"]
    (patch,) = entry["kubernetes"]["pod_spec"]
    spec: Any = merge(
        {"volumes": [{"name": folder["name"], "emptyDir": {}}]}, patch["patch"], "strategic"
    )
    assert folder["mount_path"] == "/data"
    assert entry["feature_flags"]["FF_USE_ADVANCED_POD_SPEC_CONFIGURATION"] is True
    (volume,) = spec["volumes"]
    assert volume == {
        "name": folder["name"],
        "ephemeral": {
            "volumeClaimTemplate": {
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "5Gi"}},
                }
            }
        },
    }


def test_the_user_of_a_build_may_write_to_its_own_claim() -> None:
    """A new disk belongs to root."""
    plan = Buildkit().plan(SITE)
    claim = _changes(volumes=[{"path": "/data", "perJob": {"size": "5Gi"}}])
    folder = _changes(volumes=[{"path": "/data", "scratch": {"size": "5Gi"}}])

    groups = [
        tomllib.loads(rendered(plan, **changes))["runners"][0]["kubernetes"]
        .get("pod_security_context", {})
        .get("fs_group")
        for changes in (claim, folder)
    ]

    assert groups == [1000, plan.group]


def test_searches_alone_are_added_to_the_dns_of_the_cluster() -> None:
    jobs = _entry(dns={"searches": ["corp.example.com"]})["kubernetes"]

    assert "dns_policy" not in jobs
    assert jobs["dns_config"] == {"searches": ["corp.example.com"]}


def test_pods_prefer_nodes_without_others_of_their_namespace() -> None:
    affinity = _entry(spread="zone")["kubernetes"]["affinity"]

    assert json.dumps(affinity).count("topology.kubernetes.io/zone") == 1
    assert list(affinity) == ["pod_anti_affinity"]
    preferred = _entry(nodeAffinity={"prefer": [{"key": "a", "operator": "Exists"}]})
    assert list(preferred["kubernetes"]["affinity"]["node_affinity"]) == [
        "preferred_during_scheduling_ignored_during_execution"
    ]


def test_host_aliases_reach_jobs() -> None:
    text = config_toml("kaniko", {"hostAliases": {"192.0.2.7": ["gitlab.example.com", "git"]}})

    (entry,) = tomllib.loads(text)["runners"]
    assert entry["kubernetes"]["host_aliases"] == [
        {"ip": "192.0.2.7", "hostnames": ["gitlab.example.com", "git"]}
    ]


def test_a_job_gets_the_devices_of_a_plugin_in_its_own_container() -> None:
    text = rendered(Kaniko().plan(SITE), **_changes(**JOBS))

    (entry,) = tomllib.loads(text)["runners"]
    spec = job_pod(entry, Request(), "credentials")["spec"]
    limits = {item["name"]: item["resources"]["limits"] for item in spec["containers"]}
    assert limits["build"] == {"nvidia.com/gpu": "2"}
    assert "nvidia.com/gpu" not in limits["helper"]
    assert spec["resources"] == {"requests": {"memory": "4Gi"}, "limits": {"cpu": "8"}}


def test_a_job_runs_allowed_images_and_the_runners_own() -> None:
    entry = _entry(**JOBS)

    allowed = Request(image="registry.example.com/a/b:1")
    assert job_pod(entry, allowed, "")["spec"]["containers"][0]["image"] == allowed.image
    assert job_pod(entry, Request(), "")["spec"]["containers"][0]["image"] == Kaniko().image
    with pytest.raises(ValueError, match="not present on list of allowed images"):
        job_pod(entry, Request(image="debian:13"), "")


def test_services_are_allowed_beside_those_of_the_strategy() -> None:
    service = Service(image="helper:1", alias="help")
    plan = dataclasses.replace(Kaniko().plan(SITE), services=(service,))

    text = rendered(plan, **_changes(allowedServices=["postgres:*"]))

    assert tomllib.loads(text)["runners"][0]["kubernetes"]["allowed_services"] == [
        "helper:1",
        "postgres:*",
    ]
    assert "allowed_services" not in rendered(plan)
