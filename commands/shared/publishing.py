"""What commands write to GitLab, if the pipeline has a token."""

import os
import sys

from report.model import Report
from report.outputs import gitlab, markdown
from report.outputs.phrases import heading

TOKEN = "IMAGE_BUILDS_NOTE_TOKEN"  # noqa: S105 - the name of a variable
"""A project access token with the role Reporter and the scope ``api``. Without it, no note and no
drift issue is written.
"""


def publish_note(report: Report) -> None:
    """Write the note and the labels in the pipeline of a merge request, if there is a token."""
    merge_request = os.environ.get("CI_MERGE_REQUEST_IID")
    if not merge_request or not (to := _address()):
        return
    labels = {"risk raised": report.stops, "risk accepted": report.accepts}
    try:
        gitlab.publish_note(to, merge_request, report.environment, markdown.write(report))
        for name, wanted in labels.items():
            gitlab.label(to, merge_request, f"{name}: {report.environment}", wanted=wanted)
    except gitlab.PublishError as error:
        print(f"The note of the merge request is not up to date: {error}", file=sys.stderr)


def publish_issue(report: Report) -> None:
    """Create, edit or close the drift issue, if there is a token and the comparison worked."""
    if report.errors or "CI_PROJECT_ID" not in os.environ or not (to := _address()):
        return
    text = markdown.write(report) if report.counts.total else None
    try:
        gitlab.publish_issue(to, report.environment, heading(report), text)
    except gitlab.PublishError as error:
        print(f"The drift issue is not up to date: {error}", file=sys.stderr)


def is_stale(report: Report) -> bool:
    """Whether the merged merge request showed another plan, or its note cannot be read.

    It guards against accidents: a pipeline can write any note, so an author can write one too.
    """
    if not (to := _address()):
        return False
    stack = report.environment
    try:
        commit, branch = os.environ["CI_COMMIT_SHA"], os.environ["CI_DEFAULT_BRANCH"]
        seen = gitlab.reviewed_digest(to, commit, stack, branch)
    except gitlab.PublishError as error:
        print(f"The reviewed plan cannot be read: {error}", file=sys.stderr)
        return True
    if seen is None:
        print(f"No merge request that was merged with this commit has a note for {stack}")
        return False
    if seen == report.digest:
        return False
    print(
        f"{stack}: plan {report.digest} differs from the reviewed plan {seen}; review "
        "it and deploy it by hand, or open a new merge request",
        file=sys.stderr,
    )
    return True


def _address() -> gitlab.Address | None:
    """Return where this pipeline writes, None without a token of the project."""
    token = os.environ.get(TOKEN)
    if not token:
        print(f"{TOKEN} is not set, so nothing is posted to GitLab; the files are there")
        return None
    url, project = os.environ["CI_SERVER_URL"], os.environ["CI_PROJECT_ID"]
    return gitlab.Address(url=url, project=project, token=token)
