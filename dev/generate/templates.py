"""Write ``templates/``: a GitLab CI/CD component for each strategy, from the same plans.

A project includes one, or ``build-image``, and names what to build; images come from the plans,
and credentials and registries from the runner. Inputs reach the script as variables only, so that
no value of theirs is read as shell.
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from components.site import Cluster, Site
from components.strategies import Strategy
from components.strategies.buildah import Buildah
from components.strategies.buildkit import Buildkit
from components.strategies.buildkit_service import BuildkitService
from components.strategies.dind import Dind
from components.strategies.dood import Dood
from components.strategies.kaniko import Kaniko

FOLDER = Path(__file__).resolve().parent.parent.parent / "templates"

STRATEGIES: dict[str, Strategy] = {
    "kaniko": Kaniko(),
    "buildkit": Buildkit(),
    "buildkit-service": BuildkitService(),
    "buildx": BuildkitService(client="buildx"),
    "buildah": Buildah(),
    "dind": Dind(accept_privileged=True),
    "dood": Dood(accept_node_root=True),
}

_INPUTS: dict[str, dict[str, Any]] = {
    "image": {"description": "Repository to push to, without a tag"},
    "tag": {"description": "Tag of the image", "default": "$CI_COMMIT_SHORT_SHA"},
    "dockerfile": {"description": "Path in the project", "default": "Dockerfile"},
    "context": {"description": "Path in the project", "default": "."},
    "build_args": {"description": "NAME=value, each on a line of its own", "default": ""},
    "platforms": {"description": "linux/amd64,linux/arm64 for example", "default": ""},
    # Not of type boolean, which GitLab refuses as the value of a variable.
    "cache": {
        "description": "Keep layers in the registry",
        "options": ["true", "false"],
        "default": "true",
    },
    "insecure_registry": {
        "description": "The registry speaks plain HTTP and the runner does not say so",
        "options": ["true", "false"],
        "default": "false",
    },
    "tags": {"description": "Tags of the runner", "type": "array", "default": ["K8s-Runner"]},
    "stage": {"description": "Stage of the job", "default": "build"},
    "job": {"description": "Name of the job", "default": "build-image"},
}

_ONE_PLATFORM = """\
case "$BUILD_PLATFORMS" in
*,*)
  echo "platforms: {tool} builds for one platform at a time; name one, or use buildkit" >&2
  exit 1
  ;;
esac
"""

_START = """\
set -euf
set --
newline='
'
IFS="$newline"
for argument in $BUILD_ARGS; do set -- "$@" --{flag} "{prefix}$argument"; done
unset IFS
"""

_DOCKER = """\
if [ "$BUILD_INSECURE" = true ]; then
  echo "insecure_registry: only the engine can allow it; set registries[].insecure" >&2
  exit 1
fi
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --cache-from "type=registry,ref=$BUILD_IMAGE:cache" --cache-to type=inline
  set -- "$@" --tag "$BUILD_IMAGE:cache"
fi
docker build "$@" --file "$BUILD_DOCKERFILE" --tag "$BUILD_IMAGE:$BUILD_TAG" "$BUILD_CONTEXT"
docker push "$BUILD_IMAGE:$BUILD_TAG"
if [ "$BUILD_CACHE" = true ]; then docker push "$BUILD_IMAGE:cache"; fi
"""

_KANIKO = """\
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --custom-platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --cache=true --cache-repo "$BUILD_IMAGE/cache"
fi
if [ "$BUILD_INSECURE" = true ]; then set -- "$@" --insecure --insecure-pull; fi
# shellcheck disable=SC2086 # one word for each flag, as the runner sets them
/kaniko/executor ${KANIKO_FLAGS:-} "$@" --context "$BUILD_CONTEXT" \\
  --dockerfile "$BUILD_DOCKERFILE" --destination "$BUILD_IMAGE:$BUILD_TAG"
"""

# Of BuildKit, whichever client it has.
_OUTPUT = """\
output="type=image,name=$BUILD_IMAGE:$BUILD_TAG,push=true"
cache="type=registry,ref=$BUILD_IMAGE:cache"
if [ "$BUILD_INSECURE" = true ]; then
  output="$output,registry.insecure=true"
  cache="$cache,registry.insecure=true"
