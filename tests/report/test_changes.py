"""The reports of many changes, each as a note that a person has read."""

import datetime as dt
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from dev.generate import templates
from report.analysis import impact as jobs
from report.model import CHANGES, NO_CHANGE, RISK_RAISED
from report.outputs import markdown as note
from tests.support.configured import SETTINGS, STRATEGIES
from tests.support.previewed import Change, previewed

STRATEGY = "runners.main.strategy"
NEWER = {"chart.version": "0.88.0"}
DIND = {STRATEGY: STRATEGIES["dind"]}
DOOD = {STRATEGY: STRATEGIES["dood"]}


def _to(strategy: str) -> Change:
    return Change(after={STRATEGY: STRATEGIES[strategy]})


def _from(strategy: str) -> Change:
    return Change(before={STRATEGY: STRATEGIES[strategy]})


def _any_verb(role: dict[str, Any]) -> None:
    role["rules"].append({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})


def _another_account(binding: dict[str, Any]) -> None:
    binding["subjects"].append({"kind": "User", "name": "somebody"})


def _unpinned(deployment: dict[str, Any]) -> None:
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "moby/buildkit"


def _open(policy: dict[str, Any]) -> None:
    policy["spec"]["ingress"].append({})


def _manager_as_root(release: dict[str, Any]) -> None:
    config = release["values"]["runners"]["config"]
    release["values"]["runners"]["config"] = config.replace(
        "privileged = false", "privileged = true"
    )


SERVICE = {STRATEGY: "buildkit-service"}
TWO = {"runners.second": {"tags": ["deploy"], "strategy": "kaniko"}}
TOKEN_OF_SECOND = {"runnerTokens.second": "glrt-SecondPlantedToken"}
CHANGES_AND_CODES: dict[str, tuple[Change, int]] = {
    "nothing": (Change(), NO_CHANGE),
    "first-deployment": (Change(first=True), CHANGES),
    "destroyed": (Change(last=True), CHANGES),
    "kaniko-to-dood": (_to("dood"), CHANGES),
    "dood-to-kaniko": (_from("dood"), CHANGES),
    "dood-to-dind": (Change(before=DOOD, after=DIND), CHANGES),
    "dind-to-kaniko": (_from("dind"), CHANGES),
    "kaniko-to-buildkit": (_to("buildkit"), RISK_RAISED),
    "kaniko-to-buildkit-profiles": (_to("buildkit-profiles"), CHANGES),
    "kaniko-to-buildkit-service": (_to("buildkit-service"), RISK_RAISED),
    "kaniko-to-buildkit-service-buildx": (_to("buildkit-service-buildx"), RISK_RAISED),
    "kaniko-to-buildx": (_to("buildx"), RISK_RAISED),
    "kaniko-to-deploy": (Change(after={STRATEGY: "deploy"}), RISK_RAISED),
    "buildkit-service-to-kaniko": (_from("buildkit-service"), RISK_RAISED),
    "kaniko-to-buildah-root": (_to("buildah-root"), RISK_RAISED),
    "kaniko-to-buildah-privileged": (_to("buildah-privileged"), RISK_RAISED),
    "accepted-in-writing": (
        Change(
            after={STRATEGY: "buildkit"},
            accepted=(
                "podSecurity/Namespace-builds-main/privileged",
                "unconfined/the-build-container-of-runner-main/AppArmor-Unconfined",
                "unconfined/the-build-container-of-runner-main/seccomp-Unconfined",
            ),
        ),
        CHANGES,
    ),
    "tag": (Change(after={"runners.main.tags": ["other"]}), NO_CHANGE),
    "chart-version": (Change(after={"chart.version": "0.87.0"}), CHANGES),
    "resources": (Change(after={"runners.main.resources": {"limits": {"memory": "2Gi"}}}), CHANGES),
    "environment": (Change(after={"runners.main.environment": {"GREETING": "hello"}}), CHANGES),
    "concurrent": (Change(after={"runners.main.concurrent": 3}), CHANGES),
    "image-moved": (
        Change(after={STRATEGY: {"kind": "kaniko", "image": "other.example.com/kaniko:v2"}}),
        CHANGES,
    ),
    "registry-added": (
        Change(
            after={
                "registries": [
                    *SETTINGS["registries"],
                    {"host": "second.example.com", "insecure": True, "pull": "in", "push": "out"},
                ],
            },
        ),
        CHANGES,
    ),
    "token-rotated": (Change(secrets={"runnerTokens.main": "glrt-another-token-02"}), CHANGES),
    "password-rotated": (
        Change(secrets={"registryCredentials.out.password": "AnotherPassword"}),
        CHANGES,
    ),
    "runner-added": (Change(after=TWO, secrets=TOKEN_OF_SECOND), CHANGES),
    "runner-removed": (Change(before=TWO, secrets_before=TOKEN_OF_SECOND), CHANGES),
    "namespace-renamed": (Change(after={"namespace": "other"}), CHANGES),
    "job-namespace-renamed": (Change(after={"runners.main.jobNamespace": "jobs"}), CHANGES),
    "target-namespace-removed": (Change(after={"targetNamespaces": {}}), CHANGES),
    "gitlab-moved": (Change(after={"gitlab.url": "https://git.example.com"}), CHANGES),
    "seccomp-profile": (
        Change(before=NEWER, after={**NEWER, "runners.main.seccompProfile": "RuntimeDefault"}),
        CHANGES,
    ),
    "disruption-budget": (
        Change(before=NEWER, after={**NEWER, "runners.main.podDisruptionBudget": True}),
        RISK_RAISED,
    ),
    "every-verb-by-a-transform": (
        Change(transforms={("Role", "main-manager"): _any_verb}),
        RISK_RAISED,
    ),
    "another-reader-by-a-transform": (
        Change(transforms={("RoleBinding", "main-manager"): _another_account}),
        RISK_RAISED,
    ),
    "image-unpinned-by-a-transform": (
        Change(before=SERVICE, after=SERVICE, transforms={("Deployment", "buildkitd"): _unpinned}),
        RISK_RAISED,
    ),
    "policy-opened-by-a-transform": (
        Change(before=SERVICE, after=SERVICE, transforms={("NetworkPolicy", "buildkitd"): _open}),
        RISK_RAISED,
    ),
    "dood-in-prod": (Change(after=DOOD, environment="prod"), RISK_RAISED),
    "dood-in-prod-accepted": (
        Change(
            after=DOOD,
            environment="prod",
            accepted=("no-dood-in-prod/the-job-pod-of-runner-main//var/run/docker.sock",),
        ),
        CHANGES,
    ),
    "dood-in-prod-since-long": (
        Change(before=DOOD, after=DOOD, environment="prod"),
        RISK_RAISED,
    ),
    "privileged-jobs-by-a-transform": (
        Change(transforms={("Release", "main"): _manager_as_root}),
        RISK_RAISED,
    ),
}


