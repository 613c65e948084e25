"""The values of the chart's release: how it deploys a manager.

No value holds a secret, so that a preview stays readable: values name Secrets only.
"""

from typing import Any

from components.gitlab_runner import charts
from components.plan import ManagerNames
from components.settings.models import Settings
from components.settings.runners.runner import RunnerSettings
from components.workloads import CHART_DIGEST


def chart_values(
    settings: Settings, runner: RunnerSettings, names: ManagerNames, config_toml: str
) -> dict[str, Any]:
    """Return all values but for the pods' annotations, which depend on secrets."""
    return {
        "gitlabUrl": settings.gitlab.url,
        "concurrent": runner.concurrent,
        "rbac": {"create": False},
        "serviceAccount": {"create": False, "name": names["account"]},
        "runners": {"secret": names["token_secret"], "config": config_toml},
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
        **_of_the_instance(names),
        **_of_the_chart(settings),
    }


def _of_the_instance(names: ManagerNames) -> dict[str, Any]:
    certificates = names["gitlab_certificates"]
    return {"certsSecretName": certificates} if certificates else {}


def _of_the_chart(settings: Settings) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if charts.has(settings.chart.version, "liveness_switch"):
        # The probe asks GitLab, so managers would restart and lose jobs while GitLab is down
        # (chart: merge request 558). A budget is not set: it would block drains, with one replica.
        values["livenessProbe"] = {"enabled": False}
    if settings.chart.digest:
        # Its pods need not restart for it.
        values["deploymentAnnotations"] = {CHART_DIGEST: settings.chart.digest}
    return values
