"""Write ``templates/``: a GitLab CI/CD component for each strategy, from the same plans.

A project includes one, or ``build-image``, and names what to build. Images come from the plans,
scripts from the ``.sh`` files beside the strategies, and credentials and registries from the
runner. Inputs reach a script as variables only, so that no value of theirs is read as shell.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from components.site import Cluster, Site
from components.strategies import Strategy, forms
from components.strategies.scripts import script
from components.strategies.shared import FALLBACK
from dev.files import fill
from dev.paths import CHECKOUT

_ALWAYS, _OF_TAGS = '$CI_PIPELINE_SOURCE != "merge_request_event"', "$CI_COMMIT_TAG"

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

IMAGES = {
    "builder": "paketobuildpacks/builder-jammy-base:0.4.629",
    "regctl": "ghcr.io/regclient/regctl:v0.11.7-alpine",
    "cosign": (
        "ghcr.io/sigstore/cosign/cosign:v3.1.1-dev"
        "@sha256:0dcd21d8b6464a526e3225f44c50f34687e861dcf010f566b3caa4f0e5cd898a"
    ),
    "trivy": (
        "aquasec/trivy:0.75.0"
        "@sha256:af6acf9a6b85dfe389a1941505c0ce9efef52a4719635e1a962f022a3d855daa"
    ),
}
"""The images of the jobs below; each has a shell."""


class Job(NamedTuple):
    """What sets a component apart that needs no strategy."""

    does: str
    tool: str
    stage: str
    condition: str = _ALWAYS
    reports: bool = False
    """Later jobs get the image that it leaves."""


JOBS = {
    "exists": Job(
        "Look for a tag, which a build with `skip_existing` leaves alone",
        "regctl",
        ".pre",
        _OF_TAGS,
        reports=True,
    ),
    "buildpacks": Job(
        "Build without a Dockerfile, by Cloud Native Buildpacks", "builder", "build", reports=True
    ),
    "manifest": Job("Make one list of images of several platforms", "regctl", "test", reports=True),
    "test": Job("Run commands in the image", "", "test"),
    "scan": Job("Look for vulnerabilities with Trivy, and fail for the worst", "trivy", "test"),
    "sbom": Job("List what is in the image, as CycloneDX", "trivy", "test"),
    "sign": Job("Sign the image, by a token of GitLab or by a key", "cosign", "deploy"),
    "attest": Job("Sign the provenance of the image, or a file on it", "cosign", "deploy"),
    "verify": Job("Fail unless the image is signed as it must be", "cosign", "deploy"),
    "promote": Job(
        "Give an image the tag of a release, without a build",
        "regctl",
        "deploy",
        _OF_TAGS,
        reports=True,
    ),
}
"""The components that need no strategy, in the order in which a pipeline has them."""

_SOURCES = Path(__file__).parent / "pipelines"

_REFUSED = re.compile(r"^refuse (\w+) ", re.MULTILINE)


def files() -> dict[str, str]:
    """Return the text of each template by its file's name."""
    kinds = builders()
    texts = {f"{kind}.yml": _component(kind, strategy) for kind, strategy in kinds.items()}
    known = [inputs(text) for text in texts.values()]
    common = [name for name in known[0] if all(name in names for names in known)]
    switch = _fill(
        "build-image", strategies=list(kinds), default=FALLBACK, common=common, missing=()
    )
    jobs = {f"{name}.yml": _job(name, job) for name, job in JOBS.items()}
    return {**texts, "build-image.yml": switch, **jobs}


def inputs(text: str) -> dict[str, Any]:
    """Return what the header of a template says of each of its inputs."""
    return next(yaml.safe_load_all(text))["spec"]["inputs"]


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


def _job(name: str, job: Job) -> str:
    body = script(f"jobs/{name}.sh") if job.tool else ""
    image = IMAGES.get(job.tool, "")
    return _fill(name, image=image, script=body, job=name, **job._asdict())


def _fill(name: str, **values: object) -> str:
    defaults: dict[str, object] = {
        "image": "''",
        "job": "build-image",
        **Job("", "", "build", reports=True)._asdict(),
    }
    return fill(_SOURCES / f"{name}.yml.j2", **{**defaults, **values}, optional=OPTIONAL)
