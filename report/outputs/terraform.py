"""The counts for the merge request widget of GitLab (``artifacts:reports:terraform``)."""

import json

from report.model import Report


def write(report: Report) -> str:
    """Return three integers and nothing else; a replacement counts as deleted and created."""
    counts = report.counts
    return json.dumps(
        {
            "create": counts.create + counts.replace,
            "update": counts.update,
            "delete": counts.delete + counts.replace,
        }
    )
