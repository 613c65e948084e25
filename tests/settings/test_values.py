"""Values of the stack file, where each stands: its grammar is tested with the domain types."""

import pytest

from tests.support.configured import CERTIFICATE, SETTINGS, replace_values
from tests.support.rejections import assert_rejected, change

MAIN = "runners.main"
STRATEGY = f"{MAIN}.strategy"


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("namespace: Builds", "namespace", "must be a DNS label"),
        ("namespace: a.b", "namespace", "must be a DNS label"),
        ("runners: {My_Runner: {tags: [x]}}", "runners.My_Runner", "must be a DNS label"),
        ("runners.main.jobNamespace: -x", f"{MAIN}.jobNamespace", "must be a DNS label"),
        ("targetNamespaces: {Apps: {}}", "targetNamespaces.Apps", "must be a DNS label"),
        ("runners.main.runtimeClassName: gVisor", f"{MAIN}.runtimeClassName", "a DNS name"),
        ("runners.main.priorityClassName: -high", f"{MAIN}.priorityClassName", "a DNS name"),
        ("cluster.nodes.selector: {a b: x}", "cluster.nodes.selector.a b", "label key"),
        ("cluster.nodes.selector: {../a: x}", "cluster.nodes.selector.../a", "label key"),
        ("cluster.nodes.selector: {a: aéb}", "cluster.nodes.selector.a", "label value"),
        ("runners.main.nodeSelector: {pool: a b}", f"{MAIN}.nodeSelector.pool", "label value"),
        ("runners.main.tolerations: [{key: a/b/c}]", f"{MAIN}.tolerations[0].key", "label key"),
    ],
)
def test_a_name_fits_kubernetes(text: str, key: str, advice: str) -> None:
    assert_rejected(change(text), key, advice)


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("{kind: kaniko, image: 'a/b:latest'}", "image", "must be pinned"),
        ("{kind: kaniko, image: 'host:5000/a/b'}", "image", "add a tag or digest"),
        ("{kind: kaniko, image: 'ghcr.io//x..y:v1'}", "image", "must be an image reference"),
        ("{kind: kaniko, image: 'a/b@sha256:12'}", "image", "<64 hex digits>"),
        ("{kind: kaniko, cacheRepository: 'a/b:v1'}", "cacheRepository", "remove tag and digest"),
        ("{kind: buildkit-service, cacheSize: 20GB}", "cacheSize", "a Kubernetes quantity"),
    ],
)
def test_an_option_of_a_strategy_is_checked(text: str, key: str, advice: str) -> None:
    assert_rejected(change(f"{STRATEGY}: {text}"), f"{STRATEGY}.{key}", advice)


NO_WHITESPACE = "no whitespace, line break or quote"


