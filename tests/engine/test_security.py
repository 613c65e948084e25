from collections.abc import Iterator

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.resources.access import rules
from dev.cluster.control_plane import ControlPlane
from dev.toolchain.gitlab_runner import pinned
from tests.executor.job import Call, Job, Run
from tests.executor.pod import Request
from tests.executor.rendered import config_toml
from tests.support.cluster import account, account_api, allowed, as_manifest, grant, runner_config
from tests.support.configured import STRATEGIES
from tests.support.kubernetes import Api, core_v1, node_v1, scheduling_v1
from tests.support.stacks import Site, fresh_site

RULES = as_manifest(rules(pod_disruption_budget=True))
RIGHTS: list[Call] = [
    (rule["verbs"][0], rule["apiGroups"][0], rule["resources"][0]) for rule in RULES
]
REFUSED = [
    ("get", "", "pods/attach"),
    ("patch", "", "pods/attach"),
    ("delete", "", "pods/attach"),
    ("get", "", "pods/exec"),
    ("patch", "", "pods/exec"),
    ("delete", "", "pods/exec"),
    ("list", "", "pods/log"),
    ("list", "", "secrets"),
    ("watch", "", "secrets"),
    ("patch", "", "secrets"),
    ("deletecollection", "", "secrets"),
    ("update", "", "pods"),
    ("patch", "", "pods"),
    ("deletecollection", "", "pods"),
    ("create", "", "pods/portforward"),
    ("create", "", "pods/eviction"),
    ("update", "", "pods/ephemeralcontainers"),
    ("create", "", "configmaps"),
    ("get", "", "configmaps"),
    ("create", "", "serviceaccounts"),
    ("create", "", "serviceaccounts/token"),
    ("impersonate", "", "serviceaccounts"),
    ("create", "", "services"),
    ("create", "", "persistentvolumeclaims"),
    ("create", "apps", "deployments"),
    ("create", "batch", "jobs"),
    ("create", "rbac.authorization.k8s.io", "roles"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
    ("bind", "rbac.authorization.k8s.io", "roles"),
    ("escalate", "rbac.authorization.k8s.io", "roles"),
    ("create", "policy", "poddisruptionbudgets"),
    ("update", "", "resourcequotas"),
]
ANYWHERE_ELSE = [
    ("get", "", "secrets"),
    ("create", "", "pods"),
    ("list", "", "pods"),
    ("create", "", "pods/exec"),
    ("get", "", "configmaps"),
]
CLUSTER_WIDE = [
    ("list", "", "nodes"),
    ("get", "", "nodes/proxy"),
    ("list", "", "namespaces"),
    ("update", "", "namespaces"),
    ("list", "", "secrets"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
]


def _jobs(control_plane: ControlPlane, removed: Call | None) -> list[Run]:
    """Run a job that needs all that jobs may need, and one whose pod is not admitted."""
    text = config_toml(STRATEGIES["dind"], {"runners.main.podDisruptionBudget": True})
    demanding = Request(variables={"CI_DEBUG_SERVICES": "true"}, answers_lost=True, fails=True)
    rights = [rule for rule, right in zip(RULES, RIGHTS, strict=True) if right != removed]
    runs: list[Run] = []
    for level, request in (("privileged", demanding), ("baseline", Request())):
        with grant(control_plane, rights, level, "gitlab-job-main") as (namespace, manager):
            job = Job(text.replace("builds-main", namespace), pinned(), manager)
            runs.append(job.run(request))
    return runs


def test_jobs_need_every_right_of_the_role_and_no_other(control_plane: ControlPlane) -> None:
    runs = _jobs(control_plane, None)

    assert [call for run in runs for call in run.forbidden] == []
    assert runs[0].error == ""
    assert {call for run in runs for call in run.calls} == set(RIGHTS)


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: f"{right[0]} {right[2]}")
def test_without_any_one_right_a_job_misses_it(control_plane: ControlPlane, right: Call) -> None:
    runs = _jobs(control_plane, right)

    assert {call for run in runs for call in run.forbidden} == {right}


@pytest.fixture(scope="module")
def deployed(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A stack whose jobs ask for nodes and classes."""
    with (
        fresh_site(control_plane, tmp_path_factory.mktemp("security")) as site,
        control_plane.api() as api,
    ):
        node_v1(api).create_runtime_class(
            {"metadata": {"name": f"{site.prefix}-sandbox"}, "handler": "sandbox"}
        )
        scheduling_v1(api).create_priority_class(
            {"metadata": {"name": f"{site.prefix}-low"}, "value": -5}
        )
        site.write(
            "kaniko",
            runner={
                "nodeSelector": {"kubernetes.io/os": "linux"},
                "tolerations": [
                    {"key": "ci", "value": "true", "effect": "NoSchedule"},
                    {"key": "example.com/spot"},
                ],
                "runtimeClassName": f"{site.prefix}-sandbox",
                "priorityClassName": f"{site.prefix}-low",
            },
        )
        site.up()
        yield site


@pytest.fixture
def manager(deployed: Site, control_plane: ControlPlane) -> Iterator[client.ApiClient]:
    """A client with the manager's own token."""
    with account_api(control_plane, "gitlab-runner-builds", deployed.prefix) as api:
        yield api


def test_the_manager_may_do_only_what_the_runner_does(
    deployed: Site, manager: client.ApiClient
) -> None:
    jobs = f"{deployed.prefix}-builds"
    elsewhere = (deployed.prefix, f"{deployed.prefix}-apps", "default", "kube-system")

    granted = [right for right in RIGHTS if right[1] != "policy"]
    assert [call for call in granted if not allowed(manager, jobs, call)] == []
    assert [call for call in REFUSED if allowed(manager, jobs, call)] == []
    assert [
        (namespace, call)
        for namespace in elsewhere
        for call in ANYWHERE_ELSE
        if allowed(manager, namespace, call)
    ] == []
    assert [call for call in CLUSTER_WIDE if allowed(manager, "", call)] == []


def test_the_manager_reads_neither_its_token_nor_unknown_secrets(
    deployed: Site, manager: client.ApiClient
) -> None:
    own = core_v1(manager)

    with pytest.raises(ApiException, match="forbidden"):
        own.list_namespaced_secret(f"{deployed.prefix}-builds")
    with pytest.raises(ApiException, match="forbidden"):
        own.read_namespaced_secret("gitlab-runner-builds-token", deployed.prefix)


def test_a_job_asks_for_the_nodes_and_classes_of_its_runner(
    deployed: Site, control_plane: ControlPlane, core: Api
) -> None:
    manager = account(control_plane, "gitlab-runner-builds", deployed.prefix)

    run = Job(runner_config(core, deployed.prefix, "builds"), pinned(), manager).run()

    spec = run.pod["spec"]
    assert (run.error, run.phase) == ("", "Running")
    assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert spec["priority"] == -5
    tolerations = [tuple(sorted(taint.items())) for taint in spec["tolerations"]]
    equal = {"key": "ci", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
    exists = {"key": "example.com/spot", "operator": "Exists"}
    assert {tuple(sorted(taint.items())) for taint in (equal, exists)} <= set(tolerations)
    assert spec["runtimeClassName"] == f"{deployed.prefix}-sandbox"
