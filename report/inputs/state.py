"""A stack's state as a plan that changes nothing, so that it can be looked at without a cluster."""

from report.inputs.events import Plan, Step
from report.redact import Scrubber, clean, secrets_of
from report.tree import JSON, Tree, entries, inside


class StateError(Exception):
    """A text is no state; the message says what to give instead, without a value."""


def read(content: JSON) -> Plan:
    """Make the plan of an export (``pulumi stack export``) or of a file of a backend.

    Values that are secret are not in it, be they encrypted in the state or in plain.

    Raises:
        StateError: it is neither.
    """
    state = inside(content, "deployment") or inside(content, "checkpoint", "latest")
    if not state:
        message = "is no state of a stack; write one by: pulumi stack export --file state.json"
        raise StateError(message)
    scrub = Scrubber(secrets_of(state))
    there = [item for item in entries(state, "resources") if not item.get("delete")]
    steps = [_step(item, scrub) for item in there]
    return Plan(steps=tuple(steps), old_outputs={}, new_outputs={}, errors=())


def stack_of(plan: Plan) -> str | None:
    """Name the stack that resources belong to, which their URNs say; without any there is none."""
    return plan.steps[0].urn.split("::")[0].rpartition(":")[2] if plan.steps else None


def _step(resource: Tree, scrub: Scrubber) -> Step:
    urn = str(resource.get("urn"))
    inputs = clean(inside(resource, "inputs"), scrub)
    return Step(
        operation="same",
        type=str(resource.get("type")),
        name=scrub(urn.rpartition("::")[2]),
        urn=urn,
        parent=str(resource.get("parent", "")),
        old=inputs,
        new=inputs,
    )