@pytest.mark.parametrize("key", ["gitlab.url", "chart.repository"])
@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("gitlab.example.com", "write it like https://"),
        ("charts", "must be a URL"),
        ("https://example.com/a b", NO_WHITESPACE),
        ("https://example.com/a\nb", NO_WHITESPACE),
        ("https://example.com\n", NO_WHITESPACE),
        ('https://example.com/"', NO_WHITESPACE),
        ("https://example.com/'", NO_WHITESPACE),
        ("https://example.com/`a`", NO_WHITESPACE),
        ("https://x.example/$(id)", NO_WHITESPACE),
        ("https://a:b@example.com", "must not contain credentials"),
        ("https://example.com?x=1", "must end after the path"),
    ],
)
def test_a_url_is_checked(key: str, url: str, advice: str) -> None:
    assert_rejected(replace_values(SETTINGS, {key: url}), key, advice)


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("chart.version: ^0.86", "chart.version", "must be an exact version"),
        ("chart.version: 0.8٦.0", "chart.version", "write it like 0.94.1"),
        ("chart.version: 0.85.0", "chart.version", "must be 0.86.0 or later"),
        ("chart.digest: sha256:00", "chart.digest", "must be a SHA-256: 64 digits"),
        (f"chart.digest: '{'A' * 64}'", "chart.digest", "must be a SHA-256: 64 digits"),
        ("registries.0.host: 'https://r.example.com'", "registries[0].host", "without scheme"),
        ("registries.0.host: r.example.com/Team", "registries[0].host", "as names of images do"),
        ("registries.0.host: r.example.com/", "registries[0].host", "as names of images do"),
        ("registries.0.host: R.example.com/team", "registries[0].host", "lowercase host name"),
        ("registries.0.host: docker.io/team", "registries[0].host", "must be docker.io alone"),
        ("registries.0.host: r.example.com/team", "registries[0]", "move them to an entry without"),
        ("registryMirrors: [r.example.com/team]", "registryMirrors[0]", "without scheme and path"),
        ("registries.0.host: R.example.com", "registries[0].host", "lowercase host name"),
        ("registries.0.host: 'r.example.com:70000'", "registries[0].host", "with :port"),
        ("registryMirrors: ['https://mirror']", "registryMirrors[0]", "without scheme"),
    ],
)
def test_an_address_is_checked(text: str, key: str, advice: str) -> None:
    assert_rejected(change(text), key, advice)


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("tags: ['a,b']", "tags[0]", "1 to 255 characters without a comma"),
        ("tags: [' ']", "tags[0]", "must be a GitLab tag"),
        ("tags: ['{{x}}']", "tags[0]", "which the chart would run as a template; remove it"),
        ("environment: {A: '{{ .Values }}'}", "environment.A", "must not contain '{{'"),
        ("environment: {DOCKER_OPTS: -x}", "environment.DOCKER_OPTS", "registries[].insecure"),
        ("environment: {CI_JOB_TOKEN: x}", "environment.CI_JOB_TOKEN", "contains credentials"),
        ("environment: {1A: x}", "environment.1A", "not starting with a digit"),
        ("resources: {limits: {memory: 1GB}}", "resources.limits.memory", "500m, 2, 1Gi"),
        ("resources: {limits: {cpu: 0}}", "resources.limits.cpu", "must be above zero"),
        ("resources: {limits: {cpu: '-1'}}", "resources.limits.cpu", "a Kubernetes quantity"),
        ("resources: {requests: {cpu: 2}, limits: {cpu: 1}}", "resources", "lower the request"),
        (
            "resources: {service: {requests: {cpu: 2}, limits: {cpu: 1}}}",
            "resources.service",
            "must not request more cpu (2) than it limits (1)",
        ),
        (
            "resources: {maximum: {memory: 1Gi}, limits: {memory: 2Gi}}",
            "resources",
            "must have a maximum of memory (1Gi) that is not below its limits (2Gi)",
        ),
        (
            "resources: {helper: {maximum: {cpu: 1}, requests: {cpu: 2}}}",
            "resources.helper",
            "must have a maximum of cpu (1) that is not below its requests (2)",
        ),
        ("allowedPullPolicies: []", "allowedPullPolicies", "add at least one entry"),
        (
            "allowedPullPolicies: [sometimes]",
            "allowedPullPolicies[0]",
            "'always', 'if-not-present' or 'never'",
        ),
        (
            "tolerations: [{key: a, effect: NoSchedule}, {key: a, effect: NoExecute}]",
            "tolerations",
            "must name the taint a once",
        ),
        (
            "registration: {kind: userRunner, runnerType: project_type}",
            "registration",
            "must have projectId with runnerType project_type; add it",
        ),
        (
            "registration: {kind: userRunner, runnerType: instance_type, groupId: 1}",
            "registration",
            "must not have groupId with runnerType instance_type; remove it",
        ),
    ],
)
def test_a_value_of_a_runner_is_checked(text: str, key: str, advice: str) -> None:
    assert_rejected(change(f"{MAIN}.{text}"), f"{MAIN}.{key}", advice)


# In two parts, since tools that look for keys take the whole for one.
_KEY = "-----BEGIN " + "PRIVATE KEY-----\nAAAA\n-----END " + "PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("path", "text", "key", "advice"),
    [
        ("gitlab.caCertificates", "nonsense", "gitlab.caCertificates", "paste the CA"),
        ("gitlab.caCertificates", CERTIFICATE + _KEY, "gitlab.caCertificates", "a private key"),
        (
            "registries",
            [{"host": "r", "caCertificates": CERTIFICATE[:99]}],
            "registries[0].caCertificates",
            "must be certificates in PEM",
        ),
        (
            "registries",
            [{"host": "r", "insecure": True, "caCertificates": CERTIFICATE}],
            "registries[0]",
            "remove 'insecure' to use TLS",
        ),
        (
            "gitlab",
            {"url": "https://[2001:db8::1]", "caCertificates": CERTIFICATE},
            "gitlab.caCertificates",
            "use a DNS name in gitlab.url",
        ),
    ],
)
def test_certificates_are_checked(path: str, text: object, key: str, advice: str) -> None:
    assert_rejected(replace_values(SETTINGS, {path: text}), key, advice)
