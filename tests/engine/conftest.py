"""Real engine, real provider, real API server; only the node is simulated (by kwok)."""

import base64
import contextlib
import dataclasses
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, cast
from unittest import mock

import pytest
import yaml
from kubernetes import client
from pulumi import automation as auto
from pulumi.automation import events
from pulumi_kubernetes.rbac.v1 import PolicyRuleArgsDict

from dev.cluster import Cluster
from dev.local import USERNAME, LocalStack
from dev.paths import CHECKOUT
from tests.executor.binary import Manager
from tests.executor.job import Account, Call, Run


class AuditedCluster(Cluster):
    """Its API server writes down what ServiceAccounts ask for, and the pods that they make."""

    def _apiserver(self) -> dict[str, str]:
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
        return {**super()._apiserver(), "audit-policy-file": str(file), "audit-log-path": log}

    def asked(self, name: str, namespace: str) -> Run:
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


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuditedCluster]:
    cluster = AuditedCluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()


@pytest.fixture
def core(control_plane: Cluster) -> Iterator[client.CoreV1Api]:
    with control_plane.api() as api:
        yield client.CoreV1Api(api)


@dataclasses.dataclass
class Outcome:
    """What one operation of the engine did, and everything that it printed."""

    operations: dict[str, list[str]]
    output: str


@dataclasses.dataclass
class Site:
    """A stack with namespaces of its own on the session's cluster."""

    prefix: str
    folder: Path
    stack: LocalStack

    def write(self, strategy: Any, **changes: Any) -> None:  # noqa: ANN401 - YAML
        """Write the stack file."""
        runner = {"tags": ["build"], "strategy": strategy, **changes.pop("runner", {})}
        settings = {
            "gitlab": {"url": "https://gitlab.example.com"},
            "cluster": {
                "kind": "onPrem",
                "nodes": {
                    "os": "ubuntu",
                    "dockerSocket": True,
                    "trusted": True,
                    "userNamespaces": True,
                    "selector": {"image-builds/docker-socket": "true"},
                },
            },
            "namespace": self.prefix,
            "registries": [{"host": "registry.example.com:5000", "pull": "in", "push": "out"}],
            "targetNamespaces": {f"{self.prefix}-apps": {"create": True}},
            "runners": {"builds": runner},
            **changes,
        }
        content = {"config": {"image-builds:settings": settings}}
        self.stack.stack_file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def plant(self, **values: str) -> None:
        """Choose the secrets' values by config path, with ``__`` for the dot."""
        self.stack.state.mkdir(parents=True, exist_ok=True)
        planted = {path.replace("__", "."): value for path, value in values.items()}
        file = self.stack.state / "secrets.json"
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps({**known, **planted}), encoding="utf-8")

    def up(self) -> Outcome:
        return self._run(lambda stack, see, say: stack.up(on_event=see, on_output=say))

    def preview(self) -> Outcome:
        return self._run(
            lambda stack, see, say: stack.preview(on_event=see, on_output=say, diff=True),
        )

    def destroy(self) -> Outcome:
        return self._run(
            lambda stack, see, say: stack.destroy(on_event=see, on_output=say, remove=True),
        )

    def state(self) -> str:
        """The stack's state as it lies in the backend, with its history and backups."""
        files = (self.stack.state / "backend").rglob("*.json*")
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)

    def start(self) -> subprocess.Popen[str]:
        """Start ``up`` in a process group of its own, so that a test can kill all of it."""
        return subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).parent / "drive.py"),
                str(self.stack.state),
                str(self.stack.kubeconfig),
                str(self.stack.stack_file),
            ],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _run(
        self,
        operation: Callable[
            [auto.Stack, Callable[[events.EngineEvent], Any], Callable[[str], Any]],
            object,
        ],
    ) -> Outcome:
        operations: dict[str, list[str]] = {}
        lines: list[str] = []

        def see(event: events.EngineEvent) -> None:
            done = event.resource_pre_event
            if done and done.metadata.op != events.OpType.SAME:
                operations.setdefault(done.metadata.op, []).append(done.metadata.urn)

        try:
            # After each operation the SDK asks for these, which takes three processes.
            unread = {"outputs": dict, "info": mock.Mock()}
            with self.stack.open() as stack, mock.patch.multiple(stack, **unread):
                operation(stack, see, lines.append)
        except auto.CommandError as error:
            lines.append(str(error))
            return Outcome({**operations, "failed": [str(error)]}, "\n".join(lines))
        return Outcome(operations, "\n".join(lines))


@contextlib.contextmanager
def fresh_site(control_plane: Cluster, folder: Path) -> Generator[Site]:
    """Yield a fresh stack; whatever it left behind is removed."""
    prefix = f"t{secrets.token_hex(4)}"
    stack = LocalStack(
        "test",
        folder / "state",
        control_plane.kubeconfig,
        stack_file=folder / "Pulumi.test.yaml",
    )
    yield Site(prefix, folder, stack)
    with control_plane.api() as api:
        namespaces = client.CoreV1Api(api)
        for namespace in namespaces.list_namespace().items:
            if namespace.metadata.name.startswith(prefix):
                namespaces.delete_namespace(namespace.metadata.name)


@pytest.fixture
def site(control_plane: Cluster, tmp_path: Path) -> Iterator[Site]:
    with fresh_site(control_plane, tmp_path) as found:
        yield found


def encoded(planted: list[str]) -> list[str]:
    """Return each secret as it is, and as Secrets and Docker's config.json encode it."""
    texts = [text for secret in planted for text in (secret, f"{USERNAME}:{secret}")]
    return [*planted, *(base64.b64encode(text.encode()).decode() for text in texts)]


def runner_config(core: client.CoreV1Api, namespace: str, runner: str) -> str:
    """Return the config.toml that was deployed for a runner."""
    config_map = core.read_namespaced_config_map(f"gitlab-runner-{runner}", namespace)
    return config_map.data["config.template.toml"]


def deployed_manager(core: client.CoreV1Api, namespace: str, runner: str) -> Manager:
    """Return what the chart deployed for a runner."""
    release = f"gitlab-runner-{runner}"
    config = core.read_namespaced_config_map(release, namespace).data
    secret = core.read_namespaced_secret(f"{release}-token", namespace).data
    token = base64.b64decode(secret["runner-token"]).decode()
    return Manager(config["config.toml"], config["config.template.toml"], token)


def account(cluster: Cluster, name: str, namespace: str) -> Account:
    """Return the credentials that a pod of this ServiceAccount would have."""
    with cluster.api() as administrator:
        token = client.CoreV1Api(administrator).create_namespaced_service_account_token(
            name,
            namespace,
            {"spec": {"expirationSeconds": 600}},
        )
        certificates = administrator.configuration.ssl_ca_cert
    return Account(cluster.server, certificates, token.status.token)


@contextlib.contextmanager
def account_api(cluster: Cluster, name: str, namespace: str) -> Generator[client.ApiClient]:
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
    review = client.AuthorizationV1Api(api).create_self_subject_access_review(
        {"spec": {"resourceAttributes": {**attributes, "namespace": namespace}}},
    )
    return review.status.allowed


@contextlib.contextmanager
def grant(
    control_plane: Cluster,
    rules: list[dict[str, list[str]]],
    level: str,
    job_account: str,
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
        core, access = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
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
