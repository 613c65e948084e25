"""The pod that is tried out is the one that the runner makes."""

import json
from typing import Any, cast

import pytest

from components.gitlab_runner.charts import runner_of
from doctor.job_pod import JOB, job_pod
from tests.executor.pod import Request
from tests.executor.pod import job_pod as stand_in
from tests.support.clinic import stack
from tests.support.configured import STRATEGIES


def _comparable(pod: dict[str, Any]) -> dict[str, Any]:
    """Leave out what depends on the job, and what is empty."""
    spec = {**pod["spec"], "imagePullSecrets": pod["spec"]["imagePullSecrets"][:1]}
    for key in ("activeDeadlineSeconds", "resources"):
        spec.pop(key, None)
    # The names of services are of loopback.
    spec["hostAliases"] = [item for item in spec["hostAliases"] if item["ip"] != "127.0.0.1"]
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
        return sorted(map(_without_empty, items), key=lambda item: json.dumps(item, sort_keys=True))
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
        "hostAliases": {"192.0.2.7": ["registry.example.com"]},
        "runners.main.dns": {"servers": ["192.0.2.53"], "options": {"ndots": 1}},
        "runners.main.labels": {"team": "a"},
        "runners.main.annotations": {"example.com/project": "$CI_PROJECT_PATH"},
        "runners.main.nodeAffinity": {"require": [{"key": "spot", "operator": "DoesNotExist"}]},
        "runners.main.spread": "node",
        "runners.main.volumes": [
            {"path": "/builds", "perJob": {"size": "10Gi"}},
            {"path": "/scratch", "scratch": {"size": "1Gi", "memory": True}},
            {"path": "/claim", "claim": "cache"},
            {"path": "/secret", "secret": "keys"},
        ],
        "runners.main.resources": {"limits": {"memory": "2Gi"}, "helper": {"limits": {"cpu": "1"}}},
    }
    wanted = stack(changes)
    runner = wanted.runners["main"]

    expected = stand_in(
        dict(runner.toml), Request(), "of-the-job", runner_of(wanted.settings.chart.version)
    )

    assert _comparable(job_pod(runner)) == _comparable(expected)
    assert job_pod(runner)["metadata"]["labels"] == {"team": "a", "pod": JOB}
    assert job_pod(runner)["metadata"]["annotations"] == {"example.com/project": ""}
