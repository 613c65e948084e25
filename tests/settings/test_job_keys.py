"""Keys of a runner about the pods of its jobs that cannot or must not be as they are."""

from typing import Any

import pytest

from components.settings.load import load
from tests.support.configured import SECRETS, configure
from tests.support.rejections import assert_rejected, change

MAIN = "runners.main"
VOLUMES = f"{MAIN}.volumes"


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("podStartTimeout: 0", "podStartTimeout", "must be 1 or more; raise it"),
        ("logLimit: 0", "logLimit", "must be above zero"),
        ("spread: rack", "spread", "must be 'node' or 'zone'"),
        ("dns: {}", "dns", "must have servers, searches or options"),
        ("dns: {servers: [dns.example.com]}", "dns.servers[0]", "must be an IPv4 or IPv6 address"),
        (
            "dns: {servers: [192.0.2.1, 192.0.2.2, 192.0.2.3, 192.0.2.4]}",
            "dns.servers",
            "must have at most 3 entries; remove some",
        ),
        ("cache: {kind: local}", "cache", "must be a known kind; write one of 's3'"),
        ("cache: {kind: s3}", "cache.bucket", "is required; add it"),
        ("cache: {kind: s3, bucket: a, path: /a}", "cache.path", "must be a folder in the bucket"),
        (
            "cache: {kind: s3, bucket: a, endpoint: 'https://s3.example.com/a'}",
            "cache.endpoint",
            "must end after the host",
        ),
        ("cache: {kind: s3, bucket: a, encryption: KMS}", "cache", "must have encryptionKey with"),
        ("nodeAffinity: {}", "nodeAffinity", "must have require or prefer"),
        (
            "nodeAffinity: {require: [{key: a, operator: In}]}",
            "nodeAffinity.require[0]",
            "must have values with the operator In; add them",
        ),
        (
            "nodeAffinity: {require: [{key: a, operator: Exists, values: [b]}]}",
            "nodeAffinity.require[0]",
            "must not have values with the operator Exists; remove them",
        ),
        (
            "nodeAffinity: {require: [{key: a, operator: Gt, values: [many]}]}",
            "nodeAffinity.require[0]",
            "must have one value, a whole number, with the operator Gt",
        ),
        (
            "nodeAffinity: {prefer: [{key: a, operator: Exists, weight: 101}]}",
            "nodeAffinity.prefer[0].weight",
            "must be 100 or less; lower it",
        ),
    ],
)
def test_what_a_pod_could_not_have_is_rejected(text: str, key: str, advice: str) -> None:
    name, _, value = text.partition(": ")

    assert_rejected(change(f"{MAIN}.{name}: {value}"), f"{MAIN}.{key}", advice)


@pytest.mark.parametrize(
    ("key", "value", "advice"),
    [
        ("job.runner.gitlab.com/pod", "x", "is set by GitLab Runner or by the stack"),
        ("pod", "x", "is set by GitLab Runner or by the stack"),
        ("azure.workload.identity/use", "true", "use identity.jobs"),
        ("sidecar.istio.io/inject", "true", "can put another container into the pods"),
        ("istio.io/rev", "stable", "can put another container into the pods"),
    ],
)
def test_a_label_that_changes_security_is_rejected(key: str, value: str, advice: str) -> None:
    assert_rejected(change(f"{MAIN}.labels: {{{key}: '{value}'}}"), f"{MAIN}.labels", advice)


@pytest.mark.parametrize(
    ("key", "value", "advice"),
    [
        (
            "container.apparmor.security.beta.kubernetes.io/build",
            "unconfined",
            "changes what confines the pod",
        ),
        ("io.kubernetes.cri-o.userns-mode", "auto", "changes what confines the pod"),
        ("k8s.v1.cni.cncf.io/networks", "other", "changes what confines the pod"),
        ("iam.amazonaws.com/role", "builder", "use identity.jobs"),
        ("vault.hashicorp.com/agent-inject", "true", "can put another container into the pods"),
    ],
)
def test_an_annotation_that_changes_security_is_rejected(key: str, value: str, advice: str) -> None:
    text = f"{MAIN}.annotations: {{{key}: '{value}'}}"

    assert_rejected(change(text), f"{MAIN}.annotations", advice)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("a b", "must be a Kubernetes label value"),
        ("$CI_PROJECT_PATH/x", "must consist of letters, digits"),
    ],
)
def test_a_label_has_a_value_that_kubernetes_takes(value: str, advice: str) -> None:
    assert_rejected(change(f"{MAIN}.labels: {{a: '{value}'}}"), f"{MAIN}.labels.a", advice)


