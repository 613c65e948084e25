"""One job as GitLab Runner's Kubernetes executor runs it, with the manager's own credentials.

No package registry has the runner's binary, so this sends the API server the same requests in the
same order (gitlab-runner:executors/kubernetes/kubernetes.go as of 18.9.0 to 19.3.0). It leaves
out requests that need no permission: access reviews and the server's version.
Pods of a simulated node run nothing, so a request to a container counts as done once the API
server lets it pass.
"""

import dataclasses
import json
import secrets
import time
import tomllib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3

from tests.executor.keys import unknown_keys
from tests.executor.pod import LABELS, NAME, Request, job_pod

Call = tuple[str, str, str]
"""A verb, an API group and a resource, as in a Role's rules."""

_METHODS = {"create": "POST", "update": "PUT", "delete": "DELETE"}
_PATIENCE = 20.0


class JobError(Exception):
    """A job cannot go on, as a rule because the API server refused a request."""


@dataclasses.dataclass(frozen=True)
class Account:
    """The API server's address and CA, and the token of the account that asks it."""

    server: str
    certificates: str
    token: str


@dataclasses.dataclass
class Run:
    """The end of a job; ``pod`` is as the API server returned it."""

    calls: list[Call] = dataclasses.field(default_factory=list[Call])
    forbidden: list[Call] = dataclasses.field(default_factory=list[Call])
    pod: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    phase: str = ""
    error: str = ""


