"""The API server of the engine tests: what it wrote down, what it has, and who may do what."""

import base64
import contextlib
import json
import secrets
import time
from collections.abc import Generator
from typing import Any, cast

from kubernetes import client
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict

from dev.cluster.control_plane import ControlPlane
from tests.executor.binary import Manager
from tests.executor.job import Account, Call, Run
from tests.support.kubernetes import Api, authorization_v1, core_v1, rbac_v1


class AuditedCluster(ControlPlane):
    """Its API server writes down what ServiceAccounts ask for, and the pods that they make."""

    def flags(self, name: str) -> list[str]:
        if name != "kube-apiserver":
            return super().flags(name)
        jobs = {"verbs": ["create"], "resources": [{"group": "", "resources": ["pods"]}]}
        rules = [
            {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
            {"level": "RequestResponse", "userGroups": ["system:serviceaccounts"], **jobs},
            {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        ]
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": rules,
        }
        file = self.state / "audit-policy.json"
        file.write_text(json.dumps(policy), encoding="utf-8")
        log = str(self.state / "audit.log")
        audit = [f"--audit-policy-file={file}", f"--audit-log-path={log}"]
        return [*super().flags(name), *audit]

    def requests_of(self, name: str, namespace: str) -> Run:
        """Return what this account has asked for; its last pod is the one that counts."""
        user = f"system:serviceaccount:{namespace}:{name}"
        run = Run()
        for line in (self.state / "audit.log").read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["user"]["username"] != user or "objectRef" not in event:
                continue
            about = event["objectRef"]
            resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
            call = (event["verb"], about.get("apiGroup", ""), resource)
            run.calls.append(call)
            if event["annotations"]["authorization.k8s.io/decision"] == "forbid":
                run.forbidden.append(call)
            if "responseObject" in event and event["responseObject"]["kind"] == "Pod":
                run.pod = event["responseObject"]
        return run


def runner_config(core: Api, namespace: str, runner: str) -> str:
    """Return the config.toml that was deployed for a runner."""
    config_map = core.read_namespaced_config_map(f"gitlab-runner-{runner}", namespace)
    return config_map.data["config.template.toml"]


def deployed_manager(core: Api, namespace: str, runner: str) -> Manager:
    """Return what the chart deployed for a runner."""
    release = f"gitlab-runner-{runner}"
    config = core.read_namespaced_config_map(release, namespace).data
    secret = core.read_namespaced_secret(f"{release}-token", namespace).data
    token = base64.b64decode(secret["runner-token"]).decode()
    return Manager(config["config.toml"], config["config.template.toml"], token)


def account(cluster: ControlPlane, name: str, namespace: str) -> Account:
    """Return the credentials that a pod of this ServiceAccount would have."""
    with cluster.api() as administrator:
        token = core_v1(administrator).create_namespaced_service_account_token(
            name, namespace, {"spec": {"expirationSeconds": 600}}
        )
        certificates = cast("Any", administrator).configuration.ssl_ca_cert
    return Account(cluster.addresses.server, certificates, token.status.token)


@contextlib.contextmanager
def account_api(cluster: ControlPlane, name: str, namespace: str) -> Generator[client.ApiClient]:
    """A client with the token of a ServiceAccount."""
    known = account(cluster, name, namespace)
    configuration = client.Configuration()
    configuration.host = known.server
    configuration.ssl_ca_cert = known.certificates
    configuration.api_key = {"authorization": f"Bearer {known.token}"}
    with client.ApiClient(configuration) as api:
        yield api


def as_manifest(rules: list[PolicyRuleArgsDict]) -> list[dict[str, list[str]]]:
    """Spell a Role's rules as the API does, with one rule for each verb."""
    return [
        {"apiGroups": [*rule["api_groups"]], "resources": [*rule["resources"]], "verbs": [verb]}
        for rule in cast("list[dict[str, list[str]]]", rules)
        for verb in rule["verbs"]
    ]


def allowed(api: client.ApiClient, namespace: str, call: Call) -> bool:
    """Whether the account may do ``call``: a verb, an API group and a resource."""
    verb, group, resource = call
    name, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": name, "subresource": subresource}
    review = authorization_v1(api).create_self_subject_access_review(
        {"spec": {"resourceAttributes": {**attributes, "namespace": namespace}}}
    )
    return review.status.allowed


@contextlib.contextmanager
def grant(
    control_plane: ControlPlane, rules: list[dict[str, list[str]]], level: str, job_account: str
) -> Generator[tuple[str, Account]]:
    """Yield a job namespace at this Pod Security level, and a manager with only these rights."""
    namespace, manager = f"g{secrets.token_hex(4)}", "gitlab-runner-builds"
    label = {"pod-security.kubernetes.io/enforce": level}
    binding = {
        "metadata": {"name": manager},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": manager},
        "subjects": [{"kind": "ServiceAccount", "name": manager, "namespace": namespace}],
    }
    with control_plane.api() as api:
        core, access = core_v1(api), rbac_v1(api)
        core.create_namespace({"metadata": {"name": namespace, "labels": label}})
        try:
            for name in (manager, job_account):
                core.create_namespaced_service_account(namespace, {"metadata": {"name": name}})
            role = {"metadata": {"name": manager}, "rules": rules}
            access.create_namespaced_role(namespace, role)
            access.create_namespaced_role_binding(namespace, binding)
            with account_api(control_plane, manager, namespace) as asking:
                _await_rights(asking, namespace, rules[0])
            yield namespace, account(control_plane, manager, namespace)
        finally:
            core.delete_namespace(namespace)


def _await_rights(api: client.ApiClient, namespace: str, rule: dict[str, list[str]]) -> None:
    """Wait until the API server's authorizer has seen a new Role and its binding."""
    call = (rule["verbs"][0], rule["apiGroups"][0], rule["resources"][0])
    deadline = time.monotonic() + 10
    while not allowed(api, namespace, call) and time.monotonic() < deadline:
        time.sleep(0.05)
