import time

import pytest

from dev.cluster.control_plane import ControlPlane
from report.inputs import preview
from report.inputs.charts import Charts
from tests.support.configured import CERTIFICATE, STRATEGIES
from tests.support.kubernetes import Api, apps_v1, core_v1
from tests.support.stacks import Site, encodings


def test_auto_follows_what_the_cluster_is_said_to_be(site: Site) -> None:
    site.write("auto")
    site.up()
    site.write(STRATEGIES["dood"])

    assert site.preview().operations == {}


# Between them they have all that any variant registers (tests/test_program.py).
@pytest.mark.parametrize("strategy", ["dood", "buildkit-service"])
def test_destroy_leaves_nothing_and_says_no_secret(site: Site, core: Api, strategy: str) -> None:
    planted = {
        "runnerTokens__builds": "glrt-PlantedToken0001",
        "registryCredentials__in__password": "PlantedPullPassword",
        "registryCredentials__out__password": "PlantedPushPassword",
    }
    site.plant(**planted)
    registry = {"host": "registry.example.com:5000", "pull": "in", "push": "out"}
    site.write(
        STRATEGIES[strategy],
        registries=[{**registry, "caCertificates": CERTIFICATE}],
        targetNamespaces={f"{site.prefix}-apps": {"create": True, "deleteWithStack": True}},
    )
    site.up()

    destroyed = site.destroy()

    assert "failed" not in destroyed.operations
    assert [form for form in encodings([*planted.values()]) if form in destroyed.output] == []
    deadline = time.monotonic() + 30
    left = [site.prefix]
    while left and time.monotonic() < deadline:
        names = [item.metadata.name for item in core.list_namespace().items]
        left = [name for name in names if name.startswith(site.prefix)]
    assert left == []


def test_a_rotated_token_restarts_the_manager(site: Site, control_plane: ControlPlane) -> None:
    site.write("kaniko")
    site.plant(runnerTokens__builds="glrt-first-token-0001")
    site.up()
    site.plant(runnerTokens__builds="glrt-second-token-002")

    operations = site.up().operations

    assert set(operations) == {"update"}
    kinds = sorted(urn.split("::")[2].rpartition(":")[2] for urn in operations["update"])
    assert kinds == ["Release", "Secret"]
    with control_plane.api() as api:
        deployment = apps_v1(api).read_namespaced_deployment("gitlab-runner-builds", site.prefix)
    assert deployment.status.observed_generation == 2


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


def test_two_runners_share_a_stack(site: Site, control_plane: ControlPlane) -> None:
    site.write(
        "kaniko",
        runners={
            "builds": {"tags": ["K8s-Runner"], "strategy": STRATEGIES["dood"]},
            "deploy": {"tags": ["deploy"], "strategy": "kaniko"},
        },
    )
    site.up()

    with control_plane.api() as api:
        managers = apps_v1(api).list_namespaced_deployment(site.prefix).items
        namespaces = core_v1(api).list_namespace().items
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
