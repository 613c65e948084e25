import dataclasses
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from components.bounds import Resources
from components.gitlab_runner import charts
from components.plan import BuildPlan, RunnerNames, Security, Service
from components.settings.runners.nodes import Toleration
from components.site import Cluster, Nodes, Registry, Site
from components.strategies import Strategy
from components.strategies.deploy import Deploy
from components.strategies.dind import Dind
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from tests.support.configured import FORMS
from tests.support.pipelines import against_shell
from tests.support.runners import NAMES, Toml, rendered

CLUSTER = Cluster(kind="onPrem", nodes=Nodes(selector={"image-builds/docker-socket": "true"}))
REGISTRIES = (
    Registry(host="lan.example.com:5000", insecure=True),
    Registry(host="ca.example.com:5000").model_copy(update={"ca_certificates": "PEM"}),
)
SITE = Site(cluster=CLUSTER, registries=REGISTRIES, mirrors=("mirror.example.com",))
PLAN = Kaniko().plan(Site(cluster=CLUSTER, registries=REGISTRIES))
_BOUNDS = ("_request", "_limit")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def _kubernetes(
    plan: BuildPlan, names: RunnerNames = NAMES, **changes: object
) -> dict[str, object]:
    return tomllib.loads(rendered(plan, names, **changes))["runners"][0]["kubernetes"]


@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_the_text_is_as_reviewed(strategy: Strategy, snapshot: SnapshotAssertion) -> None:
    plan = dataclasses.replace(strategy.plan(SITE), resources={})
    names: RunnerNames = {**NAMES, "files": NAMES["files"] if plan.files else None}

    assert rendered(plan, names) == snapshot(extension_class=Toml)


@pytest.mark.parametrize("form", ["buildkit", "buildkit-profiles", "deploy", "dood"])
def test_the_text_for_the_oldest_chart_is_as_reviewed(
    form: str, snapshot: SnapshotAssertion
) -> None:
    """Its runner has no keys for profiles."""
    plan = dataclasses.replace(FORMS[form].plan(SITE), resources={})
    names: RunnerNames = {**NAMES, "files": NAMES["files"] if plan.files else None}

    assert rendered(plan, names, charts.OLDEST) == snapshot(extension_class=Toml)


@pytest.mark.parametrize("form", FORMS)
def test_a_pod_is_patched_only_where_the_runner_has_no_key(form: str) -> None:
    plan = FORMS[form].plan(SITE)
    without_keys = bool(plan.host_paths) or not plan.host_users

    (runner,) = tomllib.loads(rendered(plan))["runners"]

    assert ("pod_spec" in runner["kubernetes"]) is without_keys
    assert ("FF_USE_ADVANCED_POD_SPEC_CONFIGURATION" in runner["feature_flags"]) is without_keys


@given(name=st.from_regex(r"[A-Z_]{1,20}", fullmatch=True), value=TEXT)
def test_any_text_in_the_environment_comes_back(name: str, value: str) -> None:
    text = rendered(PLAN, environment={name: value})

    assert f"{name}={value}" in tomllib.loads(text)["runners"][0]["environment"]


@given(image=TEXT, namespace=TEXT)
def test_any_image_and_namespace_come_back(image: str, namespace: str) -> None:
    plan = dataclasses.replace(PLAN, image=image)

    kubernetes = _kubernetes(plan, {**NAMES, "job_namespace": namespace})

    assert (kubernetes["image"], kubernetes["namespace"]) == (image, namespace)


def test_the_order_of_the_environment_does_not_matter() -> None:
    one, other = {"A": "1", "B": "2"}, {"B": "2", "A": "1"}

    assert rendered(PLAN, environment=one) == rendered(PLAN, environment=other)


def test_the_users_environment_outranks_the_plans() -> None:
    text = rendered(PLAN, environment={"DOCKER_CONFIG": "/elsewhere"})

    assert "DOCKER_CONFIG=/elsewhere" in tomllib.loads(text)["runners"][0]["environment"]


def test_false_is_written_and_unset_is_not() -> None:
    kubernetes = _kubernetes(PLAN)

    assert kubernetes["privileged"] is False
    assert "allow_privilege_escalation" not in kubernetes
    assert "pod_disruption_budget" not in kubernetes
    assert "services" not in kubernetes


@pytest.mark.parametrize(("concurrent", "requests"), [(1, 1), (3, 3), (10, 4)])
def test_a_manager_asks_for_four_jobs_at_most(concurrent: int, requests: int) -> None:
    """It asks for no more than it may run."""
    (runner,) = tomllib.loads(rendered(PLAN, concurrent=concurrent))["runners"]

    assert runner["request_concurrency"] == requests


def test_without_logins_and_certificates_nothing_is_mounted() -> None:
    names: RunnerNames = {**NAMES, "pull_secret": None, "push_secret": None, "files": None}

    kubernetes = _kubernetes(PLAN, names)

    assert "volumes" not in kubernetes
    assert "image_pull_secrets" not in kubernetes


