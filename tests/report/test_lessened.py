"""What takes something from jobs and managers: time, room, replicas, protections, versions."""

from collections.abc import Mapping
from typing import Any

import pytest

from report.analysis.risks import changes
from report.inputs.events import RELEASE, USER_RUNNER, read
from report.model import RiskChange
from report.redact import Scrubber
from tests.support.changes import ONE_RUNNER, Change, Deployed
from tests.support.configured import SECRETS, SETTINGS
from tests.support.previews import pre_event, preview_change, stack_file
from tests.support.risks import (
    NAMESPACE,
    NAMESPACE_KIND,
    PATCHES,
    URN,
    changes_of,
    changes_of_jobs,
    container,
    item,
    pod,
    runner,
)

C = "container c of Pod ns/x"
POD = "the job pod of runner main"
BUILD = "the build container of runner main"
MANAGER = "the manager of runner main"
PINNED = f"a:1@sha256:{64 * '0'}"
PROBE: dict[str, Any] = {"exec": {"command": ["a"]}, "periodSeconds": 30}
LABELLED = {"labels": {"policy": "strict"}}
COPIED = {"annotations": {"replicator/replicate-to": ".*"}}


def _raised(found: tuple[RiskChange, ...]) -> list[str]:
    return [f"{it.severity}: {it.what}" for it in found if it.direction == "raised"]


def _apart(**spec: object) -> dict[str, Any]:
    return pod(containers=[{"name": "c"}], **spec)


def _deployment(**spec: object) -> dict[str, Any]:
    return item("Deployment", spec={"template": {"spec": {"containers": []}}, **spec})


def _cron(**job: object) -> dict[str, Any]:
    return item(
        "CronJob", spec={"jobTemplate": {"spec": {"template": {"spec": {"x": None}}, **job}}}
    )


def _folder(**source: object) -> dict[str, Any]:
    return pod(volumes=[{"name": "v", "emptyDir": source}])


def _claim(storage: str) -> dict[str, Any]:
    spec = {"resources": {"requests": {"storage": storage}}}
    return pod(volumes=[{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}])


def _near(weight: int) -> dict[str, Any]:
    term = {"topologyKey": "zone"}
    preferred = [{"weight": weight, "podAffinityTerm": term}]
    key = "preferredDuringSchedulingIgnoredDuringExecution"
    return {"affinity": {"podAntiAffinity": {key: preferred}}}


OBJECTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "grace": (
        _apart(terminationGracePeriodSeconds=3600),
        _apart(),
        "minor: the grace period of Pod ns/x falls to 30",
    ),
    "deadline": (_apart(), _apart(activeDeadlineSeconds=60), "minor: Pod ns/x ends after 60 sec"),
    "liveness": (
        container(),
        container(livenessProbe=PROBE),
        f"minor: {C} is restarted when its livenessProbe fails",
    ),
    "stricter-probe": (
        container(livenessProbe=PROBE),
        container(livenessProbe={**PROBE, "periodSeconds": 5}),
        f"minor: periodSeconds of the livenessProbe of {C} falls to 5",
    ),
    "probe-by-its-default": (
        container(readinessProbe={**PROBE, "failureThreshold": 30}),
        container(readinessProbe=PROBE),
        f"minor: failureThreshold of the readinessProbe of {C} falls to 3",
    ),
    "hook-that-ends-builds": (
        container(lifecycle={"preStop": {"exec": {"command": ["wait"]}}}),
        container(),
        f"minor: {C} runs another command",
    ),
    "variable": (
        container(env=[{"name": "DOCKER_CONTENT_TRUST", "value": "1"}]),
        container(),
        f"minor: {C} no longer has the variable DOCKER_CONTENT_TRUST",
    ),
    "every-variable": (
        container(envFrom=[{"configMapRef": {"name": "a"}}]),
        container(),
        f"minor: {C} has other contents (environment, digest ",
    ),
    "request": (
        container(resources={"requests": {"memory": "1Gi"}}),
        container(),
        f"minor: {C} no longer has its request of memory",
    ),
    "smaller-request": (
        container(resources={"requests": {"cpu": "1"}}),
        container(resources={"requests": {"cpu": "100m"}}),
        f"minor: the CPU request of {C} falls to 100m",
    ),
    "greater-request": (
        container(resources={"requests": {"cpu": "1"}}),
        container(resources={"requests": {"cpu": "2"}}),
        f"minor: the CPU request of {C} grows to 2",
    ),
    "more-devices": (
        container(resources={"limits": {"example.com/gpu": 1}}),
        container(resources={"limits": {"example.com/gpu": 8}}),
        f"minor: the number of example.com/gpu of {C} grows to 8",
    ),
    "smaller-limit": (
        container(resources={"limits": {"memory": "1Gi"}}),
        container(resources={"limits": {"memory": "512Mi"}}),
        f"minor: the memory limit of {C} falls to 512Mi",
    ),
    "replicas": (
        _deployment(replicas=3),
        _deployment(),
        "minor: the number of pods of Deployment ns/x falls to 1",
    ),
    "more-replicas": (
        _deployment(),
        _deployment(replicas=9),
        "minor: the number of pods of Deployment ns/x grows to 9",
    ),
    "strategy": (
        _deployment(strategy={"rollingUpdate": {"maxUnavailable": 0}}),
        _deployment(strategy={"type": "Recreate"}),
        "minor: the object Deployment ns/x has other settings (digest ",
    ),
    "job-of-a-schedule": (
        _cron(backoffLimit=6),
        _cron(backoffLimit=0),
        "minor: the object CronJob ns/x has other settings (digest ",
    ),
    "autoscaler": (
        item("HorizontalPodAutoscaler", spec={"minReplicas": 2}),
        item("HorizontalPodAutoscaler", spec={"minReplicas": 1}),
        "minor: HorizontalPodAutoscaler ns/x has other settings (digest ",
    ),
    "restarts": (
        _apart(restartPolicy="Always"),
        _apart(restartPolicy="Never"),
        "minor: Pod ns/x has other settings (digest ",
    ),
    "clients-of-a-service": (
        item("Service", spec={"externalTrafficPolicy": "Local"}),
        item("Service", spec={"externalTrafficPolicy": "Cluster"}),
        "minor: Service ns/x has other settings (digest ",
    ),
    "spread": (
        _apart(topologySpreadConstraints=[{"topologyKey": "zone"}]),
        _apart(),
        "minor: Pod ns/x no longer has its spread over zone",
    ),
    "spread-by-affinity": (
        _apart(**_near(100)),
        _apart(),
        "minor: Pod ns/x no longer has its spread over zone",
    ),
    "no-limit-of-a-folder": (
        _folder(sizeLimit="1Gi"),
        _folder(),
        "minor: volume v of Pod ns/x has no size limit",
    ),
    "folder-in-memory": (
        _folder(sizeLimit="1Gi"),
        _folder(sizeLimit="1Gi", medium="Memory"),
        "minor: volume v of Pod ns/x has other settings (in memory)",
    ),
    "folder-on-disk": (
        _folder(sizeLimit="1Gi", medium="Memory"),
        _folder(sizeLimit="1Gi"),
        "minor: volume v of Pod ns/x has other settings (on disk)",
    ),
    "probe-that-goes": (
        container(readinessProbe=PROBE),
        container(),
        f"minor: {C} no longer has its readinessProbe",
    ),
    "larger-folder": (
        _folder(sizeLimit="1Gi"),
        _folder(sizeLimit="9Gi"),
        "minor: the size of volume v of Pod ns/x grows to 9Gi",
    ),
    "smaller-claim": (
        _claim("2Gi"),
        _claim("1Gi"),
        "minor: the size of volume v of Pod ns/x falls to 1Gi",
    ),
    "other-contents-of-an-image": (
        container(image=PINNED),
        container(image=PINNED.replace("0000", "1111")),
        f"minor: the image a:1 of {C} has other contents (digest 1111",
    ),
    "contents-without-a-version": (
        container(image=PINNED.replace(":1@", "@")),
        container(image=PINNED.replace(":1@", "@").replace("0000", "1111")),
        f"minor: the image a of {C} has other contents (digest 1111",
    ),
    "image-with-a-shell": (
        container(image="a:1.2.3"),
        container(image="a:1.2.4-debug"),
        f"minor: the image a of {C} is of another kind, N-debug",
    ),
    "image-that-runs-as-root": (
        container(image="a:v1-rootless"),
        container(image="a:v2"),
        f"minor: the image a of {C} is of another kind, vN",
    ),
    "labels-of-a-namespace": (
        item("Namespace", namespace="", metadata=LABELLED),
        item("Namespace", namespace=""),
        "major: Namespace x has other labels or annotations (none)",
    ),
    "labels-of-pods": (
        item("Deployment", spec={"template": {"metadata": LABELLED, "spec": {"x": None}}}),
        item("Deployment", spec={"template": {"metadata": {}, "spec": {"x": None}}}),
        "major: Deployment ns/x has other labels or annotations (none)",
    ),
    "a-secret-that-is-copied": (
        item("Secret"),
        item("Secret", metadata=COPIED),
        "major: Secret ns/x has other labels or annotations (digest ",
    ),
    "labels-of-a-controller": (
        _deployment(),
        item("Deployment", spec=_deployment()["spec"], metadata=COPIED),
        "major: the object Deployment ns/x has other labels or annotations (digest ",
    ),
    "files-that-go": (
        item("ConfigMap", data={"a": "b"}),
        item("ConfigMap", data={}),
        "minor: ConfigMap ns/x has other contents (digest ",
    ),
    "a-script-that-goes": (
        item("ConfigMap", data={"a": "#!/bin/sh"}),
        item("ConfigMap", data={}),
        "minor: ConfigMap ns/x has other contents (digest ",
    ),
}


