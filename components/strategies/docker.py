"""The images of Docker, which engine a job gets, and what an engine has in ``certs.d``.

The engine trusts the CA of a mirror in the mirror's folder only where it has its old image store.
With containerd's, the default since 29, it looks for the CA of every mirror in the folder of Docker
Hub itself (moby: daemon/hosts.go, ``mergeLegacyConfig``), unless that has a ``hosts.toml``, which
counts in place of ``--registry-mirror`` then.
"""

import re
from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Annotated, Any

import tomlkit
from pydantic import AfterValidator

from components.site import Registry
from components.strategies.shared import PIPELINES, certificate_files

DOCKER_CLIENT = "docker:29.10.0-cli"
DOCKER_ENGINES = {False: "docker:29.10.0-dind", True: "docker:29.10.0-dind-rootless"}
"""By whether the engine is rootless."""

HOSTS_FILE = "docker.io/hosts.toml"
"""The name of the file in ``certs.d``."""

SOCKET = "unix:///var/run/docker.sock"
"""Where a client looks for its engine when nothing is said."""

TAKE_MTU = """\
if mtu=$(cat /sys/class/net/eth0/mtu); then
  set -- "$@" "--mtu=$mtu"
  case $(dockerd --help) in
    *--default-network-opt*)
      set -- "$@" "--default-network-opt=bridge=com.docker.network.driver.mtu=$mtu"
      ;;
  esac
fi
"""
"""Shell that adds flags with the MTU of the pod to an engine's arguments.

An engine's networks have packets of 1500 bytes, those of most overlay networks smaller ones, and
what is too large for the pod gets lost: a download in a build never ends. The second flag, for
networks that jobs make, is known since 24.0 (docs.docker.com: dockerd).
"""

BEGIN = f"""\
{TAKE_MTU}exec dockerd-entrypoint.sh "$@"
"""
"""Shell that starts an engine, whose flags it gets."""

OF_ENGINE = {
    "DOCKER_CERT_PATH": "",
    "DOCKER_DRIVER": "",
    "DOCKER_MIN_API_VERSION": "1.24",
    "DOCKER_TLS_VERIFY": "",
}
"""The variables of an engine: a service has those of the job, which means its client or its own
engine by them. An old client speaks an API that is refused otherwise (moby:
daemon/command/daemon.go)."""

OF_JOBS = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
"""The variables of jobs with an engine. An engine of 29 adds a provenance to each image, older ones
did not, and ``docker manifest create`` refuses such images, as some registries do."""

