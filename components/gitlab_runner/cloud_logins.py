"""The shell by which tools of a job get logins to registries of clouds, by the job's identity.

It brings a credential helper for each cloud and names it in config.json. A tool asks it whenever
it needs a login, so a build may take longer than one is valid.
"""

import json
from collections.abc import Mapping
from pathlib import Path

_SCRIPTS = Path(__file__).with_name("credentials")


def shell(clouds: Mapping[str, str]) -> str:
    """Return shell for the registries of ``clouds``, given by host, empty where there are none."""
    if not clouds:
        return ""
    helpers = {host: f"image-builds-{cloud}" for host, cloud in sorted(clouds.items())}
    written = "".join(_write(cloud) for cloud in sorted(set(clouds.values())))
    return f"""\
if (
  mkdir -p "$DOCKER_CONFIG/bin" && cd "$DOCKER_CONFIG" || exit
{written}  chmod +x bin/*
  text='{{"auths": {{}} }}'
  if [ -s config.json ]; then text=$(cat config.json); fi
  printf '%s' '{{"credHelpers": {json.dumps(helpers)}, '"${{text#*'{{'}}" >config.json
); then
  export PATH="$PATH:$DOCKER_CONFIG/bin"
else
  echo "The credential helpers could not be written to $DOCKER_CONFIG; builds may not push." >&2
fi
"""


def helper(cloud: str) -> str:
    """Return the text of one credential helper."""
    start, text = (
        (_SCRIPTS / name).read_text(encoding="utf-8") for name in ("start.sh", f"{cloud}.sh")
    )
    return text.replace("#!/bin/sh\n. ./start.sh\n", start)


def _write(cloud: str) -> str:
    name = f"docker-credential-image-builds-{cloud}"
    return f"  cat >bin/{name} <<'END_OF_HELPER'\n{helper(cloud)}END_OF_HELPER\n"
