"""Keys of config.toml that a stack file takes as they are, and those that it does not."""

import tomllib
from typing import Any

import pytest

from tests.executor.rendered import config_toml
from tests.support.configured import SECRETS, SETTINGS, configure, replace_values
from tests.support.rejections import assert_rejected, assert_says, reject

EXTRA = "runners.main.extra"
GOOD: dict[str, Any] = {
    "post_build_script": "echo done",
    "feature_flags": {"FF_TIMESTAMPS": True},
    "cleanup_grace": None,
    "kubernetes": {
        "poll_interval": 5,
        "cleanup_resources_timeout": "5m",
        "retry_limits": {"TLS handshake timeout": 5},
        "volumes": {"csi": [{"name": "a", "mount_path": "/a", "driver": "csi.example.com"}]},
        "container_lifecycle": {"pre_stop": {"exec": {"command": ["true"]}}},
    },
}


def _settings(extra: object, **changes: object) -> dict[str, Any]:
    return replace_values(SETTINGS, {EXTRA: extra, **changes})


def test_extra_keys_stand_beside_those_of_the_stack() -> None:
    extra = {key: value for key, value in GOOD.items() if value is not None}
    changes = {EXTRA: extra, "runners.main.volumes": [{"path": "/b", "secret": "b"}]}

    (entry,) = tomllib.loads(config_toml("kaniko", changes))["runners"]

    assert entry["post_build_script"] == "echo done"
    assert entry["feature_flags"]["FF_TIMESTAMPS"] is True
    assert entry["feature_flags"]["FF_USE_POD_ACTIVE_DEADLINE_SECONDS"] is True
    jobs = entry["kubernetes"]
    assert (jobs["poll_interval"], jobs["poll_timeout"]) == (5, 600)
    assert jobs["retry_limits"] == {"TLS handshake timeout": 5}
    assert set(jobs["volumes"]) == {"csi", "secret"}


@pytest.mark.parametrize(
    ("extra", "key", "advice"),
    [
        ({"kubernetes": {"privileged": True}}, "kubernetes.privileged", "what confines jobs"),
        (
            {"kubernetes": {"build_container_security_context": {"run_as_user": 0}}},
            "kubernetes.build_container_security_context.run_as_user",
            "what confines jobs",
        ),
        (
            {"kubernetes": {"volumes": {"host_path": [{"name": "a"}]}}},
            "kubernetes.volumes.host_path.name",
            "use volumes with claim, or cache",
        ),
        (
            {"kubernetes": {"service_account_overwrite_allowed": ".*"}},
            "kubernetes.service_account_overwrite_allowed",
            "as another account or in another namespace",
        ),
        ({"kubernetes": {"namespace_per_job": True}}, "kubernetes.namespace_per_job", "account"),
        (
            {"kubernetes": {"suspend_pvc_size": "1Gi"}},
            "kubernetes.suspend_pvc_size",
            "needs permissions in the cluster",
        ),
        ({"kubernetes": {"host": "https://x"}}, "kubernetes.host", "in another cluster"),
        ({"token": "x"}, "token", "in another cluster or as another manager"),
        ({"cache": {"s3": {"SecretKey": "x"}}}, "cache.s3.SecretKey", "use cache.credentials"),
        (
            {"feature_flags": {"FF_USE_POD_ACTIVE_DEADLINE_SECONDS": False}},
            "feature_flags.FF_USE_POD_ACTIVE_DEADLINE_SECONDS",
            "is set by the stack for its own needs; remove it",
        ),
        ({"kubernetes": {"pod_spec": [{"patch": "{}"}]}}, "kubernetes.pod_spec.patch", "all of"),
        ({"kubernetes": {"poll_timeout": 5}}, "kubernetes.poll_timeout", "use podStartTimeout"),
        (
            {"kubernetes": {"node_selector": {"a.b": "c"}}},
            "kubernetes.node_selector.a.b",
            "use nodeSelector",
        ),
        ({"output_limit": 5}, "output_limit", "use logLimit"),
        ({"kubernetes": {"memory_limit": "5"}}, "kubernetes.memory_limit", "use resources"),
        ({"kubernetes": {"pol_interval": 5}}, "kubernetes.pol_interval", "did you mean kubernetes"),
        ({"zzz": 5}, "zzz", "is not a key of runner 19.5.1 for jobs in Kubernetes, which would"),
        ({"docker": {"image": "a"}}, "docker.image", "remove it"),
        ({"kubernetes": {}}, "kubernetes", "is not a key of runner"),
        ({"kubernetes": {"poll_interval": "5"}}, "kubernetes.poll_interval", "the type integer"),
        ({"kubernetes": {"poll_interval": True}}, "kubernetes.poll_interval", "the type integer"),
        ({"debug_trace_disabled": 1}, "debug_trace_disabled", "the type boolean"),
        ({"shell": 1}, "shell", "the type string"),
        ({"prepare_timeout": "long"}, "prepare_timeout", "the type duration"),
        ({"kubernetes": {"allowed_users": "1000"}}, "kubernetes.allowed_users", "type strings"),
    ],
)
def test_an_extra_key_that_undoes_or_does_nothing_is_rejected(
    extra: dict[str, Any], key: str, advice: str
) -> None:
    assert_rejected(_settings(extra), f"{EXTRA}.{key}", advice)


def test_an_extra_key_must_be_known_to_the_runner_of_the_chart() -> None:
    extra = {"get_sources_timeout": "5m"}

    assert_rejected(
        _settings(extra, **{"chart.version": "0.88.4"}),
        f"{EXTRA}.get_sources_timeout",
        "is not known to runner 18.11.4, which chart.version deploys, but to 19.1.0 and later",
    )
    assert "get_sources_timeout" in config_toml("kaniko", {EXTRA: extra})


def test_of_a_newer_chart_the_newest_known_runner_counts() -> None:
    newer = {"chart.version": "0.99.0"}

    assert_rejected(_settings({"zzz": 1}, **newer), f"{EXTRA}.zzz", "is not a key of runner 19.5.0")


def test_services_join_no_engine() -> None:
    """They would be privileged, as it is."""
    extra = {"kubernetes": {"services": [{"name": "postgres:18", "alias": "db"}]}}
    engine = {"runners.main.strategy": {"kind": "dind", "acceptPrivileged": True}}
    configure(_settings(extra, **engine), SECRETS)

    lines = reject()

    assert_says(lines[:2], f"{EXTRA}.kubernetes.services.name", "would add to the services of dind")
    assert "postgres" in config_toml("kaniko", {EXTRA: extra})


def test_a_script_before_the_build_follows_the_stacks_own() -> None:
    """Shell of the site can use what the stack prepares."""
    scripts = [
        tomllib.loads(config_toml("kaniko", changes))["runners"][0]["pre_build_script"]
        for changes in ({}, {EXTRA: {"pre_build_script": "make login"}})
    ]

    assert scripts[1] == f"{scripts[0]}make login"
