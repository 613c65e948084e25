import tomllib
from collections.abc import Mapping
from typing import Any, NamedTuple

import pulumi
import pytest

from components.arguments import environment_args, summary, warnings
from components.resources.environment import EnvironmentArgs
from components.resources.registry import Login
from components.resources.runner import RunnerSpec
from components.settings.load import load
from dev.local.stack_file import chart_of
from dev.paths import STAND_IN_CHART
from report.inputs.recorder import plain
from tests.support.configured import (
    CERTIFICATE,
    PULL,
    PUSH,
    SECRETS,
    SETTINGS,
    STRATEGIES,
    TOKEN,
    configure,
    replace_values,
)
from tests.support.harness import YEAR, deploy, is_secret

DOOD = {"kind": "dood", "acceptNodeRoot": True}
ARCHIVED = {"kind": "kaniko", "image": "gcr.io/kaniko-project/executor:v1.24.0-debug"}


class Placement(NamedTuple):
    """What the program places, reports and warns about."""

    environment: EnvironmentArgs
    summary: dict[str, dict[str, object]]
    warnings: list[str]


def _placed(changes: dict[str, Any] | None = None, secrets: dict[str, Any] = SECRETS) -> Placement:
    configure(replace_values(SETTINGS, changes or {}), secrets)
    placed: list[Placement] = []

    def program() -> None:
        stack = load()
        args = environment_args(stack, YEAR)
        placed.append(Placement(args, summary(stack), warnings(stack)))

    deploy(program)
    return placed[0]


def _main(placement: Placement) -> RunnerSpec:
    return placement.environment["runners"]["main"]


def _toml(placement: Placement) -> dict[str, Any]:
    return tomllib.loads(_main(placement)["values"]["runners"]["config"])["runners"][0]


def _usernames(logins: Mapping[str, Login]) -> dict[str, str]:
    return {host: login["username"] for host, login in logins.items()}


def _quantities(kubernetes: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in kubernetes.items() if key.endswith(("_request", "_limit"))}


def _of_others(container: str, **limits: str) -> dict[str, str]:
    """The limits of the build for another container, with its small requests."""
    return {
        f"{container}_cpu_request": "100m",
        f"{container}_memory_request": "128Mi",
        **{f"{container}_{resource}_limit": limit for resource, limit in limits.items()},
    }


class TestNames:
    def test_what_is_a_runners_own_is_named_after_it(self) -> None:
        runner = _main(_placed())

        assert runner["manager"]["release"] == "gitlab-runner-main"
        assert runner["names"] == {
            "runner": "main",
            "job_namespace": "builds-main",
            "manager_account": "gitlab-runner-main",
            "job_account": "gitlab-job-main",
            "pull_secret": "registry-pull",
            "push_secret": "registry-push",
            "daemon_secret": None,
            "files": None,
        }

    def test_what_is_not_configured_has_no_name(self) -> None:
        names = _main(_placed({"registries": []}))["names"]

        assert names["pull_secret"] is None
        assert names["push_secret"] is None
        assert names["files"] is None

    def test_the_job_namespace_can_be_chosen(self) -> None:
        placement = _placed({"runners.main.jobNamespace": "ci-jobs"})

        assert _main(placement)["names"]["job_namespace"] == "ci-jobs"
        assert _toml(placement)["kubernetes"]["namespace"] == "ci-jobs"
        assert placement.summary["main"]["jobNamespace"] == "ci-jobs"

    def test_config_toml_names_what_is_declared(self) -> None:
        kubernetes = _toml(
            _placed({"registries": [{"host": "r", "pull": "in", "push": "out"}, {"host": "s"}]})
        )["kubernetes"]

        assert kubernetes["namespace"] == "builds-main"
        assert kubernetes["service_account"] == "gitlab-job-main"
        assert kubernetes["image_pull_secrets"] == ["registry-pull"]
        assert [volume["name"] for volume in kubernetes["volumes"]["secret"]] == ["registry-push"]
        assert "config_map" not in kubernetes["volumes"]

    def test_each_runner_of_a_stack_has_its_names_and_level(self) -> None:
        placement = _placed(
            {"runners.root": {"tags": ["root"], "strategy": DOOD}},
            replace_values(SECRETS, {"runnerTokens.root": "glrt-PlantedToken0002"}),
        )

        runners = placement.environment["runners"]
        assert {
            name: (
                runner["manager"]["release"],
                runner["names"]["job_namespace"],
                runner["names"]["manager_account"],
                runner["names"]["job_account"],
                runner["plan"].pod_security,
            )
            for name, runner in runners.items()
        } == {
            "main": (
                "gitlab-runner-main",
                "builds-main",
                "gitlab-runner-main",
                "gitlab-job-main",
                "baseline",
            ),
            "root": (
                "gitlab-runner-root",
                "builds-root",
                "gitlab-runner-root",
                "gitlab-job-root",
                "privileged",
            ),
        }


