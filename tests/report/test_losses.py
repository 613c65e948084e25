"""What a change takes away, adds or moves beside what rules know: a report has each of it."""

from typing import Any

import pytest

from report.analysis.pods.change_kinds import CHANGE_KINDS
from report.analysis.risks import changes
from report.analysis.trust.kinds import TRUST_KINDS
from report.inputs.events import RELEASE, USER_RUNNER, read
from report.model import RiskChange
from report.redact import Scrubber
from tests.support.changes import Change
from tests.support.configured import CERTIFICATE, MISSING, SETTINGS, STRATEGIES
from tests.support.previews import pre_event, preview_change, stack, stack_file
from tests.support.risks import (
    NAMESPACE,
    NAMESPACE_KIND,
    URN,
    changes_of,
    changes_of_jobs,
    container,
    context,
    item,
    lines,
    pod,
    runner,
)

C = "container c of Pod ns/x"
JOB_POD = "the job pod of runner main"
TEMPLATE = {"spec": {"containers": [{"name": "c", "image": "a:1"}]}}
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


def _raised(found: tuple[RiskChange, ...]) -> list[str]:
    return [f"{item.severity}: {item.what}" for item in found if item.direction == "raised"]


def _service(**spec: object) -> dict[str, Any]:
    return item("Service", spec=spec)


def _balancer(annotations: dict[str, str], **spec: object) -> dict[str, Any]:
    metadata = {"annotations": annotations}
    return item("Service", spec={"type": "LoadBalancer", **spec}, metadata=metadata)


def _deployment(**spec: object) -> dict[str, Any]:
    return item("Deployment", spec={"template": {"spec": {**TEMPLATE["spec"], **spec}}})


