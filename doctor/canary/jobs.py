"""The Jobs of the canary, which Kubernetes ends and removes, whatever becomes of doctor."""

import secrets
from typing import Any

from doctor.job_pod import job_pod
from doctor.wanted import WantedRunner

SECONDS = 240
"""How long a Job of the canary may take."""
REMOVED_AFTER = 30
LABEL = "image-builds/doctor"


_RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_USER = 65534
# What decides where a pod runs and what its network is; the rest is of the containers of a job.
_OF_A_LOOK = (
    "restartPolicy",
    "serviceAccountName",
    "nodeSelector",
    "tolerations",
    "affinity",
    "runtimeClassName",
    "priorityClassName",
    "imagePullSecrets",
    "hostAliases",
    "dnsPolicy",
    "dnsConfig",
)


def build_job(runner: WantedRunner, script: str) -> dict[str, Any]:
    """Return the Job whose pod is that of a runner's job, with the containers of GitLab."""
    pod = job_pod(runner)
    for container in pod["spec"]["containers"]:
        if container["name"] == "build":
            container |= {"command": ["sh", "-c", script], "stdin": False}
    return _job(pod["metadata"]["namespace"], _metadata(pod), pod["spec"])


def look_job(runner: WantedRunner, script: str, *, user: bool) -> dict[str, Any]:
    """Return the Job whose pod looks at the network, restricted, from the image of the helper.

    ``user`` says that the pod chooses one, which OpenShift does itself.
    """
    pod = job_pod(runner)
    (helper,) = [item for item in pod["spec"]["containers"] if item["name"] == "helper"]
    container = {
        "name": "look",
        "command": ["sh", "-c", script],
        **{key: helper[key] for key in ("image", "imagePullPolicy", "resources") if key in helper},
        "securityContext": _restricted(user=user),
    }
    kept = {key: pod["spec"][key] for key in _OF_A_LOOK}
    spec = {**kept, "automountServiceAccountToken": False, "containers": [container]}
    return _job(pod["metadata"]["namespace"], _metadata(pod), spec)


def _restricted(*, user: bool) -> dict[str, Any]:
    return {**_RESTRICTED, **({"runAsUser": _USER} if user else {})}


def _metadata(pod: dict[str, Any]) -> dict[str, Any]:
    return {key: pod["metadata"][key] for key in ("labels", "annotations")}


def run_job(
    namespace: str, image: str, pull_secret: str | None, *, user: bool = True
) -> dict[str, Any]:
    """Return the Job that runs an image as those who deploy it do, with their pull login."""
    container = {
        "name": "run",
        "image": image,
        "imagePullPolicy": "Always",
        "securityContext": _restricted(user=user),
        "resources": {
            "requests": {"cpu": "10m", "memory": "16Mi"},
            "limits": {"cpu": "100m", "memory": "64Mi"},
        },
    }
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": pull_secret}] if pull_secret else [],
        "containers": [container],
    }
    return _job(namespace, {}, spec)


def _job(namespace: str, metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    name = f"image-builds-doctor-{secrets.token_hex(4)}"
    labels = {**metadata.get("labels", {}), LABEL: name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: name}},
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": SECONDS,
            "ttlSecondsAfterFinished": REMOVED_AFTER,
            "template": {
                "metadata": {**metadata, "labels": labels},
                "spec": {**spec, "terminationGracePeriodSeconds": 0},
            },
        },
    }
