import base64
import json
import os
import resource
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, cast

import pytest
import yaml

from commands.doctor import diagnose
from components.ownership.cluster import Kubeconfig
from dev.cluster.control_plane import ControlPlane
from dev.cluster.kubeconfig import NAME
from dev.paths import CHECKOUT
from doctor.checks.servers.gitlab import TOKEN
from doctor.diagnosis import Diagnosis
from doctor.every import EVERY
from doctor.examine import Visit, examine
from doctor.kubernetes_api import KubernetesApi
from doctor.observed import Observed
from doctor.wanted import WantedStack
from tests.support import clinic
from tests.support.configured import PULL, PUSH, SECRETS, SETTINGS, STRATEGIES, replace_values
from tests.support.kubernetes import core_v1
from tests.support.servers import GitLabDouble, Reply, new_ca, serving
from tests.support.stacks import Site

RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
Provoke: TypeAlias = Callable[[KubernetesApi, str], None]
"""A change of the cluster, given the job namespace."""


@pytest.fixture
def prefix(control_plane: ControlPlane) -> Iterator[str]:
    made = f"d{secrets.token_hex(4)}"
    yield made
    with control_plane.api() as api:
        core = core_v1(api)
        for namespace in core.list_namespace().items:
            if namespace.metadata.name.startswith(made):
                core.delete_namespace(namespace.metadata.name)


def _api(control_plane: ControlPlane) -> KubernetesApi:
    return KubernetesApi(Kubeconfig(str(control_plane.kubeconfig), NAME))


def _examined(control_plane: ControlPlane, wanted: WantedStack) -> Diagnosis:
    visit = Visit(stack=wanted, seen=Observed(_api(control_plane)), context=NAME)
    return examine(EVERY, visit)


def _lay_out(control_plane: ControlPlane, wanted: WantedStack) -> None:
    api = _api(control_plane)
    for item in clinic.laid_out(wanted):
        # Others make the target namespaces that the stack does not.
        if item["metadata"].get("namespace", wanted.settings.namespace) in wanted.namespaces:
            _put(api, item)
    deadline = time.monotonic() + 60
    while not _serve(api, wanted):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _serve(api: KubernetesApi, wanted: WantedStack) -> bool:
    items = [item for item in clinic.laid_out(wanted) if item["kind"] == "Deployment"]
    return all(
        api.ask("GET", clinic.path_of(item)).body.get("status", {}).get("availableReplicas")
        for item in items
    )


def test_a_healthy_stack_has_no_fault(control_plane: ControlPlane, prefix: str) -> None:
    """With a runner for each variant of a strategy."""
    tokens = {variant: f"glrt-PlantedToken-{variant}" for variant in STRATEGIES}
    with clinic.servers() as (gitlab, _, changes):
        gitlab.runners = GitLabDouble(*tokens.values()).runners
        changes |= {
            "namespace": prefix,
            "targetNamespaces": {f"{prefix}-apps": {"create": True}},
            "runners": {
                variant: {"tags": [variant], "strategy": strategy}
                for variant, strategy in STRATEGIES.items()
            },
        }
        wanted = clinic.stack(changes, {**SECRETS, "runnerTokens": tokens})
        _lay_out(control_plane, wanted)
        found = _examined(control_plane, wanted)

    assert [(item.check.name, item.runner, item.message) for item in found.faults] == []
    for variant in STRATEGIES:
        assert found.ran[variant] >= {
            "pod-security",
            "manager-rights",
            "token-refused",
            "node-room",
        }


def _put(api: KubernetesApi, item: dict[str, Any]) -> None:
    path = f"{clinic.path_of(item)}?fieldManager=test&force=true"
    answer = api.ask("PATCH", path, item, "application/apply-patch+yaml")
    assert answer.status in {200, 201}, answer


def _remove(kind: str, name: str, api_version: str = "v1") -> Provoke:
    def then(api: KubernetesApi, namespace: str) -> None:
        metadata = {"name": name, "namespace": namespace}
        item = {"apiVersion": api_version, "kind": kind, "metadata": metadata}
        assert api.ask("DELETE", clinic.path_of(item)).status == 200

    return then


def _add(api_version: str, kind: str, spec: Mapping[str, Any]) -> Provoke:
    def then(api: KubernetesApi, namespace: str) -> None:
        metadata = {"name": "of-a-test", "namespace": namespace}
        _put(api, {"apiVersion": api_version, "kind": kind, "metadata": metadata, **spec})

    return then


def _relabel(api: KubernetesApi, namespace: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    change = {"metadata": {"labels": labels}}
    path = f"/api/v1/namespaces/{namespace}"
    assert api.ask("PATCH", path, change, "application/merge-patch+json").status == 200


def _bind_to_all(api: KubernetesApi, namespace: str) -> None:
    """Let the manager read what only administrators may."""
    home = namespace.removesuffix("-main")
    ref = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]
    role = {"metadata": {"name": home}, "rules": rules}
    subject = {"kind": "ServiceAccount", "name": "gitlab-runner-main", "namespace": home}
    binding = {"metadata": {"name": home}, "roleRef": {**ref, "name": home}, "subjects": [subject]}
    for kind, item in (("clusterroles", role), ("clusterrolebindings", binding)):
        assert api.ask("POST", f"/apis/{RBAC}/v1/{kind}", item).status == 201


