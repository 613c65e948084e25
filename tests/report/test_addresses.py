"""Where tokens, logins and code go: a report has each change of it, the offline comparison too."""

from typing import Any

import pytest

from report.analysis.trust.tools import of_file, of_flags
from report.inputs.events import RELEASE
from report.model import RiskChange
from tests.support.changes import ONE_RUNNER, Change, Deployed
from tests.support.configured import CERTIFICATE, STRATEGIES, TOKEN
from tests.support.previews import preview_change
from tests.support.risks import changes_of, item, lines, runner

STRATEGY = "runners.main.strategy"
PULL = {"host": "r.example", "pull": "in"}
EVIL = "evil.example"


def _raised(found: tuple[RiskChange, ...]) -> list[str]:
    return [item.what for item in found if item.direction == "raised" and item.weighs]


def _stack_file(after: dict[str, Any], before: dict[str, Any] | None = None) -> Change:
    return Change(before=before or {}, after={**(before or {}), **after})


STACK_FILES: dict[str, tuple[Change, list[str]]] = {
    "another-gitlab": (
        _stack_file({"gitlab.url": f"https://{EVIL}"}),
        [f"runners register at https://{EVIL}, and take their jobs from there"],
    ),
    "gitlab-by-plain-http": (
        _stack_file({"gitlab.url": "http://gitlab.example.com"}),
        [
            "runners register at http://gitlab.example.com, and take their jobs from there",
            "GitLab at http://gitlab.example.com is reached without TLS",
        ],
    ),
    "another-ca-of-gitlab": (
        _stack_file({"gitlab.caCertificates": CERTIFICATE}),
        ["connections trust the certificates in Secret builds/gitlab-runner-main-gitlab-certif"],
    ),
    "another-repository-of-charts": (
        _stack_file({"chart.repository": f"https://{EVIL}/charts"}),
        [f"the chart comes from https://{EVIL}/charts (gitlab-runner)"],
    ),
    "charts-by-plain-http": (
        _stack_file({"chart.repository": "http://charts.gitlab.io"}),
        [
            "the chart comes from http://charts.gitlab.io (gitlab-runner)",
            "the repository of charts at http://charts.gitlab.io is reached without TLS",
        ],
    ),
    "an-archive-as-chart": (
        _stack_file({"chart.archive": "./mychart"}),
        ["the chart comes from the archive (./mychart)"],
    ),
    "an-older-chart": (
        _stack_file({"chart.version": "0.86.0"}, {"chart.version": "0.90.1"}),
        ["the chart of runner main goes back to version 0.86.0"],
    ),
    "login-for-another-registry": (
        _stack_file({"registries": [PULL, {"host": EVIL, "push": "out"}]}, {"registries": [PULL]}),
        [f"jobs and nodes have the login for {EVIL} (out) in registry-push"],
    ),
    "first-login-of-a-stack": (
        _stack_file({"registries": [PULL]}, {"registries": []}),
        ["jobs and nodes have the login for r.example (in) in registry-pull"],
    ),
    "login-that-pushes-where-one-pulled": (
        _stack_file(
            {"registries": [{**PULL, "pull": "out", "push": "out"}]},
            {"registries": [{**PULL, "push": "out"}]},
        ),
        ["jobs and nodes have the login for r.example (out) in registry-pull"],
    ),
    "login-for-a-namespace-of-others": (
        _stack_file({"targetNamespaces.payments": {}}),
        ["Secret payments/registry-pull, in a namespace of others, has the login for registry.exa"],
    ),
    "pull-secret-of-others": (
        _stack_file(
            {"targetNamespaces.payments": {"adoptPullSecret": True}},
            {"targetNamespaces.payments": {}},
        ),
        ["Secret payments/registry-pull overwrites what others set (by pulumi.com/patchForce)"],
    ),
    "cache-of-layers": (
        _stack_file({STRATEGY: {"kind": "kaniko", "cacheRepository": f"{EVIL}/cache"}}),
        [f"builds keep layers in {EVIL}/cache"],
    ),
    **{
        f"mirror-for-{name}": (
            _stack_file({"registryMirrors": [EVIL]}, {STRATEGY: STRATEGIES[name]}),
            [f"builds pull the images of other registries from {EVIL}"],
        )
        for name in ("kaniko", "dood", "dind", "buildkit", "buildkit-service", "buildx", "buildah")
    },
    **{
        f"plain-http-for-{name}": (
            _stack_file(
                {"registries": [{**PULL, "insecure": True}]},
                {"registries": [PULL], STRATEGY: STRATEGIES[name]},
            ),
            ["registry r.example is reached without TLS"],
        )
        for name in ("kaniko", "dood", "dind", "buildkit", "buildkit-service", "buildx", "buildah")
    },
    **{
        f"ca-of-a-registry-for-{name}": (
            _stack_file(
                {"registries": [{**PULL, "caCertificates": CERTIFICATE}]},
                {"registries": [PULL], STRATEGY: STRATEGIES[name]},
            ),
            ["connections trust the certificates in "],
        )
        for name in ("kaniko", "dind", "buildkit", "buildah")
    },
    "control-plane-by-its-taint": (
        _stack_file(
            {"runners.main.tolerations": [{"key": "node-role.kubernetes.io/control-plane"}]},
            {STRATEGY: STRATEGIES["dood"]},
        ),
        [
            "the job pod of runner main may run on nodes of the control plane "
            "(node-role.kubernetes.io/control-plane)"
        ],
    ),
    "control-plane-by-its-label": (
        _stack_file({"runners.main.nodeSelector": {"node-role.kubernetes.io/master": ""}}),
        ["the job pod of runner main may run on nodes of the control plane (node-role.kubernetes"],
    ),
}


