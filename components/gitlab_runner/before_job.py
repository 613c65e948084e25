"""The shell that runs in the build container before a job's own.

It says which variables of the job have no effect, brings its logins, and prepares its tool. It is
POSIX, and what an image lacks for it must not end the job.
"""

from collections.abc import Mapping

from components.bounds import Resources
from components.gitlab_runner import cloud_logins
from components.plan import BuildPlan, RunnerNames

LOGINS = "/etc/image-builds/docker"
"""Where the Secret with the stack's push logins is mounted."""


def pushes(plan: BuildPlan, names: RunnerNames) -> bool:
    """Whether jobs get the stack's push logins."""
    return bool(plan.builds and names["push_secret"])


def script(
    plan: BuildPlan,
    resources: Resources,
    names: RunnerNames,
    clouds: Mapping[str, str],
    *,
    proxied: bool,
) -> str:
    """Return the text; the logins come before the tool, which may write into their folder.

    ``clouds`` are the registries that jobs push to by their identity, and ``proxied`` says that
    jobs have the variables of a proxy.
    """
    near = NEAR if proxied and plan.account_token else ""
    ignored = _ignored(resources, names["runner"]) + (_ENTRYPOINT if plan.services else "")
    logins = _logins(plan, names) + cloud_logins.shell(clouds)
    return near + ignored + logins + plan.prepare


def _ignored(resources: Resources, runner: str) -> str:
    """Write shell that names each variable of the job that GitLab Runner ignores in silence.

    It takes those for which config.toml has ``_overwrite_allowed`` or ``_overwrite_max_allowed``
    (gitlab-runner:executors/kubernetes/overwrites.go).
    """
    allowed = [
        f"KUBERNETES_{prefix}{resource}_{bound}".upper()
        for prefix, bounds in resources.containers().items()
        for resource, quantity in bounds.maximum
        if quantity
        for bound in ("limit", "request")
    ]
    taken = f"{' | '.join(allowed)}) continue ;;\n      " if allowed else ""
    where = f"runners.{runner}"
    return f"""\
(
  asked=$({{ env | sed -n 's/^\\(KUBERNETES_[A-Za-z0-9_]*\\)=..*/\\1/p'; }} 2>/dev/null) || true
  for name in $asked; do
    case $name in
      {taken}KUBERNETES_*_OVERWRITE | KUBERNETES_BEARER_TOKEN | KUBERNETES_NODE_SELECTOR_* | \\
        KUBERNETES_NODE_TOLERATIONS_* | KUBERNETES_POD_ANNOTATIONS_* | KUBERNETES_POD_LABELS_* | \\
        KUBERNETES_POD_CPU_* | KUBERNETES_POD_MEMORY_*)
        echo "$name has no effect: {where} does not let jobs choose it." >&2
        continue
        ;;
      KUBERNETES_HELPER_*_LIMIT | KUBERNETES_HELPER_*_REQUEST) key=resources.helper.maximum ;;
      KUBERNETES_SERVICE_*_LIMIT | KUBERNETES_SERVICE_*_REQUEST) key=resources.service.maximum ;;
      KUBERNETES_*_LIMIT | KUBERNETES_*_REQUEST) key=resources.maximum ;;
      *) continue ;;
    esac
    echo "$name has no effect: {where}.$key does not have it in the stack file." >&2
  done
)
"""


_ENTRYPOINT = """\
case "${FF_KUBERNETES_HONOR_ENTRYPOINT:-}" in
  1 | [Tt] | [Tt]rue | TRUE)
    echo "FF_KUBERNETES_HONOR_ENTRYPOINT has no effect: it would stop the runner's engine." >&2
    ;;
esac
"""
NEAR = """\
export NO_PROXY="$NO_PROXY,$KUBERNETES_SERVICE_HOST"
export no_proxy="$no_proxy,$KUBERNETES_SERVICE_HOST"
"""
"""Shell that excepts the API server from the proxy: only the pod knows its address."""


def _logins(plan: BuildPlan, names: RunnerNames) -> str:
    if not plan.builds:
        return ""
    if not pushes(plan, names):
        return _WRITE
    before, after = (_TO_HOME, _FROM_HOME) if plan.home_logins else ("", "")
    return before + _COPY + after + _ADD


# A tool that finds DOCKER_CONFIG reads nothing in ~/.docker (docker/cli:cli/config/config.go),
# where jobs write logins, and images have plugins. So both are one folder.
_TO_HOME = """\
if [ -w "${HOME:-}/.docker" ] && [ ! -e "$DOCKER_CONFIG" ]; then
  ln -s "$HOME/.docker" "$DOCKER_CONFIG" 2>/dev/null || true
fi
"""
_FROM_HOME = """\
if [ -n "${HOME:-}" ] && [ -d "$DOCKER_CONFIG" ] && [ ! -e "$HOME/.docker" ]; then
  ln -s "$DOCKER_CONFIG" "$HOME/.docker" 2>/dev/null || true
fi
"""
# A Secret's mount is read-only, and `docker login` or `echo … > $DOCKER_CONFIG/config.json` in a
# job must work. Images whose user may not write there run too, without the login.
_COPY = f"""\
if ! {{ mkdir -p "$DOCKER_CONFIG" && cp {LOGINS}/config.json "$DOCKER_CONFIG/"; }}; then
  echo "The registry logins could not be copied to $DOCKER_CONFIG; builds cannot push." >&2
fi
"""
# The runner pulls a job's images with this variable. Of what builds, Docker's clients read it from
# version 28 on (docker/cli:cli/config/configfile/file.go), older ones and Buildah do not. The job's
# logins are the last, since of two with one name the last one counts. Not even a job with
# CI_DEBUG_TRACE may show them.
_ADD = f"""\
if [ -n "${{DOCKER_AUTH_CONFIG:+set}}" ]; then
  (
    set +x
    stack=$(cat {LOGINS}/config.json) || exit
    stack=${{stack#*'"auths"'*'{{'}}
    stack=${{stack%'}}'*'}}'*}}
    job=${{DOCKER_AUTH_CONFIG#*'"auths"'*'{{'}}
    start=${{DOCKER_AUTH_CONFIG%"$job"}}
    case ${{job#"${{job%%[![:space:]]*}}"}} in
      '}}'*) comma= ;;
      *) comma=, ;;
    esac
    if [ -z "$start" ]; then
      echo "DOCKER_AUTH_CONFIG must be JSON with auths, so its logins are not added." >&2
    else
      printf '%s' "$start$stack$comma$job" >"$DOCKER_CONFIG/config.json"
    fi
  ) || echo "The logins of DOCKER_AUTH_CONFIG could not be added to $DOCKER_CONFIG." >&2
fi
"""
_WRITE = """\
if [ -n "${DOCKER_AUTH_CONFIG:+set}" ]; then
  (
    set +x
    folder=${DOCKER_CONFIG:-${HOME:-}/.docker}
    case $DOCKER_AUTH_CONFIG in
      *'"auths"'*) [ -e "$folder/config.json" ] || {
        mkdir -p "$folder" && printf '%s' "$DOCKER_AUTH_CONFIG" >"$folder/config.json"
      } ;;
      *) echo "DOCKER_AUTH_CONFIG must be JSON with auths, so its logins are not added." >&2 ;;
    esac
  ) || echo "The logins of DOCKER_AUTH_CONFIG could not be written; builds may not push." >&2
fi
"""
