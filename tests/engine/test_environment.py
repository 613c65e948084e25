import time
from collections.abc import Iterator

import pytest

from dev.cluster.control_plane import ControlPlane
from report.inputs import preview
from report.inputs.charts import Charts
from tests.support.configured import CERTIFICATE, LEVELS, STRATEGIES
from tests.support.kubernetes import Api, apps_v1, core_v1
from tests.support.stacks import Site, encodings, fresh_site

PLANTED = {
    "runnerTokens__builds": "glrt-PlantedToken0001",
    "runnerTokens__shared": "glrt-PlantedToken0002",
    "registryCredentials__in__password": "PlantedPullPassword",
    "registryCredentials__out__password": "PlantedPushPassword",
}
ROTATED = "glrt-PlantedToken0003"


def _write(site: Site, strategy: object) -> None:
    """Write a runner with this strategy, and another that has a daemon."""
    registry = {"host": "registry.example.com:5000", "pull": "in", "push": "out"}
    site.write(
        None,
        registries=[{**registry, "caCertificates": CERTIFICATE}],
        targetNamespaces={f"{site.prefix}-apps": {"create": True, "deleteWithStack": True}},
        runners={
            "builds": {"tags": ["K8s-Runner"], "strategy": strategy},
            "shared": {"tags": ["shared"], "strategy": STRATEGIES["buildkit-service"]},
        },
    )


@pytest.fixture(scope="module")
def shared(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack of two runners; the tests of it go on from each other, as they stand here.

    Between them the runners have all that any variant registers (tests/test_program.py).
    """
    with fresh_site(control_plane, tmp_path_factory.mktemp("environment")) as site:
        site.plant(**PLANTED)
        _write(site, "auto")
        site.up()
        yield site


def test_two_runners_share_a_stack(shared: Site, control_plane: ControlPlane) -> None:
    with control_plane.api() as api:
        managers = apps_v1(api).list_namespaced_deployment(shared.prefix).items
        namespaces = core_v1(api).list_namespace().items
    levels = {
        item.metadata.name: item.metadata.labels["pod-security.kubernetes.io/enforce"]
        for item in namespaces
        if item.metadata.name.startswith(f"{shared.prefix}-")
    }
    assert [item.metadata.name for item in managers] == [
        "gitlab-runner-builds",
        "gitlab-runner-shared",
    ]
    assert levels.pop(f"{shared.prefix}-shared-buildkitd")
    assert levels == {
        f"{shared.prefix}-apps": "baseline",
        f"{shared.prefix}-builds": "privileged",
        f"{shared.prefix}-shared": LEVELS["buildkit-service"],
    }


def test_auto_follows_what_the_cluster_is_said_to_be(shared: Site) -> None:
    _write(shared, STRATEGIES["dood"])

    assert shared.preview().operations == {}


def test_a_rotated_token_restarts_the_manager(shared: Site, control_plane: ControlPlane) -> None:
    shared.plant(runnerTokens__builds=ROTATED)

    operations = shared.up().operations

    assert set(operations) == {"update"}
    changed = sorted(
        f"{urn.split('::')[2].rpartition(':')[2]} {urn.split('::')[3]}"
        for urn in operations["update"]
    )
    assert changed == ["Release builds", "Secret builds-token"]
    with control_plane.api() as api:
        deployment = apps_v1(api).read_namespaced_deployment("gitlab-runner-builds", shared.prefix)
    assert deployment.status.observed_generation == 2


def test_destroy_leaves_nothing_and_says_no_secret(shared: Site, core: Api) -> None:
    destroyed = shared.destroy()

    assert "failed" not in destroyed.operations
    planted = [*PLANTED.values(), ROTATED]
    assert [form for form in encodings(planted) if form in destroyed.output] == []
    deadline = time.monotonic() + 30
    left = [shared.prefix]
    while left and time.monotonic() < deadline:
        names = [item.metadata.name for item in core.list_namespace().items]
        left = [name for name in names if name.startswith(shared.prefix)]
    assert left == []


def test_a_pull_secret_made_by_hand_is_adopted_if_configured(site: Site, core: Api) -> None:
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
    with site.stack.open() as stack:
        planned = preview.run(stack, Charts(None)).plan

    assert "failed" not in site.up().operations

    (said,) = planned.taken_over
    assert said.startswith(f"The stack takes over Secret {target}/registry-pull. ")
    after = core.read_namespaced_secret("registry-pull", target)
    assert after.metadata.uid == before.metadata.uid
    assert after.data != before.data
    assert site.preview().operations == {}
    assert "failed" not in site.destroy().operations
    left = core.read_namespaced_secret("registry-pull", target)
    assert left.data == after.data