def _deny(api: KubernetesApi, namespace: str) -> None:
    """Have the API server refuse the pods of this namespace by a policy in it."""
    name = f"deny-{namespace}"
    matched = {"kubernetes.io/metadata.name": namespace}
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    ]
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": rules, "namespaceSelector": {"matchLabels": matched}},
        "validations": [{"expression": "false", "message": "no pods here"}],
    }
    policy = {"metadata": {"name": name}, "spec": spec}
    bound = {"policyName": name, "validationActions": ["Deny"]}
    root = f"/apis/{ADMISSION}/v1"
    assert api.ask("POST", f"{root}/validatingadmissionpolicies", policy).status == 201
    binding = {"metadata": {"name": name}, "spec": bound}
    assert api.ask("POST", f"{root}/validatingadmissionpolicybindings", binding).status == 201


def _webhook(
    url: str, certificates: str, api: KubernetesApi, namespace: str, kind: str = "Validating"
) -> None:
    name = f"deny-{namespace}"
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}
    ]
    hook = {
        "name": "deny.example.com",
        "clientConfig": {"url": url, "caBundle": base64.b64encode(certificates.encode()).decode()},
        "rules": rules,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
    }
    content = {"metadata": {"name": name}, "webhooks": [hook]}
    path = f"/apis/{ADMISSION}/v1/{kind.lower()}webhookconfigurations"
    assert api.ask("POST", path, content).status == 201