def test_what_keeps_a_sidecar_out_is_allowed() -> None:
    allowed = {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"}
    settings: Any = change(f"{MAIN}.labels: {{a: '${{CI_PROJECT_ID}}-x'}}")
    settings["runners"]["main"]["annotations"] = allowed
    configure(settings, SECRETS)

    assert load().settings.runners["main"].annotations == allowed


@pytest.mark.parametrize(
    ("volume", "key", "advice"),
    [
        (
            "{path: /a, hostPath: /var/cache}",
            "",
            "use claim for files that stay, perJob or scratch",
        ),
        ("{path: /a}", "", "must have exactly one of claim, secret, configMap, scratch, perJob"),
        ("{path: /a, claim: a, secret: b}", "", "must have exactly one of"),
        ("{path: /a, scratch: {size: 1Gi}, readOnly: true}", "", "must not be readOnly"),
        ("{path: /a, scratch: {}}", ".scratch.size", "is required; add it"),
        ("{path: /a, claim: a-$CI_PROJECT_ID}", ".claim", "a job can set them and so choose"),
        ("{path: /a, claim: A}", ".claim", "must be a DNS label"),
        ("{path: a, claim: a}", ".path", "must be an absolute path"),
        ("{path: /a/../b, claim: a}", ".path", "must be an absolute path"),
        ("{path: /proc/x, claim: a}", ".path", "must not be below /proc"),
        ("{path: /a, secret: A_b}", ".secret", "must be a DNS label"),
        ("{path: /builds, claim: a}", ".path", "has its own files at /builds"),
        ("{path: /builds/x, scratch: {size: 1Gi}}", ".path", "has its own files at /builds"),
        ("{path: /kaniko/.docker, claim: a}", ".path", "has its own files at /kaniko/.docker"),
        ("{path: /etc/image-builds/docker/x, claim: a}", ".path", "has its own files at /etc"),
        ("{path: /a, secret: registry-pull}", "", "which the stack makes for its own use"),
        ("nothing", "", "must be a mapping"),
    ],
)
def test_a_volume_that_a_pod_cannot_have_is_rejected(volume: str, key: str, advice: str) -> None:
    assert_rejected(change(f"{VOLUMES}: [{volume}]"), f"{VOLUMES}[0]{key}", advice)


def test_a_path_and_an_object_are_mounted_once() -> None:
    """GitLab Runner names volumes after their objects."""
    twice = "{path: /a, claim: one}, {path: /a, claim: two}"
    again = "{path: /a, claim: one}, {path: /b, secret: one}"

    assert_rejected(change(f"{VOLUMES}: [{twice}]"), f"{VOLUMES}[1].path", "is /a a second time")
    assert_rejected(change(f"{VOLUMES}: [{again}]"), f"{VOLUMES}[1]", "mounts one a second time")


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("{gitlab: [a.b]}", "hostAliases.gitlab", "must be an IPv4 or IPv6 address"),
        ("{192.0.2.7: []}", "hostAliases['192.0.2.7']", "must not be empty"),
        ("{192.0.2.7: [a_b]}", "hostAliases['192.0.2.7'][0]", "must be a DNS name"),
        ("{192.0.2.7: [a, a]}", "hostAliases['192.0.2.7']", "must name each host once"),
        ("{192.0.2.7: [a], 192.0.2.8: [a]}", "hostAliases", "must give a one address"),
    ],
)
def test_a_host_alias_that_resolves_nothing_is_rejected(text: str, key: str, advice: str) -> None:
    assert_rejected(
        change(f"hostAliases: {text}"), key.replace("['", ".").replace("']", ""), advice
    )