class TestLogins:
    def test_each_use_takes_the_login_that_the_registry_names_for_it(self) -> None:
        runner = _main(_placed())

        assert _usernames(runner["pull_logins"]) == {"registry.example.com:5000": "reader"}
        assert _usernames(runner["push_logins"]) == {"registry.example.com:5000": "writer"}

    def test_a_registry_without_a_login_for_a_use_is_left_out_of_it(self) -> None:
        registries = [
            {"host": "pulled.example.com", "pull": "in"},
            {"host": "pushed.example.com", "push": "out"},
            {"host": "open.example.com"},
        ]
        runner = _main(_placed({"registries": registries}))

        assert _usernames(runner["pull_logins"]) == {"pulled.example.com": "reader"}
        assert _usernames(runner["push_logins"]) == {"pushed.example.com": "writer"}

    def test_one_login_may_serve_several_registries(self) -> None:
        registries = [{"host": "one.example.com", "pull": "in"}, {"host": "two", "pull": "in"}]
        environment = _placed({"registries": registries}).environment

        assert _usernames(environment["pull_logins"]) == {
            "one.example.com": "reader",
            "two": "reader",
        }

    def test_targets_have_the_pull_secret_under_the_name_of_the_jobs(self) -> None:
        environment = _placed(
            {"targetNamespaces": {"made": {"create": True}, "there": {"adoptPullSecret": True}}}
        ).environment

        assert environment["namespace"] == "builds"
        assert environment["pull_secret"] == "registry-pull"
        assert _usernames(environment["pull_logins"]) == {"registry.example.com:5000": "reader"}
        assert environment["targets"] == {
            "made": {"create": True, "delete_with_stack": False, "adopt": False},
            "there": {"create": False, "delete_with_stack": False, "adopt": True},
        }


class TestCertificates:
    def test_a_registrys_file_name_has_no_colon(self) -> None:
        runner = _main(
            _placed(
                {
                    "registries": [
                        {"host": "ca.example.com:5000", "caCertificates": CERTIFICATE},
                        {"host": "public.example.com"},
                    ]
                }
            )
        )

        assert runner["plan"].files == {"ca.example.com_5000.crt": CERTIFICATE}
        assert runner["names"]["files"] == "registry-files"

    def test_gitlabs_file_name_has_no_port(self) -> None:
        gitlab = {"url": "https://gitlab.example.com:8443/gitlab", "caCertificates": CERTIFICATE}

        runner = _main(_placed({"gitlab": gitlab}))

        assert runner["values"]["gitlabUrl"] == "https://gitlab.example.com:8443/gitlab"
        assert runner["gitlab_certificates"] == {"gitlab.example.com.crt": CERTIFICATE}

    def test_gitlabs_file_name_keeps_the_case_of_the_url(self) -> None:
        gitlab = {"url": "https://GitLab.example.com", "caCertificates": CERTIFICATE}

        assert _main(_placed({"gitlab": gitlab}))["gitlab_certificates"] == {
            "GitLab.example.com.crt": CERTIFICATE
        }

    def test_without_them_there_is_no_file(self) -> None:
        runner = _main(_placed())

        assert runner["plan"].files == {}
        assert runner["gitlab_certificates"] == {}


class TestChart:
    def test_it_comes_from_the_repository(self) -> None:
        chart = {"version": "0.88.0", "repository": "https://mirror.example.com/charts"}

        assert _main(_placed({"chart": chart}))["chart"] == {
            "chart": "gitlab-runner",
            "version": "0.88.0",
            "repository": "https://mirror.example.com/charts",
            "digest": None,
        }

    def test_an_archive_leaves_the_repository_out(self) -> None:
        own = chart_of(STAND_IN_CHART)
        chart = {**own, "repository": "https://mirror.example.com/charts"}

        assert _main(_placed({"chart": chart}))["chart"] == {
            "chart": own["archive"],
            "version": "0.94.1",
            "repository": None,
            "digest": own["digest"],
        }


