"""Each fault alone is named by its check, and by no other one."""

import base64
import dataclasses
import datetime as dt
import email.utils
import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import requests

from doctor.canary.run import NAMES
from doctor.catalogue import catalogue
from doctor.checks.servers.caches import caches
from doctor.checks.servers.gitlab import TOKEN as USERS_TOKEN
from doctor.examine import Visit
from doctor.kubernetes_api import Answer
from doctor.observed import Observed
from tests.support.clinic import Adjust, Changes, Object, World, node, world
from tests.support.configured import CACHES, SECRETS, STRATEGIES, TOKEN
from tests.support.servers import EXPIRED, VALIDITY, GitLabDouble, Reply, new_ca, serving

MANAGERS, JOBS = "builds", "builds-main"
LEVEL = "pod-security.kubernetes.io/enforce"


@dataclasses.dataclass(frozen=True)
class Provoked:
    """What is changed of a healthy world, and what a message about it has to say."""

    check: str
    then: Adjust = lambda _: None
    says: str = ""
    changes: Changes | Callable[[Changes], Changes] | None = None
    how: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    repository: str = ""


def _refuse(part: str, message: str) -> Adjust:
    return lambda at: at.api.refusals.update({part: message})


def _of_the_node(change: Callable[[Object], object]) -> Adjust:
    return lambda at: change(at.api.find("Node", "worker"))


def _info(**said: str) -> Adjust:
    return _of_the_node(lambda found: found["status"]["nodeInfo"].update(said))


def _offers(**amounts: str) -> Adjust:
    return _of_the_node(
        lambda found: found["status"]["allocatable"].update(
            {key.replace("_", "-"): value for key, value in amounts.items()}
        )
    )


def _pod(status: Object, namespace: str = JOBS, *events: Object) -> Adjust:
    def then(at: World) -> None:
        metadata = {"name": "runner-1", "namespace": namespace}
        at.api.add({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status})
        for number, event in enumerate(events):
            about = {"involvedObject": {"kind": "Pod", "name": "runner-1"}}
            named = {"name": f"event-{number}", "namespace": namespace}
            at.api.add({"apiVersion": "v1", "kind": "Event", "metadata": named, **about, **event})

    return then


def _waits(reason: str, message: str = "why") -> Adjust:
    state = {"waiting": {"reason": reason, "message": message}}
    return _pod({"phase": "Pending", "containerStatuses": [{"state": state}]})


def _second_node(**said: str) -> Adjust:
    def then(at: World) -> None:
        other = node("other")
        other["status"]["nodeInfo"].update(said)
        at.api.add(other)

    return then


def _level(level: str) -> Adjust:
    """Change it, so that the API server refuses what the stack's level would admit."""

    def then(at: World) -> None:
        at.api.find("Namespace", JOBS)["metadata"]["labels"][LEVEL] = level
        _refuse("/api/v1/namespaces/builds-main/pods", "violates PodSecurity restricted")(at)

    return then


def _runner(**known: Any) -> Adjust:  # noqa: ANN401 - JSON
    return lambda at: at.gitlab.runners[TOKEN].update(known)


def _quota(**hard: str) -> Adjust:
    metadata = {"name": "most", "namespace": JOBS}
    spec = {"hard": {key.replace("_", "."): value for key, value in hard.items()}}
    item = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec}
    return lambda at: at.api.add(item)


def _policy(at: World) -> None:
    metadata = {"name": "open", "namespace": JOBS}
    item = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}
    at.api.add({**item, "spec": {"egress": [{}]}})


def _helm(status: str) -> Adjust:
    def then(at: World) -> None:
        for version, said in (("1", "superseded"), ("2", status)):
            labels = {"name": "gitlab-runner-main", "status": said, "version": version}
            metadata = {"name": f"sh.helm.{version}", "namespace": MANAGERS, "labels": labels}
            item = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
            at.api.add({**item, "type": "helm.sh/release.v1"})

    return then


def _deployment(name: str, namespace: str, **status: Any) -> Adjust:  # noqa: ANN401 - JSON
    def then(at: World) -> None:
        found = at.api.find("Deployment", name, namespace)
        found["spec"] |= status.pop("spec", {})
        found["status"] = status

    return then


def _plugin(at: World) -> None:
    at.api.find("DaemonSet", "calico-node", "kube-system")["metadata"]["name"] = "kube-flannel-ds"


def _stale(key: str, name: str, namespace: str, value: str = "bm8=") -> Adjust:
    return lambda at: at.api.find("Secret", name, namespace)["data"].update({key: value})


def _nowhere(addresses: Changes) -> Changes:
    """A port of loopback on which nothing listens."""
    with serving(GitLabDouble()) as host:
        del addresses
        return {"gitlab.url": f"http://{host}"}


def _no_registry(addresses: Changes) -> Changes:
    with serving(GitLabDouble()) as host:
        del addresses
        return {"registries.0.host": host}


def _s3(endpoint: str) -> Changes:
    return {"runners.main.cache": {"kind": "s3", "bucket": "kept", "endpoint": endpoint}}


def _mutated(change: Callable[[Object], object]) -> Adjust:
    """A webhook that changes the pods of jobs."""
    path = f"/api/v1/namespaces/{JOBS}/pods"
    return lambda at: at.api.mutations.update({path: lambda pod: change(pod["spec"])})


def _secret(name: str, namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
    }


def _claim(name: str, *modes: str) -> Object:
    item = {**_secret(name, JOBS), "kind": "PersistentVolumeClaim"}
    return {**item, "spec": {"accessModes": [*modes]}}


def _storage_class(default: str) -> Object:
    annotations = {"storageclass.kubernetes.io/is-default-class": default}
    metadata = {"name": "disks", "annotations": annotations}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": metadata}


def _disks(at: World) -> None:
    at.api.add(_storage_class("true"))


def _pulled_with(secret: str) -> Callable[[Changes], Changes]:
    return lambda given: {
        "registries": [
            {
                "host": given["registries.0.host"],
                "insecure": True,
                "pullSecret": secret,
                "push": "out",
            }
        ]
    }


def _answers(path: str, status: int, message: str) -> Adjust:
    return lambda at: at.api.answers.update({path: Answer(status, {"message": message})})


def _service(name: str, available: str) -> Object:
    """Return a part of the API as another server provides it."""
    conditions = [{"type": "Available", "status": available, "message": "no endpoints."}]
    item = {"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService"}
    return {**item, "metadata": {"name": name}, "status": {"conditions": conditions}}


def _renewed(seconds: int) -> Adjust:
    """Have the kubelet of the node renew its lease, by a clock that differs by these seconds."""

    def renew(at: World) -> None:
        time_there = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        spec = {"renewTime": time_there.isoformat().replace("+00:00", "Z")}
        item = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
        at.api.add({**item, "metadata": {"name": "worker", "namespace": "kube-node-lease"}})

    return renew


def _handlers(*names: str) -> Adjust:
    features = {"userNamespaces": True}
    handlers = [{"name": name, "features": features} for name in names]
    return _of_the_node(lambda found: found["status"].update(runtimeHandlers=handlers))


def _logins(name: str, *hosts: str) -> Object:
    text = json.dumps({"auths": {host: {} for host in hosts}}).encode()
    data = {".dockerconfigjson": base64.b64encode(text).decode()}
    return {**_secret(name, JOBS), "type": "kubernetes.io/dockerconfigjson", "data": data}


def _kaniko(image: str) -> Changes:
    return {"runners.main.strategy": {"kind": "kaniko", "image": image}}


def _kept_by_login(given: Changes) -> Changes:
    cache = _s3(f"http://{given['registries.0.host']}")["runners.main.cache"]
    return {"runners.main.cache": {**cache, "credentials": "minio"}}


