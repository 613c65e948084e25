"""A diagnosis as JSON, for programs."""

import json

from doctor.diagnosis import Diagnosis

_DOCS = "docs/"


def write(found: Diagnosis) -> str:
    """Return the text; ``runner`` is empty for what concerns all of them."""
    content = {
        "stack": found.stack,
        "context": found.context,
        "runners": list(found.runners),
        "faults": [
            {
                "check": item.check.name,
                "severity": item.check.severity,
                "runner": item.runner,
                "message": item.message,
                "wayOut": item.way_out,
                "page": f"{_DOCS}{item.check.page}",
            }
            for item in found.faults
        ],
        "notRun": [
            {"check": item.check.name, "runner": item.runner, "reason": item.reason}
            for item in found.not_run
        ],
        "ran": {runner: sorted(names) for runner, names in found.ran.items()},
    }
    return json.dumps(content, indent=2) + "\n"
