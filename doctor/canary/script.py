"""What the canary's containers run: looks at the network, then the strategy's own template."""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from components.strategies.scripts import script
from doctor.wanted import WantedRunner

TAG = "image-builds-doctor"
"""The tag of the canary's image, which each canary writes again."""
WORD = "image-builds-doctor-built-this"
"""What the image prints."""
METADATA = "http://169.254.169.254/"
"""Where clouds serve the credentials of nodes (components/network/addresses.py)."""
_FACT = re.compile(r"^image-builds-doctor: (\w+) (\S+)$", re.MULTILINE)
_INPUT = re.compile(r"\$\{?(BUILD_[A-Z_]+)")
_REFERENCE = re.compile(r"^(\S+@sha256:[0-9a-f]{64})$", re.MULTILINE)

# curl says by its status what failed, and wget in words, which those of busybox and GNU share.
_LOOK = """\
look() {
  if command -v curl >/dev/null 2>&1; then
    curl -s -o /dev/null -m 5 "$1"
    case $? in 6) found=name ;; 7 | 28) found=closed ;; *) found=open ;; esac
  elif command -v wget >/dev/null 2>&1; then
    case "$(timeout 8 wget -T 5 -O /dev/null "$1" 2>&1 || echo "status $?")" in
    *"bad address"* | *"resolve"*) found=name ;;
    *"can't connect"* | *"timed out"* | *"refused"* | *"unreachable"*) found=closed ;;
    *"status 124"* | *"status 143"*) found=closed ;;
    *) found=open ;;
    esac
  else
    found=unknown
  fi
  echo "image-builds-doctor: $found $1"
}
"""


class Facts(NamedTuple):
    """What a canary's log says: how each address answered, and the image, "" without one."""

    addresses: Mapping[str, str]
    image: str


def build(runner: WantedRunner, repository: str, base: str, addresses: Iterable[str]) -> str:
    """Return the script of the build container; ``base`` is the image that the canary is from."""
    project = f"{runner.toml.get('builds_dir', '/builds')}/image-builds-doctor"
    dockerfile = (
        f"FROM {base} AS first\n"
        f"RUN echo {WORD} >/word\n"
        f"FROM {base}\n"
        "COPY --from=first /word /word\n"
        'CMD ["cat", "/word"]\n'
    )
    variables = {
        "CI_PROJECT_DIR": project,
        "BUILD_IMAGE": repository,
        "BUILD_TAG": TAG,
        "BUILD_DOCKERFILE": f"{project}/Dockerfile",
        "BUILD_CONTEXT": project,
        "BUILD_OCI_LABELS": "false",
        "BUILD_CACHE": "false",
        "BUILD_PROVENANCE": "false",
        "BUILD_SBOM": "false",
        "BUILD_SKIP_EXISTING": "false",
        "BUILD_OUTPUT": "IMAGE",
        "CI_JOB_ID": "0",
    }
    template = script(f"{runner.plan.strategy}.sh")
    # Inputs that a pipeline leaves out are empty.
    variables = {**dict.fromkeys(_INPUT.findall(template), ""), **variables}
    given = "".join(f"export {name}={shlex.quote(text)}\n" for name, text in variables.items())
    looks = "".join(f"look {shlex.quote(address)}\n" for address in addresses)
    return (
        f"{_LOOK}{looks}{given}"
        f'mkdir -p "$CI_PROJECT_DIR"\ncd "$CI_PROJECT_DIR"\n'
        f'printf %s {shlex.quote(dockerfile)} >"$BUILD_DOCKERFILE"\n'
        f"{runner.toml.get('pre_build_script', '')}\n"
        f"{template}"
    )


def read(log: str) -> Facts:
    """Return what a log says."""
    images = _REFERENCE.findall(log)
    addresses = {address: found for found, address in _FACT.findall(log)}
    return Facts(addresses, images[-1] if images else "")