def _mounted(**mount: object) -> dict[str, Any]:
    mounts = [{"name": "v", "mountPath": "/v", **mount}]
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
    return pod(containers=[{"name": "c", "volumeMounts": mounts}], volumes=volumes)


def _secret(*keys: str) -> dict[str, Any]:
    items = [{"key": key, "path": key} for key in keys]
    return pod(volumes=[{"name": "v", "secret": {"secretName": "s", "items": items}}])


VOLUMES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "folder-of-others-in-a-claim": (
        _mounted(subPath="ours"),
        _mounted(subPath="theirs"),
        "major: volume v of Pod ns/x is at /v, from theirs in it",
    ),
    "all-of-a-claim": (
        _mounted(subPath="ours"),
        _mounted(),
        "major: volume v of Pod ns/x is at /v",
    ),
    "folder-made-on-the-node": (
        pod(volumes=[{"name": "v", "hostPath": {"path": "/a", "type": "Socket"}}]),
        pod(volumes=[{"name": "v", "hostPath": {"path": "/a", "type": "DirectoryOrCreate"}}]),
        "minor: volume v of Pod ns/x has other contents (files, digest ",
    ),
    "more-keys-of-a-secret": (
        _secret("ca.pem"),
        _secret("ca.pem", "ca-key.pem"),
        "minor: volume v of Pod ns/x has other contents (files, digest ",
    ),
    "file-that-a-status-shows": (
        container(),
        container(terminationMessagePath="/secrets/token"),
        f"minor: {C} has other settings (digest ",
    ),
    "object-that-goes-with-another": (
        item("Secret"),
        item("Secret", metadata={"ownerReferences": [{"kind": "Pod", "name": "p"}]}),
        "major: Secret ns/x has other labels or annotations (digest ",
    ),
}