def test_without_a_push_login_nothing_points_to_one() -> None:
    text = rendered(PLAN, {**NAMES, "push_secret": None})

    assert "DOCKER_CONFIG=" not in text
    assert "registry-push" not in text
    assert "/etc/image-builds/docker" not in text


def test_a_plan_that_reads_no_logins_gets_none() -> None:
    text = rendered(Deploy().plan(Site(cluster=CLUSTER)))

    assert "DOCKER" not in text
    assert "registry-push" not in text


def test_a_plan_at_restricted_is_rendered_as_the_level_demands() -> None:
    plan = dataclasses.replace(PLAN, pod_security="restricted", build=Security(user=4321))

    kubernetes = _kubernetes(plan)

    assert kubernetes["cap_drop"] == ["ALL"]
    assert kubernetes["pod_security_context"] == {
        "run_as_non_root": True,
        "run_as_user": 4321,
        "run_as_group": 4321,
        "seccomp_profile": {"type": "RuntimeDefault"},
    }
    assert "pod_spec" not in kubernetes
    assert "cap_drop" not in _kubernetes(PLAN)


def test_a_path_of_the_node_must_be_what_it_is_taken_for() -> None:
    patch = cast(
        "Any", _kubernetes(Dood(accept_node_root=True).plan(Site(cluster=CLUSTER)))["pod_spec"]
    )[0]["patch"]

    assert patch == '{"volumes": [{"hostPath": {"type": "Socket"}, "name": "docker-socket"}]}'


def test_a_restricted_jobs_home_may_be_written_and_chosen() -> None:
    plan = Deploy().plan(Site(cluster=CLUSTER))

    assert '"HOME=/tmp"' in rendered(plan)
    assert '"HOME=/elsewhere"' in rendered(plan, environment={"HOME": "/elsewhere"})


def test_only_a_plan_that_says_so_mounts_the_accounts_token() -> None:
    plan = Deploy().plan(Site(cluster=CLUSTER))

    assert _kubernetes(plan)["automount_service_account_token"] is True
    assert _kubernetes(PLAN)["automount_service_account_token"] is False


def test_a_job_runs_on_nodes_that_suit_strategy_and_runner() -> None:
    plan = Dind(accept_privileged=True).plan(Site(cluster=CLUSTER))

    kubernetes = _kubernetes(
        plan,
        node_selector={"pool": "ci"},
        tolerations=[
            Toleration(key="spot"),
            Toleration(key="ci", value="true", effect="NoSchedule"),
        ],
        runtime_class_name="kata",
        priority_class_name="low",
    )

    assert kubernetes["node_selector"] == {"image-builds/docker-socket": "true", "pool": "ci"}
    assert kubernetes["node_tolerations"] == {"ci=true": "NoSchedule", "spot": ""}
    assert kubernetes["runtime_class_name"] == "kata"
    assert kubernetes["priority_class_name"] == "low"


def test_what_newer_charts_know_is_written_when_asked_for() -> None:
    kubernetes = _kubernetes(PLAN, seccomp_profile="RuntimeDefault", pod_disruption_budget=True)

    assert kubernetes["pod_disruption_budget"] is True
    assert kubernetes["pod_security_context"] == {"seccomp_profile": {"type": "RuntimeDefault"}}


def test_only_the_services_of_dind_are_privileged() -> None:
    """Jobs may name engines beside them, and what the stack file lists."""
    plan = Dind(accept_privileged=True, service_images=["**/engine:*"]).plan(Site(cluster=CLUSTER))

    kubernetes = _kubernetes(plan)

    assert kubernetes["privileged"] is False
    assert kubernetes["service_container_security_context"] == {"privileged": True}
    engines = ["**/docker", "**/docker:*", "**/docker@*"]
    assert kubernetes["allowed_services"] == ["docker:29.10.0-dind", *engines, "**/engine:*"]
    assert "service_container_security_context" not in _kubernetes(PLAN)


def test_with_tls_a_job_may_name_the_runners_engine_only() -> None:
    """It may name it without its digest; others would take its port and its certificates."""
    engine = f"docker:29.9.0-dind@sha256:{'0' * 64}"
    strategy = Dind(variant="tls", accept_privileged=True, daemon_image=engine)

    allowed = _kubernetes(strategy.plan(Site(cluster=CLUSTER)))["allowed_services"]

    assert allowed == [engine, "docker:29.9.0-dind", "docker:29.9.0"]


def test_a_plans_services_run_beside_the_job() -> None:
    service = Service(image="docker:29-dind", alias="docker", environment={"B": "2", "A": "1"})
    plan = dataclasses.replace(PLAN, services=(service,))

    assert _kubernetes(plan)["services"] == [
        {"name": "docker:29-dind", "alias": "docker", "environment": ["A=1", "B=2"]}
    ]


