"""What a report says where volumes move, limits grow and options of the program change."""

from typing import Any

import pytest

from report.analysis.risks import changes
from report.inputs.events import USER_RUNNER, read
from report.model import RiskChange
from report.redact import Scrubber
from tests.support.configured import SETTINGS
from tests.support.previews import pre_event, stack_file
from tests.support.risks import (
    NAMESPACE,
    NAMESPACE_KIND,
    URN,
    changes_of,
    changes_of_jobs,
    container,
    item,
    lines,
    pod,
    runner,
)

POD = "the job pod of runner main"
BUILD = "the build container of runner main"
AZURE = {"AccountName": "a", "ContainerName": "b"}
PRIVILEGED = {"privileged": True}
S3 = {"BucketName": "b", "ServerAddress": "minio:9000"}
ENCRYPTED = {**S3, "ServerSideEncryption": "KMS", "ServerSideEncryptionKeyID": "k"}


def _at(kind: str, path: str, **mount: Any) -> dict[str, Any]:  # noqa: ANN401 - TOML
    return runner(volumes={kind: [{"name": "v", "mount_path": path, **mount}]})


def _pods_volume(path: str) -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": path}]
    volumes: Any = [{"name": "v", "configMap": {"name": "m"}}, {"name": "e", "emptyDir": {}}]
    return pod(containers=[{"name": "c", "volumeMounts": mounts}], volumes=volumes)


def _cached(s3: dict[str, Any]) -> dict[str, Any]:
    return runner({"cache": {"Type": "s3", "s3": s3}})


def _template(**spec: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return pod(volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}])


def _release(**runners: Any) -> dict[str, Any]:  # noqa: ANN401 - values
    found = runner()
    return {**found, "values": {"runners": {**found["values"]["runners"], **runners}}}


JOBS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "claim-over-programs": (
        _at("pvc", "/cache", read_only=True),
        _at("pvc", "/usr/bin", read_only=True),
        f"volume v of {POD} is at /usr/bin",
    ),
    "secret-elsewhere": (
        _at("secret", "/s"),
        _at("secret", "/root/.docker"),
        f"volume v of {POD} is at /root/.docker",
    ),
    "claim-for-writing": (
        _at("pvc", "/cache", read_only=True),
        _at("pvc", "/cache"),
        f"volume v of {POD} is at /cache, for writing",
    ),
    "sources-in-a-volume": (
        runner({"builds_dir": "/builds"}),
        runner({"builds_dir": "/cache/builds"}),
        "the builds_dir of runner main is at /cache/builds",
    ),
    "scripts-in-a-volume": (
        runner(),
        runner(scripts_base_dir="/cache"),
        "the scripts_base_dir of runner main is at /cache",
    ),
    "cache-by-plain-http": (
        _cached(S3),
        _cached({**S3, "Insecure": True}),
        "the storage of caches at minio:9000 is reached without TLS",
    ),
    "cache-in-another-cloud": (
        runner({"cache": {"Type": "azure", "azure": AZURE}}),
        runner({"cache": {"Type": "azure", "azure": {**AZURE, "StorageDomain": "e.example"}}}),
        "runner main keeps the caches of jobs in a/b in e.example",
    ),
    "more-privileged-services": (
        runner(service_container_security_context=PRIVILEGED, allowed_services=["docker:*"]),
        runner(service_container_security_context=PRIVILEGED, allowed_services=["docker:*", "*"]),
        "a privileged service of a job of runner main may run *",
    ),
    "extra-key-that-is-false": (
        runner(),
        runner({"clean_git_config": False}),
        "config.toml of runner main has the extra key clean_git_config = false",
    ),
    "cache-without-encryption": (
        _cached(ENCRYPTED),
        _cached(S3),
        "runner main no longer has its caches encrypted with KMS k",
    ),
    "cache-with-another-key": (
        _cached(ENCRYPTED),
        _cached({**ENCRYPTED, "ServerSideEncryptionKeyID": "l"}),
        "runner main no longer has its caches encrypted with KMS k",
    ),
    "config-past-the-template": (
        _release(),
        _release(configOverride="[[runners]]"),
        "the release of runner main has other values for the chart",
    ),
}

