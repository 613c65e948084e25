"""A manager with all its keys, and what the program registers for it."""

from typing import Any, cast

from components.arguments import environment_args
from components.resources.environment import Environment
from components.settings.load import load
from tests.support.configured import SECRETS, SETTINGS, configure, replace_values
from tests.support.harness import YEAR, RegisteredResource, deploy

RELEASE = "kubernetes:helm.sh/v3:Release"
MANAGER: dict[str, Any] = {
    "resources": {"limits": {"memory": "256Mi", "ephemeralStorage": "1Gi"}},
    "replicas": 2,
    "nodeSelector": {"pool": "infra"},
    "nodeAffinity": {
        "require": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}],
        "prefer": [{"key": "spot", "operator": "DoesNotExist", "weight": 50}],
    },
    "spread": "zone",
    "tolerations": [
        {"key": "dedicated", "value": "infra", "effect": "NoSchedule"},
        {"key": "spot"},
    ],
    "priorityClassName": "high",
    "disruptionBudget": True,
    "terminationGracePeriod": 7200,
    "metrics": "podMonitor",
    "logLevel": "warn",
    "logFormat": "json",
    "environment": {"GODEBUG": "netdns=go"},
    "livenessProbe": {"periodSeconds": 30, "failureThreshold": 10},
    "readinessProbe": {"initialDelaySeconds": 5},
    "probeTimeoutSeconds": 8,
    "labels": {"team": "ci"},
    "annotations": {"example.com/owner": "ci"},
}


def deployed(
    changes: dict[str, Any], secrets: dict[str, Any] = SECRETS
) -> list[RegisteredResource]:
    """Return what the program registers for the good settings with changes."""
    configure(replace_values(SETTINGS, changes), secrets)
    stack = load()
    return deploy(lambda: Environment("test", environment_args(stack, YEAR)))


def of_kind(registered: list[RegisteredResource], kind: str) -> list[dict[str, Any]]:
    """Return the inputs of each resource of a kind."""
    return [item.inputs for item in registered if item.type == kind]


def values_of(changes: dict[str, Any], secrets: dict[str, Any] = SECRETS) -> dict[str, Any]:
    """Return the values of the release of a stack file with changes."""
    (release,) = of_kind(deployed(changes, secrets), RELEASE)
    return cast("dict[str, Any]", release["values"])
