"""DooD: builds with the node's Docker engine, through its socket.

Anyone who can run a job is root on the node, since a read-only mount of a socket does not limit the
API behind it (GitLab: doc/ci/docker/using_docker_build.md). Registry settings belong to that
engine, so a plan lists them for the nodes' owner and nothing checks them.
"""

import json
import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, final

from components.bounds import CLIENT
from components.image_reference import ImageReference
from components.plan import BuildPlan, HostPath
from components.site import Site
from components.strategies.docker import DOCKER_CLIENT, HOSTS_FILE, SOCKET, choose_engine, files
from components.strategies.shared import (
    CREDENTIALS,
    FALLBACK,
    Accept,
    Forms,
    StrategyOptions,
    untrusted,
)
from components.types import Image

_SOCKET = SOCKET.removeprefix("unix://")
_OLDEST_SUPPORTED = 29


@final
class Dood(StrategyOptions):
    """Build with the node's own Docker daemon, through its socket.

    Anyone who can run a job is root on the node.
    """

    kind: Literal["dood"] = "dood"
    """Selects this strategy."""
    accept_node_root: Annotated[
        Literal[True], Accept("anyone who can run a job becomes root on the node")
    ]
    """Must be `true`, to confirm that jobs use the node's Docker daemon. Security: anyone who can
    run a job becomes root on the node, and reads what all jobs there left."""
    image: Image = DOCKER_CLIENT
    """The image of jobs that name none, with the Docker client, pinned by a version or a digest.
    Daemons of 29 refuse clients older than 19.03, and those of 29.0 to 29.2 older than 25."""

    forms: ClassVar[Forms] = {"dood": {"acceptNodeRoot": True}}
    command: ClassVar[str] = "docker build"

    def plan(self, site: Site) -> BuildPlan:
        """Return the plan; jobs call ``docker build`` and ``docker push`` as they are."""
        client = {"DOCKER_HOST": SOCKET}
        return BuildPlan(
            strategy=self.kind,
            image=self.image,
            pod_security="privileged",
            # The job itself needs no privilege: the engine behind the socket has it.
            allow_privilege_escalation=False,
            credentials_folder=CREDENTIALS,
            resources=CLIENT,
            environment=client,
            # No service is privileged, so only what hands on this socket can answer.
            prepare=choose_engine(self.kind, client, seconds=1),
            host_paths=(
                HostPath(name="docker-socket", path=_SOCKET, kind="Socket", read_only=True),
            ),
            node_selector=site.cluster.nodes.selector,
            node_setup=tuple(_node_setup(site)),
            warnings=(
                "anyone who can run a job is root on the node that runs it, and limits of a job's "
                "pod do not hold for its builds",
                *_old_client(self.image),
            ),
        )

    def blockers(self, site: Site) -> Iterator[str]:
        """Yield why it cannot or must not run there: it needs an engine and trust."""
        nodes = site.cluster.nodes
        if site.cluster.kind == "managed":
            yield (
                "needs a Docker socket, and the nodes of a managed cluster run containerd without "
                f"one; use {FALLBACK}, or set cluster.kind to onPrem if the nodes are yours"
            )
        else:
            if not nodes.docker_socket:
                yield (
                    "needs a Docker engine on the nodes, which the stack file does not declare; "
                    f"use {FALLBACK}, or set cluster.nodes.dockerSocket: true where {_SOCKET} "
                    "exists"
                )
            risk = "makes anyone who can run a job root on the node"
            yield from untrusted(site.cluster, risk)


def _node_setup(site: Site) -> list[str]:
    """What the nodes' owner must set, since a job cannot (docs.docker.com: dockerd)."""
    daemon: dict[str, list[str]] = {}
    insecure = [registry.host for registry in site.registries if registry.insecure]
    if insecure:
        daemon["insecure-registries"] = insecure
    if site.mirrors:
        daemon["registry-mirrors"] = [f"https://{mirror}" for mirror in site.mirrors]
    lines = [f"/etc/docker/daemon.json must hold {json.dumps(daemon)}"] if daemon else []
    lines += [
        f"/etc/docker/certs.d/{registry.host}/ca.crt must hold the CA of {registry.host}"
        for registry in site.registries
        if registry.ca_certificates
    ]
    if hosts := files(site.registries, site.mirrors).get(HOSTS_FILE):
        lines.append(f"/etc/docker/certs.d/{HOSTS_FILE} must hold\n{hosts.strip()}")
    return lines


def _old_client(image: str) -> list[str]:
    reference = ImageReference.parse(image)
    major = re.match(r"[0-9]+", reference.tag)
    official = reference.repository.rpartition("/")[2] == "docker"
    if official and major and int(major[0]) < _OLDEST_SUPPORTED:
        return [
            f"{image} gets no security fixes (docker-library/docker builds 29 only), and engines "
            "of 29 refuse clients older than 19.03, those of 29.0 to 29.2 older than 25"
        ]
    return []
