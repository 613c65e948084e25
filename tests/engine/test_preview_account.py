"""The preview account on a real API server, with the kubeconfig of docs/how-to/set-up-ci.md."""

import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any, cast

import pytest
from kubernetes import client, config

from dev.cluster.kubeconfig import NAME
from dev.local.stack import LocalStack
from dev.paths import CHECKOUT
from dev.toolchain.ensure import ensure
from report.inputs import preview
from report.inputs.charts import Charts
from tests.support.cluster import AuditedCluster, allowed
from tests.support.configured import STRATEGIES
from tests.support.kubernetes import core_v1
from tests.support.stacks import Site, fresh_site

COMMANDS = re.findall(
    r"^kubectl .*preview\.kubeconfig.*$",
    (CHECKOUT / "docs" / "how-to" / "set-up-ci.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def deployed(
    control_plane: AuditedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with fresh_site(control_plane, tmp_path_factory.mktemp("reviewer")) as site:
        site.write("kaniko", previewAccount=True)
        assert "failed" not in site.up().operations
        yield site


@pytest.fixture(scope="module")
def restricted(deployed: Site) -> Site:
    """The same stack with the kubeconfig of the preview account."""
    kubectl = ensure("kubectl").file.parent
    environment = {
        **os.environ,
        "KUBECONFIG": str(deployed.stack.kubeconfig),
        "PATH": f"{kubectl}:{os.environ['PATH']}",
    }
    for command in COMMANDS:
        here = command.replace("managed-prod", NAME).replace("image-builds-prod", deployed.prefix)
        subprocess.run(
            ["bash", "-euo", "pipefail", "-c", here],
            cwd=deployed.folder,
            env=environment,
            check=True,
        )
    stack = LocalStack(
        "test",
        deployed.stack.state,
        deployed.folder / "preview.kubeconfig",
        stack_file=deployed.stack.stack_file,
    )
    return Site(deployed.prefix, deployed.folder, stack)


def test_the_kubeconfig_holds_no_other_credentials(restricted: Site) -> None:
    text = restricted.stack.kubeconfig.read_text(encoding="utf-8")

    assert len(COMMANDS) == 3
    assert text.count("token:") == 1
    assert not any("$(" in command for command in COMMANDS)
    assert "client-key" not in text


def test_its_preview_is_that_of_an_administrator(
    control_plane: AuditedCluster, deployed: Site, restricted: Site
) -> None:
    """Of a runner that changes, and of one that comes with a daemon."""
    runners = {
        "builds": {"tags": ["build"], "strategy": STRATEGIES["dood"]},
        "shared": {"tags": ["shared"], "strategy": STRATEGIES["buildkit-service"]},
    }
    deployed.write(None, previewAccount=True, runners=runners)
    plans: list[object] = []
    for site in (deployed, restricted):
        with site.stack.open() as stack:
            plans.append(preview.run(stack, Charts(None)).plan)
    deployed.write("kaniko", previewAccount=True)

    assert plans[0] == plans[1]
    asked = control_plane.requests_of("reviewer", deployed.prefix)
    assert {call[0] for call in asked.calls} <= {"get", "patch"}
    # The dry runs of what would be changed, which it may not do for real either, and Secrets and
    # new namespaces, of which it cannot say whether others have them.
    forbidden = {call for call in asked.forbidden if call[0] != "patch"}
    assert forbidden != set(asked.forbidden)
    assert {call[0] for call in forbidden} <= {"get"}


def test_it_can_read_everything_but_secrets_and_change_nothing(restricted: Site) -> None:
    jobs = f"{restricted.prefix}-builds"
    file, context = str(restricted.stack.kubeconfig), NAME
    with cast("Any", config).new_client_from_config(file, context) as api:
        for group, resource in (("", "configmaps"), ("rbac.authorization.k8s.io", "roles")):
            assert allowed(api, jobs, ("get", group, resource))
        for verb in ("get", "list", "watch", "create", "update", "patch", "delete"):
            for namespace in (restricted.prefix, jobs, f"{restricted.prefix}-apps", "default"):
                assert not allowed(api, namespace, (verb, "", "secrets"))
        for call in (("create", "", "pods"), ("create", "", "pods/exec"), ("list", "", "pods")):
            assert not allowed(api, jobs, call)
        core = core_v1(api)
        with pytest.raises(client.ApiException, match="Forbidden"):
            core.read_namespaced_secret("gitlab-runner-builds-token", restricted.prefix)
        with pytest.raises(client.ApiException, match="Forbidden"):
            core.create_namespaced_pod(jobs, {"metadata": {"name": "x"}})
        assert core.read_namespace(jobs).metadata.name == jobs


def test_its_update_is_refused_and_changes_nothing(
    control_plane: AuditedCluster, deployed: Site, restricted: Site
) -> None:
    with control_plane.api() as api:
        before = core_v1(api).read_namespace(f"{restricted.prefix}-builds").metadata.labels
    runner = {"jobNamespace": f"{restricted.prefix}-renamed"}
    restricted.write("kaniko", previewAccount=True, runner=runner)

    outcome = restricted.up()
    deployed.write("kaniko", previewAccount=True)

    assert "the API server does not show it to the account" in outcome.operations["failed"][0]
    with control_plane.api() as api:
        core = core_v1(api)
        assert core.read_namespace(f"{restricted.prefix}-builds").metadata.labels == before
        names = {item.metadata.name for item in core.list_namespace().items}
    assert f"{restricted.prefix}-renamed" not in names
