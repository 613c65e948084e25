"""Drift on a real API server: a report has what others change, and nothing else."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from kubernetes import client

from commands import drift
from commands.shared.exit_codes import ExitCode, exit_code
from dev.cluster.control_plane import ControlPlane
from dev.local.stack import LocalStack
from dev.toolchain.ensure import ensure
from report.model import Report
from report.outputs import markdown as note
from report.outputs import phrases
from tests.support.configured import STRATEGIES
from tests.support.kubernetes import apps_v1, core_v1, networking_v1, rbac_v1
from tests.support.stacks import Site, fresh_site

RBAC = "rbac.authorization.k8s.io"
LEVEL = "pod-security.kubernetes.io/enforce"
RELEASE = "gitlab-runner-builds"


def look(site: Site) -> Report:
    with site.stack.open() as stack:
        return drift.build_report(stack, ensure("helm").file)


@pytest.fixture(scope="module")
def deployed(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A site with a daemon and two runners, which each test leaves as it found it."""
    with fresh_site(control_plane, tmp_path_factory.mktemp("drift")) as site:
        site.plant(runnerTokens__builds="glrt-first-token-0001")
        shared = {"tags": ["shared"], "strategy": STRATEGIES["buildkit-service"]}
        runners = {"builds": {"tags": ["build"], "strategy": "kaniko"}, "shared": shared}
        site.write("kaniko", runners=runners)
        assert "failed" not in site.up().operations
        yield site


@pytest.fixture
def api(control_plane: ControlPlane) -> Iterator[client.ApiClient]:
    with control_plane.api() as found:
        yield found


def test_what_nobody_changed_has_not_drifted(deployed: Site) -> None:
    report = look(deployed)

    assert (report.errors, report.resources, report.objects) == ((), (), ())
    assert exit_code(report) == ExitCode.NO_CHANGE


def label_namespace(api: client.ApiClient, site: Site) -> None:
    core = core_v1(api)
    core.patch_namespace(f"{site.prefix}-builds", {"metadata": {"labels": {LEVEL: "privileged"}}})


def widen_role(api: client.ApiClient, site: Site) -> None:
    access = rbac_v1(api)
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["*"]}
    add = [{"op": "add", "path": "/rules/-", "value": rule}]
    access.patch_namespaced_role(RELEASE, f"{site.prefix}-builds", add)


def bind_another(api: client.ApiClient, site: Site) -> None:
    access = rbac_v1(api)
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "default"}
    add = [{"op": "add", "path": "/subjects/-", "value": subject}]
    access.patch_namespaced_role_binding(RELEASE, f"{site.prefix}-builds", add)


def open_policy(api: client.ApiClient, site: Site) -> None:
    network = networking_v1(api)
    namespace = f"{site.prefix}-shared-buildkitd"
    add: list[dict[str, object]] = [{"op": "add", "path": "/spec/ingress/-", "value": {}}]
    network.patch_namespaced_network_policy("buildkitd-ingress", namespace, add)


def edit_deployment(api: client.ApiClient, site: Site) -> None:
    variables = [
        {"name": "CI_SERVER_URL", "value": "https://elsewhere.example.com"},
        {"name": "DEPLOY_TOKEN", "value": "planted-by-hand"},
    ]
    container = {"name": RELEASE, "image": "registry.example.com/other:1", "env": variables}
    spec = {"replicas": 3, "template": {"spec": {"containers": [container]}}}
    apps_v1(api).patch_namespaced_deployment(RELEASE, site.prefix, {"spec": spec})


def edit_config_toml(api: client.ApiClient, site: Site) -> None:
    core = core_v1(api)
    text = core.read_namespaced_config_map(RELEASE, site.prefix).data["config.template.toml"]
    data = {
        "config.template.toml": text.replace("privileged = false", "privileged = true"),
        "another": "key",
    }
    core.patch_namespaced_config_map(RELEASE, site.prefix, {"data": data})


