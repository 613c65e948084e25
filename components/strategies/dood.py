"""DooD: builds with the node's Docker engine, through its socket.

Whoever can run a job is root on the node, since a read-only mount of a socket does not limit the
API behind it (GitLab: doc/ci/docker/using_docker_build.md). Registry settings belong to that
engine, so they are said here and checked by nobody.
"""

import json
import re
from collections.abc import Sequence
from typing import Literal

from components.plan import (
    CLIENT,
    CREDENTIALS,
    BuildPlan,
    HostPath,
)
from components.site import Cluster, Registry
from components.strategies.docker import DOCKER_CLIENT, HOSTS_FILE, files
from components.types import Image, Model


class Dood(Model):
    """Build with the node's own Docker engine, through its socket.

    Whoever runs a job is root on the node, so the stack file must say that it accepts this.
    """

    kind: Literal["dood"] = "dood"
    accept_node_root: Literal[True]
    image: Image = DOCKER_CLIENT


_SOCKET = "/var/run/docker.sock"
_OLDEST_SUPPORTED = 29


def plan(
    options: Dood,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan; jobs call ``docker build`` and ``docker push`` as they are."""
    return BuildPlan(
        strategy=options.kind,
        image=options.image,
        pod_security="privileged",
        # The job needs no privilege of its own: the engine behind the socket has it.
        allow_privilege_escalation=False,
        credentials_folder=CREDENTIALS,
        resources=CLIENT,
        environment={"DOCKER_HOST": f"unix://{_SOCKET}"},
        host_paths=(HostPath(name="docker-socket", path=_SOCKET, kind="Socket", read_only=True),),
        node_selector=cluster.nodes.selector,
        node_setup=tuple(_node_setup(registries, mirrors)),
        warnings=(
            "whoever can run a job is root on the node that runs it, and limits of a job's pod "
            "do not hold for its builds",
            *_old_client(options.image),
        ),
    )


def _node_setup(registries: Sequence[Registry], mirrors: Sequence[str]) -> list[str]:
    """What the nodes' owner must set, since a job cannot (docs.docker.com: dockerd)."""
    daemon: dict[str, list[str]] = {}
    insecure = [registry.host for registry in registries if registry.insecure]
    if insecure:
        daemon["insecure-registries"] = insecure
    if mirrors:
        daemon["registry-mirrors"] = [f"https://{mirror}" for mirror in mirrors]
    lines = [f"/etc/docker/daemon.json must hold {json.dumps(daemon)}"] if daemon else []
    lines += [
        f"/etc/docker/certs.d/{registry.host}/ca.crt must hold the CA of {registry.host}"
        for registry in registries
        if registry.ca_certificates
    ]
    if hosts := files(registries, mirrors).get(HOSTS_FILE):
        lines.append(f"/etc/docker/certs.d/{HOSTS_FILE} must hold\n{hosts.strip()}")
    return lines


def _old_client(image: str) -> list[str]:
    major = re.search(r"docker:(\d+)\.", image)
    if major and int(major[1]) < _OLDEST_SUPPORTED:
        return [
            f"{image} gets no security fixes (docker-library/docker builds 29 only), and engines "
            "of 29.0 refuse clients older than 25",
        ]
    return []