fi
"""

_BUILDX = (
    _OUTPUT
    + """\
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --cache-from "$cache" --cache-to "$cache,mode=max"
fi
docker buildx build "$@" --file "$BUILD_DOCKERFILE" --output "$output" "$BUILD_CONTEXT"
"""
)

_BUILDKIT = (
    _OUTPUT
    + """\
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --opt "platform=$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --import-cache "$cache" --export-cache "$cache,mode=max"
fi
# shellcheck disable=SC2086 # one word for each flag, as the runner sets them
@CLIENT build ${BUILDCTL_FLAGS:-} "$@" --frontend dockerfile.v0 \\
  --local "context=$BUILD_CONTEXT" --local "dockerfile=$(dirname "$BUILD_DOCKERFILE")" \\
  --opt "filename=$(basename "$BUILD_DOCKERFILE")" --output "$output"
"""
)

_BUILDAH = """\
if [ -n "$BUILD_PLATFORMS" ]; then set -- "$@" --platform "$BUILD_PLATFORMS"; fi
if [ "$BUILD_CACHE" = true ]; then
  set -- "$@" --layers --cache-from "$BUILD_IMAGE/cache" --cache-to "$BUILD_IMAGE/cache"
fi
# Given at all, the flag outranks what registries.conf says of plain HTTP.
tls=
if [ "$BUILD_INSECURE" = true ]; then tls=--tls-verify=false; fi
buildah build "$@" ${tls:+"$tls"} --file "$BUILD_DOCKERFILE" --manifest build-image "$BUILD_CONTEXT"
buildah manifest push --all ${tls:+"$tls"} build-image "docker://$BUILD_IMAGE:$BUILD_TAG"
"""

_ARGUMENTS = _START.format(flag="build-arg", prefix="")
_OPTIONS = _START.format(flag="opt", prefix="build-arg:")
_SCRIPTS = {
    "kaniko": _ARGUMENTS + _ONE_PLATFORM.format(tool="kaniko") + _KANIKO,
    "buildkit": _OPTIONS + _BUILDKIT.replace("@CLIENT", "buildctl-daemonless.sh"),
    "buildkit-service": _OPTIONS + _BUILDKIT.replace("@CLIENT", "buildctl ${BUILDKIT_FLAGS:-}"),
    "buildx": _ARGUMENTS + _BUILDX,
    "buildah": _ARGUMENTS + _BUILDAH,
    "dind": _ARGUMENTS + _ONE_PLATFORM.format(tool="docker") + _DOCKER,
    "dood": _ARGUMENTS + _ONE_PLATFORM.format(tool="docker") + _DOCKER,
}


def files() -> dict[str, str]:
    """Return the text of each template by its file's name."""
    every = {f"{name}.yml": _component(name) for name in STRATEGIES}
    return {**every, "build-image.yml": _switch()}


def _component(name: str) -> str:
    image = STRATEGIES[name].plan(Site(cluster=Cluster(kind="managed"))).image
    job = {
        "stage": "$[[ inputs.stage ]]",
        "tags": "$[[ inputs.tags ]]",
        # An entrypoint would start a daemon in place of the job's shell.
        "image": {"name": image, "entrypoint": [""]},
        "variables": {
            "BUILD_IMAGE": "$[[ inputs.image ]]",
            "BUILD_TAG": "$[[ inputs.tag ]]",
            "BUILD_DOCKERFILE": "$CI_PROJECT_DIR/$[[ inputs.dockerfile ]]",
            "BUILD_CONTEXT": "$CI_PROJECT_DIR/$[[ inputs.context ]]",
            "BUILD_ARGS": "$[[ inputs.build_args ]]",
            "BUILD_PLATFORMS": "$[[ inputs.platforms ]]",
            "BUILD_CACHE": "$[[ inputs.cache ]]",
            "BUILD_INSECURE": "$[[ inputs.insecure_registry ]]",
        },
        "script": [_SCRIPTS[name]],
    }
    return _text({"spec": {"inputs": _INPUTS}}, {"$[[ inputs.job ]]": job})


def _switch() -> str:
    strategy = {
        "description": "The strategy of the runner that has these tags",
        "options": list(STRATEGIES),
        "default": "kaniko",
    }
    passed = {name: f"$[[ inputs.{name} ]]" for name in _INPUTS}
    include = {"local": "templates/$[[ inputs.strategy ]].yml", "inputs": passed}
    return _text({"spec": {"inputs": {"strategy": strategy, **_INPUTS}}}, {"include": [include]})


class _Dumper(yaml.SafeDumper):
    """Lists indented, and long texts as they are read."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's signature
        return super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _represent(_dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def _text(*documents: dict[str, Any]) -> str:
    head = "# Written by `make templates` from dev/generate/templates.py; change it there.\n"
    return head + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=1000)


def main() -> None:
    """Write every template."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
