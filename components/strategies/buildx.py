"""buildx with its driver ``kubernetes``: each job makes a BuildKit pod, and removes it.

The driver talks to the API server as the jobs' account, so that account has a token and permissions
in its namespace (docker/buildx:driver/kubernetes/driver.go). Its pods are rootless, with seccomp
and AppArmor ``Unconfined``, for which the driver knows no other profile; and an account that may
create pods at that level can create privileged ones too.
"""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, final

from components.bounds import CLIENT
from components.plan import AccountRule, BuildPlan
from components.site import Site
from components.strategies.buildkit import CONFIG, FILES, ROOTLESS, daemon_files, rootful_image
from components.strategies.docker import DOCKER_CLIENT
from components.strategies.shared import (
    ACCEPT_PRIVILEGED,
    CREDENTIALS,
    Forms,
    StrategyOptions,
    no_engine,
    setup_to_unshare,
    untrusted,
    wait_for,
)
from components.types import Image

_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

_RULES = (
    AccountRule("apps", "deployments", ("create", "delete", "get")),
    AccountRule("", "pods", ("list",)),
    AccountRule("", "pods/exec", ("create",)),
)
_RULE_WITH_FILES = AccountRule("", "configmaps", ("create", "delete", "update"))


@final
class Buildx(StrategyOptions):
    """Build with `docker buildx` and a BuildKit pod for each job, by the driver `kubernetes`.

    Anyone who can run a job can create privileged pods in the job namespace, and run commands in
    the pods of other jobs there. For the driver `remote` use `buildkit-service` with `client:
    buildx`; the driver `docker` works in `dind` and `dood`.
    """

    kind: Literal["buildx"] = "buildx"
    """Selects this strategy."""
    accept_privileged: Annotated[Literal[True], ACCEPT_PRIVILEGED]
    """Must be `true`, to confirm that jobs can create privileged pods. Security: anyone who can run
    a job can become root on the node."""
    image: Image = DOCKER_CLIENT
    """The image of jobs that name none, with `docker buildx`, pinned by a version or a digest."""
    daemon_image: Image = ROOTLESS
    """The image of the pods that build, pinned by a version or a digest. It must end in
    `-rootless`."""

    forms: ClassVar[Forms] = {"buildx": {"acceptPrivileged": True}}
    command: ClassVar[str] = "docker buildx build"

    def plan(self, site: Site) -> BuildPlan:
        """Return the plan; jobs call ``docker buildx build``."""
        files = daemon_files(site)
        return BuildPlan(
            strategy=self.kind,
            image=self.image,
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
            environment=buildx_environment(site),
            prepare=no_engine(self.kind, has_client=True)
            + self._create(with_files=CONFIG in files)
            + wait_for("The BuildKit pod", "docker buildx inspect --bootstrap"),
            node_setup=setup_to_unshare(site.cluster, None),
            warnings=(
                "anyone who can run a job may make any pod in the job namespace, a privileged one "
                "too, and is root on the node with it; and may run commands in the pods of other "
                "jobs there, and so read their variables and logins; a job that is killed leaves "
                "its BuildKit pod behind",
            ),
        )

    def blockers(self, site: Site) -> Iterator[str]:
        """Yield why it cannot or must not run there: it needs a rootless image, and trust."""
        yield from rootful_image(self.daemon_image)
        risk = "lets anyone who can run a job make any pod in its namespace"
        yield from untrusted(site.cluster, risk, "use buildkit-service with client: buildx")

    def _create(self, *, with_files: bool) -> str:
        """Write shell that makes a builder of the job's own, and removes it when the shell ends.

        The builder has the proxy of the job (docker/buildx:driver/kubernetes/factory.go).
        """
        # The driver puts the file where a daemon of root expects it, not one of uid 1000
        # (docker/buildx:driver/kubernetes/manifest, moby/buildkit:cmd/buildkitd/main.go).
        config = (
            f" --buildkitd-config {FILES}/{CONFIG}"
            f" --buildkitd-flags --config=/etc/buildkit/{CONFIG}"
            if with_files
            else ""
        )
        driver = f"namespace=$(cat {_NAMESPACE}),rootless=true,image={self.daemon_image}"
        return f"""\
if command -v docker >/dev/null; then
  trap 'docker buildx rm --force "build-$CI_JOB_ID" >/dev/null 2>&1' EXIT
  (
    set --
    for name in http_proxy https_proxy no_proxy; do
      eval "value=\\${{$name:-}}"
      if [ -n "$value" ]; then set -- "$@" --driver-opt "\\"env.$name=$value\\""; fi
    done
    docker buildx create --use --name "build-$CI_JOB_ID" --driver kubernetes{config} \\
      --driver-opt "{driver}" "$@"
  )
fi
"""


def buildx_environment(site: Site) -> dict[str, str]:
    """For a CA, buildx has no flag; Go adds this folder to the system's bundle."""
    trusted = any(registry.ca_certificates for registry in site.registries)
    return {"SSL_CERT_DIR": FILES if trusted else ""}
