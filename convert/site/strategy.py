"""Guesses how a runner's jobs build, and what its strategy needs of the cluster."""

from components.types import JSON
from convert.site.draft import Draft
from convert.site.rule import DraftRunner

_TRUSTED = (
    "jobs are privileged on these nodes today, so everyone who can run one is trusted with root "
    "there; with kaniko, remove this"
)
_ONLY_BUILDS = (
    "kaniko needs no privilege, if jobs only build images; python -m commands pipeline says which "
    "would have to change"
)


_TOOLS = ("buildah", "buildkit")
"""Strategies whose tool has an image of its name."""


def choose(draft: Draft, runner: DraftRunner, *, managed: bool | None) -> str:
    """Set the strategy of a runner, the least privileged one that keeps its jobs, and return it.

    ``managed`` says whether a cloud runs the nodes, as far as that is known.
    """
    found = runner.evidence
    path = ("runners", runner.name, "strategy")
    first = found.findings[0] if found.findings else None
    options: dict[str, JSON] = {"kind": "kaniko"}
    # The daemon of a runner for Docker was that of its machine, and nodes have none.
    if found.socket and not managed and found.executor == "kubernetes":
        options = {"kind": "dood", "acceptNodeRoot": True}
        draft.settings["cluster"] = {**_cluster(draft), "kind": "onPrem"}
        _trust(draft, dockerSocket=True)
        draft.remarks[path] = f"jobs use the node's Docker daemon today. {_ONLY_BUILDS}"
    elif found.socket or found.privileged or found.services:
        options = {"kind": "dind", "acceptPrivileged": True}
        _trust(draft)
        draft.remarks[path] = (
            "jobs are privileged today, and most such jobs bring docker:dind, which runs here "
            f"unchanged; only the engine is privileged now, not the job. {_ONLY_BUILDS}"
        )
    elif found.executor != "kubernetes" and not found.executor.startswith("docker"):
        draft.remarks[path] = (
            "this runner had another executor, outside of containers: remove it, or find an image "
            "that has the tools of its jobs"
        )
    elif tool := next((name for name in _TOOLS if name in found.image), None):
        # A platform may reject its profiles, and admits kaniko.
        if "platform" not in _cluster(draft):
            options = {"kind": tool}
        draft.remarks[path] = (
            f"the image of jobs has {tool}, which builds without privileges, with profiles that do "
            f"not confine it. {_ONLY_BUILDS}"
        )
    else:
        draft.remarks[path] = "jobs are not privileged today, so they build without Docker"
    draft.replace(path, options, first)
    if found.image:
        draft.put((*path, "image"), found.image, found.image_finding)
    for finding in found.findings:
        finding.text = finding.text or f"strategy {options['kind']}"
    return str(options["kind"])


def _trust(draft: Draft, **nodes: JSON) -> None:
    cluster = _cluster(draft)
    known = cluster.get("nodes")
    below = known if isinstance(known, dict) else {}
    draft.settings["cluster"] = {**cluster, "nodes": {**below, **nodes, "trusted": True}}
    draft.remarks["cluster", "nodes", "trusted"] = _TRUSTED


def _cluster(draft: Draft) -> dict[str, JSON]:
    cluster = draft.settings["cluster"]
    return cluster if isinstance(cluster, dict) else {}
