"""Stacks that doctor looks at: on a made-up API server, or laid out on a real one."""

import base64
import copy
import dataclasses
import email.utils
import functools
import json
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation as auto

from commands.shared.recorded import wanted_stack
from components.ownership.cluster import Kubeconfig
from components.resources.certificates import KeyPair, Validity
from doctor.diagnosis import Diagnosis, UnseenError
from doctor.every import EVERY
from doctor.examine import Visit, examine
from doctor.kubernetes_api import Answer
from doctor.observed import Observed, folder
from doctor.wanted import WantedStack
from tests.support.configured import PULL, PUSH, SECRETS, SETTINGS, TOKEN, replace_values
from tests.support.servers import (
    LONG,
    Answers,
    GitLabDouble,
    Headers,
    RegistryDouble,
    Reply,
    serving,
)

OWNER = {"image-builds/owner": "00000000-0000-0000-0000-000000000000"}

Object = dict[str, Any]
Changes = dict[str, Any]


@contextmanager
def servers(
    gitlab_ca: KeyPair | None = None, registry_ca: KeyPair | None = None, validity: Validity = LONG
) -> Generator[tuple[GitLabDouble, RegistryDouble, Changes]]:
    """Yield a GitLab and a registry that know the stack, with the settings that name them."""
    gitlab = GitLabDouble(TOKEN)
    registry = RegistryDouble({"reader": PULL, "writer": PUSH}, ("writer",))
    if _KEPT and not (gitlab_ca or registry_ca):
        _KEPT["gitlab"], _KEPT["registry"] = gitlab, registry
        yield gitlab, registry, dict(_KEPT["addresses"])
        return
    with (
        serving(gitlab, gitlab_ca, validity) as gitlab_host,
        serving(registry, registry_ca, validity) as host,
        # Charts come with CAs that everybody knows, which tests do not have.
        serving(gitlab) as plain,
    ):
        yield (
            gitlab,
            registry,
            {
                "gitlab.url": f"http{'s' * bool(gitlab_ca)}://{gitlab_host}",
                "registries.0.host": host,
                "registries.0.insecure": not registry_ca,
                "chart": {"repository": f"http://{plain}/charts"},
            },
        )


_KEPT: dict[str, Any] = {}


@contextmanager
def kept_servers() -> Generator[None]:
    """Have all worlds of a process use the same two servers, so that they have equal stacks."""
    with serving(_kept("gitlab")) as gitlab_host, serving(_kept("registry")) as host:
        _KEPT["addresses"] = {
            "gitlab.url": f"http://{gitlab_host}",
            "registries.0.host": host,
            "registries.0.insecure": True,
            "chart": {"repository": f"http://{gitlab_host}/charts"},
        }
        yield
        _KEPT.clear()


def _kept(name: str) -> Answers:
    def answers(method: str, path: str, headers: Headers, body: bytes) -> Reply:
        return _KEPT[name](method, path, headers, body)

    return answers


def stack(
    changes: Mapping[str, Any],
    secrets: Mapping[str, Any] = SECRETS,
    what_if: str = "",
    name: str = "test",
) -> WantedStack:
    """Return a stack of the usual settings with changes, made once."""
    return _stack(json.dumps([dict(changes), dict(secrets)]), what_if, name)


@functools.cache
def _stack(given: str, what_if: str, name: str) -> WantedStack:
    changes, secrets = json.loads(given)
    settings = replace_values(SETTINGS, changes)
    values = {f"image-builds:{key}": json.dumps(value) for key, value in secrets.items()}
    secret = [*values]
    values["image-builds:settings"] = json.dumps(settings)
    values["kubernetes:context"] = "a-cluster"
    return wanted_stack(name, values, secret, what_if)


def config(changes: Mapping[str, Any]) -> dict[str, auto.ConfigValue]:
    """Return the config of a stack as Pulumi has it, decrypted."""
    plain = {
        "kubernetes:context": "a-cluster",
        "image-builds:settings": json.dumps(replace_values(SETTINGS, changes)),
    }
    secret = {f"image-builds:{key}": json.dumps(value) for key, value in SECRETS.items()}
    return {
        **{key: auto.ConfigValue(text) for key, text in plain.items()},
        **{key: auto.ConfigValue(text, secret=True) for key, text in secret.items()},
    }


def laid_out(wanted: WantedStack) -> list[Object]:
    """Return the objects of a stack as they are once it is deployed, with its managers."""
    objects = [copy.deepcopy(dict(item)) for item in wanted.manifests]
    for item in objects:
        known = item["metadata"].get("annotations", {})
        item["metadata"] = {**item["metadata"], "annotations": {**known, **OWNER}}
    return objects + [_manager(wanted, runner) for runner in wanted.runners]


