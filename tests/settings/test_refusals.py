"""Strategies that cannot or must not run on a cluster, and the way out."""

import pytest

from components.settings.load import load
from tests.support.configured import SECRETS, configure
from tests.support.rejections import assert_rejected, assert_says, change, reject

STRATEGY = "runners.main.strategy"
DOOD = "{kind: dood, acceptNodeRoot: true}"
DIND = "{kind: dind, acceptPrivileged: true}"
BUILDX = "{kind: buildx, acceptPrivileged: true}"
ROOTFUL = "{kind: buildkit, variant: rootful, hostUsers: false}"
PRIVILEGED = "{kind: buildkit, variant: privileged, acceptPrivileged: true}"
BUILDAH = "{kind: buildah, variant: privileged, acceptPrivileged: true}"
UNTRUSTED = "cluster.nodes.trusted: false"
OTHER = "runners.other: {tags: [x], strategy: buildkit-service}"
IMAGE = "daemonImage: 'moby/buildkit:v1-rootless'"


@pytest.mark.parametrize(
    ("strategy", "key", "advice"),
    [
        ("dood", "acceptNodeRoot", "'strategy: {kind: dood, acceptNodeRoot: true}'"),
        ("{kind: dood, acceptNodeRoot: false}", "acceptNodeRoot", "becomes root on the node"),
        ("dind", "acceptPrivileged", "'strategy: {kind: dind, acceptPrivileged: true}'"),
        ("buildx", "acceptPrivileged", "'strategy: {kind: buildx, acceptPrivileged: true}'"),
        (
            "{kind: buildkit, acceptPrivileged: false}",
            "acceptPrivileged",
            "{kind: buildkit, acceptPrivileged: true}",
        ),
        ("{kind: buildkit, variant: root}", "variant", "'rootless', 'rootful' or 'privileged'"),
        ("{kind: buildkit, nodeProfiles: {seccomp: a}}", "nodeProfiles.appArmor", "is required"),
        ("{kind: buildkit-service, client: docker}", "client", "'buildctl' or 'buildx'"),
        ("{kind: buildah, storageDriver: zfs}", "storageDriver", "'vfs' or 'overlay'"),
    ],
)
def test_an_option_is_confirmed_or_allowed(strategy: str, key: str, advice: str) -> None:
    assert_rejected(change(f"{STRATEGY}: {strategy}"), f"{STRATEGY}.{key}", advice)


@pytest.mark.parametrize(
    ("strategy", "advice"),
    [
        ("{kind: buildkit, hostUsers: false}", "newuidmap fails; use variant: rootful"),
        ("{kind: buildkit, variant: rootful}", "add hostUsers: false"),
        ("{kind: buildah, hostUsers: false}", "newuidmap fails; use variant: root"),
        (
            "{kind: buildah, variant: privileged, acceptPrivileged: true, hostUsers: false}",
            "needs no privilege; use variant: root",
        ),
        ("{kind: buildkit, variant: privileged}", "add acceptPrivileged: true"),
        (f"{PRIVILEGED[:-1]}, hostUsers: false}}", "which is variant: rootful"),
        (f"{ROOTFUL[:-1]}, nodeProfiles: {{seccomp: a, appArmor: a}}}}", "remove nodeProfiles"),
        ("{kind: buildkit, image: 'moby/buildkit:v1'}", "ends in -rootless"),
        (f"{PRIVILEGED[:-1]}, image: 'moby/buildkit:v1-rootless'}}", "without -rootless"),
        ("{kind: buildkit, acceptPrivileged: true}", "remove acceptPrivileged"),
        ("{kind: buildkit-service, daemonImage: 'moby/buildkit:v1'}", "ends in -rootless"),
        ("{kind: buildkit-service, acceptSharedBuilds: true}", "remove acceptSharedBuilds, or"),
        (f"{BUILDX[:-1]}, daemonImage: 'moby/buildkit:v1'}}", "ends in -rootless"),
        (f"{DIND[:-1]}, variant: rootless, daemonImage: 'docker:29-dind'}}", "-dind-rootless"),
        (f"{DIND[:-1]}, variant: tls, jobEngines: false}}", "set variant: socket"),
        (f"{DIND[:-1]}, jobEngines: false, serviceImages: ['a']}}", "remove serviceImages"),
        (f"{DIND[:-1]}, daemonImage: 'docker:29-dind-rootless'}}", "-dind-rootless"),
        ("{kind: buildah, variant: privileged}", "use the variant chroot"),
        (f"{BUILDAH[:-1]}, nodeProfiles: {{seccomp: a, appArmor: a}}}}", "remove nodeProfiles"),
    ],
)
def test_options_that_contradict_each_other_are_rejected(strategy: str, advice: str) -> None:
    assert_rejected(change(f"{STRATEGY}: {strategy}"), STRATEGY, advice)


@pytest.mark.parametrize(
    "pattern", ["", "/docker:*", "docker/", "a b", "https://r.example.com/*", "$PREFIX/docker:*"]
)
def test_a_service_that_no_job_can_name_is_rejected(pattern: str) -> None:
    """GitLab Runner compares the pattern as it is with the name that the job uses."""
    strategy = f"{DIND[:-1]}, serviceImages: ['{pattern}']}}"

    key = f"{STRATEGY}.serviceImages[0]"
    assert_rejected(change(f"{STRATEGY}: {strategy}"), key, "must be a pattern")


def test_a_daemon_is_shared_only_with_an_acceptance() -> None:
    """The message says what that means, and both ways out."""
    shared = "{kind: buildkit-service, daemonOf: other}"
    settings = change(f"{STRATEGY}: {shared}, {OTHER}")
    configure(settings, SECRETS)

    lines = reject()

    for advice in (
        "read each other's secrets and change each other's images",
        "read all layers, logs and build arguments",
        "remove daemonOf for its own daemon, or add acceptSharedBuilds: true",
    ):
        assert_says(lines, STRATEGY, advice)


