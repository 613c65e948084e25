"""The chart makes of the values of a manager what the stack file says: the stand-in does so here.

``IMAGE_BUILDS_CHART`` puts the official one in its place.
"""

import os
from pathlib import Path
from typing import Any, cast

import pytest

from components.gitlab_runner.archive import digest_of, version_of
from components.workloads import CHART_DIGEST
from dev.cluster.control_plane import ControlPlane
from dev.local.stack_file import CHART_VARIABLE
from dev.paths import STAND_IN_CHART
from dev.toolchain.ensure import ensure
from report.inputs.charts import Charts
from report.redact import Scrubber
from tests.support.kubernetes import apps_v1, core_v1, networking_v1, policy_v1
from tests.support.managers import MANAGER, values_of
from tests.support.stacks import Site

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


def test_a_stack_with_all_of_it_comes_up_and_stays(site: Site, control_plane: ControlPlane) -> None:
    """Its objects are taken by the API server, its pods by the level restricted."""
    manager = {
        "replicas": 2,
        "spread": "node",
        "disruptionBudget": True,
        "metrics": "podMonitor",
        "tolerations": [{"key": "spot"}],
        "labels": {"team": "ci"},
        "livenessProbe": {"periodSeconds": 30},
    }
    role = {"aws": "arn:aws:iam::123456789012:role/builds"}
    proxy = {"https": "http://proxy.example.com:3128", "except": [".example.com"]}
    images = {"registry": "mirror.example.com/gitlab-org", "pull": "in"}
    identity = {"manager": role, "jobs": role}
    site.write(
        "buildkit-service",
        runner={"manager": manager, "identity": identity},
        proxy=proxy,
        chart={"images": images},
    )

    up, again = site.up(), site.preview()

    assert "failed" not in up.operations
    assert again.operations == {}
    release = "gitlab-runner-builds"
    with control_plane.api() as api:
        core = core_v1(api)
        deployment = apps_v1(api).read_namespaced_deployment(release, site.prefix)
        budget = policy_v1(api).read_namespaced_pod_disruption_budget(release, site.prefix)
        policy = networking_v1(api).read_namespaced_network_policy("managers-ingress", site.prefix)
        secret = core.read_namespaced_secret("registry-pull", site.prefix)
        account = core.read_namespaced_service_account(release, site.prefix)
    assert deployment.status.available_replicas == 2
    (container,) = deployment.spec.template.spec.containers
    assert container.image.startswith("mirror.example.com/gitlab-org/gitlab-runner:")
    assert {item.name for item in container.env} >= {"HTTPS_PROXY", "no_proxy"}
    assert (budget.status.expected_pods, budget.status.disruptions_allowed) == (2, 1)
    assert policy.spec.ingress[0].ports[0].port == 9252
    assert secret.type == "kubernetes.io/dockerconfigjson"
    assert account.metadata.annotations["eks.amazonaws.com/role-arn"] == role["aws"]