CACHE: dict[str, Any] = {"Type": "s3", "s3": {"BucketName": "a"}, "MaxUploadedArchiveSize": 9}
ABROAD = {**CACHE, "s3": {"BucketName": "a", "BucketLocation": "far-away-1"}}
JOBS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "time-to-start": (
        runner(poll_timeout=600),
        runner(poll_timeout=1),
        "minor: the poll_timeout of runner main falls to 1",
    ),
    "log": (
        runner({"output_limit": 4096}),
        runner({"output_limit": 1}),
        "minor: the output_limit of runner main falls to 1",
    ),
    "shorter-log": (
        runner(),
        runner({"output_limit": 1}),
        "minor: the output_limit of runner main falls to 1",
    ),
    "nothing-to-choose": (
        runner(memory_request_overwrite_max_allowed="64Gi"),
        runner(),
        "minor: a job of runner main no longer has its choice of memory_request",
    ),
    "request": (
        runner(memory_request="4Gi"),
        runner(memory_request="1Mi"),
        f"minor: the memory request of {BUILD} falls to 1Mi",
    ),
    "limit": (
        runner(memory_limit="4Gi"),
        runner(memory_limit="64Mi"),
        f"minor: the memory limit of {BUILD} falls to 64Mi",
    ),
    "scratch": (
        runner(volumes={"empty_dir": [{"name": "v", "mount_path": "/v", "size_limit": "1Gi"}]}),
        runner(volumes={"empty_dir": [{"name": "v", "mount_path": "/v", "size_limit": "1Ti"}]}),
        f"minor: the size of volume v of {POD} grows to 1Ti",
    ),
    "budgets": (
        runner(pod_disruption_budget=True),
        runner(),
        "minor: runner main no longer has the disruption budgets of its jobs",
    ),
    "debug-trace": (
        runner({"debug_trace_disabled": True}),
        runner(),
        "minor: runner main no longer has the key debug_trace_disabled",
    ),
    "masked-tokens": (
        runner({"feature_flags": {"FF_MASK_ALL_DEFAULT_TOKENS": True, PATCHES: True}}),
        runner({"feature_flags": {PATCHES: True}}),
        "minor: runner main no longer has the key FF_MASK_ALL_DEFAULT_TOKENS",
    ),
    "tls-of-the-daemon": (
        runner({"environment": ["DOCKER_TLS_VERIFY=1"]}),
        runner(),
        "minor: runner main no longer has the variable DOCKER_TLS_VERIFY",
    ),
    "script-before-jobs": (
        runner({"pre_build_script": "umask 077"}),
        runner(),
        "major: each job of runner main begins with another script",
    ),
    "folder-of-sources": (
        runner({"builds_dir": "/tmp/builds"}),  # noqa: S108 - a path in the job's own pod
        runner(),
        "major: the builds_dir of runner main is at its default",
    ),
    "pull-policy-never": (
        runner(allowed_pull_policies=["", "always"]),
        runner(allowed_pull_policies=["", "always", "never"]),
        "major: a job of runner main with the pull policy never may run private images",
    ),
    "less-to-choose": (
        runner(memory_request_overwrite_max_allowed="64Gi"),
        runner(memory_request_overwrite_max_allowed="1Gi"),
        "minor: the largest memory_request that a job of runner main may choose falls to 1Gi",
    ),
    "addresses-of-caches": (
        runner({"cache": CACHE}),
        runner({"cache": {**CACHE, "s3": {"BucketName": "a", "PathStyle": True}}}),
        "minor: the caches of runner main has other settings (digest ",
    ),
    "jobs-of-a-runner": (
        runner({"limit": 10}),
        runner({"limit": 1}),
        "minor: the limit of jobs of runner main falls to 1",
    ),
    "rotation-of-tokens": (
        runner({"feature_flags": {"FF_DISABLE_AUTOMATIC_TOKEN_ROTATION": True, PATCHES: True}}),
        runner({"feature_flags": {PATCHES: True}}),
        "minor: runner main no longer has the key FF_DISABLE_AUTOMATIC_TOKEN_ROTATION",
    ),
    "priority": (
        runner(priority_class_name="high"),
        runner(),
        f"minor: {POD} no longer has the priority high",
    ),
    "users": (
        runner(allowed_users=["1000"]),
        runner(),
        "major: a job of runner main may run as any user but that of root",
    ),
    "groups": (
        runner(allowed_groups=["1000"]),
        runner(),
        "major: a job of runner main may run as any group but that of root",
    ),
    "larger-caches": (
        runner({"cache": CACHE}),
        runner({"cache": {**CACHE, "MaxUploadedArchiveSize": 99}}),
        "minor: the size of each cache of runner main grows to 99",
    ),
    "caches-of-any-size": (
        runner({"cache": CACHE}),
        runner({"cache": {**CACHE, "MaxUploadedArchiveSize": 0}}),
        "minor: each cache of runner main has no size limit",
    ),
    "caches-in-another-region": (
        runner({"cache": CACHE}),
        runner({"cache": ABROAD}),
        "major: runner main keeps the caches of jobs in s3.amazonaws.com/a in far-away-1",
    ),
}

BASE = runner()


def _release(**values: object) -> dict[str, Any]:
    return {**BASE, "version": "0.94.1", "values": {**BASE["values"], **values}}