@pytest.mark.parametrize(
    "option", ["cacheSize: 1Gi", "resources: {}", "nodeProfiles: {seccomp: a, appArmor: a}", IMAGE]
)
def test_a_shared_daemon_has_the_options_of_its_runner(option: str) -> None:
    key = option.partition(":")[0]
    shared = f"{{kind: buildkit-service, daemonOf: other, acceptSharedBuilds: true, {option}}}"

    assert_rejected(change(f"{STRATEGY}: {shared}, {OTHER}"), STRATEGY, f"remove {key}")


@pytest.mark.parametrize(
    ("strategy", "site", "advice"),
    [
        (DOOD, "cluster: {kind: managed}", "use kaniko"),
        (DOOD, "cluster.nodes.dockerSocket: false", "dockerSocket: true"),
        (DOOD, UNTRUSTED, "trusted: true"),
        (DIND, UNTRUSTED, "trusted: true"),
        (BUILDX, UNTRUSTED, "with client: buildx"),
        (PRIVILEGED, UNTRUSTED, "trusted: true"),
        (BUILDAH, UNTRUSTED, "trusted: true"),
        (ROOTFUL, "cluster.nodes.userNamespaces: false", "userNamespaces: true"),
        (
            "{kind: kaniko, hostUsers: false}",
            "cluster.nodes.userNamespaces: false",
            "remove hostUsers, or set cluster.nodes.userNamespaces: true",
        ),
        (
            "{kind: buildah, variant: root, hostUsers: false}",
            "cluster.nodes.userNamespaces: false",
            "remove hostUsers, or set cluster.nodes.userNamespaces: true",
        ),
    ],
)
def test_nodes_must_offer_what_a_strategy_needs(strategy: str, site: str, advice: str) -> None:
    assert_rejected(change(f"{STRATEGY}: {strategy}, {site}"), STRATEGY, advice)


@pytest.mark.parametrize(
    ("strategy", "limit", "advice"),
    [
        ("kaniko", "restricted", "raise the limit"),
        ("auto", "restricted", "raise the limit"),
        ("buildkit", "baseline", "nodeProfiles if"),
        ("buildkit-service", "baseline", "in the namespace of buildkitd"),
        ("buildah", "baseline", "needs the Pod Security level privileged"),
        (BUILDX, "baseline", "use kaniko, or have"),
        (DIND, "baseline", "use kaniko, or have"),
    ],
)
def test_a_cluster_may_limit_the_level(strategy: str, limit: str, advice: str) -> None:
    changes = f"{STRATEGY}: {strategy}, cluster.podSecurityLimit: {limit}"

    assert_rejected(change(changes), STRATEGY, advice)


@pytest.mark.parametrize(
    ("strategy", "platform", "advice"),
    [
        ("buildkit", "gkeAutopilot", "GKE Standard"),
        ("buildkit-service", "gkeAutopilot", "GKE Standard"),
        ("buildah", "gkeAutopilot", "its seccomp profile RuntimeDefault"),
        (DIND, "gkeAutopilot", "autogke-disallow-privilege"),
        (PRIVILEGED, "gkeAutopilot", "cluster.privilegedAllowlist: true"),
        ("{kind: buildah, nodeProfiles: {seccomp: a, appArmor: a}}", "openShift", "SELinux"),
        ("buildkit", "eksAuto", "node group of your own"),
        (ROOTFUL, "eksAuto", "do not allow user namespaces"),
        ("buildah", "eksAuto", "use kaniko"),
        ("buildkit", "eksFargate", "max_user_namespaces=0"),
        ("buildkit-service", "eksFargate", "max_user_namespaces=0"),
        (BUILDX, "eksFargate", "max_user_namespaces=0"),
        (PRIVILEGED, "eksFargate", "jobs on EC2 nodes"),
        ("{kind: buildah, variant: root}", "eksFargate", "added capabilities"),
        (DIND, "eksFargate", "EKS Fargate"),
        (DOOD, "eksFargate", "host paths"),
        (DOOD, "rke2", "RKE2's containerd has none"),
        (DOOD, "openShift", "CRI-O has none"),
    ],
)
def test_a_platform_may_refuse_a_strategy(strategy: str, platform: str, advice: str) -> None:
    changes = f"{STRATEGY}: {strategy}, cluster.platform: {platform}"

    assert_rejected(change(changes), STRATEGY, advice)


@pytest.mark.parametrize("strategy", [DIND, PRIVILEGED, ROOTFUL, BUILDAH])
def test_autopilot_takes_privilege_that_an_allowlist_admits(strategy: str) -> None:
    cluster = "cluster.platform: gkeAutopilot, cluster.privilegedAllowlist: true"
    settings = change(f"{STRATEGY}: {strategy}, {cluster}")
    configure(settings, SECRETS)

    assert load().settings.cluster.privileged_allowlist


@pytest.mark.parametrize(
    ("strategy", "advice"), [(DOOD, "host paths"), ("buildkit", "its seccomp profile")]
)
def test_no_allowlist_admits_the_rest(strategy: str, advice: str) -> None:
    cluster = "cluster.platform: gkeAutopilot, cluster.privilegedAllowlist: true"

    assert_rejected(change(f"{STRATEGY}: {strategy}, {cluster}"), STRATEGY, advice)


def test_an_allowlist_is_of_autopilot() -> None:
    settings = change("cluster.platform: rke2, cluster.privilegedAllowlist: true")

    assert_rejected(settings, "cluster", "without platform: gkeAutopilot; remove it")
