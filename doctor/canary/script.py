"""What the build container of a canary runs: the strategy's own template."""

import re
import shlex

from components.strategies.scripts import script
from doctor.wanted import WantedRunner

TAG = "image-builds-doctor"
"""The tag of the canary's image, which each canary writes again."""
WORD = "image-builds-doctor-built-this"
"""What the image prints."""
_INPUT = re.compile(r"\$\{?(BUILD_[A-Z_]+)")
_REFERENCE = re.compile(r"^(\S+@sha256:[0-9a-f]{64})$", re.MULTILINE)
_PACKETS = re.compile(r"^(\d+)$", re.MULTILINE)


def build(runner: WantedRunner, repository: str, base: str) -> str:
    """Return the script of the build container; ``base`` is the image that the canary is from."""
    project = f"{runner.toml.get('builds_dir', '/builds')}/image-builds-doctor"
    dockerfile = (
        f"FROM {base} AS first\n"
        # Where builds have a separate network, this is its interface; some hide what is in /sys.
        f"RUN echo {WORD} >/word; {{ cat /sys/class/net/eth0/mtu || ip link show eth0 | "
        "sed -n 's/.* mtu \\([0-9]*\\).*/\\1/p'; } >>/word 2>/dev/null || true\n"
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
    return (
        f"{given}"
        f'mkdir -p "$CI_PROJECT_DIR"\ncd "$CI_PROJECT_DIR"\n'
        f'printf %s {shlex.quote(dockerfile)} >"$BUILD_DOCKERFILE"\n'
        f"{runner.toml.get('pre_build_script', '')}\n"
        f"{template}"
    )


def image(log: str) -> str:
    """Return the image that a build pushed, empty where its log names none."""
    return next(reversed(_REFERENCE.findall(log)), "")


def packets(log: str) -> int | None:
    """Return the bytes of the largest packet of a build, by the log of its image."""
    found = _PACKETS.search(log)
    return int(found[1]) if found else None
