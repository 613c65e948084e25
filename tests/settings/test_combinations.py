"""Settings that are right one by one and cannot be deployed together."""

import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from components.arguments import environment_args
from components.settings.load import load
from tests.support.configured import SECRETS, SETTINGS, STRATEGIES, configure, replace_values
from tests.support.harness import YEAR, deploy
from tests.support.rejections import assert_rejected, change, reject

MAIN = "runners.main"
SERVICE = "runners.main.strategy: buildkit-service"
LONG = "r" * 40


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        (f"namespace: {'n' * 60}", f"{MAIN}.jobNamespace", "shorten"),
        (f"namespace: n, runners: {{{LONG}: {{tags: [x]}}}}", f"runners.{LONG}", "shorten"),
        (f"namespace: {'n' * 50}, {SERVICE}", "namespace", "shorten the names"),
        ("runners.main.jobNamespace: builds", f"{MAIN}.jobNamespace", "give each its own"),
        ("runners.main.jobNamespace: apps", f"{MAIN}.jobNamespace", "give each its own"),
        (
            "runners.main.jobNamespace: x, runners.other: {tags: [y], jobNamespace: x}",
            "runners.other.jobNamespace",
            "give each its own",
        ),
        (
            "runners: {my-apps: {tags: [x], jobNamespace: builds}}",
            "runners.my-apps.jobNamespace",
            "give each its own",
        ),
        (
            f"{SERVICE}, runners.main.jobNamespace: builds-main-buildkitd",
            f"{MAIN}.jobNamespace",
            "give each its own",
        ),
        ("targetNamespaces: {builds: {}}", "targetNamespaces.builds", "use another one"),
        (
            f"{SERVICE}, targetNamespaces: {{builds-main-buildkitd: {{}}}}",
            "targetNamespaces.builds-main-buildkitd",
            "use another one",
        ),
    ],
)
def test_each_namespace_has_one_use(text: str, key: str, advice: str) -> None:
    assert_rejected(change(text), key, advice)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("namespace: default", "namespace"),
        (f"namespace: kube, {SERVICE}", "namespace"),
        ("runners.main.jobNamespace: kube-system", f"{MAIN}.jobNamespace"),
        *(
            (f"targetNamespaces: {{{name}: {{create: true}}}}", f"targetNamespaces.{name}.create")
            for name in (
                "default",
                "openshift-monitoring",
                "gke-managed-system",
                "gmp-system",
                "amazon-cloudwatch",
                "aks-command",
                "cattle-system",
                "calico-system",
            )
        ),
    ],
)
def test_a_namespace_of_the_cluster_is_none_of_a_stack(text: str, key: str) -> None:
    assert_rejected(change(text), key, "must neither change nor delete; use one of your own")


def test_images_may_run_in_the_default_namespace() -> None:
    configure(change("targetNamespaces: {default: {}}"), SECRETS)

    assert load().settings.target_namespaces["default"].create is False


def test_only_a_created_namespace_can_be_deleted() -> None:
    text = "targetNamespaces: {apps: {deleteWithStack: true}}"

    assert_rejected(change(text), "targetNamespaces.apps.deleteWithStack", "or set create: true")


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        (
            "runners.other: {tags: [build], strategy: buildkit}",
            "runners.other.tags",
            "use different tags",
        ),
        (
            f"{SERVICE}, runners.main.environment: {{BUILDKIT_HOST: x}}",
            f"{MAIN}.environment.BUILDKIT_HOST",
            "which the stack sets; remove it",
        ),
        (
            f"{SERVICE}, runners.main.environment: {{BUILDKITD_FLAGS: --config=/x.toml}}",
            f"{MAIN}.environment.BUILDKITD_FLAGS",
            "which reach the daemon",
        ),
        *(
            (
                f"{SERVICE}, runners.other: {{tags: [x], strategy: {{kind: buildkit-service, "
                f"acceptSharedBuilds: true, daemonOf: {owner}}}}}{more}",
                "runners.other.strategy.daemonOf",
                "has its own daemon; name one with the strategy buildkit-service",
            )
            for owner, more in (
                ("nobody", ""),
                ("other", ""),
                ("third", ", runners.third: {tags: [y], strategy: kaniko}"),
                (
                    "third",
                    ", runners.third: {tags: [y], strategy: {kind: buildkit-service, "
                    "acceptSharedBuilds: true, daemonOf: main}}",
                ),
            )
        ),
        (
            "runners.main.strategy: {kind: dind, acceptPrivileged: true}, "
            "runners.main.nodeSelector: {image-builds/docker-socket: 'false'}",
            f"{MAIN}.nodeSelector",
            "so no node fits; remove one",
        ),
        (
            "runners.main.strategy: {kind: dood, acceptNodeRoot: true}, "
            "runners.main.runtimeClassName: gvisor",
            f"{MAIN}.runtimeClassName",
            "remove it, or use kaniko",
        ),
    ],
)
def test_runners_and_strategies_fit_together(text: str, key: str, advice: str) -> None:
    assert_rejected(change(text), key, advice)


