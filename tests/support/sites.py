"""Sites with runners, written anew from the keys that public ones set.

``tests/convert/site/corpus.json`` has 110 deployments as facts: the keys that differ from the
chart's defaults, and what each was in November 2026 (E has a key here, S done by the product, R
refused with a reason, M1 missing so that the site could not move, M2 missing and given up), with an
example where the value says something. All other values here are ours.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import tomlkit
import yaml

from convert.site.importer import Imported, import_releases
from convert.site.model import KeyFinding
from convert.site.reading.sources import Sources
from dev.paths import CHECKOUT

_ROLE = "arn:aws:iam::000000000000:role/runner"
_TERM = {"key": "pool", "operator": "In", "values": ["ci"]}
_SNAKE = {
    "required_during_scheduling_ignored_during_execution": {
        "node_selector_terms": [{"match_expressions": [_TERM]}]
    }
}
_CAMEL = {
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [_TERM]}]
    }
}
_APART = {
    "preferred_during_scheduling_ignored_during_execution": [
        {"weight": 1, "pod_affinity_term": {"topology_key": "kubernetes.io/hostname"}}
    ]
}
_CONTAINER = {"cpuRequests": "50m", "memoryRequests": "64Mi", "memoryLimit": "256Mi"}
_OF_JOBS = "runners.kubernetes."

BELOW: Mapping[str, Any] = {
    "rbac.rules": [{"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["*"]}],
    "rbac.resources": ["pods"],
    "rbac.verbs": ["get"],
    "rbac.serviceAccountAnnotations": {"eks.amazonaws.com/role-arn": _ROLE},
    "serviceAccount.annotations": {"eks.amazonaws.com/role-arn": _ROLE},
    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
    "runners.cache": {
        "cacheType": "s3",
        "s3ServerAddress": "s3.example.com",
        "s3BucketName": "runner-cache",
        "s3BucketLocation": "eu-central-1",
        "secretName": "s3access",
    },
    **dict.fromkeys(("runners.helpers", "runners.builds", "runners.services"), _CONTAINER),
    "nodeSelector": {"pool": "ci"},
    "runners.nodeSelector": {"pool": "ci"},
    "runners.env": {"NAME": "value"},
    "extraEnv": {"NAME": "value"},
    "envVars": [{"name": "NAME", "value": "value"}],
    "runners.imagePullSecrets": ["registry-login"],
    "imagePullSecrets": [{"name": "registry-login"}],
    "tolerations": [{"key": "ci", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": _CAMEL},
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname"}],
    "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["gitlab.example.com"]}],
    "podAnnotations": {"example.com/team": "platform"},
    "podLabels": {"team": "platform"},
    "podSecurityContext": {"runAsUser": 999},
    "securityContext": {"runAsUser": 999},
    "service": {"enabled": True},
    "metrics.podMonitor": {"enabled": True},
    "metrics.serviceMonitor": {"enabled": True},
    "sessionServer": {"enabled": True},
    "readinessProbe": {"initialDelaySeconds": 30},
    "livenessProbe": {"initialDelaySeconds": 30},
    "volumes": [{"name": "more", "configMap": {"name": "more"}}],
    "volumeMounts": [{"name": "more", "mountPath": "/more"}],
    "extraObjects": [{"kind": "ExternalSecret", "metadata": {"name": "runner-token"}}],
    "extraContainers": [{"name": "beside", "image": "registry.example.com/beside:1.0"}],
    "hpa": {"minReplicas": 1, "maxReplicas": 3},
    "strategy": {"rollingUpdate": {"maxSurge": 1}},
    "runners.cache.s3": {"ServerAddress": "s3.example.com", "BucketName": "runner-cache"},
    "runners.cache.gcs": {"BucketName": "runner-cache"},
    f"{_OF_JOBS}node_selector": {"pool": "ci"},
    f"{_OF_JOBS}node_tolerations": {"ci=true": "NoSchedule"},
    f"{_OF_JOBS}pod_labels": {"team": "platform"},
    f"{_OF_JOBS}pod_annotations": {"example.com/team": "platform"},
    f"{_OF_JOBS}volumes.empty_dir": [{"name": "more", "mount_path": "/more", "medium": "Memory"}],
    f"{_OF_JOBS}volumes.host_path": [
        {"name": "cache", "mount_path": "/cache", "host_path": "/var/cache/ci"}
    ],
    f"{_OF_JOBS}volumes.pvc": [{"name": "ci-cache", "mount_path": "/cache"}],
    f"{_OF_JOBS}volumes.secret": [{"name": "signing", "mount_path": "/keys", "read_only": True}],
    f"{_OF_JOBS}volumes.config_map": [{"name": "about", "mount_path": "/about"}],
    f"{_OF_JOBS}services": [{"name": "docker:27-dind", "alias": "docker"}],
    f"{_OF_JOBS}dns_config": {"nameservers": ["192.0.2.53"], "searches": ["example.com"]},
    f"{_OF_JOBS}affinity.node_affinity": _SNAKE,
    f"{_OF_JOBS}affinity.pod_anti_affinity": _APART,
    f"{_OF_JOBS}affinity.pod_affinity": _APART,
}
"""What stands below a key whose entries count as one."""

VALUE: Mapping[str, Any] = {
    **dict.fromkeys(("gitlabUrl", "runners.url"), "https://gitlab.example.com/"),
    **dict.fromkeys(("runnerToken", "runners.token"), "glrt-PlantedToken0001"),
    "runnerRegistrationToken": "GR1348941PlantedToken",
    **dict.fromkeys((f"{_OF_JOBS}image", "runners.image"), "ubuntu:24.04"),
    f"{_OF_JOBS}helper_image": "registry.example.com/gitlab-runner-helper:x86_64-v18.9.0",
    **dict.fromkeys((f"{_OF_JOBS}namespace", "runners.namespace"), "ci-jobs"),
    **dict.fromkeys(("runners.cloneUrl", "runners.clone_url"), "https://gitlab.local.example.com"),
    "runners.tags": "ci,build",
    "runners.cache.Type": "s3",
    "runners.executor": "kubernetes",
    "runners.environment": ["NAME=value"],
    "runners.pre_clone_script": "echo '192.0.2.7 gitlab.example.com' >> /etc/hosts",
    "image.registry": "registry.example.com",
    "image.image": "gitlab-org/gitlab-runner",
    "concurrent": 10,
    f"{_OF_JOBS}pull_policy": "always",
    f"{_OF_JOBS}poll_timeout": 600,
    f"{_OF_JOBS}cpu_request": "500m",
    f"{_OF_JOBS}memory_request": "1Gi",
    f"{_OF_JOBS}image_pull_secrets": ["registry-login"],
    f"{_OF_JOBS}allowed_pull_policies": ["always", "if-not-present"],
    f"{_OF_JOBS}allowed_images": ["registry.example.com/*"],
    f"{_OF_JOBS}node_selector_overwrite_allowed": "pool=.*",
}
"""The values of keys whose example says nothing; of all others it is ``example``."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Deployment:
    """A deployment of the file: its form, the chart's version, and each key with its class."""

    id: str
    format: str
    chart: str
    classes: Mapping[str, str]
    examples: Mapping[str, str]


