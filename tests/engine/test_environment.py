import time
from itertools import pairwise, permutations

import pytest
from kubernetes import client

from tests.configured import LEVELS, STRATEGIES
from tests.engine.conftest import Site
from tools.cluster import Cluster


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_second_preview_and_up_change_nothing(site: Site, strategy: str) -> None:
    site.write(STRATEGIES[strategy])

    assert "failed" not in site.up().operations
    assert site.preview().operations == {}
    assert site.up().operations == {}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_manager_is_available_under_restricted(
    site: Site,
    control_plane: Cluster,
    strategy: str,
) -> None:
    site.write(STRATEGIES[strategy])
    site.up()

    with control_plane.api() as api:
        deployment = client.AppsV1Api(api).read_namespaced_deployment(
            "gitlab-runner-builds",
            site.prefix,
        )
        namespace = client.CoreV1Api(api).read_namespace(site.prefix)

    assert deployment.status.available_replicas == 1
    assert namespace.metadata.labels["pod-security.kubernetes.io/enforce"] == "restricted"


def _walk() -> list[str]:
    """Pass from every variant to every other once, in one walk (Hierholzer)."""
    left = {name: [other for other in STRATEGIES if other != name] for name in STRATEGIES}
    open_, walk = ["kaniko"], list[str]()
    while open_:
        if left[open_[-1]]:
            open_.append(left[open_[-1]].pop())
        else:
            walk.append(open_.pop())
    return walk[::-1]


def test_the_walk_is_over_every_ordered_pair() -> None:
    walk = _walk()

    assert sorted(pairwise(walk)) == sorted(permutations(STRATEGIES, 2))


def test_every_switch_updates_in_place_and_deletes_nothing(
    site: Site,
    core: client.CoreV1Api,
) -> None:
    walk = _walk()
    site.write(STRATEGIES[walk[0]])
    site.up()
    names = (site.prefix, f"{site.prefix}-builds", f"{site.prefix}-apps")
    uids = [core.read_namespace(name).metadata.uid for name in names]

    for before, after in pairwise(walk):
        site.write(STRATEGIES[after])
        operations = site.up().operations
        kinds = sorted(urn.split("::")[2].rpartition(":")[2] for urn in operations["update"])
        # A namespace whose level stays is left alone.
        moved = LEVELS[before] != LEVELS[after]
        assert (set(operations), kinds) == (
            {"update"},
            ["Namespace", "Release"] if moved else ["Release"],
        ), f"{before} to {after}"

    assert [core.read_namespace(name).metadata.uid for name in names] == uids
    assert site.preview().operations == {}


def test_auto_follows_what_the_cluster_is_said_to_be(site: Site) -> None:
    site.write("auto")
    site.up()
    site.write(STRATEGIES["dood"])

    assert site.preview().operations == {}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_destroy_leaves_nothing(
    site: Site,
    core: client.CoreV1Api,
    strategy: str,
) -> None:
    site.write(STRATEGIES[strategy])
    site.up()

    assert "failed" not in site.destroy().operations

    deadline = time.monotonic() + 30
    left = [site.prefix]
    while left and time.monotonic() < deadline:
        names = [item.metadata.name for item in core.list_namespace().items]
        left = [name for name in names if name.startswith(site.prefix)]
    assert left == []


def test_a_rotated_token_restarts_the_manager(
    site: Site,
    control_plane: Cluster,
) -> None:
    site.write("kaniko")
    site.plant(runnerTokens__builds="glrt-first-token-0001")
    site.up()
    site.plant(runnerTokens__builds="glrt-second-token-002")

    operations = site.up().operations

    assert set(operations) == {"update"}
    kinds = sorted(urn.split("::")[2].rpartition(":")[2] for urn in operations["update"])
    assert kinds == ["Release", "Secret"]
    with control_plane.api() as api:
        deployment = client.AppsV1Api(api).read_namespaced_deployment(
            "gitlab-runner-builds",
            site.prefix,
        )
    assert deployment.status.observed_generation == 2


def test_a_pull_secret_made_by_hand_is_adopted_where_the_config_says_so(
    site: Site,
    core: client.CoreV1Api,
) -> None:
    target = f"{site.prefix}-by-hand"
    core.create_namespace({"metadata": {"name": target}})
    core.create_namespaced_secret(
        target,
        {
            "metadata": {"name": "registry-pull"},
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": {".dockerconfigjson": '{"auths": {}}'},
        },
    )
    before = core.read_namespaced_secret("registry-pull", target)
    site.write("kaniko", targetNamespaces={target: {"adoptPullSecret": True}})

    assert "failed" not in site.up().operations

    after = core.read_namespaced_secret("registry-pull", target)
    assert after.metadata.uid == before.metadata.uid
    assert after.data != before.data
    assert site.preview().operations == {}


def test_two_runners_share_a_stack(site: Site, control_plane: Cluster) -> None:
    site.write(
        "kaniko",
        runners={
            "builds": {"tags": ["K8s-Runner"], "strategy": STRATEGIES["dood"]},
            "deploy": {"tags": ["deploy"], "strategy": "kaniko"},
        },
    )
    site.up()

    with control_plane.api() as api:
        managers = client.AppsV1Api(api).list_namespaced_deployment(site.prefix).items
        namespaces = client.CoreV1Api(api).list_namespace().items
    levels = {
        item.metadata.name: item.metadata.labels["pod-security.kubernetes.io/enforce"]
        for item in namespaces
        if item.metadata.name.startswith(f"{site.prefix}-")
    }
    assert [item.metadata.name for item in managers] == [
        "gitlab-runner-builds",
        "gitlab-runner-deploy",
    ]
    assert levels == {
        f"{site.prefix}-apps": "baseline",
        f"{site.prefix}-builds": "privileged",
        f"{site.prefix}-deploy": "baseline",
    }
