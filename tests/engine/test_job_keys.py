"""The API server takes the pods that keys of a runner make, at the level of its strategy."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.gitlab_runner.archive import version_of
from components.gitlab_runner.charts import has
from dev.cluster.control_plane import ControlPlane
from dev.local.stack_file import CHART_VARIABLE
from dev.paths import STAND_IN_CHART
from dev.toolchain.gitlab_runner import pinned
from tests.executor.job import Job
from tests.executor.pod import Request, job_pod
from tests.support.cluster import account, runner_config
from tests.support.configured import CERTIFICATE
from tests.support.kubernetes import Api, apps_v1, core_v1
from tests.support.stacks import Site, fresh_site

CHART = version_of(Path(os.environ.get(CHART_VARIABLE) or STAND_IN_CHART))
# Older charts have no resources of the pod as a whole.
LIMITS = {"memory": "8Gi"} if has(CHART, "pod_resources") else {}
RUNNERS: dict[str, Any] = {
    "builds": {"kind": "kaniko"},
    "boxed": {"kind": "dind", "acceptPrivileged": True},
    "strict": {"kind": "deploy"},
}
ALIASES = {"192.0.2.7": ["gitlab.example.com"]}
KEYS: dict[str, Any] = {
    "labels": {"team": "images", "path": "$CI_PROJECT_PATH"},
    "annotations": {"sidecar.istio.io/inject": "false"},
    "spread": "zone",
    "nodeAffinity": {
        "require": [{"key": "nowhere", "operator": "DoesNotExist"}],
        "prefer": [{"key": "spot", "operator": "Exists"}],
    },
    "dns": {"servers": ["192.0.2.53"], "searches": ["corp.test"], "options": {"ndots": 1}},
    "caCertificates": CERTIFICATE,
    "logLimit": "20Mi",
    "resources": {"pod": {"limits": LIMITS}} if LIMITS else {},
    "cache": {"kind": "s3", "bucket": "caches", "credentials": "minio"},
    "extra": {"kubernetes": {"poll_interval": 5}},
    "volumes": [
        {"path": "/keys", "secret": "signing"},
        {"path": "/site", "configMap": "site"},
        {"path": "/memory", "scratch": {"size": "8Mi", "memory": True}},
    ],
}
BOUND: dict[str, Any] = {
    "resources": {**KEYS["resources"], "extended": {"nvidia.com/gpu": 1}},
    "volumes": [
        *KEYS["volumes"],
        {"path": "/cache", "claim": "cache", "readOnly": True},
        {"path": "/data", "perJob": {"size": "5Gi", "storageClass": "fast"}},
    ],
}
"""Keys with which a pod waits for what the control plane does not have."""


@pytest.fixture(scope="module")
def keyed(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with fresh_site(control_plane, tmp_path_factory.mktemp("keyed")) as site:
        runners = {
            name: {"tags": [name], "strategy": strategy, **KEYS}
            for name, strategy in RUNNERS.items()
        }
        runners["bound"] = {"tags": ["bound"], "strategy": "kaniko", **KEYS, **BOUND}
        site.write(None, runners=runners, hostAliases=ALIASES)
        up = site.up()
        assert "failed" not in up.operations, up.output
        yield site


@pytest.fixture
def core(control_plane: ControlPlane) -> Iterator[Api]:
    with control_plane.api() as api:
        yield core_v1(api)


@pytest.mark.parametrize("name", RUNNERS)
def test_a_pod_with_these_keys_runs_at_the_level_of_its_strategy(
    name: str, keyed: Site, control_plane: ControlPlane, core: Api
) -> None:
    manager = account(control_plane, f"gitlab-runner-{name}", keyed.prefix)
    text = runner_config(core, keyed.prefix, name)

    run = Job(text, pinned(), manager).run(Request(variables={"CI_PROJECT_PATH": "group/app"}))

    assert (run.error, run.forbidden, run.phase) == ("", [], "Running")
    spec, metadata = run.pod["spec"], run.pod["metadata"]
    assert metadata["labels"]["path"] == "group_app"
    assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"
    assert spec["dnsPolicy"] == "None"
    assert spec["dnsConfig"] == {
        "nameservers": ["192.0.2.53"],
        "searches": ["corp.test"],
        "options": [{"name": "ndots", "value": "1"}],
    }
    assert {"ip": "192.0.2.7", "hostnames": ["gitlab.example.com"]} in spec["hostAliases"]
    assert spec["affinity"].keys() == {"nodeAffinity", "podAntiAffinity"}
    assert spec.get("resources", {}).get("limits", {}) == LIMITS
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {"signing", "site", "ca-certificates"} < volumes


def test_claims_and_devices_are_taken_too(keyed: Site, core: Api) -> None:
    """The pod waits for a disk, a claim and a node with the device."""
    (entry,) = tomllib.loads(runner_config(core, keyed.prefix, "bound"))["runners"]
    manifest = job_pod(entry, Request(), "credentials")
    manifest["metadata"]["name"] = "bound"

    pod = core.create_namespaced_pod(f"{keyed.prefix}-bound", manifest, dry_run="All")

    volumes = {volume.name: volume for volume in pod.spec.volumes}
    assert volumes["cache"].persistent_volume_claim.claim_name == "cache"
    (mine,) = [volume for name, volume in volumes.items() if name.startswith("per-job-")]
    assert mine.empty_dir is None
    template = mine.ephemeral.volume_claim_template.spec
    assert template.storage_class_name == "fast"
    build = next(item for item in pod.spec.containers if item.name == "build")
    assert build.resources.requests["nvidia.com/gpu"] == "1"
    assert {"/cache", "/data"} <= {mount.mount_path for mount in build.volume_mounts}


def test_the_manager_alone_gets_the_login_of_caches(
    keyed: Site, control_plane: ControlPlane, core: Api
) -> None:
    with control_plane.api() as api:
        manager = apps_v1(api).read_namespaced_deployment("gitlab-runner-builds", keyed.prefix)

    pod = manager.spec.template
    sources = [
        source.secret.name
        for volume in pod.spec.volumes
        if volume.projected
        for source in volume.projected.sources
    ]
    assert "gitlab-runner-builds-cache" in sources
    assert "image-builds/cache-digest" in pod.metadata.annotations
    assert pod.spec.host_aliases[0].ip == "192.0.2.7"
    secret = core.read_namespaced_secret("gitlab-runner-builds-cache", keyed.prefix)
    assert sorted(secret.data) == ["accesskey", "secretkey"]
    jobs = core.list_namespaced_secret(f"{keyed.prefix}-builds").items
    assert not [item for item in jobs if "cache" in item.metadata.name]
