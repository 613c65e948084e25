"""What the outputs say alike."""

from collections.abc import Mapping

from doctor.diagnosis import WHOLE_STACK, Diagnosis


def title(runner: str) -> str:
    """Name a runner, or the part that concerns all of them."""
    return f"runners.{runner}" if runner != WHOLE_STACK else "the whole stack"


def parts(found: Diagnosis) -> list[str]:
    """Return what has a verdict: the stack, and each runner."""
    return [WHOLE_STACK, *found.runners]


def reasons(found: Diagnosis) -> Mapping[tuple[str, str], list[str]]:
    """Return the checks that did not run, by runner and reason."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for item in dict.fromkeys(found.not_run):
        grouped.setdefault((item.runner, item.reason), []).append(item.check.name)
    return grouped
