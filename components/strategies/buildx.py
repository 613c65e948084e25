"""buildx with its driver ``kubernetes``: each job makes a BuildKit pod, and removes it.

The driver talks to the API server as the jobs' account, so that account has a token and rights in
its own namespace (docker/buildx:driver/kubernetes/driver.go). Its pods are rootless, with seccomp
and AppArmor ``Unconfined``, for which the driver knows no other profile; and who may make pods at
that level can make privileged ones too.
"""

from collections.abc import Sequence
from typing import Literal

from components.plan import (
    CLIENT,
    CREDENTIALS,
    AccountRule,
    BuildPlan,
    setup_to_unshare,
    wait_for,
)
from components.site import Cluster, Registry
from components.strategies.buildkit import (
    BUILDKIT,
    CONFIG,
    FILES,
    buildx_environment,
    daemon_files,
)
from components.strategies.docker import DOCKER_CLIENT
from components.types import Image, Model


class Buildx(Model):
    """Build with ``docker buildx`` and BuildKit pods that each job makes for itself.

    The driver is ``kubernetes``; the others are ``buildkit-service`` with ``client: buildx``
    (``remote``), and ``dind`` and ``dood`` as they are (``docker``). Whoever can run a job can make
    privileged pods, so the stack file must say that it accepts this.
    """

    kind: Literal["buildx"] = "buildx"
    accept_privileged: Literal[True]
    image: Image = DOCKER_CLIENT
    daemon_image: Image = f"{BUILDKIT}-rootless"


_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

_RULES = (
    AccountRule(group="apps", resource="deployments", verbs=("create", "delete", "get")),
    AccountRule(group="", resource="pods", verbs=("list",)),
    AccountRule(group="", resource="pods/exec", verbs=("create",)),
)
_RULE_WITH_FILES = AccountRule(
    group="",
    resource="configmaps",
    verbs=("create", "delete", "update"),
)


def plan(
    options: Buildx,
    cluster: Cluster,
    registries: Sequence[Registry],
    mirrors: Sequence[str],
) -> BuildPlan:
    """Return the plan; jobs call ``docker buildx build``."""
    files = daemon_files(registries, mirrors)
    return BuildPlan(
        strategy=options.kind,
        image=options.image,
        # Not the job's pod needs it, but those that it makes.
        pod_security="privileged",
        allow_privilege_escalation=False,
        account_token=True,
        account_rules=(*_RULES, _RULE_WITH_FILES) if files else _RULES,
        unshares=True,
        credentials_folder=CREDENTIALS,
        files_folder=FILES,
        files=files,
        resources=CLIENT,
        environment=buildx_environment(registries),
        prepare=_create(options, with_files=CONFIG in files)
        + wait_for("The BuildKit pod", "docker buildx inspect --bootstrap"),
        node_setup=setup_to_unshare(cluster, None),
        warnings=(
            "whoever can run a job may make any pod in the job namespace, a privileged one too, "
            "and is root on the node with it; a job that is killed leaves its BuildKit pod behind",
        ),
    )


def _create(options: Buildx, *, with_files: bool) -> str:
    """Write shell that makes a builder of the job's own, and removes it when the shell ends."""
    # The driver puts the file where a daemon of root looks for it, not one of uid 1000
    # (docker/buildx:driver/kubernetes/manifest, moby/buildkit:cmd/buildkitd/main.go).
    config = (
        f" --buildkitd-config {FILES}/{CONFIG} --buildkitd-flags --config=/etc/buildkit/{CONFIG}"
        if with_files
        else ""
    )
    driver = f"namespace=$(cat {_NAMESPACE}),rootless=true,image={options.daemon_image}"
    return f"""\
if command -v docker >/dev/null; then
  trap 'docker buildx rm --force "build-$CI_JOB_ID" >/dev/null 2>&1' EXIT
  docker buildx create --use --name "build-$CI_JOB_ID" --driver kubernetes{config} \\
    --driver-opt "{driver}"
fi
"""