@pytest.mark.parametrize(
    ("text", "key", "advice"),
    [
        ("allowedImages: ['https://a']", "allowedImages[0]", "must be a pattern for names of imag"),
        ("resources: {extended: {gpu: 1}}", "resources.extended", "write it like nvidia.com/gpu"),
        ("resources: {extended: {nvidia.com/gpu: 0}}", "resources.extended.nvidia.com/gpu", "1 or"),
        (
            "resources: {extended: {kubernetes.io/a: 1}}",
            "resources.extended",
            "must not have kubernetes.io/a, which no device plugin offers",
        ),
        (
            "resources: {pod: {requests: {cpu: 100m}}}",
            "resources.pod.requests.cpu",
            "is 100m, less",
        ),
        (
            "resources: {limits: {memory: 4Gi}, pod: {limits: {memory: 2Gi}}}",
            "resources.pod.limits.memory",
            "which Kubernetes rejects; raise it, or lower those",
        ),
        ("nodeSelector: {kubernetes.io/os: windows}", "nodeSelector.kubernetes.io/os", "be linux"),
        (
            "nodeSelector: {kubernetes.io/arch: sparc}",
            "nodeSelector.kubernetes.io/arch",
            "must be one of amd64, arm, arm64",
        ),
        (
            "nodeAffinity: {require: [{key: kubernetes.io/arch, operator: In, values: [arm64]}]}",
            "nodeAffinity.require[0]",
            "so it would be the one for amd64; write it in nodeSelector",
        ),
    ],
)
def test_resources_and_nodes_that_no_pod_gets_are_rejected(
    text: str, key: str, advice: str
) -> None:
    name, _, value = text.partition(": ")

    assert_rejected(change(f"{MAIN}.{name}: {value}"), f"{MAIN}.{key}", advice)


def test_resources_of_a_pod_need_a_runner_that_knows_them() -> None:
    pod = f"{MAIN}.resources: {{pod: {{limits: {{cpu: 4}}}}}}"

    assert_rejected(
        change(f"{pod}, chart.version: 0.86.0"),
        f"{MAIN}.resources.pod",
        "needs chart 0.87.0 or later, and chart.version 0.86.0 would ignore it",
    )


def test_an_engine_decides_which_services_are_privileged() -> None:
    engine = f"{MAIN}.strategy: {{kind: dind, acceptPrivileged: true}}"

    assert_rejected(
        change(f"{engine}, {MAIN}.allowedServices: ['**/*']"),
        f"{MAIN}.allowedServices",
        "set serviceImages of the strategy",
    )


def test_jobs_run_on_nodes_of_another_architecture() -> None:
    arm = {"kubernetes.io/arch": "arm64"}
    settings: Any = change(f"{MAIN}.resources: {{extended: {{nvidia.com/gpu: 1}}}}")
    settings["runners"]["main"]["nodeSelector"] = arm
    expression = {"key": "kubernetes.io/arch", "operator": "In", "values": ["arm64"]}
    settings["runners"]["main"]["nodeAffinity"] = {"require": [expression]}
    configure(settings, SECRETS)

    assert load().settings.runners["main"].node_selector == arm


def test_addresses_that_network_policies_close_are_rejected() -> None:
    closed = "network.egress: {private: false}"
    alias = "hostAliases: {10.1.2.3: [a]}"
    dns = f"{MAIN}.dns: {{servers: [10.1.2.4]}}"
    cache = f"{MAIN}.cache: {{kind: s3, bucket: a, endpoint: 'https://10.1.2.5'}}"

    assert_rejected(change(f"{cache}, {closed}"), f"{MAIN}.cache.endpoint", "network.egress keeps")
    assert_rejected(change(f"{alias}, {closed}"), "hostAliases.10.1.2.3", "network.egress keeps")
    assert_rejected(change(f"{dns}, {closed}"), f"{MAIN}.dns.servers[0]", "network.egress keeps")