OBJECTS: dict[str, tuple[dict[str, Any] | None, dict[str, Any], str]] = {
    "more-ports-of-a-peer": (
        item("NetworkPolicy", spec={"egress": [{"ports": [{"port": 443}]}]}),
        item("NetworkPolicy", spec={"egress": [{"ports": [{"port": 443, "endPort": 65535}]}]}),
        "NetworkPolicy ns/x allows egress to everywhere on port 443-65535",
    ),
    "files-over-programs": (
        _pods_volume("/etc/settings"),
        _pods_volume("/usr/local/bin"),
        "volume v of Pod ns/x is at /usr/local/bin",
    ),
    "group-of-root": (
        pod(containers=[{"name": "c"}], securityContext={"runAsUser": 1, "runAsGroup": 1}),
        pod(containers=[{"name": "c"}], securityContext={"runAsUser": 1, "runAsGroup": 0}),
        "container c of Pod ns/x has runAsGroup = 0",
    ),
    "files-of-root": (
        pod(securityContext={"fsGroup": 1}),
        pod(securityContext={"fsGroup": 0}),
        "Pod ns/x has fsGroup = 0",
    ),
    "node-by-its-name": (
        pod(),
        pod(
            affinity={
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {
                        "nodeSelectorTerms": [
                            {
                                "matchFields": [
                                    {"key": "metadata.name", "operator": "In", "values": ["cp-0"]}
                                ]
                            }
                        ]
                    }
                }
            }
        ),
        "Pod ns/x runs on nodes with metadata.name In cp-0",
    ),
    "probe-of-another-host": (
        container(),
        container(livenessProbe={"httpGet": {"host": "169.254.169.254", "port": 80}}),
        "container c of Pod ns/x lets its node ask 169.254.169.254",
    ),
    "hook-of-another-host": (
        container(),
        container(lifecycle={"preStop": {"tcpSocket": {"host": "10.0.0.1", "port": 80}}}),
        "container c of Pod ns/x lets its node ask 10.0.0.1",
    ),
    "snapshot-of-others": (
        _template(),
        _template(dataSource={"kind": "VolumeSnapshot", "name": "theirs"}),
        "Pod ns/x mounts a claim of dataSource: kind: VolumeSnapshot, name: theirs",
    ),
    "volume-of-others": (
        None,
        item("PersistentVolumeClaim", spec={"volumeName": "theirs"}),
        "PersistentVolumeClaim ns/x mounts a claim of volumeName: theirs",
    ),
    "volume-of-others-by-a-template": (
        item("StatefulSet", spec={"template": {"spec": {}}}),
        item(
            "StatefulSet",
            spec={
                "template": {"spec": {}},
                "volumeClaimTemplates": [{"spec": {"volumeName": "theirs"}}],
            },
        ),
        "StatefulSet ns/x mounts a claim of volumeName: theirs",
    ),
    "sidecar-by-an-annotation": (
        item("Deployment", spec={"template": {"metadata": {}, "spec": {}}}),
        item(
            "Deployment",
            spec={
                "template": {
                    "metadata": {"annotations": {"sidecar.istio.io/inject": "true"}},
                    "spec": {},
                }
            },
        ),
        "Deployment ns/x has other labels or annotations",
    ),
}

MINOR_OBJECTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "class-of-a-claim": (
        _template(storageClassName="fast"),
        _template(storageClassName="kept"),
        "the class of volume v of Pod ns/x has other settings (kept)",
    ),
    "default-class-of-a-claim": (
        _template(storageClassName="fast"),
        _template(accessModes=["ReadWriteOnce"]),
        "the class of volume v of Pod ns/x has other settings (by default)",
    ),
    "tag-in-place-of-a-digest": (
        container(image=f"a:1@sha256:{64 * '0'}"),
        container(),
        "container c of Pod ns/x runs a by its tag",
    ),
    "bytes-of-a-configmap": (
        item("ConfigMap", binaryData={"a": "eA=="}),
        item("ConfigMap", binaryData={"a": "eQ=="}),
        "ConfigMap ns/x has other contents",
    ),
}

MORE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "cpu": ({"cpu_limit": "1"}, {"cpu_limit": "64"}, f"{BUILD} may use 64 of CPU"),
    "disk": (
        {"ephemeral_storage_limit": "1Gi"},
        {"ephemeral_storage_limit": "1Ti"},
        f"{BUILD} may use 1Ti of disk",
    ),
    "cpu-of-choice": (
        {"cpu_limit": "1"},
        {"cpu_limit": "1", "cpu_limit_overwrite_max_allowed": "64"},
        f"{BUILD} may use 64 of CPU",
    ),
    "disk-of-choice": (
        {"ephemeral_storage_limit": "1Gi"},
        {"ephemeral_storage_limit": "1Gi", "ephemeral_storage_limit_overwrite_max_allowed": "1Ti"},
        f"{BUILD} may use 1Ti of disk",
    ),
    "memory-of-the-pod": (
        {"pod_memory_limit": "1Gi"},
        {"pod_memory_limit": "9Gi"},
        f"{POD} may use 9Gi of memory",
    ),
    "no-memory-limit-of-the-pod": ({"pod_memory_limit": "1Gi"}, {}, f"{POD} has no memory limit"),
}


