"""Where the images of managers and of the helper come from."""

import dataclasses
import re

from components.gitlab_runner import charts
from components.image_reference import ImageReference
from convert.site.draft import Draft
from convert.site.model import leaves
from convert.site.rule import KeyCase

VERSION = "manager and helper come with chart.version"
_OFFICIAL = {"registry.gitlab.com", "docker.io", "index.docker.io", "registry-1.docker.io"}
_VERSIONED = re.compile(r"(?<=v)\d+\.\d+\.\d+")
_MIRRORED = {
    "managerImage": re.compile(r"(?P<registry>.+)/gitlab-runner"),
    "helperImage": re.compile(r"(?P<registry>.+)/gitlab-runner/gitlab-runner-helper"),
}
"""How the images lie in a mirror that ``chart.images`` can name."""


def mirror(case: KeyCase, image: str, kind: str = "managerImage") -> None:
    """Take where an image of the runner comes from, unless that is GitLab's own place."""
    reference = ImageReference.parse(image)
    host, _, path = reference.name.partition("/")
    named = "." in host or ":" in host or host == "localhost"
    if not (named and path) or host in _OFFICIAL:
        case.product(VERSION)
        return
    runner = charts.runner_of(charts.DEFAULT_VERSION)
    # GitLab's tags of the helper begin with the processor; others make their own images.
    copied = kind == "managerImage" or not reference.tag.startswith("v")
    place = _MIRRORED[kind].fullmatch(reference.name) if copied else None
    said = f"the image must be of runner {runner}, which chart.version deploys"
    known = case.draft.get(("chart", "images", "registry"))
    if place and known in {None, place["registry"]}:
        case.take("chart.images", {"registry": place["registry"]}, said)
    elif _VERSIONED.search(reference.tag):
        tagged = dataclasses.replace(
            reference, tag=_VERSIONED.sub(runner, reference.tag), digest=""
        )
        case.take(f"chart.{kind}", str(tagged), said, "copy that version to the registry")
    else:
        case.ask(said, "copy it to the registry, and name it with its tag", f"chart.{kind}")


def pull_secrets(case: KeyCase) -> None:
    """Take the login with which the manager's images are pulled from a mirror."""
    name = next((name for name in leaves(case.value) if name != "name"), "name")
    case.take(
        "chart.images",
        {"pull": name},
        "the login must be encrypted",
        "store it by the commands below",
    )


def settle_pull(draft: Draft) -> None:
    """Leave out the login of a mirror where there is none, and say how others are stored."""
    name = draft.get(("chart", "images", "pull"))
    finding = draft.origin("chart.images.pull") if name else None
    if not finding:
        return
    places = (("chart", "images", "registry"), ("chart", "managerImage"), ("chart", "helperImage"))
    if any(map(draft.get, places)):
        draft.store_login(str(name))
        return
    draft.remove(finding)
    finding.outcome, finding.keys, finding.do = "product", (), ""
    finding.text = "the images of the chart come from GitLab's registry, which needs no login"
