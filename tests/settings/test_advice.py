"""Warnings at every deployment: what a stack file allows and its owner should know."""

from typing import Any

import pytest

from components.settings.advice import advice
from components.settings.models import Settings
from tests.support.configured import SETTINGS, STRATEGIES, replace_values
from tests.support.rejections import change

TLS = {"registries.0.insecure": False}


def _advice(settings: dict[str, Any]) -> list[str]:
    model = Settings.model_validate(settings)
    return list(advice(model, model.plans()))


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("gitlab.url: 'http://gitlab.example.com'", "gitlab.url: is plain HTTP"),
        ("chart.repository: 'http://charts.example.com'", "chart.repository: is plain HTTP"),
        (
            "runners.main.cache: {kind: s3, bucket: a, endpoint: 'http://minio.example.com'}",
            "runners.main.cache.endpoint: is plain HTTP",
        ),
        ("registries.0.insecure: true", "registries[0]: is plain HTTP, so the logins of registry"),
    ],
)
def test_plain_http_is_a_warning(text: str, warning: str) -> None:
    assert _advice(replace_values(SETTINGS, TLS)) == []

    lines = _advice(replace_values(change(text), {} if "insecure" in text else TLS))

    assert [line for line in lines if line.startswith(warning)] == lines[:1]


def test_a_registry_without_a_login_may_speak_plain_http() -> None:
    registries = [{"host": "cache.example.com", "insecure": True}]

    assert _advice(replace_values(SETTINGS, {"registries": registries})) == []


ROOT_USER = "where a job may ask for the user"
SCRIPT = "the log of a canceled job can contain its script"


@pytest.mark.parametrize(
    ("version", "runner", "missing"),
    [
        ("0.86.0", "18.9.0", [ROOT_USER, SCRIPT]),
        ("0.88.0", "18.11.0", [ROOT_USER, SCRIPT]),
        ("0.88.3", "18.11.3", [SCRIPT]),
        ("0.89.1", "19.0.1", [SCRIPT]),
    ],
)
def test_a_chart_without_fixes_is_a_warning(version: str, runner: str, missing: list[str]) -> None:
    (line,) = _advice(replace_values(SETTINGS, {**TLS, "chart": {"version": version}}))

    assert line.startswith(f"chart.version: {version} deploys runner {runner}, where ")
    assert [text for text in (ROOT_USER, SCRIPT) if text in line] == missing
    assert line.endswith("; use 0.94.1")


@pytest.mark.parametrize("version", ["0.88.4", "0.89.2", "0.90.0", "0.94.1", "0.99.0"])
def test_a_chart_with_the_fixes_needs_no_warning(version: str) -> None:
    assert _advice(replace_values(SETTINGS, {**TLS, "chart": {"version": version}})) == []


def test_the_chart_of_a_mirror_should_have_a_digest() -> None:
    mirror = {"repository": "https://mirror.example.com/charts"}
    held = {**mirror, "digest": "0" * 64}

    (line,) = _advice(replace_values(SETTINGS, {**TLS, "chart": mirror}))

    assert line.startswith("chart.digest: is not set, so the owner of https://mirror.example.com")
    assert _advice(replace_values(SETTINGS, {**TLS, "chart": held})) == []


ROOT = {"dood", "dind", "dind-tls", "dind-rootless", "buildx"} | {
    "buildkit-privileged",
    "buildah-privileged",
}
ROLE = "node-role.kubernetes.io/control-plane"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_root_on_nodes_of_the_control_plane_is_a_warning(strategy: str) -> None:
    places = {
        "tolerations": [{"key": ROLE}],
        "nodeSelector": {"node-role.kubernetes.io/master": ""},
        "nodeAffinity": {"prefer": [{"key": ROLE, "operator": "Exists"}]},
    }
    runner = {"runners.main.strategy": STRATEGIES[strategy], **TLS}
    warned = {
        key: _advice(replace_values(SETTINGS, {**runner, f"runners.main.{key}": value}))
        for key, value in places.items()
    }

    for key, lines in warned.items():
        wanted = f"runners.main: {key} puts jobs on nodes of the control plane"
        assert [line for line in lines if line.startswith(wanted)] == lines
        assert len(lines) == (strategy in ROOT)


def test_jobs_stay_off_the_control_plane_without_a_warning() -> None:
    away = {"require": [{"key": ROLE, "operator": "DoesNotExist"}]}
    runner = {"runners.main.strategy": STRATEGIES["dood"], "runners.main.nodeAffinity": away}

    assert _advice(replace_values(SETTINGS, {**runner, **TLS})) == []


def test_other_name_servers_may_not_know_the_daemon_of_jobs() -> None:
    dns = {"runners.main.dns": {"servers": ["192.0.2.53"]}, **TLS}
    shared = {"runners.main.strategy": "buildkit-service"}
    wanted = (
        "runners.main: dns.servers replace the DNS of the cluster, by which jobs find buildkitd"
    )

    (line,) = _advice(replace_values(SETTINGS, {**dns, **shared}))

    assert line.startswith(wanted)
    assert _advice(replace_values(SETTINGS, dns)) == []
