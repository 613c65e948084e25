"""The list of images: the node's own, the managers' and those of each strategy's jobs."""

from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.buildkit_service import BuildkitService
from components.strategies.dind import Dind
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko
from dev.node.images.builders import (
    buildah,
    buildkit,
    buildkit_rootless,
    docker_client,
    docker_engine,
    kaniko,
    runc,
)
from dev.node.images.image import Entry, Image, accounts, busybox, rootless, script
from dev.node.settings import PAUSE
from dev.toolchain import gitlab_runner

BASE = "base:1"
"""A Dockerfile's FROM: a shell and its tools, which the registry gets."""


def images() -> list[Image]:
    """Return every image that the node, the managers and the jobs of each strategy need."""
    version = gitlab_runner.pinned()
    gitlab = "registry.gitlab.com/gitlab-org/gitlab-runner"
    clients = {Dood(accept_node_root=True).image, Dind(accept_privileged=True).image}
    clients.add(BuildkitService(client="buildx").image)
    engine = Dind(accept_privileged=True).daemon_image
    rootless_engine = Dind(variant="rootless", accept_privileged=True).daemon_image
    shell = busybox("/bin/busybox", "/bin")
    return [
        Image((PAUSE,), shell, entrypoint=("/bin/sleep", "2147483647")),
        Image((BASE,), (*shell, *accounts("app", 1001))),
        Image((f"{gitlab}/gitlab-runner-helper:x86_64-v{version}",), _helper(), debian=True),
        Image((f"{gitlab}:alpine-v{version}",), _manager(), debian=True),
        kaniko(Kaniko().image),
        buildkit_rootless(Buildkit().image),
        Image(
            (Buildkit(variant="privileged").image,),
            (*buildkit(), *runc()),
            debian=True,
        ),
        buildah(Buildah().image),
        Image(tuple(sorted(clients)), docker_client(), debian=True),
        Image(
            # The version alone names the same image (docker-library/official-images).
            (engine, engine.partition("-dind")[0]),
            (*docker_client(), *docker_engine("/etc/docker")),
            debian=True,
            entrypoint=("dockerd-entrypoint.sh",),
        ),
        Image(
            (rootless_engine,),
            (
                *docker_client(),
                *rootless("rootless", "/home/rootless"),
                *docker_engine("/home/rootless/.config/docker"),
            ),
            debian=True,
            environment={"HOME": "/home/rootless", "XDG_RUNTIME_DIR": "/run/user/1000"},
            entrypoint=("dockerd-entrypoint.sh",),
            user="1000:1000",
        ),
    ]


def _helper() -> tuple[Entry, ...]:
    """What GitLab Runner calls in its helper; its stand-in needs a shell and its tools only.

    The shell must be Bash (gitlab-runner:executors/kubernetes/kubernetes.go, getContainerInfo).
    Every user must be able to write its files, since another user runs the job
    (helpers/container/helperimage/linux_info.go).
    The runner's own program has the helper's commands too (main.go).
    """
    runner = gitlab_runner.installed()
    return (
        Entry("/usr/bin/gitlab-runner-build", content='#!/bin/sh\numask 0\nexec bash "$@"\n'),
        *([Entry("/usr/bin/gitlab-runner-helper", file=runner)] if runner else ()),
    )


def _manager() -> tuple[Entry, ...]:
    """What the chart's probes and start script expect; it never contacts GitLab."""
    return (
        script("manager.sh", "/usr/bin/gitlab-runner"),
        # A process is named after its file, and the chart's probe looks for the runner's name.
        Entry("/entrypoint", content='#!/bin/sh\nexec /usr/bin/gitlab-runner "$@"\n'),
        Entry("/usr/bin/dumb-init", content='#!/bin/sh\nshift\nexec "$@"\n'),
        Entry("/home/gitlab-runner/.gitlab-runner", folder=True, mode=0o777),
    )