def delete_secret(api: client.ApiClient, site: Site) -> None:
    core_v1(api).delete_namespaced_secret("registry-push", f"{site.prefix}-builds")


def edit_secret(api: client.ApiClient, site: Site) -> None:
    data = {"stringData": {".dockerconfigjson": '{"auths": {"planted-by-hand": {}}}'}}
    core_v1(api).patch_namespaced_secret("registry-pull", f"{site.prefix}-builds", data)


def delete_deployment(api: client.ApiClient, site: Site) -> None:
    apps_v1(api).delete_namespaced_deployment("gitlab-runner-shared", site.prefix)


def bind_admin(api: client.ApiClient, site: Site) -> None:
    job = {
        "kind": "ServiceAccount",
        "name": "gitlab-job-builds",
        "namespace": f"{site.prefix}-builds",
    }
    body = {
        "metadata": {"name": "by-hand"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "admin"},
        "subjects": [job],
    }
    rbac_v1(api).create_namespaced_role_binding(site.prefix, body)


def add_secret(api: client.ApiClient, site: Site) -> None:
    body = {"metadata": {"name": "by-hand"}, "stringData": {"password": "planted-by-hand"}}
    core_v1(api).create_namespaced_secret(f"{site.prefix}-builds", body)


def add_pod(api: client.ApiClient, site: Site) -> None:
    variable = {"name": "PASSWORD", "value": "planted-by-hand"}
    container = {"name": "c", "image": "registry.example.com/other:1", "env": [variable]}
    body = {"metadata": {"name": "by-hand"}, "spec": {"containers": [container]}}
    core_v1(api).create_namespaced_pod(f"{site.prefix}-builds", body)


CONTAINER = f"spec.template.spec.containers[{RELEASE}]"
CHANGED: dict[Callable[[client.ApiClient, Site], None], tuple[str, ...]] = {
    label_namespace: (
        "# update Namespace builds-jobs",
        f'- metadata.labels["{LEVEL}"]: baseline',
        f'+ metadata.labels["{LEVEL}"]: privileged',
    ),
    widen_role: (
        "# update Role builds-manager",
        "+ rules[6].resources[0]: deployments",
        "+ rules[6].verbs[0]: *",
    ),
    bind_another: ("# update RoleBinding builds-manager", "+ subjects[default].namespace: default"),
    open_policy: ("# update NetworkPolicy shared-buildkitd-ingress", "+ spec.ingress[1]: {}"),
    edit_deployment: (
        f"# update Deployment site/{RELEASE}",
        f"- {CONTAINER}.env[CI_SERVER_URL].value: https://gitlab.example.com",
        f"+ {CONTAINER}.env[CI_SERVER_URL].value: https://elsewhere.example.com",
        f"+ {CONTAINER}.env[DEPLOY_TOKEN].value: [secret]",
        f"+ {CONTAINER}.image: registry.example.com/other:1",
        "- spec.replicas: 1",
        "+ spec.replicas: 3",
    ),
    edit_config_toml: (
        f"# update ConfigMap site/{RELEASE}",
        "-privileged = false",
        "+privileged = true",
        "- kubernetes.privileged: false",
        "+ kubernetes.privileged: true",
        "+ data.another: key",
    ),
    delete_deployment: ("# delete Deployment site/gitlab-runner-shared",),
    delete_secret: ("# delete Secret builds-push", "- metadata.name: registry-push"),
    bind_admin: (
        "# create RoleBinding site/by-hand",
        "+ roleRef.name: admin",
        "+ subjects[gitlab-job-builds].namespace: site-builds",
    ),
    add_secret: ("# create Secret site-builds/by-hand", "+ metadata.name: by-hand"),
    add_pod: ("# create Pod site-builds/by-hand", "+ metadata.name: by-hand"),
    edit_secret: (
        "# update Secret builds-pull",
        '- data[".dockerconfigjson"]: [secret]',
        '+ data[".dockerconfigjson"]: [secret]',
    ),
}
RISKS = {
    "podSecurity/Namespace-site-builds/privileged",
    "permission/Role-site-builds/gitlab-runner-builds/*-deployments.apps",
    "secretReader/namespace-site-builds/ServiceAccount-default/default",
    "holder/ClusterRole-admin-in-namespace-site/ServiceAccount-site-builds/gitlab-job-builds",
    "reach/NetworkPolicy-site-shared-buildkitd/buildkitd-ingress/ingress-from-everywhere",
}