def _review(method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
    """Deny as a policy engine does, or add a container as a service mesh does."""
    del method, headers
    answer: dict[str, Any] = {"uid": json.loads(body)["request"]["uid"]}
    if path.startswith("/add"):
        added = {"op": "add", "path": "/spec/containers/-", "value": {"name": "mesh", "image": "m"}}
        patch = base64.b64encode(json.dumps([added]).encode()).decode()
        answer |= {"allowed": True, "patchType": "JSONPatch", "patch": patch}
    else:
        answer |= {"allowed": False, "status": {"message": "run as non-root"}}
    return Reply(
        200, {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}
    )


def _denied_by_a_webhook(api: KubernetesApi, namespace: str) -> None:
    _webhook(HOOK[0], HOOK[1], api, namespace)


def _changed_by_a_webhook(api: KubernetesApi, namespace: str) -> None:
    _webhook(f"{HOOK[0]}add", HOOK[1], api, namespace, "Mutating")


def _webhook_down(api: KubernetesApi, namespace: str) -> None:
    _webhook("https://localhost:9/", CA.certificate, api, namespace)


CA = new_ca()
HOOK: list[str] = []
NETWORK = "networking.k8s.io/v1"
CPU = {"limits": [{"type": "Container", "max": {"cpu": "100m"}, "default": {"cpu": "100m"}}]}
FAULTS: dict[str, tuple[str, Provoke | dict[str, Any]]] = {
    "no room in a quota": ("quota", _add("v1", "ResourceQuota", {"spec": {"hard": {"pods": "0"}}})),
    "a quota that wants limits": (
        "quota",
        _add("v1", "ResourceQuota", {"spec": {"hard": {"limits.memory": "99Gi"}}}),
    ),
    "a LimitRange": ("limit-range", _add("v1", "LimitRange", {"spec": CPU})),
    "a label that was changed": ("namespace-level", _relabel),
    "a policy of the API server": ("webhook-denies", _deny),
    "a webhook that denies": ("webhook-denies", _denied_by_a_webhook),
    "a webhook that is down": ("webhook-down", _webhook_down),
    "a webhook that adds a container": ("pod-mutated", _changed_by_a_webhook),
    "a quota of Secrets": (
        "quota-for-all",
        _add("v1", "ResourceQuota", {"spec": {"hard": {"count/secrets": "4"}}}),
    ),
    "no StorageClass": (
        "storage-class",
        {"runners.main.volumes": [{"path": "/disk", "perJob": {"size": "1Gi"}}]},
    ),
    "no RoleBinding": (
        "manager-rights",
        _remove("RoleBinding", "gitlab-runner-main", f"{RBAC}/v1"),
    ),
    "a binding of the whole cluster": ("manager-rights-beyond", _bind_to_all),
    "no account": ("account-missing", _remove("ServiceAccount", "gitlab-job-main")),
    "no network policy": (
        "network-policy-missing",
        _remove("NetworkPolicy", "jobs-ingress", NETWORK),
    ),
    "a policy of others": (
        "network-policy-foreign",
        _add(NETWORK, "NetworkPolicy", {"spec": {"podSelector": {}, "egress": [{}]}}),
    ),
    "no push Secret": ("secret-missing", _remove("Secret", "registry-push")),
    "no PriorityClass": ("priority-class", {"runners.main.priorityClassName": "nowhere"}),
    "no RuntimeClass": ("runtime-class", {"runners.main.runtimeClassName": "nowhere"}),
    "no node": ("node-selector", {"runners.main.nodeSelector": {"disk": "fast"}}),
    "no such namespace": ("target-missing", {"targetNamespaces": {"nowhere-at-all": {}}}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_answer_of_a_real_api_server_is_understood(
    name: str, control_plane: ControlPlane, prefix: str
) -> None:
    check, provoked = FAULTS[name]
    with clinic.servers() as (_, _, changes), serving(_review, CA) as host:
        HOOK[:] = [f"https://{host}/", CA.certificate]
        changes |= {"namespace": prefix, "targetNamespaces": {f"{prefix}-apps": {"create": True}}}
        if isinstance(provoked, dict):
            changes.update(cast("dict[str, Any]", provoked))
        wanted = clinic.stack(changes)
        _lay_out(control_plane, wanted)
        if not isinstance(provoked, dict):
            provoked(_api(control_plane), f"{prefix}-main")
        names: list[str] = []
        found = _examined(control_plane, wanted)
        # What was changed takes the API server a while to know.
        deadline = time.monotonic() + 20
        while names != [check] and time.monotonic() < deadline:
            found = _examined(control_plane, wanted)
            names = [item.check.name for item in found.faults]

    assert names == [check], found.faults


def _spent() -> float:
    """Return the seconds of processors that programs have taken which this one has started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_the_command_takes_ten_seconds_for_three_runners(
    control_plane: ControlPlane, site: Site
) -> None:
    """From its start to its end; a machine on which other tests run gets more."""
    names = dict(zip(("main", "second", "third"), ("kaniko", "buildkit", "dind"), strict=True))
    tokens = {name: f"glrt-PlantedToken-{name}" for name in names}
    logins = {"in": ("reader", PULL), "out": ("writer", PUSH)}
    folder = site.stack.work
    with clinic.servers() as (gitlab, _, changes):
        gitlab.runners = GitLabDouble(*tokens.values()).runners
        for name, token in tokens.items():
            gitlab.runners[token]["tag_list"] = [name]
        del changes["chart"]  # The local run has that of an archive.
        changes |= {
            "namespace": site.prefix,
            "targetNamespaces": {f"{site.prefix}-apps": {"create": True}},
            "runners": {
                name: {"tags": [name], "strategy": STRATEGIES[strategy]}
                for name, strategy in names.items()
            },
        }
        site.plant(
            **{f"runnerTokens__{name}": token for name, token in tokens.items()},
            **{
                f"registryCredentials__{name}__username": user for name, (user, _) in logins.items()
            },
            **{
                f"registryCredentials__{name}__password": text for name, (_, text) in logins.items()
            },
        )
        content = {"config": {"image-builds:settings": replace_values(SETTINGS, changes)}}
        site.stack.stack_file.write_text(yaml.safe_dump(content), encoding="utf-8")
        _lay_out(control_plane, clinic.stack(changes, {**SECRETS, "runnerTokens": tokens}))
        with site.stack.open() as opened:
            environment = {**os.environ, **opened.workspace.env_vars, TOKEN: gitlab.users_token}
        # The command reads the stack file of the checkout that it is in.
        shutil.copytree(CHECKOUT / "commands", folder / "commands")
        before, started = _spent(), time.monotonic()
        answer = subprocess.run(
            [sys.executable, *("-m", "commands", "doctor", "--stack", "test", "--output", "out")],
            cwd=folder,
            env={**environment, "PYTHONPATH": str(CHECKOUT)},
            check=False,
            capture_output=True,
            text=True,
        )
        took, spent = time.monotonic() - started, _spent() - before

    assert answer.returncode == 0, f"{answer.stdout}\n{answer.stderr}"
    found = json.loads((folder / "out" / "doctor.json").read_text(encoding="utf-8"))
    assert (found["runners"], found["faults"]) == ([*names], [])
    assert not [item for item in found["notRun"] if "no answer came" in item["reason"]]
    assert (took < 30, spent < 10) == (True, True), (took, spent)


def _of_the_cluster(found: Diagnosis) -> list[str]:
    """Return the faults but for those of GitLab and registries, which do not exist here."""
    return [
        item.message for item in found.faults if item.check.group not in {"gitlab", "registries"}
    ]


def test_a_stack_has_no_fault_before_and_after_pulumi_up(site: Site) -> None:
    site.write("kaniko")
    with site.stack.open() as opened:
        before = diagnose(opened)
    site.up()
    with site.stack.open() as opened:
        after = diagnose(opened)
        another = diagnose(opened, what_if="kind: buildkit")

    assert [_of_the_cluster(found) for found in (before, after, another)] == [[], [], []]
    assert "pod-security" not in before.ran["builds"]
    assert after.ran["builds"] >= {"pod-security", "manager-rights", "release-failed"}
    assert "pod-security" in another.ran["builds"]