def _manager(wanted: WantedStack, runner: str) -> Object:
    """Return a manager's Deployment, much like the chart's."""
    values, name = wanted.runners[runner].values, wanted.runners[runner].names["manager_account"]
    labels = {"app": name}
    container = {
        "name": "gitlab-runner",
        "image": "runner",
        "securityContext": values["securityContext"],
    }
    spec = {
        "serviceAccountName": name,
        "securityContext": values["podSecurityContext"],
        "containers": [container],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": wanted.settings.namespace},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def kubeconfig(folder: Path, address: str, context: str = "a-cluster") -> Kubeconfig:
    """Write the kubeconfig of an API server at this address, with one context."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": address}}],
        "users": [{"name": "u", "user": {"token": "a-token"}}],
        "contexts": [{"name": "a-cluster", "context": {"cluster": "c", "user": "u"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Kubeconfig(str(file), context)


def path_of(item: Object) -> str:
    """Return the path of an object at the API server."""
    metadata = item["metadata"]
    return (
        f"{folder(item['apiVersion'], item['kind'], metadata.get('namespace'))}/{metadata['name']}"
    )


def node(name: str = "worker") -> Object:
    """Return a node that suits every strategy."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {"image-builds/docker-socket": "true", "kubernetes.io/arch": "amd64"},
        },
        "spec": {},
        "status": {
            "allocatable": {
                "cpu": "64",
                "memory": "256Gi",
                "ephemeral-storage": "1Ti",
                "pods": "110",
            },
            "conditions": [{"type": "Ready", "status": "True"}],
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "Ubuntu 24.04.3 LTS",
                "kernelVersion": "6.8.0-85-generic",
                "kubeletVersion": "v1.35.1",
                "containerRuntimeVersion": "containerd://2.1.4",
            },
        },
    }


class MadeUpApi:
    """An API server that has these objects, admits all of them, and obeys their Roles."""

    def __init__(self, wanted: WantedStack, *, deployed: bool = True) -> None:
        self.objects: dict[str, Object] = {}
        self.version = "v1.35.2"
        self.date = email.utils.formatdate(time.time(), usegmt=True)
        self.missing_apis: set[str] = set()
        self.refusals: dict[str, str] = {}
        """What a dry run answers, by the start of the path of the object."""
        self.answers: dict[str, Answer] = {}
        """What a dry run gets in place of an answer, by the start of its path."""
        self.mutations: dict[str, Callable[[Object], object]] = {}
        """What a webhook does to a pod that is tried out, by the start of its path."""
        self.page = False
        """Whether something else answers, with a page for everything."""
        self.denied: dict[str, int] = {}
        """The status of requests, by a part of their path."""
        self.lacking: set[tuple[str, str]] = set()
        """The verbs and resources that the account of the kubeconfig lacks."""
        self.granted: set[tuple[str, str, str, str]] = set()
        """Accounts with a verb, a resource and a namespace that no Role gives them."""
        self.down = ""
        self.kinds: dict[str, list[str]] = {}
        """What an API lists, by its version; nothing where it is not here."""
        self.add(node(), {**_plugin("calico-node")}, dns())
        if deployed:
            self.add(*(_as_stored(item) for item in laid_out(wanted)))

    def add(self, *items: Object) -> None:
        for item in items:
            self.objects[path_of(item)] = item

    def find(self, kind: str, name: str, namespace: str = "") -> Object:
        (found,) = [
            item
            for item in self.objects.values()
            if item["kind"] == kind
            and item["metadata"]["name"] == name
            and item["metadata"].get("namespace", "") == namespace
        ]
        return found

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        del self.objects[path_of(self.find(kind, name, namespace))]

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
        del kind
        if self.down:
            raise UnseenError(self.down)
        if self.page:
            return Answer(HTTPStatus.OK, {"text": "<html>", "message": "<html>"}, self.date)
        where, _, _ = path.partition("?")
        for part, status in self.denied.items():
            if part in where:
                return Answer(status, {"message": "no"}, self.date)
        if "accessreview" in where:
            allowed = self._allows(body["spec"])
            return Answer(HTTPStatus.CREATED, {"status": {"allowed": allowed}}, self.date)
        return self._read(where) if method == "GET" else self._tried_out(where, body)

    def _tried_out(self, where: str, body: Any) -> Answer:  # noqa: ANN401 - JSON
        for start, answer in self.answers.items():
            if where.startswith(start):
                return answer
        for start, message in self.refusals.items():
            if where.startswith(start) or start in json.dumps(body):
                return Answer(HTTPStatus.FORBIDDEN, {"message": message}, self.date)
        made = copy.deepcopy(dict(body))
        for start, change in self.mutations.items():
            if where.startswith(start):
                change(made)
        return Answer(HTTPStatus.OK, made, self.date)

    def _read(self, where: str) -> Answer:
        if where == "/version":
            return Answer(HTTPStatus.OK, {"gitVersion": self.version}, self.date)
        found = re.fullmatch(_PATH, where)
        assert found, where
        version, namespace, plural, name = found.groups("")
        if not (namespace or plural):
            status = HTTPStatus.NOT_FOUND if version in self.missing_apis else HTTPStatus.OK
            listed = [{"kind": kind} for kind in self.kinds.get(version, [])]
            return Answer(status, {"resources": listed}, self.date)
        if name or not plural:
            status = HTTPStatus.OK if where in self.objects else HTTPStatus.NOT_FOUND
            return Answer(status, self.objects.get(where, {"message": "not found"}), self.date)
        items = [
            item
            for path, item in self.objects.items()
            if path.split("/")[-2] == plural
            and namespace in {"", item["metadata"].get("namespace", "")}
        ]
        return Answer(HTTPStatus.OK, {"items": items}, self.date)

    def _allows(self, spec: Mapping[str, Any]) -> bool:
        asked = spec["resourceAttributes"]
        resource = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        if "user" not in spec:
            if asked["verb"] == "*":
                return not self.lacking
            return (asked["verb"], resource) not in self.lacking
        _, _, namespace, name = spec["user"].split(":")
        if (name, asked["verb"], resource, asked["namespace"]) in self.granted:
            return True
        return any(
            asked["verb"] in rule["verbs"] and resource in rule["resources"]
            for binding in self._in("RoleBinding", asked["namespace"])
            if any(
                (item["name"], item["namespace"]) == (name, namespace)
                for item in binding["subjects"]
            )
            for role in self._in("Role", asked["namespace"])
            if role["metadata"]["name"] == binding["roleRef"]["name"]
            for rule in role["rules"]
        )

    def _in(self, kind: str, namespace: str) -> list[Object]:
        return [
            item
            for item in self.objects.values()
            if item["kind"] == kind and item["metadata"].get("namespace") == namespace
        ]