def _pod_of_others(namespace: str = "others", phase: str = "Running", **requests: str) -> Adjust:
    item = {"apiVersion": "v1", "kind": "Pod", "status": {"phase": phase}}
    spec = {"nodeName": "worker", "containers": [{"resources": {"requests": requests}}]}
    metadata = {"name": "large", "namespace": namespace}
    return lambda at: at.api.add({**item, "spec": spec, "metadata": metadata})


READ = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
DEPLOY = {"kind": "deploy", "permissions": {"apps": [READ]}}
DISK: Changes = {"runners.main.volumes": [{"path": "/disk", "perJob": {"size": "9Gi"}}]}
CLAIM: Changes = {"runners.main.volumes": [{"path": "/cache", "claim": "cache"}]}
ROLE = "arn:aws:iam::123456789012:role/builds"
IDENTITY: Changes = {"runners.main.identity": {"jobs": {"aws": ROLE}}}
KATA: Object = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "kata"},
    "handler": "kata-qemu",
}
OTHER = "glrt-PlantedToken0002"
TWO: Changes = {"runners.second": {"tags": ["other"], "strategy": "kaniko"}}
CA = new_ca()
DIND: Changes = {"runners.main.strategy": STRATEGIES["dind"]}
TRUSTED_REGISTRY: Changes = {"registries.0.caCertificates": CA.certificate}
UNTRUSTED: Changes = {"registries.0.caCertificates": new_ca().certificate}