@pytest.fixture(scope="module")
def drifted(control_plane: ControlPlane, deployed: Site) -> Report:
    """The report after all of that."""
    with control_plane.api() as api:
        for change in CHANGED:
            change(api, deployed)
    return look(deployed)


@pytest.mark.parametrize("change", CHANGED, ids=lambda change: change.__name__)
def test_the_report_has_what_others_changed_from_old_to_new(
    change: Callable[[client.ApiClient, Site], None], deployed: Site, drifted: Report
) -> None:
    lines = note.write(drifted).replace(deployed.prefix, "site").splitlines()

    assert [line for line in CHANGED[change] if line not in lines] == [], "\n".join(lines)


def test_the_report_counts_drift_and_weighs_it(deployed: Site, drifted: Report) -> None:
    weighty = {item.identity.replace(deployed.prefix, "site") for item in drifted.risk_changes}

    assert drifted.errors == ()
    assert phrases.heading(drifted) == (
        "test: 3 added, 7 changed and 2 deleted outside of Pulumi; risk RAISED"
    )
    assert weighty >= RISKS
    assert exit_code(drifted) == ExitCode.RISK_RAISED


def test_a_value_put_into_a_secret_is_not_shown(drifted: Report) -> None:
    assert "planted-by-hand" not in str(drifted)


def test_the_commands_of_the_report_undo_all_of_it(deployed: Site, drifted: Report) -> None:
    *others, update = drifted.undo
    kubeconfig = {"KUBECONFIG": str(deployed.stack.kubeconfig)}
    for command in others:
        program, *words = command.split()
        file = str(ensure(program).file)
        subprocess.run([file, *words], env={**os.environ, **kubeconfig}, check=True)
    assert update == "PULUMI_K8S_ENABLE_PATCH_FORCE=true pulumi up --stack test --refresh"
    with deployed.stack.open() as stack:
        variables = cast("dict[str, str]", stack.workspace.env_vars)
        variables["PULUMI_K8S_ENABLE_PATCH_FORCE"] = "true"
        stack.up(refresh=True)

    report = look(deployed)

    assert phrases.heading(report) == "test: no drift; risk unchanged", note.write(report)
    assert report.undo == ()


def test_a_release_that_is_gone_is_reported_as_a_whole(
    deployed: Site, api: client.ApiClient
) -> None:
    core = core_v1(api)
    selector = f"owner=helm,name={RELEASE}"
    kept = core.list_namespaced_secret(deployed.prefix, label_selector=selector).items
    core.delete_collection_namespaced_secret(deployed.prefix, label_selector=selector)

    report = look(deployed)

    for secret in kept:
        secret.metadata.resource_version = None
        core.create_namespaced_secret(deployed.prefix, secret)
    assert [(item.operation, item.type) for item in report.resources] == [
        ("delete", "kubernetes:helm.sh/v3:Release")
    ]


def test_a_cluster_that_cannot_be_reached_is_no_drift(deployed: Site, tmp_path: Path) -> None:
    text = deployed.stack.kubeconfig.read_text(encoding="utf-8")
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(re.sub("server: .*", "server: https://127.0.0.1:1", text), "utf-8")
    stack = LocalStack(
        "test", deployed.stack.state, elsewhere, stack_file=deployed.stack.stack_file
    )

    report = look(Site(deployed.prefix, deployed.folder, stack))

    assert exit_code(report) == ExitCode.FAILED
    assert "the Kubernetes API server cannot be reached" in report.errors[0]
