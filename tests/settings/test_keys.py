"""Keys of the stack file: unknown ones, old ones, required ones and those of another type."""

import pytest

from components.settings.errors import RENAMED
from tests.support.configured import MISSING, SETTINGS, replace_values
from tests.support.rejections import assert_rejected, change

MAIN = "runners.main"


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("gitlub: 1", "gitlub", "did you mean gitlab?"),
        ("zzz: 1", "zzz", "is an unknown key; remove it"),
        ("gitlab.uri: x", "gitlab.uri", "did you mean url?"),
        ("cluster.nodes.sockets: 1", "cluster.nodes.sockets", "remove it"),
        ("registries.0.insecur: true", "registries[0].insecur", "did you mean insecure?"),
        ("runners.main.tag: x", f"{MAIN}.tag", "did you mean tags?"),
        ("runners.main.resources: {limits: {gpu: 1}}", f"{MAIN}.resources.limits.gpu", "cpu?"),
        ("targetNamespaces.apps.make: true", "targetNamespaces.apps.make", "remove it"),
        (
            "runners.main.tolerations: [{key: a, operator: Exists}]",
            f"{MAIN}.tolerations[0].operator",
            "remove it",
        ),
        (
            "runners.main.strategy: {kind: kaniko, acceptNodeRoot: true}",
            f"{MAIN}.strategy.acceptNodeRoot",
            "is a key of another kind; remove it",
        ),
        (
            "runners.main.strategy: {kind: kaniko, permissions: {}}",
            f"{MAIN}.strategy.permissions",
            "is a key of another kind; remove it",
        ),
    ],
)
def test_an_unknown_key_is_rejected(text: str, key: str, advice: str) -> None:
    assert_rejected(change(text), key, advice)


MADE = "runners.main.registration: {kind: userRunner, runnerType: instance_type"
OLD = {
    "gitlab.certificates: x": ("gitlab.certificates", "caCertificates"),
    "registries.0.certificates: x": ("registries[0].certificates", "caCertificates"),
    "reviewer: true": ("reviewer", "previewAccount"),
    f"{MADE}, untagged: true}}": (f"{MAIN}.registration.untagged", "runUntagged"),
    f"{MADE}, accessLevel: ref_protected}}": (f"{MAIN}.registration.accessLevel", "protected"),
    "runners.main.strategy: none": (f"{MAIN}.strategy", "deploy"),
    "runners.main.strategy: {kind: deploy, rights: {}}": (f"{MAIN}.strategy.rights", "permissions"),
}


@pytest.mark.parametrize("text", OLD)
def test_an_old_spelling_names_the_new_one(text: str) -> None:
    key, new = OLD[text]

    assert_rejected(change(text), key, f"was renamed to {new}; write {new}")


def test_the_table_of_old_spellings_is_tested_whole() -> None:
    assert sorted(RENAMED.values()) == sorted(new for _, new in OLD.values())


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("gitlab", "gitlab"),
        ("gitlab.url", "gitlab.url"),
        ("cluster", "cluster"),
        ("cluster.kind", "cluster.kind"),
        ("namespace", "namespace"),
        ("runners", "runners"),
        ("runners.main.tags", f"{MAIN}.tags"),
        ("registries.0.host", "registries[0].host"),
    ],
)
def test_a_required_key_is_asked_for(path: str, key: str) -> None:
    assert_rejected(replace_values(SETTINGS, {path: MISSING}), key, "is required; add it")


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("gitlab: 'https://x'", "gitlab", "must be a mapping"),
        ("runners: []", "runners", "must be a mapping"),
        ("runners.main.strategy: []", f"{MAIN}.strategy", "must be a mapping"),
        ("runners.main.strategy: {}", f"{MAIN}.strategy", "must have a kind; add 'kind"),
        ("registries: {}", "registries", "must be a list"),
        ("runners.main.tags: build", f"{MAIN}.tags", "must be a list"),
        ("gitlab.url: 5", "gitlab.url", "must be text; put it in quotes"),
        ("runners.main.environment: {A: 1}", f"{MAIN}.environment.A", "must be text"),
        ("runners.main.resources: {limits: {cpu: true}}", f"{MAIN}.resources.limits.cpu", "text"),
        ("registries.0.insecure: 'yes'", "registries[0].insecure", "must be true or false"),
        ("cluster.nodes.trusted: 'true'", "cluster.nodes.trusted", "write it without quotes"),
        ("runners.main.concurrent: '5'", f"{MAIN}.concurrent", "must be a whole number"),
        ("runners: {}", "runners", "must not be empty; add at least one entry"),
        ("runners.main.tags: []", f"{MAIN}.tags", "must not be empty; add at least one entry"),
        ("chart.archive: ''", "chart.archive", "must not be empty; give it a value or remove"),
        ("runners.main.concurrent: 0", f"{MAIN}.concurrent", "must be 1 or more; raise it"),
    ],
)
def test_a_value_of_another_type_is_rejected(text: str, key: str, advice: str) -> None:
    assert_rejected(change(text), key, advice)


@pytest.mark.parametrize(
    ("text", "key", "allowed"),
    [
        ("cluster.kind: cloud", "cluster.kind", "'managed' or 'onPrem'"),
        ("cluster.platform: minikube", "cluster.platform", "'eksAuto', 'eksFargate'"),
        ("cluster.podSecurityLimit: strict", "cluster.podSecurityLimit", "'baseline'"),
        ("cluster.nodes.os: windows", "cluster.nodes.os", "'ubuntu' or 'other'"),
        ("cluster.nodes.runtime: podman", "cluster.nodes.runtime", "'crio' or 'docker'"),
        ("runners.main.strategy: podman", f"{MAIN}.strategy", "'kaniko'"),
        ("runners.main.registration: magic", f"{MAIN}.registration", "'userRunner'"),
        (
            "runners.main.registration: {kind: userRunner, runnerType: project}",
            f"{MAIN}.registration.runnerType",
            "'project_type'",
        ),
        (
            "runners.main.tolerations: [{key: a, effect: NoRun}]",
            f"{MAIN}.tolerations[0].effect",
            "'NoSchedule'",
        ),
        ("runners.main.seccompProfile: Unconfined", f"{MAIN}.seccompProfile", "'RuntimeDefault'"),
    ],
)
def test_a_value_that_is_not_allowed_gets_the_list(text: str, key: str, allowed: str) -> None:
    assert_rejected(change(text), key, allowed)