FAULTS: dict[str, Provoked] = {
    "the API server is down": Provoked(
        "api-server", lambda at: setattr(at.api, "down", "refused"), "refused"
    ),
    "the account is not accepted": Provoked(
        "api-account", lambda at: at.api.denied.update({"/": HTTPStatus.UNAUTHORIZED})
    ),
    "old Kubernetes": Provoked(
        "kubernetes-version",
        lambda at: [setattr(at.api, "version", "v1.29.9"), _info(kubeletVersion="v1.29.1")(at)],
        "v1.29.9",
        {"cluster.nodes.userNamespaces": False},
    ),
    "an old kubelet": Provoked(
        "kubelet-version", _info(kubeletVersion="v1.31.4"), "worker has version v1.31.4"
    ),
    "a kubelet that is newer": Provoked("kubelet-version", _info(kubeletVersion="v1.36.0")),
    "an API that is off": Provoked(
        "api-group", lambda at: at.api.missing_apis.add("networking.k8s.io/v1"), "NetworkPolicy"
    ),
    "a clock that is slow": Provoked(
        "clock",
        lambda at: setattr(at.api, "date", email.utils.formatdate(time.time() - 600, usegmt=True)),
        "differ by",
    ),
    "a webhook that denies jobs": Provoked(
        "webhook-denies",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'admission webhook "validate.kyverno.svc-fail" denied the request: no root',
        ),
        "no root",
    ),
    "a policy of the API server that denies": Provoked(
        "webhook-denies",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no",
        ),
    ),
    "a webhook that is down": Provoked(
        "webhook-down",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'Internal error occurred: failed calling webhook "w": connection refused',
        ),
    ),
    "a job that is not admitted at its own level": Provoked(
        "pod-security",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'pods "x" is forbidden: violates PodSecurity "baseline:latest": hostPath volumes',
        ),
        "hostPath",
    ),
    "no SCC of OpenShift": Provoked(
        "security-context-constraint",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'pods "x" is forbidden: unable to validate against any security context constraint',
        ),
    ),
    "a quota that a job exceeds": Provoked(
        "quota",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'pods "x" is forbidden: exceeded quota: most, requested: pods=1, used: 0, limited: 0',
        ),
        "most",
    ),
    "a LimitRange whose defaults do not fit": Provoked(
        "limit-range",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'Pod "x" is invalid: "500m": must be less than or equal to cpu limit of 100m',
        ),
    ),
    "a LimitRange that a job exceeds": Provoked(
        "limit-range",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'pods "x" is forbidden: maximum memory usage per Container is 512Mi, but limit is 1Gi',
        ),
    ),
    "no such PriorityClass": Provoked(
        "priority-class",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'pods "x" is forbidden: no PriorityClass with name builds was found',
        ),
    ),
    "no such RuntimeClass": Provoked(
        "runtime-class",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'pods "x" is forbidden: pod rejected: RuntimeClass "kata" not found',
        ),
    ),
    "no account of jobs": Provoked(
        "account-missing",
        _refuse(
            "/api/v1/namespaces/builds-main/pods",
            'pods "x" is forbidden: error looking up service account builds-main/gitlab-job-main: '
            'serviceaccount "gitlab-job-main" not found',
        ),
    ),
    "a manager that is refused": Provoked(
        "admission", _refuse("/api/v1/namespaces/builds/pods", "something else"), "of the manager"
    ),
    "an object that is refused": Provoked(
        "admission",
        _refuse("/api/v1/namespaces/apps/secrets", "not here"),
        "Secret apps registry-pull: not here",
    ),
    "a quota for fewer jobs": Provoked("quota-for-all", _quota(pods="3"), "room for 3 jobs"),
    "a quota of memory for fewer jobs": Provoked(
        "quota-for-all", _quota(requests_memory="4Gi", cpu="900"), "memory"
    ),
    "a deployer without a right": Provoked(
        "deployer-rights",
        lambda at: at.api.lacking.add(("create", "networkpolicies")),
        "create networkpolicies in builds",
    ),
    "a deployer that may not grant": Provoked(
        "deployer-grants",
        lambda at: at.api.lacking.update({("create", "pods/exec"), ("escalate", "roles")}),
        "create pods/exec in builds-main",
    ),
    "a monitor of managers without its API": Provoked(
        "api-group",
        lambda at: at.api.missing_apis.add("monitoring.coreos.com/v1"),
        "PodMonitor",
        {"runners.main.manager.metrics": "podMonitor"},
    ),
    "resources of a pod that Kubernetes ignores": Provoked(
        "pod-resources",
        lambda at: [setattr(at.api, "version", "v1.33.9"), _info(kubeletVersion="v1.33.1")(at)],
        "v1.33.9, which ignores resources.pod",
        {"runners.main.resources.pod.limits.memory": "9Gi"},
    ),
    "a pod as a whole that is too large": Provoked(
        "node-room",
        says="300Gi memory",
        changes={"runners.main.resources.pod.requests.memory": "300Gi"},
    ),
    "a deployer that may not bind": Provoked(
        "deployer-grants",
        lambda at: at.api.lacking.update({("create", "pods/exec"), ("bind", "roles")}),
        "create pods/exec in builds-main",
    ),
    "a deployer that may not make monitors": Provoked(
        "deployer-rights",
        lambda at: at.api.lacking.add(("create", "podmonitors")),
        "create podmonitors in builds",
        {"runners.main.manager.metrics": "podMonitor"},
    ),
    "a manager without its Role": Provoked(
        "manager-rights",
        lambda at: at.api.remove("RoleBinding", "gitlab-runner-main", JOBS),
        "create, delete, get, list, watch pods in builds-main",
    ),
    "a manager that reads all Secrets": Provoked(
        "manager-rights-beyond",
        lambda at: at.api.granted.add(("gitlab-runner-main", "list", "secrets", "")),
        "list secrets in the whole cluster",
    ),
    "jobs that run commands elsewhere": Provoked(
        "job-rights-beyond",
        lambda at: at.api.granted.add(("gitlab-job-main", "create", "pods/exec", "kube-system")),
        "create pods/exec in kube-system",
    ),
    "jobs that read Secrets of managers": Provoked(
        "job-rights-beyond",
        lambda at: at.api.granted.add(("gitlab-job-main", "get", "secrets", MANAGERS)),
    ),
    "jobs without their Role": Provoked(
        "job-rights",
        lambda at: at.api.remove("RoleBinding", "gitlab-job-main", JOBS),
        changes={"runners.main.strategy": STRATEGIES["buildx"]},
    ),
    "a selector of no node": Provoked(
        "node-selector", says="disk=fast", changes={"runners.main.nodeSelector": {"disk": "fast"}}
    ),
    "a taint": Provoked(
        "node-taint",
        _of_the_node(
            lambda found: found["spec"].update(
                taints=[{"key": "only", "value": "gpu", "effect": "NoSchedule"}]
            )
        ),
        "only=gpu:NoSchedule",
    ),
    "a node that is cordoned": Provoked(
        "node-not-ready",
        _of_the_node(
            lambda found: found["spec"].update(
                unschedulable=True,
                taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}],
            )
        ),
    ),
    "a node that is not ready": Provoked(
        "node-not-ready",
        _of_the_node(
            lambda found: found["status"].update(conditions=[{"type": "Ready", "status": "False"}])
        ),
    ),
    "a full disk": Provoked(
        "node-pressure",
        _of_the_node(
            lambda found: found["status"]["conditions"].append(
                {"type": "DiskPressure", "status": "True"}
            )
        ),
        "DiskPressure",
    ),
    "a node with Windows": Provoked("node-os", _info(operatingSystem="windows"), "windows"),
    "a wrong architecture": Provoked("node-architecture", _info(architecture="s390x"), "s390x"),
    "two architectures": Provoked(
        "node-architectures", _second_node(architecture="arm64"), "amd64, arm64"
    ),
    "a node that is too small": Provoked(
        "node-room", _offers(memory="512Mi"), "1Gi memory; the largest offers 512Mi"
    ),
    "a node with too little CPU": Provoked("node-room", _offers(cpu="250m"), "0.5 cpu"),
    "a node too small for the helper": Provoked(
        "node-room",
        _offers(memory="4Gi"),
        "6Gi memory",
        {"runners.main.resources.helper.requests.memory": "5Gi"},
    ),
    "too few nodes": Provoked("node-room-for-all", _offers(cpu="2"), "4 jobs"),
    "cgroup v1": Provoked(
        "node-cgroup",
        _info(osImage="Red Hat Enterprise Linux 8.10 (Ootpa)"),
        "Red Hat",
        {"runners.main.strategy": STRATEGIES["buildah"], "cluster.nodes.os": "other"},
    ),
    "no AppArmor": Provoked(
        "app-armor",
        _info(osImage="Amazon Linux 2023"),
        changes={
            "cluster.nodes.os": "other",
            "runners.main.strategy": {
                "kind": "buildkit",
                "nodeProfiles": {"seccomp": "build.json", "appArmor": "build"},
            },
        },
    ),
    "another operating system": Provoked("declared-os", _info(osImage="Talos (v1.11)"), "Talos"),
    "another runtime": Provoked(
        "declared-runtime", _info(containerRuntimeVersion="cri-o://1.34.0"), "cri-o"
    ),
    "a socket that RKE2 does not have": Provoked(
        "declared-socket", _info(kubeletVersion="v1.35.1+rke2r1"), "rke2"
    ),
    "a platform that is not declared": Provoked(
        "declared-platform",
        _info(kubeletVersion="v1.35.1+rke2r1"),
        "rke2",
        {"cluster.nodes.dockerSocket": False},
    ),
    "a managed cluster": Provoked(
        "declared-kind",
        _info(kubeletVersion="v1.35.1-eks-99aa11"),
        "eks",
        {"cluster.nodes.dockerSocket": False},
    ),
    "no user namespaces by the kernel": Provoked(
        "declared-user-namespaces", _info(kernelVersion="5.15.0-161-generic"), "Linux 6.3"
    ),
    "no user namespaces by containerd": Provoked(
        "declared-user-namespaces", _info(containerRuntimeVersion="containerd://1.7.28"), "1.7.28"
    ),
    "no user namespaces by the runtime": Provoked(
        "declared-user-namespaces",
        _of_the_node(
            lambda found: found["status"].update(
                runtimeHandlers=[{"name": "", "features": {"userNamespaces": False}}]
            )
        ),
        "does not offer them",
    ),
    "no user namespaces by Kubernetes": Provoked(
        "declared-user-namespaces",
        lambda at: [setattr(at.api, "version", "v1.32.9"), _info(kubeletVersion="v1.32.1")(at)],
        "1.33",
    ),
    "no user namespaces by Docker": Provoked(
        "declared-user-namespaces",
        _info(containerRuntimeVersion="docker://29.7.2"),
        changes={"cluster.nodes.runtime": "docker"},
    ),
    "no network policy": Provoked(
        "network-policy-missing",
        lambda at: at.api.remove("NetworkPolicy", "jobs-ingress", JOBS),
        "jobs-ingress of builds-main does not exist, so nothing limits the ingress of its pods",
    ),
    "no network policy for egress": Provoked(
        "network-policy-missing",
        lambda at: at.api.remove("NetworkPolicy", "jobs-egress", JOBS),
        "so nothing limits the egress of its pods",
    ),
    "a policy of others that opens": Provoked("network-policy-foreign", _policy, "open"),
    "a plugin that enforces nothing": Provoked("network-unenforced", _plugin, "flannel"),
    "egress that is closed": Provoked(
        "egress-closed",
        says="localhost",
        changes={
            "network.egress": {
                "private": False,
                "public": False,
                "allow": [{"cidr": "192.0.2.0/24"}],
            }
        },
    ),
    "a namespace of others": Provoked(
        "namespace-foreign",
        lambda at: at.api.find("Namespace", JOBS)["metadata"].pop("annotations"),
    ),
    "a namespace that is being deleted": Provoked(
        "namespace-terminating",
        lambda at: at.api.find("Namespace", JOBS)["metadata"].update(deletionTimestamp="now"),
    ),
    "a Pod Security label that was changed": Provoked(
        "namespace-level", _level("restricted"), "enforce=restricted, and the stack sets baseline"
    ),
    "no target namespace": Provoked(
        "target-missing", says="shop", changes={"targetNamespaces": {"shop": {}}}
    ),
    "no pull Secret": Provoked(
        "secret-missing", lambda at: at.api.remove("Secret", "registry-pull", "apps"), "apps"
    ),
    "no claim that jobs mount": Provoked(
        "object-missing", says="The PersistentVolumeClaim cache of builds-main", changes=CLAIM
    ),
    "no Secret that others keep": Provoked(
        "object-missing",
        says="The Secret of-others of builds ",
        changes={"runners.main.registration": {"kind": "secret", "name": "of-others"}},
        how={"secrets": {**SECRETS, "runnerTokens": {}}},
    ),
    "a pull Secret of others": Provoked(
        "secret-foreign",
        lambda at: at.api.find("Secret", "registry-pull", "apps")["metadata"].pop("annotations"),
        "apps",
    ),
    "a stale pull Secret": Provoked(
        "secret-stale", _stale(".dockerconfigjson", "registry-pull", "apps", "e30="), "logins"
    ),
    "a stale token": Provoked(
        "secret-stale", _stale("runner-token", "gitlab-runner-main-token", MANAGERS), "token"
    ),
    "a failed release": Provoked("release-failed", _helm("failed"), "failed"),
    "an update that was killed": Provoked("release-failed", _helm("pending-upgrade"), "pending"),
    "no manager": Provoked(
        "manager-missing", lambda at: at.api.remove("Deployment", "gitlab-runner-main", MANAGERS)
    ),
    "a manager that is not ready": Provoked(
        "manager-not-ready", _deployment("gitlab-runner-main", MANAGERS), "no pod that is ready"
    ),
    "a manager whose pods are refused": Provoked(
        "manager-not-ready",
        _deployment(
            "gitlab-runner-main",
            MANAGERS,
            conditions=[{"type": "ReplicaFailure", "status": "True", "message": "quota."}],
        ),
        "quota.",
    ),
    "a manager that was scaled to zero": Provoked(
        "manager-not-ready",
        _deployment("gitlab-runner-main", MANAGERS, spec={"replicas": 0}),
        "scaled to zero",
    ),
    "a daemon that is not ready": Provoked(
        "daemon-not-ready",
        _deployment("buildkitd", "builds-main-buildkitd"),
        changes={"runners.main.strategy": STRATEGIES["buildkit-service"]},
    ),
    "an image that cannot be pulled": Provoked(
        "image-pull", _waits("ImagePullBackOff", "not found"), "not found"
    ),
    "a container without its Secret": Provoked(
        "container-config", _waits("CreateContainerConfigError", 'secret "x" not found')
    ),
    "a container that crashes": Provoked("container-crash", _waits("CrashLoopBackOff", "")),
    "a container without memory": Provoked(
        "out-of-memory",
        _pod({"containerStatuses": [{"lastState": {"terminated": {"reason": "OOMKilled"}}}]}),
    ),
    "a pod that was evicted": Provoked(
        "evicted", _pod({"phase": "Failed", "reason": "Evicted", "message": "low on disk"}), "disk"
    ),
    "a pod without a node": Provoked(
        "unschedulable",
        _pod(
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "Ready", "status": "False"},
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes are available",
                    },
                ],
            }
        ),
        "0/1",
    ),
    "a volume that is not there": Provoked(
        "mount",
        _pod(
            {"phase": "Pending"},
            JOBS,
            {"reason": "Scheduled", "message": "assigned"},
            {"reason": "FailedMount", "message": "/var/run/docker.sock is not a socket file"},
        ),
        "not a socket file",
    ),
    "a sandbox that fails": Provoked(
        "sandbox",
        _pod({"phase": "Pending"}, JOBS, {"reason": "FailedCreatePodSandBox", "message": "cni"}),
    ),
    "a GitLab that nobody knows": Provoked(
        "gitlab-name", says="gitlab.invalid", changes={"gitlab.url": "http://gitlab.invalid"}
    ),
    "a GitLab that is down": Provoked("gitlab-unreachable", says="refused", changes=_nowhere),
    "a GitLab with another CA": Provoked("gitlab-certificate", how={"gitlab_ca": CA}),
    "a GitLab whose certificate has expired": Provoked(
        "gitlab-certificate",
        says="expired",
        changes={"gitlab.caCertificates": CA.certificate},
        how={"gitlab_ca": CA, "validity": EXPIRED},
    ),
    "a GitLab whose certificate ends soon": Provoked(
        "gitlab-expires",
        says="ends on 20",
        changes={"gitlab.caCertificates": CA.certificate},
        how={"gitlab_ca": CA, "validity": VALIDITY},
    ),
    "a GitLab with plain HTTP": Provoked(
        "gitlab-plain",
        changes=lambda given: {"gitlab.url": given["gitlab.url"].replace("http:", "https:")},
    ),
    "another server than GitLab": Provoked(
        "gitlab-answer",
        says="401",
        changes=lambda given: {"gitlab.url": f"{given['gitlab.url']}/other"},
    ),
    "an older GitLab": Provoked(
        "gitlab-version", lambda at: setattr(at.gitlab, "version", "18.11.3-ee"), "18.11.3-ee"
    ),
    "a token that was revoked": Provoked("token-refused", lambda at: at.gitlab.runners.clear()),
    "a token that ends soon": Provoked(
        "token-expires",
        _runner(token_expires_at=(dt.datetime.now(dt.UTC) + dt.timedelta(days=3)).isoformat()),
    ),
    "a paused runner": Provoked("runner-paused", _runner(paused=True)),
    "a tag that GitLab does not have": Provoked(
        "runner-tags", _runner(tag_list=["linux"]), "build in GitLab, where it has linux"
    ),
    "a runner for every branch": Provoked(
        "runner-protected",
        _runner(access_level="not_protected"),
        changes=DIND,
        how={"name": "prod"},
    ),
    "a registry that nobody knows": Provoked(
        "registry-name", says="registry.invalid", changes={"registries.0.host": "registry.invalid"}
    ),
    "a registry that is down": Provoked("registry-unreachable", changes=_no_registry),
    "a mirror that is down": Provoked(
        "registry-unreachable", says="localhost:9", changes={"registryMirrors": ["localhost:9"]}
    ),
    "a registry with another CA": Provoked(
        "registry-certificate", changes=UNTRUSTED, how={"registry_ca": CA}
    ),
    "a registry whose certificate has expired": Provoked(
        "registry-certificate",
        says="expired",
        changes=TRUSTED_REGISTRY,
        how={"registry_ca": CA, "validity": EXPIRED},
    ),
    "a registry whose certificate ends soon": Provoked(
        "registry-expires",
        says="ends on 20",
        changes=TRUSTED_REGISTRY,
        how={"registry_ca": CA, "validity": VALIDITY},
    ),
    "a page in place of a registry": Provoked(
        "registry-answer", lambda at: setattr(at.registry, "page", True), "shows a page"
    ),
    "a registry with plain HTTP": Provoked(
        "registry-plain", changes={"registries.0.insecure": False}
    ),
    "a registry with TLS": Provoked(
        "registry-tls", changes={"registries.0.insecure": True}, how={"registry_ca": CA}
    ),
    "another server than a registry": Provoked(
        "registry-answer",
        says="401",
        changes=lambda given: {"registries.0.host": given["gitlab.url"].removeprefix("http://")},
    ),
    "storage of caches that is down": Provoked(
        "cache-unreachable",
        says="http://localhost:9/kept: the connection is refused",
        changes=_s3("http://localhost:9"),
    ),
    "no such bucket": Provoked(
        "cache-bucket",
        says="The bucket kept",
        changes=lambda given: _s3(f"http://{given['registries.0.host']}"),
        then=lambda at: setattr(at.registry, "buckets", ()),
    ),
    "a login that is refused": Provoked(
        "registry-login", lambda at: at.registry.logins.update(reader="new"), "pull login in"
    ),
    "a login that may not pull": Provoked(
        "registry-pull", lambda at: setattr(at.registry, "readers", ("writer",)), "pull login in"
    ),
    "a login that may not push": Provoked(
        "registry-push", lambda at: setattr(at.registry, "writers", ()), "push login out"
    ),
    "a registry that is read-only": Provoked(
        "registry-push",
        lambda at: setattr(at.registry, "upload_status", HTTPStatus.METHOD_NOT_ALLOWED),
        "405",
    ),
    "something else than an API server": Provoked(
        "api-server", lambda at: setattr(at.api, "page", True), "not Kubernetes"
    ),
    "an API server without its database": Provoked(
        "api-server", lambda at: at.api.denied.update({"/": HTTPStatus.SERVICE_UNAVAILABLE}), "503"
    ),
    "a webhook that adds a container": Provoked(
        "pod-mutated", _mutated(lambda spec: spec["containers"].append({"name": "proxy"})), "proxy"
    ),
    "a webhook that removes a container": Provoked(
        "pod-mutated", _mutated(lambda spec: spec["initContainers"].clear()), "init-permissions"
    ),
    "a webhook that takes another image": Provoked(
        "pod-mutated",
        _mutated(lambda spec: spec["containers"][0].update(image="mirror/kaniko")),
        "image of the container build becomes mirror/kaniko",
    ),
    "a webhook that makes pods of users": Provoked(
        "pod-mutated",
        _mutated(lambda spec: spec.update(hostUsers=None)),
        "hostUsers becomes nothing",
        {"runners.main.strategy": {"kind": "kaniko", "hostUsers": False}},
    ),
    "a webhook that keeps a capability": Provoked(
        "pod-mutated",
        _mutated(lambda spec: spec["containers"][0]["securityContext"].update(capabilities={})),
        "one without NET_RAW",
    ),
    "a quota of Secrets": Provoked("quota-for-all", _quota(secrets="4"), "secrets"),
    "a quota of claims": Provoked(
        "quota-for-all",
        lambda at: [_quota(persistentvolumeclaims="2")(at), _disks(at)],
        "persistentvolumeclaims",
        DISK,
    ),
    "a quota of disk": Provoked(
        "quota-for-all",
        lambda at: [_quota(requests_storage="18Gi")(at), _disks(at)],
        "room for 2 jobs",
        DISK,
    ),
    "nodes for arm64 alone": Provoked(
        "node-helper", _info(architecture="arm64"), "gitlab-runner-helper:x86_64-v"
    ),
    "a node for few pods": Provoked("node-room-for-all", _offers(pods="4"), "their pods"),
    "a node that is full": Provoked("node-room", _offers(pods="0"), "1 pods"),
    "a namespace of another stack": Provoked(
        "namespace-foreign",
        lambda at: at.api.find("Namespace", JOBS)["metadata"].update(
            annotations={"image-builds/owner": "11111111-1111-1111-1111-111111111111"}
        ),
        "this stack did not make it",
    ),
    "a Role of others in a target": Provoked(
        "object-foreign",
        lambda at: at.api.find("Role", "gitlab-job-main", "apps")["metadata"].pop("annotations"),
        "The Role gitlab-job-main of apps",
        {"runners.main.strategy": DEPLOY},
    ),
    "a pull Secret of another type": Provoked(
        "secret-stale",
        lambda at: at.api.find("Secret", "registry-pull", "apps").update(type="Opaque"),
        "type",
    ),
    "a pull Secret of others with another type": Provoked(
        "object-unusable",
        lambda at: at.api.add({**_secret("theirs", JOBS), "type": "Opaque"}),
        "it has the type Opaque",
        _pulled_with("theirs"),
    ),
    "a Secret of others without the token": Provoked(
        "object-unusable",
        lambda at: at.api.add({**_secret("of-others", MANAGERS), "data": {"token": "eA=="}}),
        "does not have the key runner-token",
        {"runners.main.registration": {"kind": "secret", "name": "of-others"}},
        {"secrets": {**SECRETS, "runnerTokens": {}}},
    ),
    "a claim that has lost its volume": Provoked(
        "object-unusable",
        lambda at: at.api.add({**_claim("cache"), "status": {"phase": "Lost"}}),
        "lost its volume",
        CLAIM,
    ),
    "no StorageClass of that name": Provoked(
        "storage-class",
        says="fast does not exist",
        changes={
            "runners.main.volumes": [
                {"path": "/disk", "perJob": {"size": "9Gi", "storageClass": "fast"}}
            ]
        },
    ),
    "no default StorageClass": Provoked(
        "storage-class", lambda at: at.api.add(_storage_class("false")), "no default one", DISK
    ),
    "a chart that the repository does not have": Provoked(
        "chart-missing", lambda at: setattr(at.gitlab, "charts", "gitlab-runner-0.1.0.tgz")
    ),
    "a repository of charts that has moved": Provoked(
        "chart-unreachable", lambda at: setattr(at.gitlab, "charts", None), "status 404"
    ),
    "a repository of charts that is down": Provoked(
        "chart-unreachable", says="refused", changes={"chart.repository": "http://localhost:9"}
    ),
    "a GitLab that is being updated": Provoked(
        "gitlab-unreachable", lambda at: setattr(at.gitlab, "broken", 502), "status 502"
    ),
    "a GitLab that leads to https": Provoked(
        "gitlab-answer", lambda at: setattr(at.gitlab, "broken", 301), "leads to https://elsewhere"
    ),
    "the token of another runner": Provoked(
        "token-swapped",
        lambda at: [
            at.gitlab.runners.update({OTHER: {**at.gitlab.runners[TOKEN], "id": 2}}),
            *(runner.update(tag_list=["other"]) for runner in at.gitlab.runners.values()),
        ],
        "the tags of second",
        TWO,
        {"secrets": {**SECRETS, "runnerTokens": {"main": TOKEN, "second": OTHER}}},
    ),
    "a manager that GitLab never heard of": Provoked(
        "runner-offline", _runner(status="never_contacted"), "(never_contacted)"
    ),
    "a runner of other projects": Provoked(
        "runner-scope",
        _runner(projects=[{"path_with_namespace": "group/other"}]),
        "group/other only",
        repository="registry.localhost/group/app",
    ),
    "a registry that limits requests": Provoked(
        "registry-unreachable", lambda at: setattr(at.registry, "broken", 429), "status 429"
    ),
    "a registry without its storage": Provoked(
        "registry-unreachable", lambda at: setattr(at.registry, "broken", 503), "status 503"
    ),
    "a bucket in another region": Provoked(
        "cache-region",
        says="eu-2",
        changes=lambda given: {
            "runners.main.cache": {
                **_s3(f"http://{given['registries.0.host']}")["runners.main.cache"],
                "region": "eu-1",
            }
        },
        then=lambda at: setattr(at.registry, "region", "eu-2"),
    ),
    "a bucket for everyone": Provoked(
        "cache-public",
        changes=lambda given: _s3(f"http://{given['registries.0.host']}"),
        then=lambda at: setattr(at.registry, "public", True),
    ),
    "a kubeconfig without a login": Provoked(
        "api-account",
        _answers(
            "/apis/authentication.k8s.io",
            HTTPStatus.FORBIDDEN,
            'selfsubjectreviews is forbidden: User "system:anonymous" cannot create resource',
        ),
        "no login is sent",
    ),
    "a kind that an API does not have": Provoked(
        "api-group",
        lambda at: at.api.kinds.update({"networking.k8s.io/v1": ["Ingress"]}),
        "networking.k8s.io/v1, which the stack needs for NetworkPolicy",
    ),
    "a part of the API that does not answer": Provoked(
        "api-service",
        lambda at: at.api.add(_service("v1", "True"), _service("v1beta1.metrics.k8s.io", "False")),
        "v1beta1.metrics.k8s.io, a part of its API that another server provides: no endpoints.",
    ),
    "no DNS in the cluster": Provoked(
        "cluster-dns",
        lambda at: at.api.find("Deployment", "coredns", "kube-system")["status"].clear(),
        "coredns of kube-system",
    ),
    "a node whose clock is fast": Provoked("node-clock", _renewed(600), "worker differs by"),
    "a node whose clock is slow": Provoked("node-clock", _renewed(-600), "worker differs by"),
    "a webhook that takes its time": Provoked(
        "webhook-down",
        _answers(
            "/api/v1/namespaces/builds-main/pods",
            HTTPStatus.GATEWAY_TIMEOUT,
            "Timeout: request did not complete within requested timeout - context deadline",
        ),
    ),
    "a field that an older Kubernetes drops": Provoked(
        "declared-user-namespaces",
        lambda at: [
            setattr(at.api, "version", "v1.32.9"),
            _info(kubeletVersion="v1.32.1")(at),
            _mutated(lambda spec: spec.update(hostUsers=None))(at),
        ],
        "1.33",
        {"runners.main.strategy": {"kind": "kaniko", "hostUsers": False}},
    ),
    "an identity that someone took from an account": Provoked(
        "account-identity",
        lambda at: at.api.find("ServiceAccount", "gitlab-job-main", JOBS)["metadata"].pop(
            "annotations"
        ),
        "eks.amazonaws.com/role-arn=nothing",
        IDENTITY,
    ),
    "no webhook for identities": Provoked(
        "identity-webhook", says="they do not get AWS_ROLE_ARN", changes=IDENTITY
    ),
    "a runtime that no node has": Provoked(
        "node-runtime",
        lambda at: [at.api.add(KATA), _handlers("", "runc")(at)],
        "the runtime kata-qemu of the RuntimeClass kata",
        {"runners.main.runtimeClassName": "kata"},
    ),
    "a manager with labels of no node": Provoked(
        "manager-node",
        says="none has its labels",
        changes={"runners.main.manager.nodeSelector": {"pool": "managers"}},
        how={"deployed": False},
    ),
    "a manager that taints keep away": Provoked(
        "manager-node",
        _of_the_node(
            lambda found: found["spec"].update(taints=[{"key": "jobs", "effect": "NoSchedule"}])
        ),
        "jobs=:NoSchedule",
        {"runners.main.tolerations": [{"key": "jobs"}]},
        {"deployed": False},
    ),
    "a small node, and autoscalers that nobody may see": Provoked(
        "node-room",
        lambda at: [
            _offers(memory="512Mi")(at),
            at.api.denied.update({"/configmaps": 403, "/nodepools": 403}),
        ],
    ),
    "a node without a network": Provoked(
        "node-not-ready",
        _of_the_node(
            lambda found: found["status"]["conditions"].append(
                {"type": "NetworkUnavailable", "status": "True"}
            )
        ),
    ),
    "a version of Pod Security that was set": Provoked(
        "namespace-level",
        lambda at: at.api.find("Namespace", JOBS)["metadata"]["labels"].update(
            {f"{LEVEL}-version": "v1.24"}
        ),
        "enforce-version=v1.24, and the stack sets latest",
    ),
    "a managed cluster of Azure": Provoked(
        "declared-kind",
        _of_the_node(
            lambda found: found["metadata"]["labels"].update({"kubernetes.azure.com/cluster": "x"})
        ),
        "aks",
        {"cluster.nodes.dockerSocket": False},
    ),
    "a namespace that was deleted": Provoked(
        "namespace-missing", lambda at: at.api.remove("Namespace", JOBS), JOBS
    ),
    "no Service of a daemon": Provoked(
        "deployed-missing",
        lambda at: at.api.remove("Service", "buildkitd", "builds-main-buildkitd"),
        "The Service buildkitd of builds-main-buildkitd",
        {"runners.main.strategy": STRATEGIES["buildkit-service"]},
    ),
    "a claim for one node": Provoked(
        "claim-shared",
        lambda at: [_second_node()(at), at.api.add(_claim("cache", "ReadWriteOnce"))],
        "on one node at a time (ReadWriteOnce)",
        CLAIM,
    ),
    "a claim for one pod": Provoked(
        "claim-shared",
        lambda at: at.api.add(_claim("cache", "ReadWriteOncePod")),
        "(ReadWriteOncePod)",
        CLAIM,
    ),
    "a claim whose StorageClass does not exist": Provoked(
        "storage-class",
        lambda at: at.api.add(
            {
                **_claim("cache"),
                "spec": {"storageClassName": "fast"},
                "status": {"phase": "Pending"},
            }
        ),
        "fast of the claim cache does not exist",
        CLAIM,
    ),
    "a pull Secret of others for another registry": Provoked(
        "object-unusable",
        lambda at: at.api.add(_logins("theirs", "https://other.example.com/v1/")),
        "it has no login for localhost:",
        _pulled_with("theirs"),
    ),
    "a pull Secret of others with nothing in it": Provoked(
        "object-unusable",
        lambda at: at.api.add({**_logins("theirs"), "data": {}}),
        "it has no login for localhost:",
        _pulled_with("theirs"),
    ),
    "a push Secret of others without its key": Provoked(
        "object-unusable",
        lambda at: at.api.add({**_logins("theirs"), "data": {"config.json": "e30="}}),
        "it does not have the key .dockerconfigjson",
        lambda given: {
            "registries": [
                {"host": given["registries.0.host"], "insecure": True, "pushSecret": "theirs"}
            ]
        },
    ),
    "a pod that its node refuses": Provoked(
        "pod-refused",
        _pod({"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no device"}),
        "no device",
    ),
    "a container for another processor": Provoked(
        "container-config",
        _pod(
            {
                "phase": "Running",
                "containerStatuses": [
                    {"state": {"terminated": {"reason": "StartError", "message": "exec format"}}}
                ],
            }
        ),
        "exec format",
    ),
    "a GitLab in maintenance mode": Provoked(
        "gitlab-read-only",
        lambda at: setattr(
            at.gitlab,
            "refusal",
            {"message": "You cannot perform write operations on a read-only instance"},
        ),
        "write operations",
    ),
    "a wall before GitLab": Provoked(
        "gitlab-answer", lambda at: setattr(at.gitlab, "refusal", "<html>"), "status 403"
    ),
    "a wall before GitLab that speaks JSON": Provoked(
        "gitlab-answer", lambda at: setattr(at.gitlab, "refusal", ["blocked"]), "status 403"
    ),
    "a GitLab that limits requests": Provoked(
        "gitlab-unreachable", lambda at: setattr(at.gitlab, "broken", 429), "status 429"
    ),
    "a registry that cannot write": Provoked(
        "registry-storage",
        lambda at: setattr(at.registry, "upload_status", HTTPStatus.INTERNAL_SERVER_ERROR),
        "status 500",
    ),
    "a registry that leads uploads to nowhere": Provoked(
        "registry-upload",
        lambda at: setattr(at.registry, "leads", "http://localhost:9"),
        "leads uploads to http://localhost:9: the connection is refused",
    ),
    "a registry that does not know of the TLS before it": Provoked(
        "registry-upload",
        lambda at: setattr(at.registry, "leads", "http://localhost:9"),
        "the registry speaks TLS",
        TRUSTED_REGISTRY,
        {"registry_ca": CA},
    ),
    "an image that its registry does not have": Provoked(
        "image-missing",
        lambda at: setattr(at.registry, "missing", ("/v2/kaniko/manifests/1.2",)),
        "/kaniko:1.2",
        lambda given: _kaniko(f"{given['registries.0.host']}/kaniko:1.2"),
    ),
    "storage of caches that is broken": Provoked(
        "cache-unreachable",
        lambda at: setattr(at.registry, "stored_status", HTTPStatus.SERVICE_UNAVAILABLE),
        "status 503",
        lambda given: _s3(f"http://{given['registries.0.host']}"),
    ),
    "nodes that pods of others fill": Provoked(
        "node-full", _pod_of_others(memory="255.5Gi"), "pods of others take the memory"
    ),
    "a project that takes no runner of the instance": Provoked(
        "runner-disabled",
        lambda at: [
            _runner(runner_type="instance_type")(at),
            at.gitlab.projects.update({"group/app": {"shared_runners_enabled": False}}),
        ],
        "group/app has no job for this runner: runners of the instance are switched off there",
        repository="registry.localhost/group/app/image",
    ),
    "a project without CI/CD": Provoked(
        "runner-disabled",
        lambda at: at.gitlab.projects.update({"group/app": {"builds_access_level": "disabled"}}),
        "it has no CI/CD",
        repository="registry.localhost/group/app",
    ),
    "a login of caches that its storage does not know": Provoked(
        "cache-login",
        lambda at: setattr(at.registry, "code", "InvalidAccessKeyId"),
        "refuses the login minio (InvalidAccessKeyId)",
        _kept_by_login,
        {"secrets": {**SECRETS, "cacheCredentials": {"minio": CACHES["minio"]}}},
    ),
    "a network policy that someone opened": Provoked(
        "deployed-changed",
        lambda at: at.api.find("NetworkPolicy", "jobs-ingress", JOBS)["spec"].update(ingress=[{}]),
        "The NetworkPolicy jobs-ingress of builds-main is not",
    ),
    "a network policy that someone closed": Provoked(
        "deployed-changed",
        lambda at: at.api.find("NetworkPolicy", "jobs-egress", JOBS)["spec"]["egress"].pop(),
    ),
    "a ConfigMap that someone emptied": Provoked(
        "deployed-changed",
        lambda at: at.api.find("ConfigMap", "buildkitd", "builds-main-buildkitd").pop("data"),
        "The ConfigMap buildkitd",
        {"runners.main.strategy": STRATEGIES["buildkit-service"]},
    ),
    "a Service that leads to other pods": Provoked(
        "deployed-changed",
        lambda at: at.api.find("Service", "buildkitd", "builds-main-buildkitd")["spec"].update(
            selector={"app": "other"}
        ),
        "The Service buildkitd",
        {"runners.main.strategy": STRATEGIES["buildkit-service"]},
    ),
    "a disk that went read-only": Provoked(
        "node-problem",
        _of_the_node(
            lambda found: found["status"]["conditions"].append(
                {"type": "ReadonlyFilesystem", "status": "True"}
            )
        ),
        "ReadonlyFilesystem",
    ),
    "a claim that no provisioner serves": Provoked(
        "storage-class",
        lambda at: at.api.add(
            {**_claim("cache"), "status": {"phase": "Pending"}},
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": "event", "namespace": JOBS},
                "involvedObject": {"kind": "PersistentVolumeClaim", "name": "cache"},
                "reason": "ProvisioningFailed",
                "message": "no space in the pool.",
            },
        ),
        "of the claim cache, no space in the pool.",
        CLAIM,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_by_its_check_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provoked = FAULTS[name]
    with world(provoked.changes, **provoked.how) as at:
        monkeypatch.setenv(USERS_TOKEN, at.gitlab.users_token)
        provoked.then(at)
        found = at.examined(provoked.repository)

    assert [item.check.name for item in found.faults] == [provoked.check], found.faults
    assert provoked.says in found.faults[0].message