class TestRegistration:
    def test_a_given_token_makes_no_runner_in_gitlab(self) -> None:
        registration = _main(_placed())["registration"]

        assert registration
        assert registration["token"] is not None
        assert registration["user_runner"] is None

    @pytest.mark.parametrize(
        ("owner", "ids"),
        [
            ({"runnerType": "instance_type"}, (None, None)),
            ({"runnerType": "group_type", "groupId": 7}, (7, None)),
            ({"runnerType": "project_type", "projectId": 8}, (None, 8)),
        ],
        ids=["instance", "group", "project"],
    )
    def test_a_runner_to_make_has_its_types_owner_and_the_tags(
        self, owner: dict[str, Any], ids: tuple[int | None, int | None]
    ) -> None:
        wanted = {"kind": "userRunner", "protected": True, "runUntagged": True, **owner}

        registration = _main(
            _placed(
                {"runners.main.registration": wanted}, replace_values(SECRETS, {"runnerTokens": {}})
            )
        )["registration"]

        assert registration == {
            "token": None,
            "user_runner": {
                "runner_type": owner["runnerType"],
                "group_id": ids[0],
                "project_id": ids[1],
                "access_level": "ref_protected",
                "untagged": True,
                "locked": None,
                "maximum_timeout": None,
                "tag_lists": ["build"],
            },
        }