HELD = {"deploymentAnnotations": {"image-builds/chart-digest": 64 * "a"}}
OTHER = {"deploymentAnnotations": {"image-builds/chart-digest": 64 * "b"}}
RELEASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "debug": (_release(), _release(logLevel="debug"), f"minor: {MANAGER} logs at the level debug"),
    "metrics": (
        _release(),
        _release(metrics={"enabled": True}),
        f"minor: {MANAGER} serves metrics",
    ),
    "form-of-the-log": (
        _release(logFormat="json"),
        _release(),
        f"minor: {MANAGER} no longer has its log as json",
    ),
    "metrics-for-an-operator": (
        _release(metrics={"enabled": True}),
        _release(metrics={"enabled": True, "podMonitor": {"enabled": True}}),
        f"minor: {MANAGER} serves metrics to a PodMonitor",
    ),
    "grace": (
        _release(),
        _release(terminationGracePeriodSeconds=60),
        f"minor: the grace period of {MANAGER} falls to 60",
    ),
    "replicas": (
        _release(replicas=2),
        _release(),
        f"minor: the number of pods of {MANAGER} falls to 1",
    ),
    "memory": (
        _release(resources={"limits": {"memory": "1Gi"}}),
        _release(resources={"limits": {"memory": "1Mi"}}),
        f"minor: the memory limit of {MANAGER} falls to 1Mi",
    ),
    "liveness": (
        _release(livenessProbe={"enabled": False}),
        _release(livenessProbe={"enabled": True}),
        f"minor: {MANAGER} is restarted when its livenessProbe fails",
    ),
    "stricter-probe": (
        _release(),
        _release(readinessProbe={"periodSeconds": 1}),
        f"minor: periodSeconds of the readinessProbe of {MANAGER} falls to 1",
    ),
    "shorter-timeout": (
        _release(),
        _release(probeTimeoutSeconds=1),
        f"minor: timeoutSeconds of the readinessProbe of {MANAGER} falls to 1",
    ),
    "digest-that-goes": (
        _release(**HELD),
        _release(),
        "major: version 0.94.1 of the chart of runner main is no longer held to a digest",
    ),
    "another-digest": (
        _release(**HELD),
        _release(**OTHER),
        "minor: version 0.94.1 of the chart of runner main has other contents (digest bbbb",
    ),
    "namespace-of-others": (
        _release(),
        {**_release(), "namespace": "payments"},
        f"major: {MANAGER} runs in the namespace payments",
    ),
    "annotations": (
        _release(),
        _release(deploymentAnnotations={"vault/inject": "true"}),
        "major: the release of runner main has other values for the chart (digest ",
    ),
    "deployment-that-waits-less": (
        _release(),
        {**_release(), "timeout": 1},
        "minor: the release of runner main has other settings (digest ",
    ),
}

MADE = {"runnerType": "project_type", "projectId": 1, "locked": True, "maximumTimeout": 3600}
REGISTERED: dict[str, tuple[dict[str, Any], str]] = {
    "lock-that-goes": (
        {**MADE, "locked": None},
        "major: runner main takes jobs of projects that enable it, unless GitLab locks it",
    ),
    "longer-jobs": (
        {**MADE, "maximumTimeout": 86400},
        "minor: the longest time of a job of runner main, in seconds, grows to 86400",
    ),
    "shorter-jobs": (
        {**MADE, "maximumTimeout": 600},
        "minor: the longest time of a job of runner main, in seconds, falls to 600",
    ),
    "paused": (
        {**MADE, "paused": True},
        "minor: runner main in GitLab has other settings (digest ",
    ),
}


@pytest.mark.parametrize("name", {**OBJECTS, **VOLUMES})
def test_what_an_object_loses_is_a_risk(name: str) -> None:
    old, new, text = {**OBJECTS, **VOLUMES}[name]

    assert [line for line in _raised(changes_of(old, new)) if line.startswith(text)] != []


@pytest.mark.parametrize("name", JOBS)
def test_what_jobs_lose_is_a_risk(name: str) -> None:
    old, new, text = JOBS[name]

    assert [line for line in _raised(changes_of_jobs(old, new)) if line.startswith(text)] != []


@pytest.mark.parametrize("name", RELEASES)
def test_what_a_manager_loses_is_a_risk(name: str) -> None:
    old, new, text = RELEASES[name]

    assert [line for line in _raised(changes_of(old, new, RELEASE)) if line.startswith(text)] != []