def test_a_registry_with_tls_and_a_known_ca_is_not_plain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text(CA.certificate, encoding="ascii")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    with world({"registries.0.insecure": True}, registry_ca=CA) as at:
        found = at.examined()

    assert [item.check.name for item in found.faults] == ["registry-tls"]


def test_a_healthy_stack_with_certificates_has_no_fault() -> None:
    trusted = TRUSTED_REGISTRY | {"gitlab.caCertificates": CA.certificate}
    with world(trusted, gitlab_ca=CA, registry_ca=CA) as at:
        assert at.examined().faults == []


def test_a_registry_that_leads_to_https_has_tls() -> None:
    def leading(*_: object) -> Reply:
        return Reply(HTTPStatus.MOVED_PERMANENTLY, headers={"Location": "https://localhost/v2/"})

    with serving(leading) as host, world({"registries.0.host": host}) as at:
        found = at.examined()

    assert [item.check.name for item in found.faults] == ["registry-tls"]


def test_a_bucket_that_is_private_is_there() -> None:
    with world(lambda given: _s3(f"http://{given['registries.0.host']}")) as at:
        assert at.examined().faults == []


@pytest.mark.parametrize(
    ("cache", "address"),
    [
        ({"kind": "s3", "bucket": "kept"}, "https://kept.s3.amazonaws.com/"),
        ({"kind": "s3", "bucket": "k", "region": "eu-1"}, "https://k.s3.eu-1.amazonaws.com/"),
        ({"kind": "gcs", "bucket": "kept"}, "https://storage.googleapis.com/kept"),
        (
            {"kind": "azure", "account": "a", "container": "kept"},
            "https://a.blob.core.windows.net/kept",
        ),
    ],
    ids=["s3", "region", "gcs", "azure"],
)
def test_storage_of_clouds_is_asked_for_the_bucket(
    cache: dict[str, str], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def send(_: object, method: str, url: str, **__: object) -> requests.Response:
        asked.append(f"{method} {url}")
        answer = requests.Response()
        answer.status_code = 404 if cache["kind"] == "azure" else 403
        return answer

    with world({"runners.main.cache": cache}) as at:
        examined = dataclasses.replace(at.wanted.runners["main"])
        visit = Visit(stack=at.wanted, seen=Observed(at.api), runner=examined)
        monkeypatch.setattr("doctor.web.Server.send", send)
        assert list(caches.look(visit)) == []

    assert asked == [f"GET {address}"]


def test_storage_of_the_cluster_is_left_to_jobs() -> None:
    with world(_s3("http://minio.minio.svc:9000")) as at:
        found = at.examined()

    assert found.faults == []
    assert "only the cluster knows" in str(found.not_run)


def test_a_claim_that_is_there_is_no_fault() -> None:
    with world(CLAIM) as at:
        metadata = {"name": "cache", "namespace": JOBS}
        at.api.add({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata})
        assert at.examined().faults == []


HARMLESS: dict[str, Adjust] = {
    "the version of Pod Security that is usual": lambda at: at.api.find("Namespace", JOBS)[
        "metadata"
    ]["labels"].update({f"{LEVEL}-version": "latest"}),
    "a pod for which an autoscaler may make a node": lambda at: [
        _pod({"conditions": [UNSCHEDULABLE]})(at),
        at.api.find("Pod", "runner-1", JOBS)["metadata"].update(
            creationTimestamp=dt.datetime.now(dt.UTC).isoformat()
        ),
        at.api.add(AUTOSCALER),
    ],
    "a large pod that has ended": _pod_of_others(phase="Succeeded", memory="256Gi"),
    "a large pod of a job": _pod_of_others(JOBS, memory="256Gi"),
    "a small pod of others": _pod_of_others(memory="64Gi"),
    "a node of others": lambda at: [_second_node(**FOREIGN)(at), _tainted("other")(at)],
    "a kernel of Red Hat with user namespaces": _info(kernelVersion="5.14.0-570.el9_6.x86_64"),
    "a node that has just renewed its lease": _renewed(-5),
    "a policy for DNS": lambda at: at.api.add(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "dns", "namespace": JOBS},
            "spec": {"egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]},
        }
    ),
    "an account that is missing, which a dry run says": lambda at: at.api.remove(
        "ServiceAccount", "gitlab-job-main", JOBS
    ),
    "a runtime with user namespaces": _of_the_node(
        lambda found: found["status"].update(
            runtimeHandlers=[{"name": "runc"}, {"features": {"userNamespaces": True}}]
        )
    ),
    "a quota with room": _quota(pods="10", services="1"),
    "a quota of other pods": lambda at: [
        _quota(pods="0")(at),
        at.api.find("ResourceQuota", "most", JOBS)["spec"].update(scopes=["BestEffort"]),
    ],
    "a pod that starts": _waits("ContainerCreating"),
    "a policy that closes": lambda at: at.api.add(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "close", "namespace": JOBS},
            "spec": {"policyTypes": ["Egress"]},
        }
    ),
}


