import base64
import datetime as dt
import re
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from components.arguments import environment_args
from components.resources.environment import Environment
from components.settings.load import load
from components.settings.models import Settings
from report.inputs.recorder import plain
from tests.support.configured import SECRETS, SETTINGS, configure, replace_values
from tests.support.harness import YEAR, RegisteredResource, deploy, is_secret, unmarked

CORE = "kubernetes:core/v1"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = {"runners.main.strategy": "buildkit-service"}
OTHER = {"tags": ["other"], "strategy": "buildkit-service"}
SHARED = {"kind": "buildkit-service", "daemonOf": "main", "acceptSharedBuilds": True}


def _deploy(changes: dict[str, Any] | None = None) -> list[RegisteredResource]:
    tokens = {name: f"glrt-a-token-of-{name}" for name in ("main", "second", "third")}
    configured = replace_values(SETTINGS, {**SERVICE, **(changes or {})})
    used = {name: tokens[name] for name in configured["runners"]}
    configure(configured, {**SECRETS, "runnerTokens": used})
    stack = load()
    return deploy(lambda: Environment("test", environment_args(stack, YEAR)))


def _one(registered: list[RegisteredResource], kind: str, name: str) -> dict[str, Any]:
    (found,) = [item for item in registered if (item.type, item.name) == (kind, name)]
    return found.inputs


def _this_year() -> str:
    return f"main-buildkitd-{YEAR}"


def _pod(registered: list[RegisteredResource]) -> dict[str, Any]:
    return _one(registered, DEPLOYMENT, "main-buildkitd")["spec"]["template"]["spec"]


