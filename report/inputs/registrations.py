"""From two recordings of the program, before and after a change, to the plan of a preview.

An engine decides what happens to a resource by its inputs, which are known here; what only a
provider knows besides is not: defaults, and what is in the cluster.
"""

from collections.abc import Iterable, Mapping
from typing import cast

from report.inputs.events import RELEASE, STACK, USER_RUNNER, Plan, Step
from report.inputs.recorder import RegisteredResource, plain
from report.redact import Scrubber, clean
from report.tree import Pair, Tree, differences

_REPLACES = {
    RELEASE: {"name", "namespace"},
    # GitLab changes neither a runner's type nor its owner.
    USER_RUNNER: {"runnerType", "groupId", "projectId"},
}
"""The inputs that no update changes, by type."""
_NAME = {"metadata.name", "metadata.namespace"}
"""The same for all other types: Kubernetes renames and moves nothing."""


def plan(
    old: Iterable[RegisteredResource], new: Iterable[RegisteredResource], scrub: Scrubber
) -> Plan:
    """Return what leads from one recording to another, as a preview would say it.

    Either is empty where there is no stack on that side.
    """
    before = {resource.urn: resource for resource in old}
    after = {resource.urn: resource for resource in new}
    return Plan(
        steps=tuple(
            _step(before.get(urn), after.get(urn), scrub)
            for urn in sorted(before.keys() | after.keys())
        ),
        old_outputs=_outputs(before, scrub),
        new_outputs=_outputs(after, scrub),
        errors=(),
    )


def _outputs(recorded: Mapping[str, RegisteredResource], scrub: Scrubber) -> Tree:
    found = (resource.outputs for resource in recorded.values() if resource.type == STACK)
    return clean(next(found, None) or {}, scrub)


def _step(old: RegisteredResource | None, new: RegisteredResource | None, scrub: Scrubber) -> Step:
    resource = cast("RegisteredResource", new or old)
    inputs = Pair(old, new).map(_inputs)
    values = inputs.map(plain)
    paths = [change.path for change in differences(values.old, values.new)]
    return Step(
        operation=_operation(resource.type, old, new, paths),
        type=resource.type,
        name=scrub(resource.name),
        urn=resource.urn,
        parent=resource.parent,
        old=inputs.old and clean(inputs.old, scrub),
        new=inputs.new and clean(inputs.new, scrub),
        # The engine's word for a secret that differs, since values do not show it.
        changed_paths=tuple(map(scrub, paths)) if old and new else (),
        stays=Pair(old, new).map(lambda side: bool(side and side.kept)),
    )


def _inputs(resource: RegisteredResource | None) -> Tree | None:
    # The SDK marks a release in a key that no user sets, and that the provider takes out.
    return resource and {key: item for key, item in resource.inputs.items() if key != "compat"}


def _operation(
    kind: str, old: RegisteredResource | None, new: RegisteredResource | None, paths: list[str]
) -> str:
    if old is None:
        return "create"
    if new is None:
        return "keep" if old.kept else "delete"
    if _REPLACES.get(kind, _NAME) & set(paths):
        return "replace"
    return "update" if paths else "same"