UNSCHEDULABLE = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}
AUTOSCALER: Object = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "cluster-autoscaler-status", "namespace": "kube-system"},
}
FOREIGN = {
    "operatingSystem": "windows",
    "osImage": "Windows Server 2022 Datacenter",
    "kernelVersion": "10.0.20348.1",
    "kubeletVersion": "v1.14.3-vk",
    "containerRuntimeVersion": "containerd://1.7.28",
}


def _tainted(name: str) -> Adjust:
    taints = [{"key": "os", "value": "windows", "effect": "NoSchedule"}]
    return lambda at: at.api.find("Node", name)["spec"].update(taints=taints)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_no_fault(name: str) -> None:
    with world() as at:
        HARMLESS[name](at)
        assert at.examined().faults == []


def test_a_node_is_left_by_affinity_and_tolerations() -> None:
    taints = [
        {"key": "builds", "value": "yes", "effect": "NoSchedule"},
        {"key": "spot", "effect": "PreferNoSchedule"},
    ]
    tolerations = [{"key": "builds", "value": "yes", "effect": "NoSchedule"}]
    with world({"runners.main.tolerations": tolerations}) as at:
        at.api.find("Node", "worker")["spec"]["taints"] = taints
        at.api.find("Node", "worker")["metadata"]["labels"]["cores"] = "8"
        found: list[list[str]] = []
        for key, operator, values in (
            ("cores", "In", ["8"]),
            ("cores", "NotIn", ["8"]),
            ("spot", "Exists", []),
            ("spot", "DoesNotExist", []),
            ("cores", "Gt", ["4"]),
            ("cores", "Lt", ["4"]),
        ):
            expression = {"key": key, "operator": operator, "values": values}
            affinity = {"node_selector_terms": [{"match_expressions": [expression]}]}
            required = {"required_during_scheduling_ignored_during_execution": affinity}
            table: dict[str, Any] = dict(at.wanted.runners["main"].toml["kubernetes"])
            runner = dataclasses.replace(
                at.wanted.runners["main"],
                toml={
                    **at.wanted.runners["main"].toml,
                    "kubernetes": {**table, "affinity": {"node_affinity": required}},
                },
            )
            at.wanted = dataclasses.replace(at.wanted, runners={"main": runner})
            found.append([item.check.name for item in at.examined().faults])

    none = ["node-selector"]
    assert found == [[], none, none, [], [], none]