def _raised(found: tuple[RiskChange, ...], severity: str, text: str) -> bool:
    return any(
        (change.direction, change.severity) == ("raised", severity) and text in change.what
        for change in found
    )


@pytest.mark.parametrize("name", JOBS)
def test_what_a_runner_gains_is_a_major_risk(name: str) -> None:
    old, new, text = JOBS[name]

    assert _raised(changes_of_jobs(old, new), "major", text)


@pytest.mark.parametrize("name", OBJECTS)
def test_what_an_object_gains_is_a_major_risk(name: str) -> None:
    old, new, text = OBJECTS[name]

    assert _raised(changes_of(old, new), "major", text)


@pytest.mark.parametrize("name", MINOR_OBJECTS)
def test_other_contents_of_an_object_are_a_minor_risk(name: str) -> None:
    old, new, text = MINOR_OBJECTS[name]

    assert _raised(changes_of(old, new), "minor", text)


@pytest.mark.parametrize("name", MORE)
def test_a_limit_that_grows_is_a_minor_risk(name: str) -> None:
    old, new, text = MORE[name]

    assert _raised(changes_of_jobs(runner(**old), runner(**new)), "minor", text)
    assert not [it for it in changes_of_jobs(runner(**new), runner(**old)) if text in it.what]


def test_a_job_whose_pod_outlasts_its_timeout_is_a_minor_risk() -> None:
    flag = "FF_USE_POD_ACTIVE_DEADLINE_SECONDS"
    timed = runner({"feature_flags": {flag: True}})

    found = changes_of_jobs(timed, runner({"feature_flags": {flag: False}}))

    assert lines(found) == [f"raised: {POD} has no time limit"]


def test_a_runner_without_a_longest_timeout_is_a_minor_risk() -> None:
    old = {"runnerType": "project_type", "maximumTimeout": 3600}

    found = changes_of(old, {"runnerType": "project_type"}, USER_RUNNER)

    assert lines(found) == ["raised: a job of runner main has no time limit"]


def test_an_empty_volume_that_moves_is_no_risk() -> None:
    assert changes_of_jobs(_at("empty_dir", "/a"), _at("empty_dir", "/b")) == ()


def test_an_option_of_a_provider_is_a_risk() -> None:
    """One decides from where its program comes, which is run with all credentials."""
    kind = "pulumi:providers:kubernetes"
    old = {"context": "a", "version": "4.34.2"}
    new = {**old, "version": "4.35.0", "pluginDownloadURL": "https://evil.example"}
    events = [
        pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE),
        pre_event("update", f"{URN}{kind}::main", kind, old=old, new=new),
    ]

    (found,) = changes(read(events, Scrubber()), {}, stack_file(SETTINGS), SETTINGS)

    assert (found.direction, found.severity) == ("raised", "major")
    assert found.what.startswith("the provider main has pluginDownloadURL (digest ")


PEERS: dict[str, Any] = {
    "ingress": {"ingress": [{}]},
    "metadata": {"egress": [{"to": [{"ipBlock": {"cidr": "169.254.169.254/32"}}]}]},
}
FRESH: dict[str, tuple[dict[str, Any], str]] = {
    "open-to-all": (
        item("NetworkPolicy", namespace="new", spec=PEERS["ingress"]),
        "NetworkPolicy new/x allows ingress from everywhere",
    ),
    "metadata-of-clouds": (
        item("NetworkPolicy", namespace="new", spec=PEERS["metadata"]),
        "NetworkPolicy new/x allows egress to the metadata services of clouds",
    ),
    "more-permissions-than-its-own": (
        item(
            "Role",
            namespace="new",
            rules=[{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}],
        ),
        "Role new/x may impersonate users",
    ),
}


@pytest.mark.parametrize("name", FRESH)
def test_a_new_namespace_does_not_excuse_a_grave_risk(name: str) -> None:
    made, text = FRESH[name]
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    new = {"kind": "Namespace", "metadata": {"name": "new", "labels": labels}}
    plan = read(
        [
            pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE),
            pre_event("create", f"{URN}ns::new", NAMESPACE_KIND, new=new),
            pre_event("create", f"{URN}x::x", "kubernetes:x:X", new=made),
        ],
        Scrubber(),
    )

    found = changes(plan, {}, stack_file(SETTINGS), SETTINGS)

    assert lines(found) == [f"raised: {text}"]