class TestJobs:
    @pytest.mark.parametrize(
        ("strategy", "pushes"), [("buildah", ["r.example.com/group"]), ({"kind": "deploy"}, [])]
    )
    def test_logins_of_a_group_are_for_kubelets_and_buildah(
        self, strategy: object, pushes: list[str]
    ) -> None:
        runner = _main(
            _placed(
                {
                    "runners.main.strategy": strategy,
                    "registries.0": {"host": "r.example.com/group", "pull": "in", "push": "out"},
                }
            )
        )

        assert list(runner["pull_logins"]) == ["r.example.com/group"]
        assert list(runner["push_logins"]) == pushes

    def test_quantities_go_by_config_tomls_keys(self) -> None:
        resources = {
            "requests": {"cpu": "500m", "memory": "1Gi", "ephemeralStorage": "2Gi"},
            "limits": {"cpu": 2, "memory": "4Gi", "ephemeralStorage": "8Gi"},
        }
        kubernetes = _toml(_placed({"runners.main.resources": resources}))["kubernetes"]

        assert {
            key: value for key, value in kubernetes.items() if key.endswith(("_request", "_limit"))
        } == {
            "cpu_request": "500m",
            "memory_request": "1Gi",
            "ephemeral_storage_request": "2Gi",
            "cpu_limit": "2",
            "memory_limit": "4Gi",
            "ephemeral_storage_limit": "8Gi",
            **_of_others("helper", cpu="2", memory="4Gi"),
            **_of_others("service", cpu="2", memory="4Gi"),
        }

    @pytest.mark.parametrize(
        ("strategy", "asked"),
        [
            (
                "kaniko",
                {
                    "cpu_request": "500m",
                    "memory_request": "1Gi",
                    "ephemeral_storage_request": "2Gi",
                },
            ),
            ("dood", {"cpu_request": "100m", "memory_request": "128Mi"}),
            (
                "dind",
                {
                    "cpu_request": "100m",
                    "memory_request": "128Mi",
                    "service_cpu_request": "500m",
                    "service_memory_request": "1Gi",
                    "service_ephemeral_storage_request": "2Gi",
                },
            ),
        ],
    )
    def test_the_container_that_builds_asks_for_the_most(
        self, strategy: str, asked: dict[str, str]
    ) -> None:
        kubernetes = _toml(_placed({"runners.main.strategy": STRATEGIES[strategy]}))["kubernetes"]

        assert _quantities(kubernetes) == asked

    @pytest.mark.parametrize("bound", ["requests", "limits"])
    def test_what_the_stack_file_bounds_has_no_other_request(self, bound: str) -> None:
        resources = {bound: {"cpu": "50m", "memory": "64Mi", "ephemeralStorage": "9Gi"}}
        kubernetes = _toml(_placed({"runners.main.resources": resources}))["kubernetes"]

        key = bound.removesuffix("s")
        limited = ("", "helper_", "service_") if bound == "limits" else ("",)
        assert _quantities(kubernetes) == {
            f"ephemeral_storage_{key}": "9Gi",
            **{
                f"{prefix}{resource}_{key}": quantity
                for prefix in limited
                for resource, quantity in (("cpu", "50m"), ("memory", "64Mi"))
            },
        }

    def test_quantities_of_services_are_their_own(self) -> None:
        resources = {
            "limits": {"cpu": 1},
            "service": {"requests": {"memory": "1Gi"}, "limits": {"cpu": 2, "memory": "4Gi"}},
        }
        kubernetes = _toml(_placed({"runners.main.resources": resources}))["kubernetes"]

        assert _quantities(kubernetes) == {
            "cpu_limit": "1",
            "helper_cpu_limit": "1",
            "helper_cpu_request": "100m",
            "memory_request": "1Gi",
            "ephemeral_storage_request": "2Gi",
            "service_memory_request": "1Gi",
            "service_cpu_limit": "2",
            "service_memory_limit": "4Gi",
        }

    def test_nodes_go_by_config_tomls_keys(self) -> None:
        kubernetes = _toml(
            _placed(
                {
                    "runners.main.nodeSelector": {"pool": "ci"},
                    "runners.main.tolerations": [
                        {"key": "ci", "value": "true", "effect": "NoSchedule"},
                        {"key": "empty", "value": ""},
                        {"key": "example.com/spot"},
                    ],
                    "runners.main.runtimeClassName": "gvisor",
                    "runners.main.priorityClassName": "low",
                }
            )
        )["kubernetes"]

        assert kubernetes["node_selector"] == {"pool": "ci"}
        assert kubernetes["node_tolerations"] == {
            "ci=true": "NoSchedule",
            "empty=": "",
            "example.com/spot": "",
        }
        assert kubernetes["runtime_class_name"] == "gvisor"
        assert kubernetes["priority_class_name"] == "low"

    def test_options_of_newer_runners_reach_the_jobs_and_the_role(self) -> None:
        placement = _placed(
            {
                "runners.main.seccompProfile": "RuntimeDefault",
                "runners.main.podDisruptionBudget": True,
            }
        )
        kubernetes = _toml(placement)["kubernetes"]

        assert _main(placement)["pod_disruption_budget"] is True
        assert kubernetes["pod_disruption_budget"] is True
        assert kubernetes["pod_security_context"] == {"seccomp_profile": {"type": "RuntimeDefault"}}

    @pytest.mark.parametrize("policy", ["always", ["always", "if-not-present"]], ids=str)
    def test_a_pull_policy_is_of_all_images_of_a_job(self, policy: str | list[str]) -> None:
        """The job's own choice must be among them (gitlab-runner: allowed_pull_policies)."""
        kubernetes = _toml(_placed({"runners.main.pullPolicy": policy}))["kubernetes"]

        assert kubernetes["pull_policy"] == ([policy] if isinstance(policy, str) else policy)
        assert "pull_policy" not in _toml(_placed())["kubernetes"]

    @pytest.mark.parametrize(
        ("settings", "allowed"),
        [
            # The empty one is of jobs that choose none, where the runner has none either.
            ({}, ["", "always", "if-not-present"]),
            ({"pullPolicy": "if-not-present"}, ["always", "if-not-present"]),
            ({"pullPolicy": "always"}, ["always"]),
            ({"pullPolicy": ["always", "if-not-present"]}, ["always", "if-not-present"]),
            ({"allowedPullPolicies": ["never"]}, ["", "never"]),
        ],
    )
    def test_jobs_may_choose_among_pull_policies(
        self, settings: dict[str, Any], allowed: list[str]
    ) -> None:
        changes = {f"runners.main.{key}": value for key, value in settings.items()}

        kubernetes = _toml(_placed(changes))["kubernetes"]

        assert kubernetes["allowed_pull_policies"] == allowed

    def test_options_of_newer_runners_are_off_unless_asked_for(self) -> None:
        placement = _placed()
        kubernetes = _toml(placement)["kubernetes"]

        assert _main(placement)["pod_disruption_budget"] is False
        assert "pod_disruption_budget" not in kubernetes
        assert "pod_security_context" not in kubernetes

    def test_mirrors_and_insecure_registries_reach_the_build(self) -> None:
        runner = _toml(_placed({"registryMirrors": ["mirror.example.com"]}))

        assert runner["environment"] == [
            "DOCKER_CONFIG=/kaniko/.docker",
            "KANIKO_FLAGS=--insecure-registry=registry.example.com:5000 "
            "--registry-mirror=mirror.example.com",
        ]

    def test_concurrency_is_per_runner(self) -> None:
        assert _main(_placed({"runners.main.concurrent": 3}))["values"]["concurrent"] == 3


