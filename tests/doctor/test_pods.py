"""The pod that is tried out is the one that the runner makes."""

import dataclasses
from typing import Any, cast

import pytest

from components.gitlab_runner.charts import runner_of
from doctor.pods import JOB, job_pod
from tests.executor.pod import LABELS, Request
from tests.executor.pod import job_pod as stand_in
from tests.support.clinic import stack
from tests.support.configured import STRATEGIES


def _comparable(pod: dict[str, Any]) -> dict[str, Any]:
    """Leave out what depends on the job, and what is empty."""
    spec = {**pod["spec"], "imagePullSecrets": pod["spec"]["imagePullSecrets"][:1]}
    for key in ("activeDeadlineSeconds", "resources", "hostAliases"):
        spec.pop(key, None)
    for container in (*spec["initContainers"], *spec["containers"]):
        container["image"] = container["image"].partition(":x86_64")[0]
        container.pop("env", None)
    return _without_empty(spec)


def _without_empty(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        kept = {key: _without_empty(item) for key, item in table.items()}
        return {key: item for key, item in kept.items() if item not in (None, {}, [], "")}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return sorted((_without_empty(item) for item in items), key=str)
    return value


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_pod_of_a_job_is_that_of_the_runner(strategy: str) -> None:
    changes = {
        "runners.main.strategy": STRATEGIES[strategy],
        "runners.main.pullPolicy": "always",
        "runners.main.tolerations": [
            {"key": "builds", "value": "yes", "effect": "NoSchedule"},
            {"key": "spot"},
        ],
        "runners.main.resources": {"limits": {"memory": "2Gi"}, "helper": {"limits": {"cpu": "1"}}},
    }
    wanted = stack(changes)
    runner = wanted.runners["main"]

    expected = stand_in(
        dict(runner.toml), Request(), "of-the-job", runner_of(wanted.settings.chart.version)
    )

    assert _comparable(job_pod(runner)) == _comparable(expected)
    assert LABELS.keys() & job_pod(runner)["metadata"]["labels"].keys() == {"pod"}


def test_the_pod_has_what_config_toml_says_beside_strategies() -> None:
    runner = stack({}).runners["main"]
    term = {"match_expressions": [{"key": "spot", "operator": "DoesNotExist"}]}
    node = {"required_during_scheduling_ignored_during_execution": {"node_selector_terms": [term]}}
    table = {
        **runner.toml["kubernetes"],
        "affinity": {"node_affinity": node},
        "pod_labels": {"team": "a"},
        "volumes": {"pvc": [{"name": "cache", "mount_path": "/cache"}]},
    }
    runner = dataclasses.replace(runner, toml={**runner.toml, "kubernetes": table})

    pod = job_pod(runner)

    assert pod["metadata"]["labels"] == {"team": "a", "pod": JOB}
    assert pod["spec"]["affinity"]["nodeAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "spot", "operator": "DoesNotExist"}]}
            ]
        }
    }
    assert {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}} in pod["spec"][
        "volumes"
    ]
