"""The keys of a manager that are rejected, and what is said of each."""

import pytest

from tests.support.rejections import assert_rejected, change

MANAGER = "runners.main.manager"


@pytest.mark.parametrize("name", ["KUBERNETES_PRIVILEGED", "LOG_LEVEL", "CI_SERVER_URL"])
def test_options_of_the_runner_are_no_variables(name: str) -> None:
    advice = "is an option of gitlab-runner itself"

    assert_rejected(
        change(f"{MANAGER}: {{environment: {{{name}: x}}}}"),
        f"{MANAGER}.environment.{name}",
        advice,
    )


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("environment: {HTTPS_PROXY: x}", "environment.HTTPS_PROXY", "is set by proxy"),
        ("environment: {no_proxy: x}", "environment.no_proxy", "is set by proxy"),
        ("environment: {API_TOKEN: x}", "environment.API_TOKEN", "is named like a secret"),
        ("environment: {A: 'http://u:p@x:1'}", "environment.A", "must not contain credentials"),
        ("labels: {app: x}", "labels.app", "is a label that the chart sets"),
        ("labels: {image-builds/a: x}", "labels.image-builds/a", "is set by the stack"),
        ("annotations: {checksum/a: x}", "annotations.checksum/a", "is set by the stack"),
        (
            "annotations: {container.apparmor.security.beta.kubernetes.io/x: unconfined}",
            "annotations.container.apparmor.security.beta.kubernetes.io/x",
            "changes what the pod may do",
        ),
        (
            "annotations: {iam.amazonaws.com/role: x}",
            "annotations.iam.amazonaws.com/role",
            "changes what the pod may do",
        ),
        ("logLevel: trace", "logLevel", "'warn'"),
        ("metrics: serviceMonitor", "metrics", "'podMonitor' or 'annotations'"),
        ("replicas: 0", "replicas", "must be 1 or more"),
        ("livenessProbe: {periodSeconds: 0}", "livenessProbe.periodSeconds", "1 or more"),
        ("resources: {limits: {memory: 64Mi}}", "resources", "lower the request"),
    ],
)
def test_a_key_of_a_manager_is_checked(text: str, key: str, advice: str) -> None:
    assert_rejected(change(f"{MANAGER}: {{{text}}}"), f"{MANAGER}.{key}", advice)


def test_a_budget_needs_a_second_manager() -> None:
    settings = change(f"{MANAGER}: {{disruptionBudget: true}}")

    assert_rejected(settings, MANAGER, "would stop every drain of its node")


def test_one_manager_cannot_be_spread() -> None:
    assert_rejected(change(f"{MANAGER}: {{spread: node}}"), MANAGER, "which is on one node")


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("maximumTimeout: 60", "registration.maximumTimeout", "must be 600 or more"),
        ("locked: true", "registration", "must not have locked with runnerType instance_type"),
    ],
)
def test_a_key_of_a_new_runner_is_checked(text: str, key: str, advice: str) -> None:
    registration = f"{{kind: userRunner, runnerType: instance_type, {text}}}"

    assert_rejected(
        change(f"runners.main.registration: {registration}"), f"runners.main.{key}", advice
    )