@pytest.mark.parametrize(
    ("resources", "written"),
    [
        ({}, {}),
        ({"limits": {"ephemeral_storage": "9Gi"}}, {"ephemeral_storage_limit": "9Gi"}),
        (
            {"limits": {"memory": "4Gi"}},
            {
                "memory_limit": "4Gi",
                "helper_memory_request": "128Mi",
                "helper_memory_limit": "4Gi",
                "service_memory_request": "128Mi",
                "service_memory_limit": "4Gi",
            },
        ),
        (
            {"limits": {"memory": "4Gi"}, "helper": {"limits": {"memory": "1Gi"}}},
            {
                "memory_limit": "4Gi",
                "helper_memory_limit": "1Gi",
                "service_memory_request": "128Mi",
                "service_memory_limit": "4Gi",
            },
        ),
        (
            {"limits": {"cpu": "50m"}, "service": {"limits": {"cpu": "1"}}},
            {"cpu_limit": "50m", "helper_cpu_limit": "50m", "service_cpu_limit": "1"},
        ),
        (
            {"limits": {"memory": "1Gi"}, "service": {"requests": {"memory": "2Gi"}}},
            {
                "memory_limit": "1Gi",
                "helper_memory_request": "128Mi",
                "helper_memory_limit": "1Gi",
                "service_memory_request": "2Gi",
                "service_memory_limit": "2Gi",
            },
        ),
    ],
)
def test_what_a_job_brings_along_has_the_limits_of_the_build(
    resources: dict[str, object], written: dict[str, str]
) -> None:
    plan = dataclasses.replace(PLAN, resources={})

    kubernetes = _kubernetes(plan, resources=Resources.model_validate(resources))

    assert {key: kubernetes[key] for key in kubernetes if key.endswith(_BOUNDS)} == written


def test_jobs_may_ask_for_what_the_maximum_of_a_container_has() -> None:
    resources = {
        "maximum": {"cpu": "4"},
        "helper": {"maximum": {"memory": "2Gi"}},
        "service": {"maximum": {"ephemeral_storage": "9Gi"}},
    }

    kubernetes = _kubernetes(PLAN, resources=Resources.model_validate(resources))

    assert {key: value for key, value in kubernetes.items() if "_overwrite_" in key} == {
        "cpu_request_overwrite_max_allowed": "4",
        "cpu_limit_overwrite_max_allowed": "4",
        "helper_memory_request_overwrite_max_allowed": "2Gi",
        "helper_memory_limit_overwrite_max_allowed": "2Gi",
        "service_ephemeral_storage_request_overwrite_max_allowed": "9Gi",
        "service_ephemeral_storage_limit_overwrite_max_allowed": "9Gi",
    }


def test_what_builds_requests_disk() -> None:
    """Pods that use more than they request are evicted first."""
    in_the_job = _kubernetes(PLAN, resources=Resources())
    beside_it = _kubernetes(Dind(accept_privileged=True).plan(SITE), resources=Resources())

    assert in_the_job["ephemeral_storage_request"] == "2Gi"
    assert "ephemeral_storage_request" not in beside_it
    assert beside_it["service_ephemeral_storage_request"] == "2Gi"


def test_a_plans_own_services_have_only_limits_of_their_own() -> None:
    plan = dataclasses.replace(Dind(accept_privileged=True).plan(SITE), resources={})
    limits = {"limits": {"memory": "1Gi"}}

    kubernetes = _kubernetes(plan, resources=Resources.model_validate(limits))

    assert "helper_memory_limit" in kubernetes
    assert "service_memory_limit" not in kubernetes


def _prepare(folder: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the runner's own script as a job's shell would, with the mount in ``folder``."""
    script = tomllib.loads(text)["runners"][0]["pre_build_script"]
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return subprocess.run(
        ["/bin/sh", "-eu", "-c", script.replace("/etc/image-builds/docker", str(folder))],
        env={"PATH": os.environ["PATH"], **variables},
        check=False,
        capture_output=True,
        text=True,
    )


def test_the_logins_are_where_the_job_says_and_may_be_written(tmp_path: Path) -> None:
    wanted = tmp_path / "of the job"

    answer = _prepare(tmp_path, rendered(PLAN), DOCKER_CONFIG=str(wanted))

    assert answer.returncode == 0
    assert "could not be copied" not in answer.stderr
    (wanted / "config.json").write_text("{}", encoding="utf-8")


def test_a_job_that_may_not_write_there_goes_on_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    answer = _prepare(tmp_path, rendered(PLAN), DOCKER_CONFIG=str(tmp_path / "file" / "x"))

    assert answer.returncode == 0
    assert "builds cannot push" in answer.stderr


@pytest.mark.parametrize("strategy", FORMS.values(), ids=FORMS)
def test_what_runs_before_a_job_is_clean_shell(strategy: Strategy) -> None:
    text = rendered(strategy.plan(SITE))

    script = tomllib.loads(text)["runners"][0].get("pre_build_script", "")
    assert against_shell(script) == ""
