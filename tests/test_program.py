import datetime as dt
import functools
import runpy
from typing import Any

import pulumi
import pytest

from components.plan import BuildPlan
from components.site import Site
from components.strategies.kaniko import Kaniko
from dev.paths import CHECKOUT
from report.inputs.recorder import Recorder, RegisteredResource
from tests.support.configured import (
    PULL,
    PUSH,
    SECRETS,
    SETTINGS,
    STRATEGIES,
    TOKEN,
    configure,
    replace_values,
)
from tests.support.harness import deploy, unmarked


def _run(strategy: object, *, preview: bool = False) -> list[RegisteredResource]:
    configure(replace_values(SETTINGS, {"runners.main.strategy": strategy}), SECRETS)
    return deploy(lambda: runpy.run_path(str(CHECKOUT / "__main__.py")), preview=preview)


@functools.cache
def _registered(variant: str) -> list[RegisteredResource]:
    return _run(STRATEGIES[variant])


def test_strategies_differ_in_files_daemon_and_permissions_only() -> None:
    every = {name: {item.urn for item in _registered(name)} for name in STRATEGIES}

    kaniko = every["kaniko"]
    assert len(kaniko) == 28
    assert {urn for urns in every.values() for urn in kaniko - urns} == set()
    extra = {
        name: {urn.rpartition("::")[2] for urn in urns - kaniko} for name, urns in every.items()
    }
    shared = {name for name in STRATEGIES if name.startswith("buildkit-service")}
    with_files = {name for name in STRATEGIES if name.startswith(("buildkit", "buildah"))} - shared
    assert {name for name, names in extra.items() if names} == with_files | shared | {"buildx"}
    assert extra["buildx"] == {"main-files", "main-job"}
    assert {name for file in with_files for name in extra[file]} == {"main-files"}
    year = dt.datetime.now(dt.UTC).year
    assert {name for service in shared for name in extra[service]} == {
        "main",
        "main-buildkitd",
        "main-buildkitd-ca",
        "main-buildkitd-egress",
        "main-buildkitd-ingress",
        f"main-buildkitd-{year}",
        "main-daemon",
    }


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_whole_program_keeps_secrets_marked(strategy: str) -> None:
    text = "\n".join(unmarked(item.inputs) for item in _registered(strategy))

    assert [secret for secret in (TOKEN, PULL, PUSH) if secret in text] == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_only_jobs_that_create_pods_have_a_binding(strategy: str) -> None:
    bindings = [item for item in _registered(strategy) if item.type.endswith("Binding")]

    subjects = [subject["name"] for item in bindings for subject in item.inputs["subjects"]]
    makes_pods = ["gitlab-job-main"] if strategy == "buildx" else []
    assert sorted(subjects) == [*makes_pods, "gitlab-runner-main"]


def test_a_preview_warns_of_risks(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)

    _run(STRATEGIES["dood"])

    warned = ["registries[0]", "runners.main", "runners.main"]
    assert [line.split(": ")[0] for line in said] == warned
    assert "HTTP" in said[0]
    assert "root on the node" in said[1]
    assert "daemon.json" in said[2]


def test_the_program_plans_each_runner_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its registries, and for checks, arguments and what a preview says alike."""
    planned: list[int] = []
    plan = Kaniko.plan

    def count(strategy: Kaniko, site: Site) -> BuildPlan:
        planned.append(len(site.registries))
        return plan(strategy, site)

    monkeypatch.setattr(Kaniko, "plan", count)

    _run("kaniko")

    assert planned == [len(SETTINGS["registries"])]


def test_the_stack_reports_what_runs_where(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: dict[str, Any] = {}
    monkeypatch.setattr(pulumi, "export", reported.__setitem__)

    _run("kaniko")
    declared = reported.pop("declared")

    assert reported == {
        "namespace": "builds",
        "production": None,
        "runners": {
            "main": {
                "strategy": "kaniko",
                "tags": ["build"],
                "jobNamespace": "builds-main",
                "podSecurity": "baseline",
                "nodeSetup": [],
            }
        },
    }
    assert declared["cluster"]["nodes"]["trusted"] is True
    assert (declared["accepted"], declared["cacheLogins"], declared["options"]) == ([], {}, {})


def test_an_error_registers_nothing() -> None:
    configure(replace_values(SETTINGS, {"namespace": "X"}), SECRETS)

    with pytest.raises(pulumi.RunError, match="1 error"):
        deploy(lambda: runpy.run_path(str(CHECKOUT / "__main__.py")))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_object_goes_to_the_named_cluster(strategy: str) -> None:
    registered = _registered(strategy)

    (cluster,) = [item for item in registered if item.type == "pulumi:providers:kubernetes"]
    elsewhere = [
        item.name
        for item in registered
        if item.type.startswith("kubernetes:") and "kubernetes::cluster::" not in item.provider
    ]

    assert cluster.inputs["context"] == "a-cluster"
    assert elsewhere == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_outputs_keep_secrets_marked(strategy: str) -> None:
    text = "\n".join(unmarked(item.outputs) for item in _registered(strategy))

    assert [secret for secret in (TOKEN, PULL, PUSH) if secret in text] == []
    assert "jobNamespace builds-main" in text


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_preview_registers_what_an_update_does(strategy: str) -> None:
    previewed = _run(STRATEGIES[strategy], preview=True)

    assert [item.urn for item in previewed if pulumi.runtime.rpc.UNKNOWN in str(item.inputs)] == []
    assert {item.urn for item in previewed} == {item.urn for item in _registered(strategy)}


def test_an_error_leaves_nothing_but_the_stack() -> None:
    configure(replace_values(SETTINGS, {"namespace": "X"}), SECRETS)
    recorder = Recorder("test")

    with pytest.raises(pulumi.RunError, match="1 error"):
        recorder.run(lambda: runpy.run_path(str(CHECKOUT / "__main__.py")))

    assert [item.type for item in recorder.registered] == ["pulumi:pulumi:Stack"]
