"""Stacks that only doctor looks at, and canaries in processes that end at a chosen moment."""

import contextlib
import dataclasses
import json
import os
import signal
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

from commands.shared import interrupt
from commands.shared.recorded import wanted_stack
from components.ownership.cluster import Kubeconfig
from dev.cluster.kubeconfig import NAME
from dev.node.images.catalogue import BASE
from dev.node.node import Node
from dev.node.registry import LOGIN, USER
from doctor.canary import jobs
from doctor.canary.run import Canary
from doctor.examine import Visit
from doctor.kubernetes_api import Answer, Api, KubernetesApi
from doctor.observed import Observed
from doctor.wanted import WantedRunner, WantedStack, entries, inside
from tests.support import clinic
from tests.support.node.stack import stack_settings

LITTLE = {"resources": {"requests": {"cpu": "50m"}, "service": {"requests": {"cpu": "50m"}}}}
"""So that several find room on a node with two processors."""
BASE_IMAGE = f"{LOGIN.address}/{BASE}"


def api_of(kubeconfig: Path) -> KubernetesApi:
    return KubernetesApi(Kubeconfig(str(kubeconfig), NAME))


@contextlib.contextmanager
def laid_out(
    node: Node,
    name: str,
    runners: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    *,
    manager: str = "",
) -> Generator[WantedStack]:
    """Yield a stack in separate namespaces, without managers unless they have an image."""
    usual = stack_settings(node)
    known = {
        **usual,
        "cluster": {**usual["cluster"], "nodes": {**usual["cluster"]["nodes"], "os": "other"}},
        "namespace": name,
        "targetNamespaces": {f"{name}-apps": {"create": True}},
        "runners": {key: {"tags": [key], **runner} for key, runner in runners.items()},
        **(settings or {}),
    }
    login = {"username": USER, "password": node.registries.password}
    secrets = {
        "runnerTokens": {key: f"glrt-PlantedToken-{key}" for key in runners},
        "registryCredentials": {"in": login, "out": login},
    }
    values = {"kubernetes:context": NAME, "image-builds:settings": json.dumps(known)}
    planted = {f"image-builds:{key}": json.dumps(value) for key, value in secrets.items()}
    wanted = wanted_stack("node", {**values, **planted}, [*planted])
    api = api_of(node.cluster.kubeconfig)
    try:
        for item in clinic.laid_out(wanted):
            if item["kind"] == "Deployment":
                if not manager:
                    continue
                (container,) = item["spec"]["template"]["spec"]["containers"]
                container.update(image=manager, command=["sleep", "600"])
            put(api, item)
        yield wanted
    finally:
        for namespace in wanted.namespaces:
            api.ask("DELETE", f"/api/v1/namespaces/{namespace}")


def put(api: KubernetesApi, item: dict[str, Any], by: str = "test") -> None:
    """Apply an object; what another one has applied of it stays."""
    path = f"{clinic.path_of(item)}?fieldManager={by}&force=true"
    answer = api.ask("PATCH", path, item, "application/apply-patch+yaml")
    assert answer.status in {200, 201}, answer


def changed(
    stack: WantedStack, name: str, change: Callable[[dict[str, Any]], object]
) -> WantedRunner:
    """Return a runner with another table of config.toml for its pods."""
    runner = stack.runners[name]
    toml = json.loads(json.dumps(runner.toml))
    change(toml["kubernetes"])
    return dataclasses.replace(runner, toml=toml)


def canary(api: Api, stack: WantedStack, runner: WantedRunner, repository: str) -> Canary:
    """Return the canary of one runner."""
    one = dataclasses.replace(stack, runners={runner.name: runner})
    return Canary(api, Visit(stack=one, seen=Observed(api), repository=repository), BASE_IMAGE)


@dataclasses.dataclass(frozen=True)
class Call:
    """A request of a canary: ``part`` is the container that it is about."""

    before: bool
    method: str
    part: str
    pod: Mapping[str, Any]
    log: Callable[[], str]

    def made(self, part: str) -> bool:
        return (self.before, self.method, self.part) == (False, "POST", part)

    def waits(self, part: str) -> bool:
        return self.part == part and inside(self.pod, "status").get("phase") == "Pending"

    def runs(self, part: str) -> bool:
        return self.part == part and any(
            item["name"] == part and "running" in item["state"]
            for item in entries(self.pod, "status", "containerStatuses")
        )

    def removed(self, part: str, *, before: bool) -> bool:
        return (self.before, self.method, self.part) == (before, "DELETE", part)


MOMENTS: dict[str, Callable[[Call], bool]] = {
    "before anything is made": lambda call: call.before,
    "when the pod that looks is asked for": lambda call: call.made("look"),
    "while the pod that looks starts": lambda call: call.waits("look"),
    "when the build is asked for": lambda call: call.made("build"),
    "while the pod of the build starts": lambda call: call.waits("build"),
    "in the build": lambda call: call.runs("build"),
    "in the push": lambda call: call.runs("build") and "ushing" in call.log(),
    # Its pod may have ended when it is looked at for the second time.
    "while the image is pulled": lambda call: (call.method, call.part) == ("GET", "run"),
    "before the image is cleaned up": lambda call: call.removed("run", before=True),
    "after the build was cleaned up": lambda call: call.removed("build", before=False),
}
"""When a canary is killed, from its first request to its last."""


class Ending:
    """The API server, for a canary that ends itself by a signal at a moment."""

    def __init__(self, api: KubernetesApi, moment: str, by: signal.Signals) -> None:
        self._api = api
        self._is_now = MOMENTS[moment]
        self._by = by
        self._parts: dict[str, str] = {}
        self._over = False

    def ask(self, method: str, path: str, body: Any = None, kind: str = "") -> Answer:  # noqa: ANN401 - JSON
        if method == "POST":
            (first, *_) = body["spec"]["template"]["spec"]["containers"]
            self._parts[body["metadata"]["name"]] = first["name"]
        # The canary asks from several threads, and another may be making a part.
        known = list(self._parts)
        names = [name for name in known if name in path or (body and name in str(body))]
        part = self._parts[names[0]] if names else ""
        self._look(Call(before=True, method=method, part=part, pod={}, log=str))
        answer = self._api.ask(method, path, body, kind)
        pods = entries(answer.body, "items") if "labelSelector" in path else []
        pod: Mapping[str, Any] = pods[0] if pods else {}

        def log() -> str:
            where = f"{path.partition('?')[0]}/{pod['metadata']['name']}/log"
            said = self._api.ask("GET", f"{where}?container={part}").body
            return str(said.get("text", ""))

        self._look(Call(before=False, method=method, part=part, pod=pod, log=log))
        return answer

    def _look(self, call: Call) -> None:
        if not self._over and self._is_now(call):
            self._over = True
            os.kill(os.getpid(), self._by)


def run_until(
    kubeconfig: Path, stack: WantedStack, name: str, moment: str, by: signal.Signals
) -> None:
    """Run a canary in a separate process, which a signal ends."""
    # So that a test need not wait for minutes.
    jobs.SECONDS, jobs.REMOVED_AFTER = 60, 5
    interrupt.end_in_one_line()
    api = Ending(api_of(kubeconfig), moment, by)
    canary(api, stack, stack.runners[name], f"{LOGIN.address}/killed/{name}").run()
