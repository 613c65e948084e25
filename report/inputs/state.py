"""A stack's state as a plan that changes nothing, to check it without a cluster."""

from report.errors import ReportError
from report.inputs.events import STACK, Plan, Step
from report.redact import Scrubber, clean, secrets_of
from report.tree import JSON, Tree, entries, inside


def read(content: JSON, source: str) -> Plan:
    """Return the plan of an export (``pulumi stack export``) or of a file of a backend.

    It contains no secret value, whether the state encrypts them or not. Errors name the source.

    Raises:
        ReportError: the content is neither.
    """
    state = inside(content, "deployment") or inside(content, "checkpoint", "latest")
    if not state:
        reason = "must be a stack's state; write one with: pulumi stack export --file state.json"
        message = f"{source}: {reason}"
        raise ReportError(message)
    scrub = Scrubber(secrets_of(state))
    there = [item for item in entries(state, "resources") if not item.get("delete")]
    steps = [_step(item, scrub) for item in there]
    stack = next((item for item in there if item.get("type") == STACK), None)
    outputs = clean(inside(stack, "outputs"), scrub)
    return Plan(steps=tuple(steps), old_outputs=outputs, new_outputs=outputs, errors=())


def stack_of(plan: Plan) -> str | None:
    """Return the name of the stack, from the URNs of its resources; None without resources."""
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