@pytest.mark.parametrize(
    "variable", ["DOCKER_HOST", "BUILDKIT_HOST", "CONTAINER_HOST", "DOCKER_TLS_VERIFY"]
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_runner_names_the_daemon_that_builds(strategy: str, variable: str) -> None:
    runner = {"tags": ["x"], "strategy": STRATEGIES[strategy], "environment": {variable: "tcp://x"}}

    key = f"{MAIN}.environment.{variable}"
    assert_rejected(replace_values(SETTINGS, {MAIN: runner}), key, "remove it")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_runner_sets_what_its_plan_sets(strategy: str) -> None:
    """The variables are those of config.toml without any of the runner."""
    runner: dict[str, Any] = {"tags": ["x"], "strategy": STRATEGIES[strategy]}
    configure(replace_values(SETTINGS, {MAIN: runner}), SECRETS)
    made: list[Mapping[str, Any]] = []
    # Arguments are outputs, which need a running program.
    deploy(lambda: made.append(environment_args(load(), YEAR)["runners"]["main"]["values"]))
    (content,) = tomllib.loads(made[0]["runners"]["config"])["runners"]
    names = [variable.partition("=")[0] for variable in content["environment"]]

    runner["environment"] = dict.fromkeys(names, "other")
    configure(replace_values(SETTINGS, {MAIN: runner}), SECRETS)
    lines = "\n".join(reject())

    assert names
    assert [name for name in names if f"{MAIN}.environment.{name}: " not in lines] == []


def test_other_variables_of_jobs_are_free() -> None:
    free = {"GREETING": "hello", "SSL_CERT_DIR": "/certs", "HOME": "/work"}
    configure(replace_values(SETTINGS, {f"{MAIN}.environment": free}), SECRETS)

    assert load().settings.runners["main"].environment == free


@pytest.mark.parametrize("text", ["seccompProfile: RuntimeDefault", "podDisruptionBudget: true"])
def test_a_key_needs_a_chart_that_knows_it(text: str) -> None:
    key = text.partition(":")[0]

    old = replace_values(change(f"{MAIN}.{text}"), {"chart": {"version": "0.87.1"}})
    assert_rejected(old, f"{MAIN}.{key}", "needs chart 0.88.0 or later")


@pytest.mark.parametrize(
    "hosts",
    [("r", "r"), ("docker.io", "index.docker.io"), ("registry-1.docker.io", "index.docker.io")],
)
def test_a_registry_has_one_entry(hosts: tuple[str, str]) -> None:
    settings = change(f"registries: [{{host: {hosts[0]}}}, {{host: {hosts[1]}}}]")

    assert_rejected(settings, "registries[1].host", "merge")


def test_a_selector_may_repeat_what_the_strategy_needs() -> None:
    selector = "{image-builds/docker-socket: 'true', pool: ci}"
    strategy = "{kind: dind, acceptPrivileged: true}"
    changes = f"{MAIN}.strategy: {strategy}, {MAIN}.nodeSelector: {selector}"
    configure(change(changes), SECRETS)

    assert load().settings.runners["main"].node_selector["pool"] == "ci"


def test_the_pull_policy_of_a_runner_is_one_that_jobs_may_have() -> None:
    """GitLab Runner would end each job that chooses none."""
    text = f"{MAIN}.pullPolicy: always, {MAIN}.allowedPullPolicies: [if-not-present]"

    assert_rejected(
        change(text), f"{MAIN}.allowedPullPolicies", "must contain always, which is pullPolicy"
    )
    text = f"{MAIN}.pullPolicy: [always, if-not-present], {MAIN}.allowedPullPolicies: [always]"
    assert_rejected(change(text), f"{MAIN}.allowedPullPolicies", "must contain always and if-not")


GROUP = "registries.0.insecure: false, registries.0.host: r.example.com/group"


@pytest.mark.parametrize("strategy", ["buildkit", "dind", "kaniko"])
def test_a_tool_that_finds_logins_by_host_pushes_with_no_others(strategy: str) -> None:
    settings = replace_values(change(GROUP), {"runners.main.strategy": STRATEGIES[strategy]})

    assert_rejected(settings, "registries[0].push", "which finds logins by host alone")
