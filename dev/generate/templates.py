"""Write ``templates/``: a GitLab CI/CD component for each strategy, from the same plans.

A project includes one, or ``build-image``, and names what to build. Images come from the plans,
scripts from the ``.sh`` files beside the strategies, and credentials and registries from the
runner. Inputs reach a script as variables only, so that no value of theirs is read as shell.
"""

import itertools
import re
from pathlib import Path

import yaml

from components.site import Cluster, Site
from components.strategies import Strategy, forms
from components.strategies.shared import FALLBACK
from dev.files import fill
from dev.paths import CHECKOUT

SCRIPTS = CHECKOUT / "components" / "strategies"

OPTIONAL = {
    "secrets": "BUILD_SECRETS",
    "ssh": "BUILD_SSH",
    "cache_mode": "BUILD_CACHE_MODE",
    "provenance": "BUILD_PROVENANCE",
    "sbom": "BUILD_SBOM",
    "insecure_registry": "BUILD_INSECURE",
}
"""The variable of each input that some tools have no use for: their scripts refuse it."""

_SOURCES = Path(__file__).parent / "pipelines"

_PART = re.compile(r"^\. \./(\S+)\n", re.MULTILINE)

_REFUSED = re.compile(r"^refuse (\w+) ", re.MULTILINE)


def script(name: str) -> str:
    """Return a build script without the comments at its head, and with its parts in their place."""
    lines = (SCRIPTS / name).read_text(encoding="utf-8").splitlines(keepends=True)
    body = "".join(itertools.dropwhile(lambda line: line.startswith("#"), lines))
    return _PART.sub(lambda part: script(part[1]), body)


def files() -> dict[str, str]:
    """Return the text of each template by its file's name."""
    kinds = builders()
    texts = {f"{kind}.yml": _component(kind, strategy) for kind, strategy in kinds.items()}
    known = [_inputs(text) for text in texts.values()]
    common = [name for name in known[0] if all(name in names for names in known)]
    switch = _fill("build-image", strategies=list(kinds), default=FALLBACK, common=common)
    return {**texts, "build-image.yml": switch}


def builders() -> dict[str, Strategy]:
    """Return each strategy that builds, in its first form, by its kind."""
    found: dict[str, Strategy] = {}
    for _, strategy in forms():
        if strategy.command:
            found.setdefault(strategy.kind, strategy)
    return found


def _component(kind: str, strategy: Strategy) -> str:
    image = strategy.plan(Site(cluster=Cluster(kind="managed"))).image
    build = script(f"{kind}.sh")
    missing = _REFUSED.findall(build)
    return _fill("component", image=image, script=build, missing=missing)


def _fill(name: str, **values: object) -> str:
    defaults = {"image": "''", "stage": "build", "job": "build-image", "missing": []}
    return fill(_SOURCES / f"{name}.yml.j2", **{**defaults, **values}, optional=OPTIONAL)


def _inputs(text: str) -> list[str]:
    return list(next(yaml.safe_load_all(text))["spec"]["inputs"])
