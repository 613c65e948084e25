import base64
import gzip
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.configured import LEVELS, STRATEGIES
from tests.engine.conftest import Site, account_api, allowed
from tests.engine.executor import job_pod
from tools.cluster import Cluster

STRICTER = {"privileged": "baseline", "baseline": "restricted"}

# What the runner asks of the API server, from gitlab-runner's `kubeAPI:` annotations.
ALLOWED = [
    ("create", "", "pods"),
    ("delete", "", "pods"),
    ("get", "", "pods"),
    ("list", "", "pods"),
    ("watch", "", "pods"),
    ("create", "", "pods/attach"),
    ("delete", "", "pods/attach"),
    ("get", "", "pods/attach"),
    ("patch", "", "pods/attach"),
    ("create", "", "pods/exec"),
    ("delete", "", "pods/exec"),
    ("get", "", "pods/exec"),
    ("patch", "", "pods/exec"),
    ("get", "", "pods/log"),
    ("list", "", "pods/log"),
    ("create", "", "secrets"),
    ("delete", "", "secrets"),
    ("get", "", "secrets"),
    ("update", "", "secrets"),
    ("list", "", "events"),
]
REFUSED = [
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


def _config_toml(core: client.CoreV1Api, namespace: str) -> str:
    config_map = core.read_namespaced_config_map("gitlab-runner-builds", namespace)
    return config_map.data["config.template.toml"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_jobs_pod_is_admitted_at_its_level_and_refused_where_one_is_stricter(
    site: Site,
    core: client.CoreV1Api,
    strategy: str,
) -> None:
    site.write(STRATEGIES[strategy])
    site.up()
    pod = job_pod(_config_toml(core, site.prefix))

    admitted = core.create_namespaced_pod(f"{site.prefix}-builds", pod)

    level = LEVELS.get(strategy, "privileged")
    if level in STRICTER:
        stricter = f"{site.prefix}-stricter"
        label = {"pod-security.kubernetes.io/enforce": STRICTER[level]}
        core.create_namespace({"metadata": {"name": stricter, "labels": label}})
        account = {"metadata": {"name": pod["spec"]["serviceAccountName"]}}
        core.create_namespaced_service_account(stricter, account)
        with pytest.raises(ApiException, match="violates PodSecurity") as refusal:
            core.create_namespaced_pod(stricter, pod)
        assert refusal.value.status == 403
    phase = ""
    deadline = time.monotonic() + 20
    while phase != "Running" and time.monotonic() < deadline:
        found = core.read_namespaced_pod(admitted.metadata.name, f"{site.prefix}-builds")
        phase = found.status.phase
    assert phase == "Running"


@pytest.fixture
def manager(site: Site, control_plane: Cluster) -> Iterator[client.ApiClient]:
    """A client with the manager's own token."""
    site.write("kaniko")
    site.up()
    with account_api(control_plane, "gitlab-runner-builds", site.prefix) as api:
        yield api


def test_the_manager_may_do_what_the_runner_does_and_nothing_else(
    site: Site,
    manager: client.ApiClient,
) -> None:
    jobs = f"{site.prefix}-builds"
    elsewhere = (site.prefix, f"{site.prefix}-apps", "default", "kube-system")

    assert [call for call in ALLOWED if not allowed(manager, jobs, call)] == []
    assert [call for call in REFUSED if allowed(manager, jobs, call)] == []
    assert [
        (namespace, call)
        for namespace in elsewhere
        for call in ANYWHERE_ELSE
        if allowed(manager, namespace, call)
    ] == []
    assert [call for call in CLUSTER_WIDE if allowed(manager, "", call)] == []


def test_the_manager_runs_a_job_with_its_own_token(
    site: Site,
    manager: client.ApiClient,
    core: client.CoreV1Api,
) -> None:
    own = client.CoreV1Api(manager)
    jobs = f"{site.prefix}-builds"
    pod = job_pod(_config_toml(core, site.prefix))

    secret = own.create_namespaced_secret(jobs, {"metadata": {"generateName": "runner-"}})
    created = own.create_namespaced_pod(jobs, pod)
    secret.metadata.owner_references = [
        client.V1OwnerReference(
            api_version="v1",
            kind="Pod",
            name=created.metadata.name,
            uid=created.metadata.uid,
        ),
    ]
    own.replace_namespaced_secret(secret.metadata.name, jobs, secret)
    own.list_namespaced_event(jobs)
    own.read_namespaced_pod(created.metadata.name, jobs)
    own.delete_namespaced_pod(created.metadata.name, jobs)

    with pytest.raises(ApiException, match="forbidden"):
        own.list_namespaced_secret(jobs)
    with pytest.raises(ApiException, match="forbidden"):
        own.read_namespaced_secret("gitlab-runner-builds-token", site.prefix)


def test_a_jobs_pod_has_no_token_of_its_account(
    site: Site,
    core: client.CoreV1Api,
) -> None:
    site.write("kaniko")
    site.up()
    jobs = f"{site.prefix}-builds"

    pod = core.create_namespaced_pod(jobs, job_pod(_config_toml(core, site.prefix)))

    assert pod.spec.service_account_name == "gitlab-job-builds"
    assert [volume.name for volume in pod.spec.volumes if volume.projected] == []


def test_a_job_asks_for_the_nodes_and_classes_of_its_runner(
    site: Site,
    control_plane: Cluster,
    core: client.CoreV1Api,
) -> None:
    with control_plane.api() as api:
        client.NodeV1Api(api).create_runtime_class(
            {"metadata": {"name": f"{site.prefix}-sandbox"}, "handler": "sandbox"},
        )
        client.SchedulingV1Api(api).create_priority_class(
            {"metadata": {"name": f"{site.prefix}-low"}, "value": -5},
        )
    site.write(
        "kaniko",
        runner={
            "nodeSelector": {"pool": "ci"},
            "tolerations": [
                {"key": "ci", "value": "true", "effect": "NoSchedule"},
                {"key": "example.com/spot"},
            ],
            "runtimeClassName": f"{site.prefix}-sandbox",
            "priorityClassName": f"{site.prefix}-low",
        },
    )
    site.up()

    pod = core.create_namespaced_pod(
        f"{site.prefix}-builds", job_pod(_config_toml(core, site.prefix))
    )

    assert pod.spec.node_selector == {"pool": "ci"}
    assert pod.spec.priority == -5
    asked = {
        (taint.key, taint.operator, taint.value, taint.effect) for taint in pod.spec.tolerations
    }
    assert asked >= {
        ("ci", "Equal", "true", "NoSchedule"),
        ("example.com/spot", "Exists", None, None),
    }
    assert pod.spec.runtime_class_name == f"{site.prefix}-sandbox"


def _texts(core: client.CoreV1Api, namespaces: list[str]) -> Iterator[str]:
    """Everything readable in the cluster that should hold no secret: ConfigMaps and values."""
    for namespace in namespaces:
        for item in core.list_namespaced_config_map(namespace).items:
            yield str(item.data)
        for item in core.list_namespaced_secret(namespace).items:
            if item.type == "helm.sh/release.v1":
                packed = base64.b64decode(base64.b64decode(item.data["release"]))
                yield gzip.decompress(packed).decode()
        for item in core.list_namespaced_pod(namespace).items:
            yield str(item)
        for item in core.list_namespaced_event(namespace).items:
            yield str(item)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_secret_is_in_plain_anywhere(
    site: Site,
    core: client.CoreV1Api,
    strategy: str,
) -> None:
    planted = {
        "runnerTokens__builds": "glrt-PlantedToken0001",
        "registryCredentials__in__password": "PlantedPullPassword",
        "registryCredentials__out__password": "PlantedPushPassword",
    }
    forms = [
        form
        for value in planted.values()
        for form in (value, base64.b64encode(value.encode()).decode())
    ]
    forms += [base64.b64encode(f"local:{planted[key]}".encode()).decode() for key in planted]
    site.plant(**planted)
    site.write(STRATEGIES[strategy])

    outputs = [site.preview().output, site.up().output]
    site.plant(**{**planted, "runnerTokens__builds": "glrt-PlantedToken0002"})
    outputs += [site.preview().output, site.up().output, site.destroy().output]
    site.up()
    places = {
        "output": "\n".join(outputs),
        "state": site.state(),
        "stack file": (site.stack.work / "Pulumi.test.yaml").read_text(encoding="utf-8"),
        "cluster": "\n".join(_texts(core, [site.prefix, f"{site.prefix}-builds"])),
    }

    assert "gitlab-runner-builds-token" in places["cluster"]
    assert "registry-pull" in places["state"]
    found: list[Any] = [
        (place, form)
        for place, text in places.items()
        for form in [*forms, "glrt-PlantedToken0002"]
        if form in text
    ]
    assert found == []
