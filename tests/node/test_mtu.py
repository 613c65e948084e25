"""Builds download from a server that sends packets too large for pods, and never hears of it.

So it is in overlay networks: their packets are smaller than those of the world, and what would say
so (ICMP, fragmentation needed) is often dropped on its way. A client whose network has the size of
the pod's asks for smaller segments; any other one waits forever.
"""

import functools
import http.server
import re
import shlex
import threading
from collections.abc import Callable, Iterator

import pytest

from dev.node.images.catalogue import BASE
from dev.node.machine import HOST, MTU
from dev.node.node import Node
from dev.node.registry import LOGIN
from tests.support.node.jobs import Pipeline, Runner
from tests.support.node.project import TEMPLATES, pipeline

SIZE = 1 << 20
# kube-router writes the filter table whole, so a rule made there meanwhile is lost.
TABLE = ("iptables", "--wait", "--table", "mangle")
LOST = ("OUTPUT", "-p", "icmp", "--icmp-type", "fragmentation-needed", "-j", "DROP")
ENGINES = ["dind", "dind-tls"]


@pytest.fixture(scope="module")
def server(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a file from beyond the node, whose complaints about packets get lost."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "large").write_bytes(b"0" * SIZE)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        node.machine.call(*TABLE, "-I", *LOST)
        # Static programs of Debian's busybox crash where they resolve names, as wget does.
        request = "printf 'GET /large HTTP/1.0\\r\\n\\r\\n'"
        yield f"{request} | timeout 20 nc {HOST} {listening.server_port}"
        node.machine.call(*TABLE, "-D", *LOST)
        listening.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""


@pytest.mark.parametrize("name", [*ENGINES, "dind-rootless", "buildkit", "buildah", "kaniko"])
def test_a_build_downloads_from_a_network_with_larger_packets(
    name: str, server: str, runner: Callable[..., Runner], tag: str
) -> None:
    base = f"{LOGIN.address}/{BASE}"
    dockerfile = f"FROM {base}\nRUN {server} >/large && test $(wc -c </large) -gt {SIZE}\n"
    job = pipeline(TEMPLATES[name], "group/mtu", tag, LOGIN, {"Dockerfile": dockerfile})

    result = runner(name).run(job)

    assert result.status == "success"


@pytest.mark.parametrize("name", ENGINES)
def test_a_network_that_a_job_makes_has_the_size_of_its_pod(
    name: str, server: str, runner: Callable[..., Runner]
) -> None:
    """As Compose makes one."""
    base = f"{LOGIN.address}/{BASE}"
    inside = f"cat /sys/class/net/eth0/mtu && {server} >/large && test $(wc -c </large) -gt {SIZE}"
    script = [
        "docker network create own",
        f"docker run --rm --network own {base} sh -c {shlex.quote(inside)}",
    ]

    result = runner(name).run(Pipeline(script=script, files={}))

    assert result.status == "success"
    assert f"\n{MTU}\n" in result.trace


def test_a_larger_network_waits_for_its_download(
    server: str, runner: Callable[..., Runner]
) -> None:
    """So the others show something."""
    base = f"{LOGIN.address}/{BASE}"
    script = [
        "docker network create --opt com.docker.network.driver.mtu=1500 large",
        f"docker run --rm --network large {base} sh -c {shlex.quote(f'{server} | wc -c')}",
    ]

    result = runner("dind").run(Pipeline(script=script, files={}))

    assert result.status == "success"
    # The headers fit into one packet.
    (received,) = re.findall(r"^([0-9]+)$", result.trace, re.MULTILINE)
    assert int(received) < SIZE
