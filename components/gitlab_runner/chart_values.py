"""The values of the chart's release: how it deploys a manager.

No value holds a secret, so that a preview stays readable: values name Secrets only.
"""

from collections.abc import Iterable
from typing import Any

from components.bounds import Amounts
from components.gitlab_runner import charts
from components.gitlab_runner.pods import TOPOLOGY, host_aliases
from components.image_reference import ImageReference
from components.plan import ManagerNames
from components.settings.chart import Chart
from components.settings.models import Settings
from components.settings.runners.manager import Manager, Probe
from components.settings.runners.nodes import NodeAffinity, Requirement, Spread, Toleration
from components.settings.runners.runner import RunnerSettings
from components.workloads import CHART_DIGEST

_RELOAD = "secret.reloader.stakater.com/reload"


def chart_values(
    settings: Settings, runner: RunnerSettings, names: ManagerNames, config_toml: str
) -> dict[str, Any]:
    """Return all values but for annotations that depend on secrets."""
    manager = runner.manager
    return {
        "gitlabUrl": settings.gitlab.url,
        "concurrent": runner.concurrent,
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": names["account"]},
        "runners": {
            "secret": names["token_secret"],
            "config": config_toml,
            **({"cache": {"secretName": names["cache_secret"]}} if names["cache_secret"] else {}),
        },
        "podSecurityContext": {
            "runAsUser": 100,
            "fsGroup": 65533,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": False,
            "runAsNonRoot": True,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        },
        **_of_the_instance(settings, names),
        **_of_the_chart(settings.chart),
        **_of_the_pod(runner, names),
        **_without_empty(
            {
                "deploymentAnnotations": _annotations(settings, runner),
                "imagePullSecrets": (
                    [{"name": names["pull_secret"]}] if names["pull_secret"] else []
                ),
                "metrics": _metrics(manager),
                "livenessProbe": _liveness(manager.liveness_probe, settings.chart.version),
                "readinessProbe": _probe(manager.readiness_probe),
                "probeTimeoutSeconds": manager.probe_timeout_seconds,
                "logLevel": manager.log_level,
                "logFormat": manager.log_format,
                "extraEnv": {**_proxy(settings), **manager.environment},
            }
        ),
    }


def _of_the_instance(settings: Settings, names: ManagerNames) -> dict[str, Any]:
    certificates, aliases = names["gitlab_certificates"], settings.host_aliases
    return {
        **({"certsSecretName": certificates} if certificates else {}),
        **({"hostAliases": host_aliases(aliases)} if aliases else {}),
    }


def _proxy(settings: Settings) -> dict[str, str]:
    """Except the API server, whose address each pod is given; the kubelet puts it in."""
    return settings.proxy_variables("$(KUBERNETES_SERVICE_HOST)")


def _of_the_chart(chart: Chart) -> dict[str, Any]:
    return {"image": _image(chart)} if chart.images.registry or chart.manager_image else {}


def _image(chart: Chart) -> dict[str, str]:
    """Write an image as the chart takes it, which always puts a colon before the tag."""
    if not chart.manager_image:
        return {"registry": str(chart.images.registry), "image": "gitlab-runner"}
    image = ImageReference.parse(chart.manager_image)
    digest = image.digest.partition(":")
    name, tag = (image.name, image.tag) if image.tag else (f"{image.name}@{digest[0]}", digest[2])
    pinned = f"{tag}@{image.digest}" if image.tag and image.digest else tag
    return {"registry": "", "image": name, "tag": pinned}


def _annotations(settings: Settings, runner: RunnerSettings) -> dict[str, str]:
    """Annotate the Deployment, whose pods need not restart for it."""
    wanted, digest = runner.registration, settings.chart.digest
    return {
        **({CHART_DIGEST: digest} if digest else {}),
        # A token that the stack does not read is none of its annotations. Stakater's Reloader
        # restarts managers when it changes, and not at the next deployment.
        **({_RELOAD: wanted.name} if wanted.kind == "secret" else {}),
    }


def _of_the_pod(runner: RunnerSettings, names: ManagerNames) -> dict[str, Any]:
    manager, identity = runner.manager, runner.identity.manager
    resources = {
        "requests": _quantities(manager.resources.requests),
        "limits": _quantities(manager.resources.limits),
    }
    return _without_empty(
        {
            "resources": _without_empty(resources),
            "replicas": manager.replicas if manager.replicas > 1 else None,
            "nodeSelector": manager.node_selector,
            "affinity": _affinity(manager.node_affinity),
            "topologySpreadConstraints": _spread(manager.spread, names),
            "tolerations": list(_tolerations(manager.tolerations)),
            "priorityClassName": manager.priority_class_name,
            "terminationGracePeriodSeconds": manager.termination_grace_period,
            "podLabels": {**manager.labels, **(identity.labels if identity else {})},
            "podAnnotations": manager.annotations,
        }
    )


def _quantities(amounts: Amounts) -> dict[str, str]:
    return {name.replace("_", "-"): quantity for name, quantity in amounts if quantity}


def _tolerations(tolerations: Iterable[Toleration]) -> Iterable[dict[str, str]]:
    for item in tolerations:
        how = {"operator": "Exists"} if item.value is None else {"value": item.value}
        yield {"key": item.key, **how, **({"effect": item.effect} if item.effect else {})}


def _affinity(affinity: NodeAffinity | None) -> dict[str, Any]:
    if affinity is None:
        return {}
    required = [_expression(item) for item in affinity.require]
    preferred = [
        {"weight": item.weight, "preference": {"matchExpressions": [_expression(item)]}}
        for item in affinity.prefer
    ]
    terms = {"nodeSelectorTerms": [{"matchExpressions": required}]} if required else {}
    return {
        "nodeAffinity": _without_empty(
            {
                "requiredDuringSchedulingIgnoredDuringExecution": terms,
                "preferredDuringSchedulingIgnoredDuringExecution": preferred,
            }
        )
    }


def _expression(requirement: Requirement) -> dict[str, Any]:
    expression = {"key": requirement.key, "operator": requirement.operator}
    return _without_empty({**expression, "values": requirement.values})


def _spread(spread: Spread | None, names: ManagerNames) -> list[dict[str, Any]]:
    if spread is None:
        return []
    selected = {"matchLabels": {"release": names["release"]}}
    return [
        {
            "maxSkew": 1,
            "topologyKey": TOPOLOGY[spread],
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": selected,
        }
    ]


def _metrics(manager: Manager) -> dict[str, Any]:
    if not manager.metrics:
        return {}
    monitored = {"podMonitor": {"enabled": True}} if manager.metrics == "podMonitor" else {}
    return {"enabled": True, **monitored}


def _liveness(probe: Probe | None, chart: str) -> dict[str, Any]:
    if not charts.has(chart, "liveness_switch"):
        return _probe(probe)
    # The probe asks GitLab, so managers would restart and lose jobs while GitLab is down
    # (chart: merge request 558).
    return {"enabled": True, **_probe(probe)} if probe else {"enabled": False}


def _probe(probe: Probe | None) -> dict[str, int]:
    return probe.model_dump(by_alias=True) if probe else {}


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, {}, [])}