_OF_TLS = ("DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


def _image_pattern(value: str) -> str:
    if not re.fullmatch(r"[\w.:@*?-]+(/[\w.:@*?-]+)*", value, re.ASCII):
        message = (
            "must be a pattern for names of images, such as **/docker-dind:*, where '*' stands for "
            "any text without a slash and '**/' for any path"
        )
        raise ValueError(message)
    return value


ImagePattern = Annotated[str, AfterValidator(_image_pattern)]
"""A glob of images and services (gitlab-runner:common/allowed_images.go)."""


def begin_at_socket(file: str, *, asked: str = "", seconds: int = 0) -> str:
    """Write shell that starts an engine at a socket in ``file``, which every user may write to.

    Two engines that start at the same moment may both fail, since each removes and makes the same
    chains of iptables, and that of a job is not started again. So where jobs may bring one, it
    waits for the file ``asked`` if the job names another, and then, if the job has a service, for
    ``seconds`` or until the bridge of that is up (IFF_UP, the lowest bit of its flags), which is
    the last that an engine does there (moby: daemon/libnetwork/drivers/bridge/bridge_linux.go,
    createNetwork). An engine that has begun, as its containerd shows, gets twice the time. It knows
    services by the names in /etc/hosts, of which its first argument says how many are its own.
    """
    turn = f"""\
while [ -n "${{DOCKER_HOST:-}}" ] && [ ! -e {asked} ]; do sleep 1; done
names=0
while read -r address found; do
  case "$address" in 127.*) for _ in $found; do names=$((names + 1)); done ;; esac
done </etc/hosts
seconds=0
most={seconds}
while [ "$names" -gt "$1" ] && [ "$seconds" -lt "$most" ]; do
  case $(cat /sys/class/net/docker0/flags 2>/dev/null) in *[13579bdf]) break ;; esac
  if grep -q containerd.sock /proc/net/unix; then most={2 * seconds}; fi
  seconds=$((seconds + 1))
  sleep 1
done
"""
    # Jobs of any user may command it, as with TLS; dockerd lets in root only, when it listens.
    return f"""\
trap 'kill $! 2>/dev/null; wait $!; exit' TERM
{turn if asked else ""}shift
{TAKE_MTU}(until [ -S {file} ]; do sleep 1; done; sleep 1; chmod a+rw {file}) &
while :; do dockerd-entrypoint.sh dockerd "$@" & wait $!; sleep 1; done
"""


def choose_engine(
    kind: str, client: Mapping[str, str], *, seconds: int, names: int = 0, begin: str = ""
) -> str:
    """Write shell that gives a job the engine that it names, or else the one of its runner.

    ``client`` are the variables of the runner's engine, whose strategy is ``kind``. Pipelines that
    were written for other runners name a service in ``DOCKER_HOST``, whether they have one or not,
    and any engine will do for them: one within the pod has ``seconds`` to answer, if there are more
    services than those of the runner, which have ``names`` in /etc/hosts. What is outside of the
    pod is never replaced. ``begin`` is shell for jobs that get the runner's engine.
    """
    ours = client["DOCKER_HOST"]
    same = " | ".join(dict.fromkeys(('""', SOCKET, ours)))
    exports = "; ".join(f"export {name}={value}" for name, value in client.items())
    unset = " ".join(name for name in _OF_TLS if name not in client)
    return f"""\
if (
  case "${{DOCKER_HOST:-}}" in
  {same}) exit 0 ;;
  unix://*) host=localhost ;;
  tcp://*) host="${{DOCKER_HOST#tcp://}}" ;;
  *) exit 1 ;;
  esac
  host="${{host%%:*}}"
  case "$host" in docker | 127.*) host=localhost ;; esac
  inside=
  names=0
  while read -r address found; do
    case "$address" in 127.*) ;; *) continue ;; esac
    for name in $found; do
      names=$((names + 1))
      if [ "$name" = "$host" ]; then inside=yes; fi
    done
  done </etc/hosts
  if [ -z "$inside" ]; then
    echo "DOCKER_HOST=$DOCKER_HOST is set by the job and names none of its services, so it gets"
    echo "that engine and not the one of this runner, {ours}; see {PIPELINES}"
    exit 1
  fi
  # Without a client, only the job itself can ask.
  command -v docker >/dev/null || exit 1
  attempts=0
  until docker version >/dev/null 2>&1; do
    attempts=$((attempts + 1))
    if [ "$attempts" -ge {seconds} ] || [ "$names" -le {names} ]; then
      echo "DOCKER_HOST=$DOCKER_HOST is set by the job, and no engine answers there. It gets the"
      echo "engine of this runner (strategy {kind}), {ours}; see {PIPELINES}"
      exit 0
    fi
    sleep 1
  done
  exit 1
) >&2; then
  {exports}
  unset {unset}
{indent(begin, "  ")}fi
"""


def files(registries: Sequence[Registry], mirrors: Sequence[str]) -> dict[str, str]:
    """Return each file's text by its name there (docs.docker.com: engine/security/certificates)."""
    found = certificate_files(registries, "{}/ca.crt".format)
    hosts = _hosts(registries, mirrors)
    return {**found, HOSTS_FILE: hosts} if hosts else found


def _hosts(registries: Sequence[Registry], mirrors: Sequence[str]) -> str:
    """Return what is to be in the file, or "" where no mirror has a private CA.

    Its form is containerd's (containerd: docs/hosts.md); paths are relative to the file.
    """
    known = {registry.host: registry for registry in registries}
    if not any(mirror in known and known[mirror].ca_certificates for mirror in mirrors):
        return ""
    hosts = dict(_host(mirror, known.get(mirror)) for mirror in mirrors)
    return tomlkit.dumps({"host": hosts})


def _host(mirror: str, registry: Registry | None) -> tuple[str, dict[str, Any]]:
    table: dict[str, Any] = {"capabilities": ["pull", "resolve"]}
    if registry and registry.ca_certificates:
        table["ca"] = f"../{mirror}/ca.crt"
    if registry and registry.insecure:
        # HTTPS is tried first even so, since there is a setting of TLS.
        return f"http://{mirror}", {**table, "skip_verify": True}
    return f"https://{mirror}", table