OBJECTS: dict[str, tuple[dict[str, Any] | None, dict[str, Any] | None, str]] = {
    "quota-deleted": (
        item("ResourceQuota", spec={"hard": {"pods": "1"}}),
        None,
        "major: ResourceQuota ns/x (digest ",
    ),
    "quota-raised": (
        item("ResourceQuota", spec={"hard": {"pods": "1"}}),
        item("ResourceQuota", spec={"hard": {"pods": "9"}}),
        "major: ResourceQuota ns/x (digest ",
    ),
    "limits-deleted": (item("LimitRange"), None, "major: LimitRange ns/x (digest "),
    "budget-deleted": (item("PodDisruptionBudget"), None, "major: PodDisruptionBudget ns/x (di"),
    "admission-policy-deleted": (
        item("ValidatingAdmissionPolicyBinding", namespace=""),
        None,
        "major: ValidatingAdmissionPolicyBinding x no longer limits the cluster",
    ),
    "webhook-deleted": (
        item("ValidatingWebhookConfiguration", namespace=""),
        None,
        "major: ValidatingWebhookConfiguration x no longer limits the cluster",
    ),
    "policy-of-an-operator-deleted": (
        item("CiliumNetworkPolicy", apiVersion="cilium.io/v2"),
        None,
        "major: CiliumNetworkPolicy ns/x no longer limits namespace ns",
    ),
    "new-workload": (
        None,
        item("DaemonSet", spec={"template": TEMPLATE}),
        "major: DaemonSet ns/x is new in namespace ns",
    ),
    "new-pod-template": (
        None,
        item("PodTemplate", template={"spec": {"hostPID": True}}),
        "critical: PodTemplate ns/x has hostPID",
    ),
    "object-of-the-system": (
        None,
        item("ConfigMap", namespace="kube-system", data={"mapRoles": "[]"}),
        "critical: ConfigMap kube-system/x is in a namespace of Kubernetes",
    ),
    "object-of-the-system-changed": (
        item("ConfigMap", namespace="kube-system", data={"mapRoles": "[]"}),
        item("ConfigMap", namespace="kube-system", data={"mapRoles": "[{}]"}),
        "critical: ConfigMap kube-system/x is in a namespace of Kubernetes",
    ),
    "kind-without-a-rule": (
        None,
        item("VolumeSnapshotClass", namespace="", apiVersion="snapshot.storage.k8s.io/v1"),
        "major: VolumeSnapshotClass x has the kind VolumeSnapshotClass (digest ",
    ),
    "label-of-a-namespace": (
        item("Namespace", namespace=""),
        item("Namespace", namespace="", metadata={"labels": {"gatekeeper/ignore": "yes"}}),
        "major: Namespace x has other labels or annotations",
    ),
    "annotation-of-an-account": (
        item("ServiceAccount"),
        item("ServiceAccount", metadata={"annotations": {"vault/role": "admin"}}),
        "major: ServiceAccount ns/x has other labels or annotations",
    ),
    "labels-of-pods": (
        _deployment(),
        item(
            "Deployment", spec={"template": {**TEMPLATE, "metadata": {"labels": {"app": "other"}}}}
        ),
        "major: Deployment ns/x has other labels or annotations",
    ),
    "level-that-a-role-claims": (
        item("Role"),
        item("Role", metadata={"annotations": {"image-builds/pod-security": "restricted"}}),
        "major: Role ns/x has other labels or annotations (the level restricted)",
    ),
    "login-of-an-account": (
        item("ServiceAccount"),
        item("ServiceAccount", imagePullSecrets=[{"name": "other"}]),
        "minor: ServiceAccount ns/x pulls images with the Secret other",
    ),
    "secret-of-an-account": (
        item("ServiceAccount"),
        item("ServiceAccount", secrets=[{"name": "other"}]),
        "minor: ServiceAccount ns/x can read the Secret other",
    ),
    "type-of-a-secret": (
        item("Secret", type="kubernetes.io/tls"),
        item("Secret"),
        "minor: Secret ns/x is of type Opaque",
    ),
    "pods-behind-a-service": (
        _service(selector={"app": "a"}),
        _service(selector={"app": "b"}),
        "major: Service ns/x leads to other pods or ports (digest ",
    ),
    "host-behind-a-service": (
        _service(type="ExternalName", externalName="a.example"),
        _service(type="ExternalName", externalName="b.example"),
        "major: Service ns/x leads to other pods or ports (digest ",
    ),
    "balancer-for-everyone": (
        _balancer({}, loadBalancerSourceRanges=["10.0.0.0/8"]),
        _balancer({}),
        "major: Service ns/x can be reached from outside of the cluster from everywhere",
    ),
    "balancer-no-longer-internal": (
        _balancer({"cloud/internal": "true"}),
        _balancer({}),
        "major: Service ns/x can be reached from outside of the cluster without annotations",
    ),
    "annotation-of-a-route": (
        item("Ingress", spec={}),
        item("Ingress", spec={}, metadata={"annotations": {"nginx/snippet": "lua"}}),
        "major: Ingress ns/x can be reached from outside of the cluster as of digest",
    ),
    "ports-of-a-slice": (
        item("EndpointSlice", ports=[{"port": 1}]),
        item("EndpointSlice", ports=[{"port": 2}]),
        "major: EndpointSlice ns/x resolves a Service as of digest",
    ),
    "script-in-a-config-map": (
        item("ConfigMap", data={"entrypoint": "#!/bin/sh\ntrue"}),
        item("ConfigMap", data={"entrypoint": "#!/bin/sh\nfalse"}),
        "major: ConfigMap ns/x has another script (entrypoint, digest ",
    ),
    "contents-of-a-config-map": (
        item("ConfigMap", data={"a": "b"}),
        item("ConfigMap", data={"a": "c"}),
        "minor: ConfigMap ns/x has other contents (digest ",
    ),
    "device-of-the-node": (
        container(),
        container(volumeDevices=[{"name": "d", "devicePath": "/dev/d"}]),
        f"major: {C} has volumeDevices = ",
    ),
    "mounts-to-the-node": (
        container(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
        container(
            volumeMounts=[{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]
        ),
        f'major: {C} has mountPropagation = "Bidirectional", of which no rule knows',
    ),
    "long-field": (
        pod(),
        pod(affinity={"podAffinity": {"required": [{"key": "a" * 60}]}}),
        "major: Pod ns/x has podAffinity = (digest ",
    ),
    "groups": (
        pod(),
        pod(securityContext={"supplementalGroups": [0]}),
        "major: Pod ns/x has supplementalGroups = [0]",
    ),
    "group-of-root": (
        context(runAsUser=1000),
        context(runAsUser=1000, runAsGroup=0),
        f"major: {C} has runAsGroup = 0",
    ),
    "scheduler": (
        pod(schedulerName="default-scheduler"),
        pod(schedulerName="mine"),
        'major: Pod ns/x has schedulerName = "mine"',
    ),
    "name-server-of-the-node": (
        pod(dnsPolicy="ClusterFirst"),
        pod(dnsPolicy="Default"),
        "major: Pod ns/x resolves names by the resolvers of the node",
    ),
    "search-domain": (
        pod(),
        pod(dnsConfig={"nameservers": [], "searches": ["a.example"]}),
        "major: Pod ns/x resolves short names in a.example",
    ),
    "selector-of-nodes-gone": (
        pod(nodeSelector={"pool": "ci"}),
        pod(),
        "major: Pod ns/x no longer runs on nodes with pool=ci alone",
    ),
    "taint-tolerated": (
        pod(),
        pod(tolerations=[{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]),
        "major: Pod ns/x tolerates the taint dedicated=db:NoSchedule",
    ),
    "every-taint-tolerated": (
        pod(),
        pod(tolerations=[{"operator": "Exists"}]),
        "critical: Pod ns/x may run on nodes of the control plane (every taint)",
    ),
    "trust-bundle": (
        pod(),
        pod(
            volumes=[
                {"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"name": "b"}}]}}
            ]
        ),
        "major: Pod ns/x mounts clusterTrustBundle name: b",
    ),
    "files-of-an-image": (
        pod(),
        pod(volumes=[{"name": "v", "image": {"reference": "other.example/a@sha256:0"}}]),
        "major: Pod ns/x runs images from other.example/a",
    ),
    "files-of-a-config-map": (
        pod(),
        pod(volumes=[{"name": "v", "configMap": {"name": "theirs"}}]),
        "minor: Pod ns/x has other contents (files of ConfigMap theirs)",
    ),
    "another-image": (
        container(),
        container(image="other.example/a:1"),
        f"major: {C} runs images from other.example/a",
    ),
    "older-image": (
        container(image="a:1.10"),
        container(image="a:1.9"),
        f"minor: {C} goes back to the version 1.9",
    ),
    "image-of-the-node": (
        container(imagePullPolicy="Always"),
        container(imagePullPolicy="Never"),
        f"major: {C} may run private images that its node has",
    ),
    "another-probe": (
        container(livenessProbe={"exec": {"command": ["a"]}}),
        container(livenessProbe={"exec": {"command": ["b"]}}),
        f"minor: {C} runs another command",
    ),
    "proxy": (
        container(),
        container(env=[{"name": "HTTPS_PROXY", "value": "http://192.0.2.1"}]),
        f"major: {C} has the environment variable HTTPS_PROXY=http://192.0.2.1",
    ),
    "variables-of-a-config-map": (
        container(),
        container(envFrom=[{"configMapRef": {"name": "a"}}]),
        f"minor: {C} has other contents (environment, digest ",
    ),
    "second-container": (
        pod(containers=[{"name": "c"}]),
        pod(containers=[{"name": "c"}, {"name": "d"}]),
        "major: Pod ns/x has another container, d",
    ),
    "no-limit-of-cpu": (
        container(resources={"limits": {"cpu": "1"}}),
        container(),
        f"minor: {C} has no CPU limit",
    ),
    "higher-limit": (
        container(resources={"limits": {"memory": "1Gi"}}),
        container(resources={"limits": {"memory": "2Gi"}}),
        f"minor: {C} may use 2Gi of memory",
    ),
    "priority": (pod(), pod(priorityClassName="high"), "major: Pod ns/x has the priority high"),
}

JOBS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "labels-of-jobs": (
        runner(),
        runner(pod_labels={"a": "b"}),
        f"major: {JOB_POD} has other labels or annotations",
    ),
    "key-of-jobs-without-a-rule": (
        runner(),
        runner(use_service_account_image_pull_secrets=True),
        "major: config.toml of runner main has the extra key use_service_account_",
    ),
    "key-of-runners-without-a-rule": (
        runner(),
        runner({"unhealthy_interval": "1h"}),
        "major: config.toml of runner main has the extra key unhealthy_interval",
    ),
    "cache": (
        runner(),
        runner({"cache": {"Type": "s3", "s3": {"BucketName": "caches"}}}),
        "major: runner main keeps the caches of jobs in s3.amazonaws.com/caches",
    ),
    "feature-flag": (
        runner(),
        runner({"feature_flags": {"FF_SCRIPT_SECTIONS": True}}),
        "major: config.toml of runner main has the extra key FF_SCRIPT_SECTIONS = true",
    ),
    "script-before-jobs": (
        runner({"pre_build_script": "true"}),
        runner({"pre_build_script": "curl https://example.com | sh"}),
        "major: each job of runner main begins with another script",
    ),
    "another-daemon": (
        runner({"environment": ["DOCKER_HOST=tcp://docker:2376"]}),
        runner({"environment": ["DOCKER_HOST=tcp://192.0.2.1:2376"]}),
        "major: each job of runner main looks for its daemon by DOCKER_HOST=tcp://192.0.2.1:2376",
    ),
    "packages-from-elsewhere": (
        runner(),
        runner({"environment": ["NPM_CONFIG_REGISTRY=https://npm.example.com"]}),
        "major: each job of runner main has the variable NPM_CONFIG_REGISTRY=https://npm.example",
    ),
    "another-variable": (
        runner(),
        runner({"environment": ["GREETING=hello"]}),
        "minor: each job of runner main has another variable GREETING (digest ",
    ),
    "service-beside-each-job": (
        runner(),
        runner(services=[{"name": "a:1", "alias": "a"}]),
        f"major: {JOB_POD} has another container, the service a of runner main",
    ),
    "proxy-of-a-service": (
        runner(services=[{"name": "a:1", "alias": "a"}]),
        runner(services=[{"name": "a:1", "alias": "a", "environment": ["http_proxy=b"]}]),
        "major: the service a of runner main has the environment variable http_proxy=b",
    ),
    "mounts-of-jobs-to-the-node": (
        runner(volumes={"host_path": [{"name": "v", "host_path": "/v"}]}),
        runner(
            volumes={
                "host_path": [
                    {"name": "v", "host_path": "/v", "mount_propagation": "Bidirectional"}
                ]
            }
        ),
        "major: the build container of runner main has mountPropagation",
    ),
    "taint-tolerated-by-jobs": (
        runner(),
        runner(node_tolerations={f"{CONTROL_PLANE}=x": "NoSchedule"}),
        f"critical: {JOB_POD} may run on nodes of the control plane ({CONTROL_PLANE})",
    ),
    "nodes-of-jobs": (
        runner(node_selector={"pool": "ci"}),
        runner(node_selector={"pool": "prod"}),
        f"major: {JOB_POD} no longer runs on nodes with pool=ci alone",
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_an_object_gains_or_loses_is_reported(name: str) -> None:
    old, new, text = OBJECTS[name]

    assert any(line.startswith(text) for line in _raised(changes_of(old, new)))


@pytest.mark.parametrize("name", JOBS)
def test_what_jobs_gain_or_lose_is_reported(name: str) -> None:
    old, new, text = JOBS[name]

    assert any(line.startswith(text) for line in _raised(changes_of_jobs(old, new)))


BASE = runner()
RELEASES: dict[str, tuple[dict[str, Any], str]] = {
    "code-that-runs-where-the-chart-is-installed": (
        {**BASE, "postrender": "./program"},
        "major: the release of runner main has postrender (digest ",
    ),
    "login-for-the-repository": (
        {**BASE, "repositoryOpts": {"repo": "", "username": "a", "caFile": ""}},
        "major: the release of runner main has repositoryOpts.username",
    ),
    "roles-by-the-chart": (
        {**BASE, "values": {**BASE["values"], "rbac": {"create": True}}},
        "major: the release of runner main has other values for the chart (digest ",
    ),
    "more-jobs-at-a-time": (
        {**BASE, "values": {**BASE["values"], "concurrent": 100}},
        "minor: runner main runs up to 100 jobs at a time",
    ),
}


@pytest.mark.parametrize("name", RELEASES)
def test_what_a_release_gains_is_reported(name: str) -> None:
    new, text = RELEASES[name]
    old = {**BASE, "values": {**BASE["values"], "concurrent": 10}}

    assert [line for line in _raised(changes_of(old, new, RELEASE)) if line.startswith(text)] != []


def test_fewer_jobs_and_a_later_version_raise_nothing() -> None:
    before = {**BASE, "version": "0.90.1", "values": {**BASE["values"], "concurrent": 10}}
    after = {**BASE, "version": "0.94.1", "values": {**BASE["values"], "concurrent": 9}}

    assert _raised(changes_of(before, after, RELEASE)) == []


def test_an_amount_that_is_no_quantity_is_the_smallest() -> None:
    """GitLab Runner takes variables as limits."""
    found = changes_of_jobs(runner(memory_limit="$LIMIT"), runner(memory_limit="1Gi"))

    assert "minor: the build container of runner main may use 1Gi of memory" in _raised(found)


def test_a_resource_of_no_known_kind_is_reported() -> None:
    found = changes_of(None, {"create": "curl"}, "command:local:Command")

    assert _raised(found) == [
        "major: main has the type command:local:Command, of which no rule knows"
    ]


def test_a_patch_is_reported_and_makes_no_namespace() -> None:
    """In a namespace that the change itself makes, permissions are not mentioned."""
    namespace = {"kind": "Namespace", "metadata": {"name": "payments"}}
    role = item("Role", namespace="payments", rules=[{"resources": ["pods"], "verbs": ["get"]}])
    kind = f"{NAMESPACE_KIND}Patch"
    plan = read(
        [
            pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE),
            pre_event("create", f"{URN}{kind}::p", kind, new=namespace),
            pre_event("create", f"{URN}r::r", "kubernetes:x:Role", new=role),
        ],
        Scrubber(),
    )

    raised = _raised(changes(plan, {}, stack_file(SETTINGS), SETTINGS))

    assert "major: Namespace payments overwrites what others set (by a patch)" in raised
    assert "major: Role payments/x may get pods" in raised


@pytest.mark.parametrize("operation", ["read", "import"])
def test_a_namespace_that_is_there_already_is_not_made(operation: str) -> None:
    namespace = {"kind": "Namespace", "metadata": {"name": "payments"}}
    role = item("Role", namespace="payments", rules=[{"resources": ["pods"], "verbs": ["get"]}])
    plan = read(
        [
            pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE),
            pre_event(operation, f"{URN}n::n", NAMESPACE_KIND, new=namespace),
            pre_event("create", f"{URN}r::r", "kubernetes:x:Role", new=role),
        ],
        Scrubber(),
    )

    raised = _raised(changes(plan, {}, stack_file(SETTINGS), SETTINGS))

    assert "major: Role payments/x may get pods" in raised


def test_the_policies_for_production_are_missed_when_they_go() -> None:
    def said(*, production: bool) -> dict[str, Any]:
        return {"production": production, "runners": {}}

    same = pre_event("same", f"{URN}ns::ns", NAMESPACE_KIND, old=NAMESPACE, new=NAMESPACE)
    plan = read([same, stack(said(production=True), said(production=False))], Scrubber())

    assert lines(changes(plan, {}, stack_file(SETTINGS), SETTINGS)) == [
        "raised: the policies for production no longer apply to the stack"
    ]


REGISTERED = {
    "runnerType": "project_type",
    "projectId": 1,
    "accessLevel": "ref_protected",
    "tagLists": ["a"],
}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("projectId", 2, "of project 2"),
        ("groupId", 3, "of group 3"),
        ("locked", False, "of projects that enable it"),
        ("tagLists", ["a", "b"], "with the tag b"),
    ],
)
def test_whose_jobs_a_runner_takes_is_reported(key: str, value: object, text: str) -> None:
    found = changes_of(REGISTERED, {**REGISTERED, key: value}, USER_RUNNER)

    assert _raised(found) == [f"major: runner main takes jobs {text}"]


STACK_FILES: dict[str, tuple[Change, str]] = {
    "runner-that-the-stack-registers": (
        Change(
            after={
                "runners.main.registration": {
                    "kind": "userRunner",
                    "runnerType": "instance_type",
                    "runUntagged": True,
                }
            },
            secrets={"runnerTokens.main": MISSING},
        ),
        "major: runner main takes jobs of all projects",
    ),
    "namespace-that-goes-with-the-stack": (
        Change(after={"targetNamespaces.apps.deleteWithStack": True}),
        "major: Namespace apps no longer stays when the stack lets go of it",
    ),
    "namespace-that-the-stack-lets-go-of": (
        Change(after={"targetNamespaces.apps.create": False}),
        "major: Secret apps/registry-pull, in a namespace of others, has the login for registry",
    ),
    "nodes-that-are-set-aside": (
        Change(
            before={"runners.main.strategy": STRATEGIES["dood"]},
            after={"runners.main.strategy": STRATEGIES["dood"], "cluster.nodes.selector": {}},
        ),
        f"major: {JOB_POD} no longer runs on nodes with image-builds/docker-socket=true alone",
    ),
    "daemon-of-dind-from-elsewhere": (
        Change(
            before={"runners.main.strategy": STRATEGIES["dind"]},
            after={
                "runners.main.strategy": {
                    **STRATEGIES["dind"],
                    "daemonImage": "other.example/docker:29.10.0-dind",
                }
            },
        ),
        "major: the service docker of runner main runs images from other.example/docker",
    ),
    "daemon-of-buildx-from-elsewhere": (
        Change(
            before={"runners.main.strategy": STRATEGIES["buildx"]},
            after={
                "runners.main.strategy": {
                    **STRATEGIES["buildx"],
                    "daemonImage": "other.example/buildkit:v1-rootless",
                }
            },
        ),
        "major: each job of runner main begins with another script",
    ),
}


@pytest.mark.parametrize("name", STACK_FILES)
def test_what_a_stack_file_gives_away_is_reported(name: str) -> None:
    change, text = STACK_FILES[name]

    report = preview_change(change)

    assert any(line.startswith(text) for line in _raised(report.risk_changes))
    assert report.risk == "raised"


EVERYTHING = {
    "gitlab.caCertificates": CERTIFICATE,
    "registryMirrors": ["mirror.example.com"],
    "previewAccount": True,
    "chart.version": "0.90.1",
    "runners.main.environment": {"GREETING": "hello"},
    "runners.main.nodeSelector": {"pool": "ci"},
    "runners.main.podDisruptionBudget": True,
    "runners.main.pullPolicy": "always",
    "runners.main.resources": {"limits": {"cpu": "1", "memory": "1Gi", "ephemeralStorage": "1Gi"}},
    "runners.main.seccompProfile": "RuntimeDefault",
    "runners.main.tolerations": [{"key": "dedicated", "value": "ci", "effect": "NoSchedule"}],
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_rules_know_all_that_a_stack_file_can_say(name: str) -> None:
    """A first deployment raises only what its strategy costs."""
    change = Change(after={**EVERYTHING, "runners.main.strategy": STRATEGIES[name]}, first=True)

    kinds = {item.identity.split("/")[0] for item in preview_change(change).risk_changes}
    assert not kinds & {*TRUST_KINDS, *CHANGE_KINDS}


@pytest.mark.parametrize("strategy", ["dood", "dind"])
def test_a_switch_moves_images_and_nodes_without_a_great_risk(strategy: str) -> None:
    """The switch itself says what it costs."""
    report = preview_change(Change(before={"runners.main.strategy": STRATEGIES[strategy]}))

    raised = _raised(report.risk_changes)
    assert [line for line in raised if "runs images from" in line and "minor" in line]
    assert [line for line in raised if not line.startswith(("minor", "info"))] == []
    assert report.risk == "lowered"