class Markdown(SingleFileSnapshotExtension):
    """One readable note for each snapshot."""

    _write_mode = WriteMode.TEXT
    file_extension = "md"


@pytest.mark.parametrize("name", CHANGES_AND_CODES)
def test_the_note_is_as_reviewed(
    name: str,
    snapshot: SnapshotAssertion,
) -> None:
    change, code = CHANGES_AND_CODES[name]

    report = previewed(change)

    text = note.write(report).replace(report.digest, "<digest>")
    # A Secret of the shared daemon is named after the year.
    text = text.replace(f"buildkitd-{dt.datetime.now(dt.UTC).year}", "buildkitd-<year>")
    assert text == snapshot(extension_class=Markdown)
    assert report.exit_code == code


def test_secrets_that_change_are_told_without_their_values() -> None:
    change, _ = CHANGES_AND_CODES["password-rotated"]

    text = note.write(previewed(change))

    assert "AnotherPassword" not in text
    assert "[secret]" in text


def test_equal_plans_have_equal_digests_and_others_do_not() -> None:
    digests = [
        previewed(CHANGES_AND_CODES[name][0]).digest
        for name in ("concurrent", "concurrent", "resources")
    ]

    assert digests[0] == digests[1] != digests[2]


def test_every_strategy_that_builds_has_a_command_to_tell() -> None:
    kinds = {strategy.kind for strategy in templates.STRATEGIES.values()}

    assert kinds <= set(jobs.COMMANDS)