_PATH = r"/(?:api/|apis/)(v1|[^/]+/[^/]+)(?:/namespaces/([^/]+))?(?:/([^/]+))?(?:/([^/]+))?"


def _plugin(name: str) -> Object:
    metadata = {"name": name, "namespace": "kube-system"}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata}


def dns() -> Object:
    """Return the Deployment of a DNS that serves."""
    metadata = {"name": "coredns", "namespace": "kube-system"}
    item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
    return {**item, "spec": {"replicas": 2}, "status": {"availableReplicas": 2}}


def _as_stored(item: Object) -> Object:
    """Return an object as the API server keeps it, once its pods run."""
    if item["kind"] == "Secret":
        data = {
            key: base64.b64encode(text.encode()).decode()
            for key, text in item.pop("stringData", {}).items()
        }
        item["data"] = {**item.get("data", {}), **data}
    if item["kind"] == "Deployment":
        item["status"] = {"availableReplicas": 1}
    return item


@dataclasses.dataclass
class World:
    """A stack with all that it is to meet; what tests change of it is a fault."""

    gitlab: GitLabDouble
    registry: RegistryDouble
    api: MadeUpApi
    wanted: WantedStack

    def examined(self, repository: str = "") -> Diagnosis:
        visit = Visit(
            stack=self.wanted, seen=Observed(self.api), context="a-cluster", repository=repository
        )
        return examine(EVERY, visit)


Adjust = Callable[[World], object]


@contextmanager
def world(
    changes: Changes | Callable[[Changes], Changes] | None = None,
    *,
    deployed: bool = True,
    what_if: str = "",
    name: str = "test",
    secrets: Mapping[str, Any] = SECRETS,
    **how: Any,  # noqa: ANN401 - the arguments of servers
) -> Generator[World]:
    """Yield a world without a fault, but for ``changes`` of the settings."""
    with servers(**how) as (gitlab, registry, addresses):
        own = changes(addresses) if callable(changes) else (changes or {})
        wanted = stack({**addresses, **own}, secrets, what_if, name)
        yield World(gitlab, registry, MadeUpApi(wanted, deployed=deployed), wanted)
