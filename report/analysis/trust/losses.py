"""What protects others, and so raises a risk when it goes: quotas, policies, kept namespaces."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from report.analysis.kubernetes import OF_THE_CLUSTER, is_custom
from report.analysis.pods.containers import digest
from report.tree import Tree, identity, inside

_LIMITS = {"LimitRange", "PodDisruptionBudget", "ResourceQuota"}


class Safeguard(NamedTuple):
    """What is protected, in which namespace it is, and by what, if anything does."""

    subject: str
    namespace: str
    by: str


def safeguards(objects: Iterable[Tree]) -> Iterator[Safeguard]:
    """Yield what protects a namespace or the cluster, and what is there to protect."""
    yield Safeguard("the cluster", "", "")
    for item in objects:
        kind, metadata = item.get("kind"), inside(item, "metadata")
        own = metadata.get("name") if kind == "Namespace" else ""
        namespace = str(metadata.get("namespace") or own or "")
        by = ""
        if kind in _LIMITS:
            by = f"{identity(item)} (digest {digest(item.get('spec'))})"
        elif kind in OF_THE_CLUSTER or is_custom(item):
            by = identity(item)
        subject = f"namespace {namespace}" if namespace else "the cluster"
        yield Safeguard(subject, namespace, by)