class TestReport:
    def test_the_summary_says_what_the_nodes_owner_must_set(self) -> None:
        summary = _placed({"runners.main.strategy": DOOD}).summary

        assert summary == {
            "main": {
                "strategy": "dood",
                "tags": ["build"],
                "jobNamespace": "builds-main",
                "podSecurity": "privileged",
                "nodeSetup": [
                    "/etc/docker/daemon.json must hold "
                    '{"insecure-registries": ["registry.example.com:5000"]}'
                ],
            }
        }

    def test_the_summary_names_the_strategy_that_auto_picked(self) -> None:
        trusted = _placed({"runners.main.strategy": "auto"})
        untrusted = _placed({"runners.main.strategy": "auto", "cluster.nodes.trusted": False})

        assert trusted.summary["main"]["strategy"] == "dood"
        assert untrusted.summary["main"]["strategy"] == "kaniko"

    def test_without_a_risk_there_is_no_warning(self) -> None:
        assert _placed({"registries.0.insecure": False}).warnings == []

    def test_a_warning_names_its_runner(self) -> None:
        warnings = _placed({"runners.main.strategy": ARCHIVED}).warnings

        assert warnings[1:] == [
            "runners.main: gcr.io/kaniko-project/executor:v1.24.0-debug was archived on "
            "2025-06-03 and gets no security fixes; use ghcr.io/osscontainertools/kaniko"
        ]

    def test_risks_come_before_what_the_nodes_owner_must_set(self) -> None:
        warnings = _placed({"runners.main.strategy": DOOD}).warnings

        assert warnings == [
            "registries[0]: is plain HTTP, so the logins of registry.example.com:5000 can be read "
            "on the network; use TLS, with caCertificates for a private CA",
            "runners.main: anyone who can run a job is root on the node that runs it, and limits "
            "of a job's pod do not hold for its builds",
            "runners.main: /etc/docker/daemon.json must hold "
            '{"insecure-registries": ["registry.example.com:5000"]}',
        ]

    @pytest.mark.parametrize("create", [False, True])
    def test_making_pods_where_no_level_is_known_is_warned_of(self, *, create: bool) -> None:
        """What the stack creates enforces a level; listing pods there makes none."""
        rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}
        listing = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
        permissions = {"apps": [rule], "other": [listing]}
        warnings = _placed(
            {
                "registries": [],
                "targetNamespaces": {"apps": {"create": create}, "other": {}},
                "runners.main.strategy": {"kind": "deploy", "permissions": permissions},
            }
        ).warnings

        assert warnings == (
            []
            if create
            else [
                "runners.main: anyone who can run a job may create pods in apps, as any account "
                "of that namespace, and is root on its nodes, unless it enforces the Pod Security "
                "level baseline or restricted; ask its owner, or set targetNamespaces.apps.create: "
                "true for a new one"
            ]
        )

    def test_a_permission_that_leads_further_is_warned_of(self) -> None:
        rule = {"apiGroups": ["tekton.dev"], "resources": ["taskruns"], "verbs": ["get", "create"]}
        strategy = {"kind": "deploy", "permissions": {"apps": [rule]}}

        warnings = _placed({"registries": [], "runners.main.strategy": strategy}).warnings

        assert warnings == [
            "runners.main: anyone who can run a job may, in apps, create taskruns.tekton.dev, "
            "which has Tekton create pods, as any account of the namespace; remove it if no "
            "deployment needs it"
        ]

    @pytest.mark.parametrize(
        ("strategy", "warned"),
        [
            ("kaniko", ["--force"]),
            ({"kind": "buildkit", "variant": "rootful", "hostUsers": False}, ["Kata"]),
            ("deploy", []),
        ],
        ids=["kaniko", "buildkit-rootful", "deploy"],
    )
    def test_a_sandbox_brings_its_own_warnings(self, strategy: object, warned: list[str]) -> None:
        changes = {"runners.main.strategy": strategy}

        outside = _placed(changes).warnings
        inside = _placed({**changes, "runners.main.runtimeClassName": "sandbox"}).warnings

        assert len(inside) == len(outside) + len(warned)
        assert all(part in "\n".join(inside) for part in warned)


class TestSecrets:
    def test_every_secret_is_a_secret_output(self) -> None:
        configure(SETTINGS, SECRETS)
        stack = load()
        host = "registry.example.com:5000"

        def program() -> None:
            environment = environment_args(stack, YEAR)
            runner = environment["runners"]["main"]
            registration = runner["registration"]
            assert registration
            values = {
                "token": registration["token"],
                "pull": runner["pull_logins"][host]["password"],
                "push": runner["push_logins"][host]["password"],
                "target": environment["pull_logins"][host]["password"],
            }
            pulumi.CustomResource("test:index:Held", "held", values)

        (held,) = [item for item in deploy(program) if item.name == "held"]

        assert plain(held.inputs) == {"token": TOKEN, "pull": PULL, "push": PUSH, "target": PULL}
        assert all(is_secret(value) for value in held.inputs.values())

    def test_what_is_printed_of_it_holds_no_secret(self) -> None:
        placement = _placed()
        text = f"{placement}"

        assert [secret for secret in (TOKEN, PULL, PUSH) if secret in text] == []
        assert "gitlab-runner-main" in text
