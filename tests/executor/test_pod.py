import tomllib
from typing import Any

import pytest

from components.gitlab_runner import charts
from tests.executor.pod import Request, job_pod
from tests.executor.promise import promised
from tests.executor.rendered import config_toml
from tests.support.configured import FORMS, SITE, STRATEGIES

FLAG = "FF_USE_POD_ACTIVE_DEADLINE_SECONDS"


def _spec(
    strategy: object, chart: str = charts.DEFAULT_VERSION, **variables: str
) -> dict[str, Any]:
    text = config_toml(strategy, {"chart": {"version": chart}})
    (runner,) = tomllib.loads(text)["runners"]
    version = charts.runner_of(chart)
    return job_pod(runner, Request(variables=variables), "credentials", version)["spec"]


@pytest.mark.parametrize("said", ["true", "false"])
def test_a_job_cannot_keep_its_pod_beyond_its_timeout(said: str) -> None:
    """A manager that is gone ends no pod, so only the deadline does."""
    assert _spec("kaniko", **{FLAG: said})["activeDeadlineSeconds"] == 3601


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_native_keys_make_the_pod_that_patches_make(strategy: str) -> None:
    old, new = (_spec(STRATEGIES[strategy], chart) for chart in ("0.87.0", charts.DEFAULT_VERSION))

    for spec in (old, new):
        for container in (*spec["initContainers"], *spec["containers"]):
            if "runner-helper" in container["image"]:
                del container["image"]
    assert new == old


def test_profiles_of_the_plan_are_in_the_pod() -> None:
    """By keys of the runner alone."""
    spec = _spec(STRATEGIES["buildkit-profiles"])

    (build,) = [item for item in spec["containers"] if item["name"] == "build"]
    plan = FORMS["buildkit-profiles"].plan(SITE)
    wanted = promised(plan, "main", "")["securityContexts"]["build"]
    assert build["securityContext"]["seccompProfile"] == wanted["seccompProfile"]
    assert build["securityContext"]["appArmorProfile"] == wanted["appArmorProfile"]