@pytest.mark.parametrize("name", REGISTERED)
def test_what_a_registration_loses_is_a_risk(name: str) -> None:
    new, text = REGISTERED[name]

    found = _raised(changes_of(MADE, new, USER_RUNNER))

    assert [line for line in found if line.startswith(text)] != []


def test_a_chart_that_is_held_to_a_digest_raises_nothing() -> None:
    assert _raised(changes_of(_release(), _release(**HELD), RELEASE)) == []


def test_more_time_and_a_later_version_raise_nothing() -> None:
    old = container(image="a:1.9-rootless", livenessProbe=PROBE)
    new = container(image="a:1.10-rootless", livenessProbe={**PROBE, "periodSeconds": 60})

    assert _raised(changes_of(old, new)) == []


def _daemon(memory: str) -> dict[str, Any]:
    limits = {"limits": {"memory": memory}}
    return {"runners.main.strategy": {"kind": "buildkit-service", "resources": limits}}


def _cached(**cache: str) -> dict[str, Any]:
    return {"runners.main.cache": {"kind": "s3", "bucket": "a", **cache}}


KEYS = {"accessKey": "a", "secretKey": "b"}
DEPLOYED = Deployed(
    ONE_RUNNER.settings, {**SECRETS, "cacheCredentials": {"ours": KEYS, "theirs": KEYS}}
)
MANAGERS = {"replicas": 2, "terminationGracePeriod": 3600, "disruptionBudget": True}
STACK_FILES: dict[str, tuple[Change, str]] = {
    "managers": (
        Change(
            before={"runners.main.manager": MANAGERS},
            after={"runners.main.manager": {"terminationGracePeriod": 60}},
        ),
        f"minor: the grace period of {MANAGER} falls to 60",
    ),
    "liveness": (
        Change(after={"runners.main.manager": {"livenessProbe": {"periodSeconds": 1}}}),
        f"minor: {MANAGER} is restarted when its livenessProbe fails",
    ),
    "debug": (
        Change(after={"runners.main.manager": {"logLevel": "debug"}}),
        f"minor: {MANAGER} logs at the level debug",
    ),
    "daemon": (
        Change(before=_daemon("8Gi"), after=_daemon("64Mi")),
        "minor: the memory limit of container buildkitd of Deployment builds-main-buildkitd/",
    ),
    "variable": (
        Change(before={"runners.main.environment": {"DOCKER_CONTENT_TRUST": "1"}}),
        "minor: runner main no longer has the variable DOCKER_CONTENT_TRUST",
    ),
    "login-of-a-cache": (
        Change(before=_cached(credentials="ours"), after=_cached(credentials="theirs")),
        f"minor: {MANAGER} signs addresses of caches by the login theirs",
    ),
    "cache-without-a-login": (
        Change(before=_cached(credentials="ours"), after=_cached()),
        f"minor: {MANAGER} signs addresses of caches by its identity in the cloud",
    ),
    "namespace-with-all-in-it": (
        Change(
            before={"targetNamespaces.apps.deleteWithStack": True}, after={"targetNamespaces": {}}
        ),
        "major: Namespace apps is deleted, or made again, with all that it holds",
    ),
}


@pytest.mark.parametrize("name", STACK_FILES)
def test_what_a_stack_file_takes_away_is_a_risk(name: str) -> None:
    change, text = STACK_FILES[name]

    report = preview_change(change, DEPLOYED)

    assert [line for line in _raised(report.risk_changes) if line.startswith(text)] != []
    assert report.risk != "unchanged"


class _WithoutTokens(Deployed):
    """What is deployed where others keep the tokens."""

    def secrets_for(self, settings: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - of none
        return {"registryCredentials": self.secrets["registryCredentials"]}


def test_the_token_of_another_secret_is_a_risk() -> None:
    key = "runners.main.registration"
    ours, theirs = ({key: {"kind": "secret", "name": name}} for name in ("ours", "theirs"))

    report = preview_change(
        Change(before=ours, after=theirs), _WithoutTokens(ONE_RUNNER.settings, SECRETS)
    )

    raised = _raised(report.risk_changes)
    assert f"minor: {MANAGER} can read the Secret theirs" in raised
    assert report.risk == "raised"


def test_a_registration_by_a_token_is_of_unknown_jobs() -> None:
    plan = read(
        [
            pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE),
            pre_event("same", f"{URN}r::main", RELEASE, old=BASE, new=BASE),
            pre_event("delete", f"{URN}u::main", USER_RUNNER, old=MADE),
        ],
        Scrubber(),
    )

    raised = _raised(changes(plan, {}, stack_file(SETTINGS), SETTINGS))

    assert raised == ["major: runner main takes jobs that only GitLab chooses"]