def _deployment(entry: Mapping[str, Any]) -> Deployment:
    known = {
        key: [said, ""] if isinstance(said, str) else said for key, said in entry["keys"].items()
    }
    return Deployment(
        id=entry["id"],
        format=entry["format"],
        chart=entry["chart"] or "0.86.0",
        classes={key: said[0] for key, said in known.items()},
        examples={key: said[1] for key, said in known.items()},
    )


DEPLOYMENTS = [
    _deployment(entry)
    for entry in json.loads((CHECKOUT / "tests/convert/site/corpus.json").read_text("utf-8"))
]


def _value(path: str, example: str) -> Any:  # noqa: ANN401 - YAML
    if not example:
        return VALUE.get(path, "example")
    if example.lower() in {"true", "false"}:
        return example.lower() == "true"
    return int(example) if re.fullmatch(r"\d+", example) else example


def _put(root: dict[str, Any], path: str, value: Any) -> None:  # noqa: ANN401 - YAML
    *parents, last = filter(None, path.split("."))
    for part in parents:
        name = part.removesuffix("[]")
        below = root.get(name)
        if part.endswith("[]"):
            root = cast("list[dict[str, Any]]", root.setdefault(name, [{}]))[0]
            continue
        if not isinstance(below, dict):
            below = root[name] = {}
        root = cast("dict[str, Any]", below)
    name = last.removesuffix("[]")
    if isinstance(value, dict) or not isinstance(root.get(name), dict):
        root[name] = [value] if last.endswith("[]") else value


def trees(deployment: Deployment) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return its values, and its ``config.toml`` with one runner."""
    values: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for key in sorted(deployment.examples, key=lambda key: key.count(".")):
        place, _, path = key.partition(": ")
        whole = path.endswith((".*", "/*"))
        path = path[:-2] if whole else path
        value = (
            BELOW.get(path, {"name": "value"}) if whole else _value(path, deployment.examples[key])
        )
        _put(values if place == "values" else config, path, value)
    runner = config.pop("runners", None)
    return values, {**config, **({"runners": [runner]} if runner else {})}


def write(deployment: Deployment, folder: Path) -> Path:
    """Write the file that the site has, in its form."""
    values, config = trees(deployment)
    text = tomlkit.dumps(config) if config else ""
    if deployment.format.startswith("config.toml") and not values:
        return _written(folder / "config.toml", text)
    if text:
        runners = values.get("runners")
        values["runners"] = {**(runners if isinstance(runners, dict) else {}), "config": text}
    named = {"metadata": {"name": "gitlab-runner"}}
    if "Flux" in deployment.format:
        chart = {"spec": {"chart": "gitlab-runner", "version": deployment.chart}}
        spec = {"chart": chart, "values": values}
        api = "helm.toolkit.fluxcd.io/v2"
        values = {"apiVersion": api, "kind": "HelmRelease", **named, "spec": spec}
    elif "Argo" in deployment.format:
        source = {"targetRevision": deployment.chart, "helm": {"valuesObject": values}}
        spec = {"source": {"chart": "gitlab-runner", **source}}
        api = "argoproj.io/v1alpha1"
        values = {"apiVersion": api, "kind": "Application", **named, "spec": spec}
    return _written(folder / "values.yaml", yaml.safe_dump(values, sort_keys=False))


def _written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def imported(*files: Path) -> tuple[Sources, Imported]:
    """Import some files, as the command does."""
    sources = Sources()
    for file in files:
        sources.read(file)
    sources.finish()
    return sources, import_releases(sources.releases, "site")


def values(folder: Path, text: str, name: str = "values.yaml") -> Imported:
    """Import one file with a text."""
    sources, found = imported(_written(folder / name, text))
    assert not [problem for problem in sources.problems if problem.fatal]
    return found


def about(found: Imported, path: str) -> Sequence[KeyFinding]:
    """Return what becomes of a key and of all below it."""
    return [
        item
        for item in found.findings
        if item.path == path or item.path.startswith((f"{path}.", f"{path}["))
    ]
