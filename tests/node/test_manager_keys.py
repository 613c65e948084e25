"""Builds reach the outside by the proxy of the stack file, where nothing else leads there."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from components.gitlab_runner import before_job
from components.settings.models import Settings
from dev.node.images.catalogue import BASE
from dev.node.machine import NODE, PODS
from dev.node.node import Node
from dev.node.registry import PRIVATE
from tests.support.configured import FORMS, SITE
from tests.support.kubernetes import apps_v1
from tests.support.node.jobs import Runner
from tests.support.node.project import FILES, TEMPLATES, TOOLS, pipeline, run_image
from tests.support.node.stack import MANAGERS, stack_settings
from tests.support.shared import Shared

PORT = 3128
PROXY = f"http://{NODE}:{PORT}"
DAEMON = "buildkit-service"
# The node's own engine needs the node's own setting.
NAMES = [
    pytest.param(name, marks=pytest.mark.alone) if name == DAEMON else name
    for name in TOOLS
    if name != "dood"
]
# kube-router accepts before other filters what policies allow, so the address changes: to a port
# where nobody listens.
CLOSED = (
    *("PREROUTING", "--table", "nat", "-s", PODS, "-p", "tcp", "--dport", str(PRIVATE.port)),
    *("-j", "REDIRECT", "--to-ports", "1"),
)
RUN = f'RUN test "$https_proxy" = {PROXY}\n'


@pytest.fixture
def proxy(node: Node, shared: Shared) -> Iterator[Callable[[], str]]:
    """Close the registry to pods, start Debian's tinyproxy, and return what reads its log."""
    with shared.undisturbed(PRIVATE.host, disturbs=True):
        yield from _only_way_out(node)


def _only_way_out(node: Node) -> Iterator[Callable[[], str]]:
    folder = node.machine.state / "proxy"
    folder.mkdir(exist_ok=True)
    file, log = folder / "tinyproxy.conf", folder / "tinyproxy.log"
    lines = (
        f"Port {PORT}",
        f"Listen {NODE}",
        f'LogFile "{log}"',
        "LogLevel Connect",
        f"Allow {PODS}",
    )
    file.write_text("\n".join((*lines, "Timeout 600", "MaxClients 50", "")), encoding="utf-8")
    log.unlink(missing_ok=True)
    node.machine.spawn("tinyproxy", ["tinyproxy", "-d", "-c", str(file)])
    deadline = time.monotonic() + 30
    while not log.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    node.machine.call("iptables", "--wait", "-I", *CLOSED)
    try:
        yield lambda: log.read_text("utf-8")
    finally:
        node.machine.call("iptables", "--wait", "-D", *CLOSED)
        process = node.machine.running()["tinyproxy"]
        process.terminate()
        process.wait(30)


def _variables(node: Node, name: str) -> dict[str, str]:
    settings = Settings.model_validate(
        {**stack_settings(node), "proxy": {"http": PROXY, "https": PROXY}}
    )
    aliases = (service.alias for service in settings.plans()[name].services)
    return settings.proxy_variables(*aliases)


@contextlib.contextmanager
def _daemon_with(node: Node, variables: dict[str, str]) -> Generator[None]:
    """Give the shared daemon the variables until the block ends."""
    namespace = f"{MANAGERS}-{DAEMON}-buildkitd"

    def give(entries: list[dict[str, Any]]) -> None:
        container = {"name": "buildkitd", "env": entries}
        with node.cluster.api() as api:
            apps = apps_v1(api)
            body = {"spec": {"template": {"spec": {"containers": [container]}}}}
            made = apps.patch_namespaced_deployment("buildkitd", namespace, body)
            deadline = time.monotonic() + 180
            while True:
                found = apps.read_namespaced_deployment("buildkitd", namespace)
                status = found.status
                if (
                    status.observed_generation >= made.metadata.generation
                    and status.updated_replicas == status.available_replicas == status.replicas == 1
                ):
                    return
                assert time.monotonic() < deadline, status
                time.sleep(0.5)

    give([{"name": name, "value": value} for name, value in variables.items()])
    try:
        yield
    finally:
        give([{"name": name, "$patch": "delete"} for name in variables])


@pytest.mark.parametrize("name", NAMES)
def test_a_build_reaches_a_registry_by_the_proxy(
    name: str, node: Node, runner: Callable[..., Runner], tag: str, proxy: Callable[[], str]
) -> None:
    found, variables = runner(name), _variables(node, name)
    found.table["environment"] += [f"{key}={value}" for key, value in variables.items()]
    files = {**FILES, "Dockerfile": str(FILES["Dockerfile"]).replace("RUN", f"{RUN}RUN", 1)}
    before = len(proxy())
    if FORMS[name].plan(SITE).account_token:
        found.table["pre_build_script"] = before_job.NEAR + found.table["pre_build_script"]

    with _daemon_with(node, variables) if name == DAEMON else contextlib.nullcontext():
        result = found.run(pipeline(TEMPLATES[name], name, tag, PRIVATE, files))

    assert result.status == "success"
    assert f"CONNECT {PRIVATE.address}" in proxy()[before:]
    assert run_image(node, f"{PRIVATE.address}/{name}:{tag}", f"{name}-{tag}") == "hello\n"


@pytest.mark.parametrize("name", ["kaniko"])
def test_nothing_else_leads_to_that_registry(
    name: str, runner: Callable[..., Runner], tag: str, proxy: Callable[[], str]
) -> None:
    before = len(proxy())

    result = runner(name).run(pipeline(TEMPLATES[name], name, tag, PRIVATE, FILES))

    assert result.status == "failed"
    assert f"{PRIVATE.address}/{BASE}" in result.trace or "connection refused" in result.trace
    assert PRIVATE.address not in proxy()[before:]