CLAIM: dict[str, Any] = item("PersistentVolumeClaim", spec={"storageClassName": "kept"})


@pytest.mark.parametrize("operation", ["delete", "replace"])
def test_a_claim_that_goes_takes_its_data_along(operation: str) -> None:
    kind = "kubernetes:core/v1:PersistentVolumeClaim"
    new = {**CLAIM, "spec": {"storageClassName": "other"}} if operation == "replace" else None
    plan = read(
        [
            pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE),
            pre_event(operation, f"{URN}c::c", kind, old=CLAIM, new=new),
        ],
        Scrubber(),
    )

    raised = _raised(changes(plan, {}, stack_file(SETTINGS), SETTINGS))

    text = "PersistentVolumeClaim ns/x is deleted, or made again, with all that it holds"
    assert f"major: {text}" in raised


KUBERNETES = "pulumi:providers:kubernetes"


@pytest.mark.parametrize("paths", [(), ("kubeconfig",)])
def test_another_kubeconfig_is_another_cluster(paths: tuple[str, ...]) -> None:
    """It is secret, so that both sides look alike."""
    inputs = {"context": "a", "kubeconfig": "[secret]"}
    plan = read(
        [
            pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE),
            pre_event("update", f"{URN}p::p", KUBERNETES, old=inputs, new=inputs, diff=paths),
        ],
        Scrubber(),
    )

    raised = _raised(changes(plan, {}, stack_file(SETTINGS), SETTINGS))

    assert raised == ["critical: the stack is deployed to the cluster of another kubeconfig"]


def test_other_inputs_of_an_unknown_kind_are_a_risk() -> None:
    kind = "command:local:Command"

    (line,) = _raised(changes_of({"create": "true"}, {"create": "curl"}, kind))

    assert line.startswith("major: main has other inputs (digest ")


GRAVE = [
    ("", "pods/ephemeralcontainers", "patch"),
    ("", "nodes/proxy", "get"),
    ("certificates.k8s.io", "certificatesigningrequests/approval", "update"),
    ("certificates.k8s.io", "signers", "approve"),
]


@pytest.mark.parametrize(("group", "resource", "verb"), GRAVE)
def test_a_new_namespace_excuses_no_such_permission(group: str, resource: str, verb: str) -> None:
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    new = {"kind": "Namespace", "metadata": {"name": "new", "labels": labels}}
    role = item("Role", namespace="new", rules=rules)
    plan = read(
        [
            pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE),
            pre_event("create", f"{URN}n::new", NAMESPACE_KIND, new=new),
            pre_event("create", f"{URN}x::x", "kubernetes:x:X", new=role),
        ],
        Scrubber(),
    )

    raised = _raised(changes(plan, {}, stack_file(SETTINGS), SETTINGS))

    assert [line for line in raised if f"Role new/x may {verb} {resource}" in line] != []


@pytest.mark.parametrize(
    ("kind", "name"),
    [("kubernetes:core/v1:Secret", "Secret x"), ("pulumi:pulumi:StackReference", "StackRef")],
)
def test_what_the_program_reads_of_others_is_a_risk(kind: str, name: str) -> None:
    """It can put what it reads into a job."""
    same = pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE)
    secret = item("Secret", namespace="payments")
    plan = read([same, pre_event("read", f"{URN}x::x", kind, new=secret)], Scrubber())

    raised = _raised(changes(plan, {}, stack_file(SETTINGS), SETTINGS))

    assert [line for line in raised if line.startswith(f"major: the program reads {name}")] != []
    again = read([same, pre_event("read", f"{URN}x::x", kind, old=secret, new=secret)], Scrubber())
    assert _raised(changes(again, {}, stack_file(SETTINGS), SETTINGS)) == []


def test_a_new_service_where_others_are_is_a_risk() -> None:
    """Pods there resolve its name."""
    raised = _raised(changes_of(None, item("Service", spec={"selector": {"app": "a"}})))

    assert [line for line in raised if line.startswith("major: Service ns/x leads to")] != []
