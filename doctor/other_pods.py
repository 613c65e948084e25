"""The pods of a stack beside those of jobs: of managers and of daemons."""

from typing import Any

from doctor.job_pod import JOB
from doctor.wanted import Manifest, WantedRunner

_MANAGER = "registry.gitlab.com/gitlab-org/gitlab-runner:alpine"


def manager_pod(runner: WantedRunner, namespace: str) -> dict[str, Any]:
    """Return the pod of a runner's manager, as the chart makes it of its values."""
    values = runner.values
    container = {
        "name": "gitlab-runner",
        "image": _MANAGER,
        "resources": values.get("resources", {}),
        "securityContext": values["securityContext"],
    }
    spec = {
        "serviceAccountName": runner.names["manager_account"],
        "securityContext": values["podSecurityContext"],
        "containers": [container],
        **{
            key: values[key]
            for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName")
            if values.get(key)
        },
    }
    metadata = {
        "name": f"{JOB}-{runner.name}",
        "namespace": namespace,
        "labels": dict(values.get("podLabels", {})),
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def daemon_pods(deployments: list[Manifest]) -> list[dict[str, Any]]:
    """Return the pod of each Deployment of a daemon."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **item["spec"]["template"]["metadata"],
                "name": JOB,
                "namespace": item["metadata"]["namespace"],
            },
            "spec": item["spec"]["template"]["spec"],
        }
        for item in deployments
    ]
