"""The note and the label of a merge request, and the drift issue, through GitLab's API.

Each environment has one note of the token's own account, found by its marker and edited in place.
Two pipelines may write at once: each reads the notes again after it has created one, keeps the
oldest and deletes the others, so one is left in any order. Issues work alike, but extra ones are
closed, since only an owner may delete them. New drift gets a new issue: the old one records what
was there, and who reverted it.
"""

import contextlib
import dataclasses
from collections.abc import Generator
from typing import Any

import gitlab
import requests
from gitlab.exceptions import GitlabError

from report.outputs.phrases import drift_of, marker, plan_digest

_TIMEOUT = 10.0
_RETRIES = 4
_LONGEST_WAIT = 30
"""The most seconds that a server may ask to wait between two tries."""
_GONE = 404

_ADVICE = {
    401: "the token is wrong or has expired; create a project access token with the scope api and "
    "store it as the masked variable IMAGE_BUILDS_NOTE_TOKEN",
    403: "the token may not write there; it needs the role Reporter or higher, and the scope api",
    404: "the token sees no such project or merge request, or issues are disabled; check that it "
    "belongs to this project",
    409: "another request changed it at the same time; run the job again",
    429: "GitLab limits the rate of requests; run the job again later",
}


class PublishError(Exception):
    """Nothing can be written to GitLab; the message says why and what to do, in one line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Address:
    """Where to write: an instance, a project, and the token."""

    url: str
    project: str
    token: str = dataclasses.field(repr=False)


def publish_note(address: Address, merge_request: str, environment: str, text: str) -> None:
    """Create the note of an environment, or edit the existing one; raise PublishError."""
    with _project(address) as project:
        place = project.mergerequests.get(merge_request, lazy=True)
        if not (notes := _notes(project, place, environment)):
            place.notes.create({"body": text}, max_retries=_RETRIES)
            notes = _notes(project, place, environment)
        if notes[0].body != text:
            place.notes.update(notes[0].id, {"body": text}, max_retries=_RETRIES)
        for younger in notes[1:]:
            _remove(place, younger.id)


def label(address: Address, merge_request: str, name: str, *, wanted: bool) -> None:
    """Add a label to a merge request, or remove it; other labels stay; raise PublishError."""
    with _project(address) as project:
        change = {"add_labels" if wanted else "remove_labels": name}
        project.mergerequests.update(merge_request, change, max_retries=_RETRIES)


def publish_issue(address: Address, environment: str, title: str, text: str | None) -> None:
    """Create or edit the drift issue of an environment, close it for None; raise PublishError."""
    with _project(address) as project:
        issues = _issues(project, environment)
        if text is None:
            for issue in issues:
                _close(project, issue, "The cluster matches what was deployed again.")
            return
        wanted = {"title": title, "description": text}
        if not issues:
            content = {**wanted, "labels": f"drift: {environment}"}
            project.issues.create(content, max_retries=_RETRIES)
            issues = _issues(project, environment)
        if (issues[0].title, issues[0].description) != (title, text):
            project.issues.update(issues[0].iid, wanted, max_retries=_RETRIES)
        for younger in issues[1:]:
            _close(project, younger, f"Duplicate of #{issues[0].iid}.")


def reviewed_digest(address: Address, commit: str, environment: str, branch: str) -> str | None:
    """Return the digest in the note of the merge request that brought a commit into a branch.

    None where there is no such merge request, or no note; raise PublishError. Other merge requests
    with the commit do not count: anyone can open one, and let its pipeline write a note.
    """
    with _project(address) as project:
        found = project.commits.get(commit, lazy=True).merge_requests(max_retries=_RETRIES)
        for item in found:
            if (item["state"], item["target_branch"]) != ("merged", branch):
                continue
            place = project.mergerequests.get(item["iid"], lazy=True)
            for note in _notes(project, place, environment):
                return plan_digest(note.body)
        return None


@contextlib.contextmanager
def _project(address: Address) -> Generator[Any]:
    """Yield the project; a refusal of GitLab, or no answer, becomes a PublishError."""
    client = gitlab.Gitlab(
        address.url, private_token=address.token, timeout=_TIMEOUT, retry_transient_errors=True
    )
    client.session.hooks["response"].append(_shorten)
    try:
        yield client.projects.get(address.project, lazy=True)
    except (GitlabError, requests.RequestException) as error:
        raise PublishError(_explain(error)) from None


def _shorten(response: requests.Response, **_: object) -> None:
    """Limit the wait that a server asks for: python-gitlab would sleep for as long."""
    asked = response.headers.get("Retry-After", "")
    if asked:
        seconds = int(asked) if asked.isdigit() else _LONGEST_WAIT
        response.headers["Retry-After"] = str(min(seconds, _LONGEST_WAIT))


def _notes(project: Any, place: Any, environment: str) -> list[Any]:  # noqa: ANN401 - python-gitlab types few attributes
    """Return the notes of an environment by this account, the oldest first."""
    ours = _own_id(project)
    first = marker(environment)
    notes = place.notes.list(iterator=True, max_retries=_RETRIES)
    found = [note for note in notes if note.body.startswith(first) and note.author["id"] == ours]
    return sorted(found, key=lambda note: note.id)


def _issues(project: Any, environment: str) -> list[Any]:  # noqa: ANN401 - python-gitlab types few attributes
    """Return the open drift issues of an environment by this account, the oldest first."""
    first = marker(drift_of(environment))
    found = project.issues.list(
        state="opened",
        labels=f"drift: {environment}",
        author_id=_own_id(project),
        scope="all",
        iterator=True,
        max_retries=_RETRIES,
    )
    ours = [issue for issue in found if (issue.description or "").startswith(first)]
    return sorted(ours, key=lambda issue: issue.iid)


def _close(project: Any, issue: Any, reason: str) -> None:  # noqa: ANN401 - python-gitlab types few attributes
    issue.notes.create({"body": reason}, max_retries=_RETRIES)
    project.issues.update(issue.iid, {"state_event": "close"}, max_retries=_RETRIES)


def _own_id(project: Any) -> int:  # noqa: ANN401 - python-gitlab types few attributes
    return project.manager.gitlab.http_get("/user", max_retries=_RETRIES)["id"]


def _remove(place: Any, note: int) -> None:  # noqa: ANN401 - python-gitlab types few attributes
    try:
        place.notes.delete(note, max_retries=_RETRIES)
    except GitlabError as error:
        if error.response_code != _GONE:
            raise


def _explain(error: GitlabError | requests.RequestException) -> str:
    """Return advice, without what the server or the library says about the request."""
    code = error.response_code if isinstance(error, GitlabError) else None
    if code is None:
        return "GitLab does not answer; check CI_SERVER_URL and the network of the runner"
    return f"GitLab answers {code}: {_ADVICE.get(code, 'try again, and check its status page')}"
