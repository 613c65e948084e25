"""Scripts of templates, run with tools that note how they are called and answer as real ones do."""

import dataclasses
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.support.signers import COSIGN, TRIVY

SHELLS = [shutil.which("dash") or "/bin/sh", f"{shutil.which('busybox')} sh"]
DIGEST = f"sha256:{'0a' * 32}"

_TOOL = f"""\
#!/bin/sh
{{ printf '%s' "${{0##*/}}"; printf '|%s' "$@"; echo; }} >>"$CALLS"
for last in "$@"; do :; done
case "${{0##*/}} $*" in
docker*'image inspect'*) echo "$BUILD_IMAGE@{DIGEST}" ;;
'regctl index create'*) echo {DIGEST} ;;
'regctl image digest'*)
  if [ "$last" = "${{MISSING:-}}" ]; then echo "$SAID" >&2 && exit 1; fi
  if [ "$last" = "${{OTHER:-}}" ]; then echo sha256:0b; else echo {DIGEST}; fi
  ;;
esac
case "$*" in
# As Buildah does: with a file for the digest, a push that failed ends well.
*'manifest push'*--digestfile*"${{UNREACHABLE:-no registry}}"*)
  while [ "$1" != --digestfile ]; do shift; done
  : >"$2" && exit 0
  ;;
*'manifest push'*"${{UNREACHABLE:-no registry}}"*) echo 'Error: no such host' >&2 && exit 125 ;;
esac
while [ $# -gt 1 ]; do
  case "$1" in
  --digest-file | --digestfile) echo {DIGEST} >"$2" ;;
  -report) printf '[build]\n[image]\n  digest = "{DIGEST}"\n' >"$2" ;;
  --metadata-file) printf '{{\\n  "containerimage.digest": "{DIGEST}",\\n  "a": 1\\n}}' >"$2" ;;
  esac
  shift
done
exit "$TOOL_STATUS"
"""

_TOOLS = {"cosign": COSIGN, "trivy": TRIVY}

_PATHS = re.compile(r"/(?:kaniko|cnb/lifecycle)/(executor|creator)")


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a script did."""

    status: int
    calls: list[list[str]]
    """The words of each call of a tool."""
    output: str
    errors: str
    variables: dict[str, str]
    """What later jobs get."""


def run(
    folder: Path, script: str, tools: Iterable[str], shell: str = SHELLS[0], **variables: str
) -> Answer:
    """Run a script in a project's folder; ``TOOL_STATUS`` is what each tool ends with."""
    programs, project, calls = folder / "bin", folder / "project", folder / "calls"
    for path in (programs, project, folder / "home"):
        path.mkdir(exist_ok=True)
    for tool in tools:
        (programs / tool).write_text(_TOOLS.get(tool, _TOOL), encoding="utf-8")
        (programs / tool).chmod(0o755)
    calls.write_text("", encoding="utf-8")
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "TOOL_STATUS": "0",
        "CI_PROJECT_DIR": str(project),
        "HOME": str(folder / "home"),
        "KANIKO_DIR": str(folder / "home"),
        **variables,
    }
    answer = subprocess.run(
        [*shell.split(), "-c", _PATHS.sub(r"\1", script)],
        cwd=project,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    report = project / "image.env"
    lines = report.read_text(encoding="utf-8").splitlines() if report.exists() else []
    return Answer(
        answer.returncode,
        [line.split("|") for line in calls.read_text(encoding="utf-8").splitlines()],
        answer.stdout,
        answer.stderr,
        dict(line.split("=", 1) for line in lines),
    )