def _certificate(secret: dict[str, Any], key: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(base64.b64decode(plain(secret["data"])[key]))


def test_managers_and_daemons_know_the_names_of_hosts() -> None:
    registered = _deploy({"hostAliases": {"192.0.2.7": ["gitlab.example.com"]}})

    aliases = [{"ip": "192.0.2.7", "hostnames": ["gitlab.example.com"]}]
    release = _one(registered, "kubernetes:helm.sh/v3:Release", "main")
    assert release["values"]["hostAliases"] == aliases
    assert _pod(registered)["hostAliases"] == aliases
    assert "hostAliases" not in _pod(_deploy())


def test_only_the_daemons_namespace_admits_what_it_needs() -> None:
    registered = _deploy()

    levels = {
        item.name: item.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        for item in registered
        if item.type == f"{CORE}:Namespace"
    }
    assert levels == {
        "managers": "restricted",
        "target-apps": "baseline",
        "main-buildkitd": "privileged",
        "main-jobs": "restricted",
    }


def test_with_profiles_of_the_nodes_own_baseline_is_enough() -> None:
    profiles = {"seccomp": "b.json", "appArmor": "b"}
    strategy = {"kind": "buildkit-service", "nodeProfiles": profiles}

    registered = _deploy({"runners.main.strategy": strategy})

    labels = _one(registered, f"{CORE}:Namespace", "main-buildkitd")["metadata"]["labels"]
    context = _pod(registered)["containers"][0]["securityContext"]
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    assert context["seccompProfile"] == {"type": "Localhost", "localhostProfile": "b.json"}
    assert context["appArmorProfile"] == {"type": "Localhost", "localhostProfile": "b"}


def test_the_daemon_is_not_privileged_and_has_no_token() -> None:
    pod = _pod(_deploy())

    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "privileged": False,
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "seccompProfile": {"type": "Unconfined"},
        "appArmorProfile": {"type": "Unconfined"},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_builds_that_run_may_end_when_the_daemon_is_replaced() -> None:
    registered = _deploy()

    assert _pod(registered)["terminationGracePeriodSeconds"] == 3600
    assert _one(registered, DEPLOYMENT, "main-buildkitd")["spec"]["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }


def test_the_daemon_listens_with_tls_only() -> None:
    (container,) = _pod(_deploy())["containers"]

    addresses = [flag for flag in container["args"] if flag.startswith("--addr=")]
    assert addresses == [
        "--addr=unix:///run/user/1000/buildkit/buildkitd.sock",
        "--addr=tcp://0.0.0.0:1234",
    ]
    assert "--tlscacert=/etc/image-builds/buildkitd/ca.pem" in container["args"]


def test_the_daemon_sees_neither_the_cas_key_nor_the_clients() -> None:
    volumes = {volume["name"]: volume for volume in _pod(_deploy())["volumes"]}

    assert volumes["certificates"]["secret"] == {
        "secretName": f"buildkitd-{YEAR}",
        "items": [
            {"key": "ca.pem", "path": "ca.pem"},
            {"key": "server-cert.pem", "path": "cert.pem"},
            {"key": "server-key.pem", "path": "key.pem"},
        ],
    }


def test_the_cache_is_bounded_by_collection_and_by_its_volume() -> None:
    strategy = {"kind": "buildkit-service", "cacheSize": "1Gi"}
    registered = _deploy({"runners.main.strategy": strategy})

    volumes = {volume["name"]: volume for volume in _pod(registered)["volumes"]}
    settings = _one(registered, f"{CORE}:ConfigMap", "main-buildkitd")["data"]["buildkitd.toml"]
    assert volumes["state"]["emptyDir"] == {"sizeLimit": str(2 * 1024**3)}
    assert f"maxUsedSpace = {1024**3}" in settings


def test_registries_are_set_in_the_daemon_and_not_in_jobs() -> None:
    registered = _deploy()

    settings = _one(registered, f"{CORE}:ConfigMap", "main-buildkitd")["data"]["buildkitd.toml"]
    assert '[registry."registry.example.com:5000"]\nhttp = true' in settings
    assert [item for item in registered if item.name == "main-files"] == []


def test_changed_files_restart_the_daemon() -> None:
    def annotations(changes: dict[str, Any]) -> dict[str, str]:
        deployment = _one(_deploy(changes), DEPLOYMENT, "main-buildkitd")
        return deployment["spec"]["template"]["metadata"]["annotations"]

    assert annotations({}) == annotations({})
    assert annotations({}) != annotations({"registryMirrors": ["mirror.example.com"]})


def test_resources_are_spelled_as_kubernetes_does() -> None:
    resources = {"requests": {"cpu": "1", "ephemeralStorage": "1Gi"}, "limits": {"memory": "4Gi"}}
    strategy = {"kind": "buildkit-service", "resources": resources}

    (container,) = _pod(_deploy({"runners.main.strategy": strategy}))["containers"]

    assert container["resources"] == {
        "requests": {"cpu": "1", "ephemeral-storage": "1Gi"},
        "limits": {"memory": "4Gi"},
    }


def _admitted(registered: list[RegisteredResource], name: str) -> list[str]:
    """Return the namespaces that a daemon's policy lets in."""
    policy = _one(registered, "kubernetes:networking.k8s.io/v1:NetworkPolicy", f"{name}-ingress")[
        "spec"
    ]
    (rule,) = policy["ingress"]
    (source,) = rule["from"]
    (expression,) = source["namespaceSelector"]["matchExpressions"]
    assert policy["policyTypes"] == ["Ingress"]
    assert rule["ports"] == [{"port": 1234, "protocol": "TCP"}]
    assert (expression["key"], expression["operator"]) == ("kubernetes.io/metadata.name", "In")
    return expression["values"]


def _address(registered: list[RegisteredResource], runner: str) -> str:
    """Return the address of the daemon that a runner's jobs have."""
    release = _one(registered, "kubernetes:helm.sh/v3:Release", runner)
    (address,) = re.findall(r"BUILDKIT_HOST=tcp://([^\"]+)", release["values"]["runners"]["config"])
    return address


def test_each_runner_has_its_own_daemon_that_no_other_reaches() -> None:
    registered = _deploy({"runners.second": OTHER, "runners.third": {**OTHER, "tags": ["t"]}})

    own = {name: f"builds-{name}" for name in ("main", "second", "third")}
    assert {name: _admitted(registered, f"{name}-buildkitd") for name in own} == {
        name: [namespace] for name, namespace in own.items()
    }
    assert {name: _address(registered, name) for name in own} == {
        name: f"buildkitd.{namespace}-buildkitd.svc:1234" for name, namespace in own.items()
    }


def test_no_ca_vouches_for_the_jobs_of_another_runner() -> None:
    registered = _deploy({"runners.second": OTHER})
    ca = _certificate(_one(registered, f"{CORE}:Secret", "main-buildkitd-ca"), "ca.pem")
    stranger = _certificate(_one(registered, f"{CORE}:Secret", "second-daemon"), "cert.pem")

    with pytest.raises(InvalidSignature):
        stranger.verify_directly_issued_by(ca)


def test_runners_share_a_daemon_where_the_stack_file_says_so() -> None:
    registered = _deploy({"runners.second": {**OTHER, "strategy": SHARED}})

    deployments = [item.name for item in registered if item.type == DEPLOYMENT]
    assert deployments == ["main-buildkitd"]
    assert _admitted(registered, "main-buildkitd") == ["builds-main", "builds-second"]
    assert _address(registered, "second") == _address(registered, "main")
    secrets = [_one(registered, f"{CORE}:Secret", f"{name}-daemon") for name in ("main", "second")]
    assert plain(secrets[0]["data"]) == plain(secrets[1]["data"])


def test_the_options_of_a_shared_daemon_are_those_of_its_runner() -> None:
    strategy = {"kind": "buildkit-service", "cacheSize": "1Gi"}
    changes = {"runners.main.strategy": strategy, "runners.second": {**OTHER, "strategy": SHARED}}
    plans = Settings.model_validate(replace_values(SETTINGS, {**SERVICE, **changes})).plans()

    assert plans["second"].daemon == plans["main"].daemon


def test_jobs_and_daemon_have_certificates_of_one_ca() -> None:
    """The daemon's names its Service."""
    registered = _deploy()
    ca = _certificate(_one(registered, f"{CORE}:Secret", "main-buildkitd-ca"), "ca.pem")
    both = _one(registered, f"{CORE}:Secret", _this_year())
    client = _certificate(_one(registered, f"{CORE}:Secret", "main-daemon"), "cert.pem")
    server = _certificate(both, "server-cert.pem")

    server.verify_directly_issued_by(ca)
    client.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "buildkitd.builds-main-buildkitd.svc",
        "buildkitd.builds-main-buildkitd.svc.cluster.local",
    ]


def test_certificates_outlive_the_run_of_the_next_year_by_far() -> None:
    registered = _deploy()

    both = _one(registered, f"{CORE}:Secret", _this_year())
    left = _certificate(both, "server-cert.pem").not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert left > dt.timedelta(days=2 * 366)


def test_keys_are_secret_everywhere() -> None:
    registered = _deploy()
    keys = [
        plain(_one(registered, f"{CORE}:Secret", name)["data"])
        for name in ("main-buildkitd-ca", _this_year(), "main-daemon")
    ]

    text = "\n".join(unmarked(item.inputs) + unmarked(item.outputs) for item in registered)
    private = [value for data in keys for key, value in data.items() if "key" in key]
    assert len(private) == 4
    assert [key for key in private if key in text] == []
    assert is_secret(_one(registered, f"{CORE}:Secret", "main-daemon")["data"])


def test_the_manager_waits_for_the_daemon() -> None:
    registered = _deploy()

    (release,) = [item for item in registered if item.type == "kubernetes:helm.sh/v3:Release"]
    (secret,) = [item for item in registered if item.name == "main-daemon"]
    assert secret.urn in release.dependencies
    assert any(urn.endswith("Deployment::main-buildkitd") for urn in secret.dependencies)


def test_without_a_runner_that_uses_it_there_is_none() -> None:
    registered = _deploy({"runners.main.strategy": "kaniko"})

    assert [item for item in registered if "buildkitd" in item.name] == []
