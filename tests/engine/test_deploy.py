import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomlkit
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from dev.cluster.control_plane import ControlPlane
from dev.toolchain.gitlab_runner import pinned
from tests.executor.job import Job, Run
from tests.support.cluster import account, account_api, allowed, runner_config
from tests.support.kubernetes import Api, apps_v1, authorization_v1, core_v1
from tests.support.stacks import Site, fresh_site

LISTED = [
    {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "verbs": ["get", "list", "create", "patch"],
    },
    {"apiGroups": [""], "resources": ["configmaps", "pods/log"], "verbs": ["get"]},
]
ALLOWED = {
    (verb, group, resource)
    for right in LISTED
    for verb in right["verbs"]
    for group in right["apiGroups"]
    for resource in right["resources"]
}
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    ("apps", "deployments"),
    ("apps", "deployments/scale"),
    ("apps", "daemonsets"),
    ("batch", "jobs"),
    ("", "configmaps"),
    ("", "namespaces"),
    ("", "pods"),
    ("", "pods/attach"),
    ("", "pods/exec"),
    ("", "pods/log"),
    ("", "pods/portforward"),
    ("", "secrets"),
    ("", "serviceaccounts"),
    ("", "serviceaccounts/token"),
    ("", "services"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
)
EVERY = [(verb, group, resource) for verb in VERBS for group, resource in RESOURCES] + [
    ("bind", "rbac.authorization.k8s.io", "roles"),
    ("escalate", "rbac.authorization.k8s.io", "roles"),
    ("impersonate", "", "serviceaccounts"),
]
OF_ALL = {
    "selfsubjectreviews",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "clustertrustbundles",  # since Kubernetes 1.37
}
"""What every account may do: ask what it may do, and read the CAs of the cluster."""


def _runners(site: Site, **strategy: Any) -> dict[str, Any]:  # noqa: ANN401 - YAML
    rights = {f"{site.prefix}-apps": LISTED}
    return {
        "builds": {"tags": ["build"], "strategy": "kaniko"},
        "deploy": {
            "tags": ["deploy"],
            "strategy": {"kind": "deploy", "permissions": rights},
            **strategy,
        },
    }


def _allowed(api: client.ApiClient, namespace: str) -> set[tuple[str, str, str]]:
    """What of ``EVERY`` the account may do in ``namespace``; in all where it is empty."""
    return {call for call in EVERY if allowed(api, namespace, call)}


def _rules(api: client.ApiClient, namespace: str) -> list[Any]:
    """Return what the account may do in a namespace, but for what all may."""
    review = authorization_v1(api).create_self_subject_rules_review(
        {"spec": {"namespace": namespace}}
    )
    return [rule for rule in review.status.resource_rules if not OF_ALL.issuperset(rule.resources)]


@pytest.fixture(scope="module")
def pair(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack with a runner that builds and one that deploys to the first of two namespaces."""
    with fresh_site(control_plane, tmp_path_factory.mktemp("deploy")) as site:
        targets = (f"{site.prefix}-apps", f"{site.prefix}-other")
        site.write(
            "kaniko",
            runners=_runners(site),
            targetNamespaces={name: {"create": True} for name in targets},
        )
        assert "failed" not in site.up().operations
        yield site


def test_a_deployment_may_do_what_is_listed_and_a_build_nothing(
    pair: Site, control_plane: ControlPlane
) -> None:
    target, other = f"{pair.prefix}-apps", f"{pair.prefix}-other"
    elsewhere = (
        other,
        pair.prefix,
        f"{pair.prefix}-builds",
        f"{pair.prefix}-deploy",
        "default",
        "kube-system",
    )

    with account_api(control_plane, "gitlab-job-deploy", f"{pair.prefix}-deploy") as deploy:
        assert _allowed(deploy, target) == ALLOWED
        assert _allowed(deploy, "") == set()
        assert [name for name in (target, *elsewhere) if _rules(deploy, name)] == [target]
        _deploys_an_app_and_sees_no_secret(deploy, target)
    with account_api(control_plane, "gitlab-job-builds", f"{pair.prefix}-builds") as build:
        assert [name for name in (target, other) if _rules(build, name)] == []
        with pytest.raises(ApiException, match="forbidden"):
            apps_v1(build).list_namespaced_deployment(target)


def _deploys_an_app_and_sees_no_secret(api: client.ApiClient, target: str) -> None:
    apps = apps_v1(api)
    labels = {"app": "hello"}
    app = {
        "metadata": {"name": "hello"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "hello", "image": "hello:1"}]},
            },
        },
    }
    apps.create_namespaced_deployment(target, app)
    apps.patch_namespaced_deployment("hello", target, {"spec": {"replicas": 1}})
    with pytest.raises(ApiException, match="forbidden"):
        apps.delete_namespaced_deployment("hello", target)
    with pytest.raises(ApiException, match="forbidden"):
        core_v1(api).read_namespaced_secret("registry-pull", target)


def test_a_deploying_pod_needs_each_key_to_fit_restricted(
    pair: Site, control_plane: ControlPlane, core: Api
) -> None:
    """It is also the only pod with an account token."""
    jobs = f"{pair.prefix}-deploy"
    text = runner_config(core, pair.prefix, "deploy")

    deploy = _run(pair, control_plane, "deploy", text)
    build = _run(pair, control_plane, "builds", runner_config(core, pair.prefix, "builds"))

    # Charts below 0.88 have no key for it.
    profile = "pod_spec" if "pod_spec" in text else "pod_security_context.seccomp_profile"
    for key in ("allow_privilege_escalation", "cap_drop", "pod_security_context", profile):
        refused = _run(pair, control_plane, "deploy", _without(text, key))
        assert "violates PodSecurity" in refused.error
    level = core.read_namespace(jobs).metadata.labels["pod-security.kubernetes.io/enforce"]
    assert level == "restricted"
    assert (deploy.phase, deploy.error) == ("Running", "")
    assert deploy.pod["spec"]["serviceAccountName"] == "gitlab-job-deploy"
    assert _tokens(build) == 0
    assert _tokens(deploy) == 1
    secrets = {item.metadata.name for item in core.list_namespaced_secret(jobs).items}
    assert "registry-pull" in secrets
    assert "registry-push" not in secrets


def _run(site: Site, control_plane: ControlPlane, runner: str, text: str) -> Run:
    manager = account(control_plane, f"gitlab-runner-{runner}", site.prefix)
    return Job(text, pinned(), manager).run()


def _tokens(run: Run) -> int:
    return len([volume for volume in run.pod["spec"]["volumes"] if "projected" in volume])


def _without(text: str, key: str) -> str:
    settings = tomllib.loads(text)
    table = settings["runners"][0]["kubernetes"]
    *above, last = key.split(".")
    for name in above:
        table = table[name]
    del table[last]
    return tomlkit.dumps(settings)


def test_a_switch_to_deploy_removes_only_the_push_login(site: Site) -> None:
    site.write("kaniko")
    site.up()
    site.write({"kind": "deploy", "permissions": {f"{site.prefix}-apps": LISTED}})

    operations = site.up().operations

    done = {
        operation: sorted(_short(urn) for urn in urns) for operation, urns in operations.items()
    }
    assert done == {
        "create": [f"Role builds.{site.prefix}-apps", f"RoleBinding builds.{site.prefix}-apps"],
        "update": ["Namespace builds-jobs", "Release builds"],
        "delete": ["RegistryLogin builds-push", "Secret builds-push"],
    }
    assert site.preview().operations == {}


def _short(urn: str) -> str:
    kind, _, name = urn.rpartition("::")
    return f"{kind.rpartition(':')[2]} {name}"
