"""Write ``templates/``: a GitLab CI/CD component for each strategy, from the same plans.

A project includes one, or ``build-image``, and names what to build. Images come from the plans,
scripts from the ``.sh`` files beside the strategies, and credentials and registries from the
runner. Inputs reach a script as variables only, so that no value of theirs is read as shell.
"""

import itertools
import re
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from components.site import Cluster, Site
from components.strategies import Strategy, forms
from components.strategies.shared import FALLBACK
from dev.paths import CHECKOUT

FOLDER = CHECKOUT / "templates"

SCRIPTS = CHECKOUT / "components" / "strategies"

_INPUTS: dict[str, dict[str, Any]] = {
    "image": {"description": "Repository to push to, without a tag"},
    "tag": {"description": "Tag of the image", "default": "$CI_COMMIT_SHORT_SHA"},
    "dockerfile": {"description": "Path in the project", "default": "Dockerfile"},
    "context": {"description": "Path in the project", "default": "."},
    "build_args": {"description": "NAME=value, one on each line", "default": ""},
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

_PART = re.compile(r"^\. \./(\S+)\n", re.MULTILINE)


def script(name: str) -> str:
    """Return a build script without the comments at its head, and with its parts in their place."""
    lines = (SCRIPTS / name).read_text(encoding="utf-8").splitlines(keepends=True)
    body = "".join(itertools.dropwhile(lambda line: line.startswith("#"), lines))
    return _PART.sub(lambda part: script(part[1]), body)


def files() -> dict[str, str]:
    """Return the text of each template by its file's name."""
    every = {f"{kind}.yml": _component(kind, strategy) for kind, strategy in builders().items()}
    return {**every, "build-image.yml": _switch(list(every))}


def builders() -> dict[str, Strategy]:
    """Return each strategy that builds, in its first form, by its kind."""
    found: dict[str, Strategy] = {}
    for _, strategy in forms():
        if strategy.command:
            found.setdefault(strategy.kind, strategy)
    return found


def _component(kind: str, strategy: Strategy) -> str:
    image = strategy.plan(Site(cluster=Cluster(kind="managed"))).image
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
        "script": [script(f"{kind}.sh")],
    }
    return _text({"spec": {"inputs": _INPUTS}}, {"$[[ inputs.job ]]": job})


def _switch(files: Sequence[str]) -> str:
    strategy = {
        "description": "The strategy of the runner that has these tags",
        "options": [file.removesuffix(".yml") for file in files],
        "default": FALLBACK,
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
    head = "# Written by `make templates` from components/strategies; change it there.\n"
    return head + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=1000)


def main() -> None:
    """Write every template."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