def test_every_check_of_the_catalogue_is_provoked() -> None:
    assert {item.check for item in FAULTS.values()} == {*catalogue()} - {*NAMES}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_healthy_stack_has_no_fault(strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with world({"runners.main.strategy": STRATEGIES[strategy]}) as at:
        monkeypatch.setenv(USERS_TOKEN, at.gitlab.users_token)
        found = at.examined()

    assert [item.message for item in found.faults] == []
    assert [(item.check.name, item.reason) for item in found.not_run] == []


def _as_pods_get_it(pod: Object) -> None:
    pod["spec"]["containers"][0]["env"].append({"name": "AWS_ROLE_ARN", "value": ROLE})


def _of_last_year(at: World) -> None:
    """Have the certificates of a daemon as they are on the first day of a year."""
    year, namespace = dt.datetime.now(dt.UTC).year, "builds-main-buildkitd"
    secret = at.api.find("Secret", f"buildkitd-{year}", namespace)
    at.api.remove("Secret", f"buildkitd-{year}", namespace)
    secret["metadata"]["name"] = f"buildkitd-{year - 1}"
    at.api.add(secret)


UNUSUAL: dict[str, tuple[Changes | Callable[[Changes], Changes], Adjust]] = {
    "a Service as the API server completes it": (
        {"runners.main.strategy": STRATEGIES["buildkit-service"]},
        lambda at: at.api.find("Service", "buildkitd", "builds-main-buildkitd")["spec"].update(
            clusterIP="10.0.0.9", type="ClusterIP"
        ),
    ),
    "certificates of the last year": (
        {"runners.main.strategy": STRATEGIES["buildkit-service"]},
        _of_last_year,
    ),
    "a Docker engine beside k3s": (
        {"cluster.nodes.runtime": "docker", "cluster.nodes.userNamespaces": False},
        _info(kubeletVersion="v1.35.1+k3s1", containerRuntimeVersion="docker://29.7.2"),
    ),
    "an image for another processor": (
        {
            **_kaniko("registry.example.com/kaniko:1.2"),
            "runners.main.nodeSelector": {"kubernetes.io/arch": "s390x"},
        },
        lambda at: [
            _info(architecture="s390x")(at),
            at.api.find("Node", "worker")["metadata"]["labels"].update(
                {"kubernetes.io/arch": "s390x"}
            ),
        ],
    ),
    "an identity that pods get": (
        IDENTITY,
        lambda at: at.api.mutations.update({f"/api/v1/namespaces/{JOBS}/pods": _as_pods_get_it}),
    ),
    "an identity of an account that a dry run misses": (
        IDENTITY,
        lambda at: at.api.remove("ServiceAccount", "gitlab-job-main", JOBS),
    ),
    "an identity that needs no webhook": (
        {
            "network.egress": {"metadata": True},
            "runners.main.identity.jobs": {"google": "builds@project-1.iam.gserviceaccount.com"},
        },
        lambda _: None,
    ),
    "a runtime of nodes that do not list theirs": (
        {"runners.main.runtimeClassName": "kata"},
        lambda at: at.api.add(KATA),
    ),
    "a runtime that a node has": (
        {"runners.main.runtimeClassName": "kata"},
        lambda at: [at.api.add(KATA), _handlers("kata-qemu")(at)],
    ),
    "a pull Secret of others": (
        _pulled_with("theirs"),
        lambda at: at.api.add(_logins("theirs", at.wanted.settings.registries[0].host)),
    ),
    "a claim for all nodes": (
        CLAIM,
        lambda at: [_second_node()(at), at.api.add(_claim("cache", "ReadWriteMany"))],
    ),
    "a claim for one node, which there is": (
        CLAIM,
        lambda at: at.api.add(_claim("cache", "ReadWriteOnce")),
    ),
    "a claim for one pod, and one job": (
        {**CLAIM, "runners.main.concurrent": 1},
        lambda at: at.api.add(_claim("cache", "ReadWriteOncePod")),
    ),
    "a claim that waits for its first pod": (
        CLAIM,
        lambda at: at.api.add({**_claim("cache"), "status": {"phase": "Pending"}}),
    ),
    "a claim for each job": (
        {"runners.main.volumes": [{"path": "/cache", "claim": "cache-$CI_CONCURRENT_ID"}]},
        lambda at: at.api.add(_claim("cache-0", "ReadWriteOncePod")),
    ),
    "an image that its registry has": (
        lambda given: _kaniko(f"{given['registries.0.host']}/kaniko:1.2"),
        lambda _: None,
    ),
    "a GitLab that only pods know": (
        {"gitlab.url": "http://gitlab.invalid", "hostAliases": {"192.0.2.7": ["gitlab.invalid"]}},
        lambda _: None,
    ),
    "a GitLab of the cluster": (
        {"gitlab.url": "http://gitlab-webservice-default.gitlab.svc:8181"},
        lambda _: None,
    ),
    "a GitLab that pods reach by an alias": (
        {
            "gitlab.url": "http://gitlab.invalid",
            "hostAliases": {"192.0.2.7": ["gitlab.invalid"]},
            "network.egress": {
                "private": False,
                "public": False,
                "allow": [{"cidr": "192.0.2.0/24"}, {"cidr": "127.0.0.0/8"}],
            },
        },
        lambda _: None,
    ),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_unusual_is_no_fault(name: str) -> None:
    changes, then = UNUSUAL[name]
    with world(changes) as at:
        then(at)
        assert at.examined().faults == []
