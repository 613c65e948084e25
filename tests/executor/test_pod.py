import tomllib
from typing import Any

import pytest

from components.bounds import BUILDS
from components.gitlab_runner import charts
from components.strategies.docker import DOCKER_ENGINES
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


@pytest.mark.parametrize("kind", ["dind", "dind-tls", "dind-rootless"])
def test_a_job_cannot_take_the_engine_its_command(kind: str) -> None:
    asked = _spec(STRATEGIES[kind], FF_KUBERNETES_HONOR_ENTRYPOINT="true")

    (engine,) = [item for item in asked["containers"] if item["name"] == "docker"]
    assert "".join(engine["command"]).startswith("sh")
    assert any("--data-root" in item for item in engine["args"])


def test_services_beside_an_engine_need_no_privilege() -> None:
    """The runner's own keeps its name, whatever a job calls another."""
    strategy = {"kind": "dind", "acceptPrivileged": True, "jobEngines": False}
    (runner,) = tomllib.loads(config_toml(strategy, {}))["runners"]
    runner["kubernetes"]["services"] += [
        {"name": "postgres:18", "alias": "docker"},
        {"name": "docker:dind"},
    ]

    containers = job_pod(runner, Request(), "credentials")["spec"]["containers"]

    privileged = {
        item["name"]: item["image"]
        for item in containers
        if item["securityContext"].get("privileged")
    }
    assert list(privileged) == ["docker"]
    assert privileged["docker"] == DOCKER_ENGINES[False]


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


def _asked(settings: dict[str, Any], request: Request) -> dict[str, Any]:
    """Return the build container of a job."""
    (runner,) = tomllib.loads(config_toml("kaniko", settings))["runners"]
    return job_pod(runner, request, "credentials")["spec"]["containers"][0]


def test_a_job_has_what_it_asks_for_up_to_the_maximum() -> None:
    settings = {"runners.main.resources": {"maximum": {"memory": "8Gi"}}}
    variables = {"KUBERNETES_MEMORY_REQUEST": "4Gi", "KUBERNETES_CPU_REQUEST": "2"}

    build = _asked(settings, Request(variables=variables))

    assert build["resources"]["requests"]["memory"] == "4Gi"
    assert build["resources"]["requests"]["cpu"] == BUILDS["cpu_request"]
    assert "memory" not in build["resources"]["limits"]
    with pytest.raises(ValueError, match="higher than limit allowed 8Gi"):
        _asked(settings, Request(variables={"KUBERNETES_MEMORY_LIMIT": "9Gi"}))


@pytest.mark.parametrize(
    ("settings", "chosen", "policy"),
    [
        ({}, "", None),
        ({}, "always", "Always"),
        ({}, "if-not-present", "IfNotPresent"),
        ({"runners.main.pullPolicy": "always"}, "", "Always"),
        ({"runners.main.pullPolicy": "if-not-present"}, "always", "Always"),
        ({"runners.main.allowedPullPolicies": ["never"]}, "never", "Never"),
        ({"runners.main.allowedPullPolicies": ["never"]}, "", None),
    ],
)
def test_a_job_may_choose_among_the_pull_policies(
    settings: dict[str, Any], chosen: str, policy: str | None
) -> None:
    build = _asked(settings, Request(pull_policy=chosen))

    assert build.get("imagePullPolicy") == policy


@pytest.mark.parametrize(
    ("settings", "chosen"),
    [({}, "never"), ({"runners.main.pullPolicy": "always"}, "if-not-present")],
)
def test_a_pull_policy_that_is_not_allowed_ends_the_job(
    settings: dict[str, Any], chosen: str
) -> None:
    with pytest.raises(ValueError, match="is not one of the allowed_pull_policies"):
        _asked(settings, Request(pull_policy=chosen))