@pytest.mark.parametrize("name", STACK_FILES)
def test_another_address_is_reported(name: str) -> None:
    change, texts = STACK_FILES[name]

    report = preview_change(change)

    raised = _raised(report.risk_changes)
    assert [text for text in texts if not any(line.startswith(text) for line in raised)] == []
    assert report.risk == "raised"


def test_a_runner_that_is_added_sends_nothing_elsewhere() -> None:
    more = {"tags": ["more"], "strategy": "kaniko"}
    tokens = {"main": TOKEN, "more": f"{TOKEN}-of-more"}
    deployed = Deployed(ONE_RUNNER.settings, {**ONE_RUNNER.secrets, "runnerTokens": tokens})

    first = preview_change(Change(first=True))
    added = preview_change(Change(after={"runners.more": more}), deployed)

    assert _raised(first.risk_changes) == []
    assert _raised(added.risk_changes) == []


def test_a_registry_without_a_login_gets_none() -> None:
    change = Change(before={"registries": []}, after={"registries": [{"host": "r.example"}]})

    assert _raised(preview_change(change).risk_changes) == []


LOGIN = "kubernetes.io/dockerconfigjson"


def _secret(logins: str | None, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    annotations = {} if logins is None else {"annotations": {"image-builds/logins": logins}}
    return item("Secret", type=LOGIN, metadata=annotations, **fields)


def test_logins_of_an_older_version_are_not_new() -> None:
    """It had no annotation; nor has a Secret from which somebody takes it."""
    listed = _secret('{"r.example": "in"}')

    assert _raised(changes_of(_secret(None), listed)) == []
    for unlisted in (_secret(None), _secret("no JSON")):
        assert "raised: jobs and nodes have the login for what is not listed" in lines(
            changes_of(listed, unlisted)
        )


def test_certificates_of_an_older_version_are_not_new() -> None:
    digest = {"annotations": {"image-builds/certificates-digest": "0" * 16}}
    before, after = (
        item("Secret", name="gitlab-runner-main-gitlab-certificates", metadata=metadata)
        for metadata in ({}, digest)
    )

    assert _raised(changes_of(before, after)) == []
    assert "connections trust the certificates in what is not listed" in _raised(
        changes_of(after, before)
    )


@pytest.mark.parametrize(
    ("kind", "old", "new", "text"),
    [
        (
            "pulumi:providers:kubernetes",
            {"context": "ours"},
            {"context": "theirs"},
            "the stack is deployed to the cluster of context theirs",
        ),
        (
            "pulumi:providers:gitlab",
            {"version": "9.6.0"},
            {"version": "9.6.0", "baseUrl": f"https://{EVIL}/api/v4"},
            f"runners register at https://{EVIL}/api/v4, and take their jobs from there",
        ),
    ],
)
def test_another_server_of_a_provider_is_reported(
    kind: str, old: dict[str, Any], new: dict[str, Any], text: str
) -> None:
    assert _raised(changes_of(old, new, kind)) == [text]


def test_the_address_that_a_manager_has_is_one_of_gitlab() -> None:
    before, after = (
        item(
            "Deployment",
            spec={
                "template": {
                    "spec": {
                        "containers": [
                            {"name": "c", "env": [{"name": "CI_SERVER_URL", "value": url}]}
                        ]
                    }
                }
            },
        )
        for url in ("https://gitlab.example.com", f"https://{EVIL}")
    )

    assert _raised(changes_of(before, after)) == [
        f"runners register at https://{EVIL}, and take their jobs from there"
    ]


def test_the_flags_of_a_service_count_like_those_of_a_job() -> None:
    before, after = (
        runner(services=[{"name": "docker:29", "alias": "docker", "command": command}])
        for command in ([], [f"--registry-mirror=https://{EVIL}"])
    )

    assert _raised(changes_of(before, after, RELEASE)) == [
        f"builds pull the images of other registries from {EVIL}"
    ]


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ("--cache=true --cache-repo=a.example/b", {("layerCache", "a.example/b")}),
        ("--insecure --verbosity=debug", {("plainHttp", "any registry (--insecure)")}),
        ("--insecure=false --skip-tls-verify=false", set[tuple[str, str]]()),
        (
            "--addr=a --allow-insecure-entitlement=security.insecure",
            {("entitlement", "security.insecure")},
        ),
        ("--tls-verify=false", {("plainHttp", "any registry (--tls-verify)")}),
        ("--tls-verify=true --context /x", set[tuple[str, str]]()),
        ("--registry-mirror a.example", {("mirror", "a.example")}),
        ("--registry-mirror --insecure-registry=b", {("plainHttp", "registry b")}),
        (
            "--registry-mirror=http://a.example/",
            {("mirror", "a.example"), ("plainHttp", "registry a.example")},
        ),
    ],
)
def test_flags_say_which_registries_are_asked(flags: str, found: set[tuple[str, str]]) -> None:
    assert set(of_flags(flags)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("no settings", set[tuple[str, str]]()),
        ("[]", set[tuple[str, str]]()),
        (
            '[registry."docker.io"]\nmirrors = ["m"]\n[registry.r]\ninsecure = true\n',
            {("mirror", "m"), ("plainHttp", "registry r")},
        ),
        (
            '[[registry]]\nprefix = "docker.io"\nlocation = "m"\ninsecure = true\n'
            '[[registry.mirror]]\nlocation = "n"\ninsecure = true\n',
            {
                ("mirror", "m"),
                ("mirror", "n"),
                ("plainHttp", "registry m"),
                ("plainHttp", "registry n"),
            },
        ),
        ('insecure-entitlements = ["network.host"]\n', {("entitlement", "network.host")}),
        ('[[registry]]\nlocation = "r"\n', set[tuple[str, str]]()),
        (
            '[host."https://m"]\nskip_verify = true\n[host."http://n"]\n',
            {
                ("mirror", "m"),
                ("plainHttp", "registry m"),
                ("mirror", "n"),
                ("plainHttp", "registry n"),
            },
        ),
        (
            '{"registry-mirrors": ["https://m"], "insecure-registries": ["r"]}',
            {("mirror", "m"), ("plainHttp", "registry r")},
        ),
    ],
)
def test_files_say_which_registries_are_asked(text: str, found: set[tuple[str, str]]) -> None:
    assert set(of_file(text)) == found
