"""The chart makes of the values of a manager what the stack file says: the stand-in does so here.

``IMAGE_BUILDS_CHART`` puts the official one in its place.
"""

import os
from pathlib import Path
from typing import Any, cast

import pytest

from components.gitlab_runner.archive import digest_of, version_of
from components.workloads import CHART_DIGEST
from dev.local.stack_file import CHART_VARIABLE
from dev.paths import STAND_IN_CHART
from dev.toolchain.ensure import ensure
from report.inputs.charts import Charts
from report.redact import Scrubber
from tests.support.managers import MANAGER, values_of

pytestmark = pytest.mark.engine
CHART = Path(os.environ.get(CHART_VARIABLE) or STAND_IN_CHART)


@pytest.fixture(scope="module")
def objects() -> dict[str, Any]:
    changes = {"runners.main.manager": MANAGER, "chart.version": version_of(CHART)}
    values = values_of(changes)
    # What depends on a secret is an output.
    values["podAnnotations"] = {"example.com/owner": "ci", "image-builds/token-digest": "x"}
    release = {
        "name": "gitlab-runner-main",
        "namespace": "builds",
        "chart": str(CHART),
        "values": {**values, "deploymentAnnotations": {CHART_DIGEST: digest_of(CHART)}},
    }
    with Charts(ensure("helm").file) as charts:
        return cast("dict[str, Any]", charts.objects(release, Scrubber()))


def _pod(objects: dict[str, Any]) -> dict[str, Any]:
    (deployment,) = [item for item in objects.values() if item["kind"] == "Deployment"]
    return {**deployment["spec"]["template"], "replicas": deployment["spec"]["replicas"]}


def test_a_manager_runs_where_the_stack_file_says(objects: dict[str, Any]) -> None:
    pod = _pod(objects)

    assert pod["replicas"] == 2
    assert pod["spec"]["nodeSelector"] == {"pool": "infra"}
    assert pod["spec"]["tolerations"] == [
        {"key": "dedicated", "value": "infra", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
    ]
    assert pod["spec"]["affinity"]["nodeAffinity"].keys() == {
        "requiredDuringSchedulingIgnoredDuringExecution",
        "preferredDuringSchedulingIgnoredDuringExecution",
    }
    (constraint,) = pod["spec"]["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "topology.kubernetes.io/zone"
    assert pod["spec"]["priorityClassName"] == "high"
    assert pod["spec"]["terminationGracePeriodSeconds"] == 7200
    assert pod["metadata"]["labels"]["team"] == "ci"
    assert pod["metadata"]["labels"]["release"] == "gitlab-runner-main"
    assert pod["metadata"]["annotations"]["example.com/owner"] == "ci"


def test_a_manager_gets_what_the_stack_file_says(objects: dict[str, Any]) -> None:
    (container,) = _pod(objects)["spec"]["containers"]

    assert container["resources"] == {
        "requests": {"cpu": "100m", "memory": "128Mi"},
        "limits": {"memory": "256Mi", "ephemeral-storage": "1Gi"},
    }
    assert {"name": "GODEBUG", "value": "netdns=go"} in container["env"]
    probe = container["livenessProbe"]
    assert (probe["periodSeconds"], probe["failureThreshold"]) == (30, 10)
    assert container["readinessProbe"]["initialDelaySeconds"] == 5
    assert container["readinessProbe"]["timeoutSeconds"] == 8


def test_a_manager_is_watched_as_the_stack_file_says(objects: dict[str, Any]) -> None:
    (text,) = [
        item["data"]["config.toml"]
        for item in objects.values()
        if "config.toml" in item.get("data", {})
    ]
    (monitor,) = [item for item in objects.values() if item["kind"] == "PodMonitor"]

    assert 'log_level = "warn"' in text
    assert 'log_format = "json"' in text
    assert 'listen_address = ":9252"' in text
    assert monitor["spec"]["selector"]["matchLabels"]["release"] == "gitlab-runner-main"