class Job:
    """A job of one runner; it runs once."""

    def __init__(self, config_toml: str, runner: str, account: Account) -> None:
        """Read the runner's config.

        Raises:
            ValueError: this version of the runner would drop a key silently.
        """
        unknown = unknown_keys(config_toml, runner)
        if unknown:
            message = f"runner {runner} does not know {unknown}"
            raise ValueError(message)
        self._version = runner
        self._runner = tomllib.loads(config_toml)["runners"][0]
        self._namespace = self._runner["kubernetes"]["namespace"]
        self._account = account
        self._http = urllib3.PoolManager(ca_certs=account.certificates, retries=False)
        self._run = Run()
        self._secret: dict[str, Any] = {}

    def run(self, request: Request | None = None) -> Run:
        """Run the job to its end or to the first refusal, and clean up."""
        try:
            self._watch_pods()
            self._set_up(request or Request())
            for container in ("helper", "build"):
                self._stage(container)
            if request and request.fails:
                self._tolerated("list", "events")
        except JobError as refusal:
            self._run.error = str(refusal)
        finally:
            self._clean_up()
            self._http.clear()
        return self._run

    def _watch_pods(self) -> None:
        """Start the informer (internal/watchers/pod.go); without it, the runner only polls.

        It lists where the API server does not stream the list in the watch.
        """
        selector = ",".join(f"{key}={value}" for key, value in LABELS.items())
        for verb in ("list", "watch"):
            self._tolerated(verb, "pods", query={"labelSelector": selector})

    def _set_up(self, request: Request) -> None:
        """Create the Secret and the pod (setupCredentials, setupBuildPod), and wait for it."""
        login = {"registry.gitlab.example.com": {"username": "gitlab-ci-token", "password": "made"}}
        self._secret = self._create(
            "secrets",
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": _name()},
                "type": "kubernetes.io/dockercfg",
                "stringData": {".dockercfg": json.dumps(login)},
            },
            request,
        )
        secret = self._secret["metadata"]["name"]
        manifest = job_pod(self._runner, request, secret, self._version)
        manifest["metadata"]["name"] = _name()
        self._run.pod = self._create("pods", manifest, request)
        metadata = self._run.pod["metadata"]
        owner = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": metadata["name"],
            "uid": metadata["uid"],
        }
        owned = {**self._secret["metadata"], "ownerReferences": [owner]}
        self._secret = self._call(
            "update",
            "secrets",
            name=self._secret["metadata"]["name"],
            body={**self._secret, "metadata": owned},
        )
        if self._runner["kubernetes"].get("pod_disruption_budget"):
            self._create(
                "poddisruptionbudgets",
                {
                    "apiVersion": "policy/v1",
                    "kind": "PodDisruptionBudget",
                    "metadata": {"name": f"{owner['name']}-pdb", "ownerReferences": [owner]},
                    "spec": {
                        "minAvailable": 1,
                        "selector": {"matchLabels": {"job.runner.gitlab.com/pod": NAME}},
                    },
                },
                request,
            )
        self._wait()
        # The runner first writes the script that finds a shell; then the helper reads the log.
        self._in_container("exec", "build")
        self._in_container("exec", "helper")
        if request.variables.get("CI_DEBUG_SERVICES") == "true":
            self._follow_services()

    def _create(self, resource: str, body: dict[str, Any], request: Request) -> dict[str, Any]:
        """Create an object, or read it where the answer to the first attempt was lost."""
        created = self._call("create", resource, body=body)
        if not request.answers_lost:
            return created
        self._call("create", resource, body=body)
        return self._call("get", resource, name=body["metadata"]["name"])

    def _wait(self) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self._run.phase != "Running" and time.monotonic() < deadline:
            pod = self._call("get", "pods", name=self._run.pod["metadata"]["name"])
            self._run.phase = pod["status"]["phase"]
        if self._run.phase != "Running":
            message = "timed out waiting for pod to start"
            raise JobError(message)

    def _stage(self, container: str) -> None:
        """Write a stage's script, attach to the container, and look after the pod."""
        self._in_container("exec", container)
        self._in_container("attach", container)
        self._call("get", "pods", name=self._run.pod["metadata"]["name"])

    def _in_container(self, subresource: str, container: str) -> None:
        """Ask for a stream, always by POST (exec.go: NewSPDYExecutor), which is a create."""
        name = self._run.pod["metadata"]["name"]
        self._call("get", "pods", name=name)
        query = {"container": container, "stdin": "true"}
        if subresource == "exec":
            query["command"] = "sh"
        self._call("create", f"pods/{subresource}", name=name, query=query)

    def _follow_services(self) -> None:
        """Show the logs of services (captureContainerLogs); a refusal is a warning."""
        name = self._run.pod["metadata"]["name"]
        for service in self._runner["kubernetes"].get("services", []):
            self._tolerated("watch", "pods", query={"fieldSelector": f"metadata.name={name}"})
            self._tolerated("get", "pods/log", name, {"container": service["alias"]})

    def _clean_up(self) -> None:
        """Delete the pod, and the Secret where no pod owns it."""
        if self._run.pod:
            name = self._run.pod["metadata"]["name"]
            self._tolerated("delete", "pods", name, {"propagationPolicy": "Background"})
        if self._secret and "ownerReferences" not in self._secret["metadata"]:
            self._tolerated("delete", "secrets", self._secret["metadata"]["name"])

    def _tolerated(
        self, verb: str, resource: str, name: str = "", query: Mapping[str, str] | None = None
    ) -> None:
        """Send a request whose refusal does not end the job."""
        try:
            self._call(verb, resource, name=name, query=query)
        except JobError as refusal:
            self._run.error = self._run.error or str(refusal)

    def _call(
        self,
        verb: str,
        resource: str,
        *,
        name: str = "",
        body: dict[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Send one request and return the answer.

        Raises:
            JobError: the API server refused it.
        """
        group = "policy" if resource == "poddisruptionbudgets" else ""
        call = (verb, group, resource)
        self._run.calls.append(call)
        kind, _, subresource = resource.partition("/")
        prefix = f"/apis/{group}/v1" if group else "/api/v1"
        parts = (prefix, "namespaces", self._namespace, kind, name, subresource)
        path = "/".join(part for part in parts if part)
        watching = {"watch": "true", "timeoutSeconds": "1"} if verb == "watch" else {}
        answer = self._http.request(
            _METHODS.get(verb, "GET"),
            f"{self._account.server}{path}?{urlencode({**(query or {}), **watching})}",
            json=body,
            headers={"Authorization": f"Bearer {self._account.token}"},
            preload_content=False,
        )
        try:
            if watching and answer.status == HTTPStatus.OK:
                return {}
            text = answer.data.decode()
        finally:
            answer.close()
        if answer.status == HTTPStatus.FORBIDDEN:
            message = json.loads(text)["message"]
            # Admission refuses with the same status.
            if f'cannot {verb} resource "{resource}"' in message:
                self._run.forbidden.append(call)
            raise JobError(message)
        made_before = verb == "create" and answer.status == HTTPStatus.CONFLICT
        # A simulated node has no kubelet.
        if subresource or made_before:
            return {}
        assert answer.status < HTTPStatus.BAD_REQUEST, text
        return json.loads(text)


def _name() -> str:
    return f"{NAME}-{secrets.token_hex(4)}"
