"""The Jobs of the canary, which Kubernetes ends and removes, whatever becomes of doctor."""

import secrets
from typing import Any

from doctor.job_pod import job_pod
from doctor.wanted import WantedRunner

SECONDS = 240
"""How long a Job of the canary may take."""
_REMOVED_AFTER = 30
LABEL = "image-builds/doctor"


def build_job(runner: WantedRunner, script: str) -> dict[str, Any]:
    """Return the Job whose pod is that of a runner's job, but for the containers of GitLab."""
    pod = job_pod(runner)
    spec = pod["spec"]
    kept = [item for item in spec["containers"] if item["name"] != "helper"]
    for container in kept:
        if container["name"] == "build":
            container |= {"command": ["sh", "-c", script], "stdin": False}
    spec = {key: item for key, item in spec.items() if key != "initContainers"}
    metadata = {key: pod["metadata"][key] for key in ("labels", "annotations")}
    return _job(pod["metadata"]["namespace"], metadata, {**spec, "containers": kept})


def run_job(namespace: str, image: str, pull_secret: str | None) -> dict[str, Any]:
    """Return the Job that runs an image as those who deploy it do, with their pull login."""
    container = {
        "name": "run",
        "image": image,
        "imagePullPolicy": "Always",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
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
            "ttlSecondsAfterFinished": _REMOVED_AFTER,
            "template": {
                "metadata": {**metadata, "labels": labels},
                "spec": {**spec, "terminationGracePeriodSeconds": 0},
            },
        },
    }
