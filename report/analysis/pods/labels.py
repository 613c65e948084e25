"""Labels and annotations by which policies, operators and network policies choose objects."""

import re

from report.analysis.pods.containers import digest
from report.tree import JSON, Tree, inside

# Judged by other rules, or of a version, a tool or a checksum alone.
_OTHERS = re.compile(
    r"image-builds/.*|pulumi\.com/.*|meta\.helm\.sh/.*|checksum/.*|prometheus\.io/.*|"
    r"deployment\.kubernetes\.io/.*|container\.apparmor\.security\.beta\.kubernetes\.io/.*|"
    r"pod-security\.kubernetes\.io/enforce(-version)?|kubernetes\.io/metadata\.name|"
    r"kubernetes\.io/service-account\.name|rbac\.authorization\.k8s\.io/.*|"
    r"app\.kubernetes\.io/(managed-by|version)|helm\.sh/chart|chart|heritage|"
    r"kubectl\.kubernetes\.io/.*|pod-template-hash|secret\.reloader\.stakater\.com/reload"
)


_OF_OWNERS = ("finalizers", "ownerReferences")
"""With what an object goes, and what keeps it."""


def marks(metadata: Tree) -> set[str]:
    """Return a digest of what no other rule judges, such as labels, if there is any."""
    found: dict[str, JSON] = {
        f"{part}.{key}": value
        for part in ("labels", "annotations")
        for key, value in inside(metadata, part).items()
        if not _OTHERS.fullmatch(key)
    }
    found |= {key: metadata[key] for key in _OF_OWNERS if metadata.get(key)}
    return {f"digest {digest(found)}"} if found else set()


def described(metadata: Tree) -> set[str]:
    """Return the same as one risk, without any too: what goes may have been what protects."""
    return marks(metadata) or {"none"}
