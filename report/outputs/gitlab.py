"""The note and the label of a merge request, and the issue of a drift, by GitLab's API.

There is one note for an environment, of our own account, found by its marker and edited in place.
Two pipelines can be at it at once: each looks again after it has made a note, keeps the oldest
and removes the others, so that one is left whoever was first. So it is with issues, of which the
others are closed, since only an owner may remove one. A drift that comes again gets a new issue:
the old one tells of what was, and of who took it back.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, cast

import gitlab
import requests
from gitlab.exceptions import GitlabError

from report.outputs.phrases import drift_of, marker, plan_digest

_TIMEOUT = 10.0
_RETRIES = 4
_LONGEST_WAIT = 30
"""The most seconds that a server may ask to be left alone for, between two tries."""
_GONE = 404

_ADVICE = {
    401: "the token is wrong or has expired; make a project access token with the scope api and "
    "store it as the masked variable IMAGE_BUILDS_NOTE_TOKEN",
    403: "the token may not write there; give its role at least Reporter, and the scope api",
    404: "there is no such project or merge request for this token, or it has no issues; check "
    "that the token is of this project",
    409: "another request changed it at the same time; run the job again",
    429: "GitLab limits the rate of requests; run the job again later",
}


class PublishError(Exception):
    """GitLab cannot be told; the message says why and what to do, in one line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Address:
    """Where to write: an instance, one of its projects, and the token for it."""

    url: str
    project: str
    token: str = dataclasses.field(repr=False)


def publish_note(address: Address, merge_request: str, environment: str, text: str) -> None:
    """Make the note of an environment, or edit the one that is there.

    Raises:
        PublishError: GitLab refuses or cannot be reached.
    """
    try:
        client = _client(address)
        place = _merge_request(client, address, merge_request)
        if not (notes := _notes(client, place, environment)):
            place.notes.create({"body": text}, max_retries=_RETRIES)
            notes = _notes(client, place, environment)
        if notes[0].body != text:
            place.notes.update(notes[0].id, {"body": text}, max_retries=_RETRIES)
        for younger in notes[1:]:
            _remove(place, younger.id)
    except (GitlabError, requests.RequestException) as error:
        raise PublishError(_explain(error)) from None


def label(address: Address, merge_request: str, name: str, *, wanted: bool) -> None:
    """Give the merge request a label, or take it away; others stay as they are.

    Raises:
        PublishError: GitLab refuses or cannot be reached.
    """
    try:
        client = _client(address)
        project = client.projects.get(address.project, lazy=True)
        change = {"add_labels" if wanted else "remove_labels": name}
        project.mergerequests.update(merge_request, change, max_retries=_RETRIES)
    except (GitlabError, requests.RequestException) as error:
        raise PublishError(_explain(error)) from None


def publish_issue(address: Address, environment: str, title: str, text: str | None) -> None:
    """Open the issue of an environment's drift or edit the one that is open.

    Args:
        address: where.
        environment: whose drift it is.
        title: the issue's new title.
        text: the issue's new text, or None to close it, since nothing has drifted any more.

    Raises:
        PublishError: GitLab refuses or cannot be reached.
    """
    try:
        client = _client(address)
        project = client.projects.get(address.project, lazy=True)
        issues = _issues(client, project, environment)
        if text is None:
            for issue in issues:
                _close(project, issue, "Nothing differs from what was deployed any more.")
            return
        wanted = {"title": title, "description": text}
        if not issues:
            content = {**wanted, "labels": f"drift: {environment}"}
            project.issues.create(content, max_retries=_RETRIES)
            issues = _issues(client, project, environment)
        if (issues[0].title, issues[0].description) != (title, text):
            project.issues.update(issues[0].iid, wanted, max_retries=_RETRIES)
        for younger in issues[1:]:
            _close(project, younger, f"#{issues[0].iid} tells the same.")
    except (GitlabError, requests.RequestException) as error:
        raise PublishError(_explain(error)) from None


def reviewed_digest(address: Address, commit: str, environment: str) -> str | None:
    """Return the digest that was reviewed in the merge request of a commit, if there is one.

    Raises:
        PublishError: GitLab refuses or cannot be reached.
    """
    try:
        client = _client(address)
        project = client.projects.get(address.project, lazy=True)
        found = project.commits.get(commit, lazy=True).merge_requests(max_retries=_RETRIES)
        for item in cast("list[dict[str, Any]]", found):
            place = _merge_request(client, address, str(item["iid"]))
            for note in _notes(client, place, environment):
                return plan_digest(note.body)
    except (GitlabError, requests.RequestException) as error:
        raise PublishError(_explain(error)) from None
    return None


def _client(address: Address) -> gitlab.Gitlab:
    client = gitlab.Gitlab(
        address.url,
        private_token=address.token,
        timeout=_TIMEOUT,
        retry_transient_errors=True,
    )
    client.session.hooks["response"].append(_shorten)
    return client


def _shorten(response: requests.Response, **_: object) -> None:
    """Bound what the server asks for: python-gitlab sleeps for as long as it is told to."""
    asked = response.headers.get("Retry-After", "")
    if asked:
        seconds = int(asked) if asked.isdigit() else _LONGEST_WAIT
        response.headers["Retry-After"] = str(min(seconds, _LONGEST_WAIT))


def _merge_request(client: gitlab.Gitlab, address: Address, number: str) -> Any:  # noqa: ANN401 - python-gitlab types few attributes
    project = client.projects.get(address.project, lazy=True)
    return project.mergerequests.get(number, lazy=True)


def _notes(client: gitlab.Gitlab, place: Any, environment: str) -> list[Any]:  # noqa: ANN401 - python-gitlab types few attributes
    """Return our own notes of an environment, the oldest first."""
    ours = _ourselves(client)
    first = marker(environment)
    notes = cast("Iterator[Any]", place.notes.list(iterator=True, max_retries=_RETRIES))
    found = [note for note in notes if note.body.startswith(first) and note.author["id"] == ours]
    return sorted(found, key=lambda note: note.id)


def _issues(client: gitlab.Gitlab, project: Any, environment: str) -> list[Any]:  # noqa: ANN401 - python-gitlab types few attributes
    """Return our own open issues of an environment's drift, the oldest first."""
    first = marker(drift_of(environment))
    found = cast(
        "Iterator[Any]",
        project.issues.list(
            state="opened",
            labels=f"drift: {environment}",
            author_id=_ourselves(client),
            scope="all",
            iterator=True,
            max_retries=_RETRIES,
        ),
    )
    ours = [issue for issue in found if (issue.description or "").startswith(first)]
    return sorted(ours, key=lambda issue: issue.iid)


def _close(project: Any, issue: Any, reason: str) -> None:  # noqa: ANN401 - python-gitlab types few attributes
    issue.notes.create({"body": reason}, max_retries=_RETRIES)
    project.issues.update(issue.iid, {"state_event": "close"}, max_retries=_RETRIES)


def _ourselves(client: gitlab.Gitlab) -> int:
    return cast("Any", client.http_get("/user", max_retries=_RETRIES))["id"]


def _remove(place: Any, note: int) -> None:  # noqa: ANN401 - python-gitlab types few attributes
    try:
        place.notes.delete(note, max_retries=_RETRIES)
    except GitlabError as error:
        if error.response_code != _GONE:
            raise


def _explain(error: GitlabError | requests.RequestException) -> str:
    """Say what is wrong, without what the server or the library says of the request."""
    code = error.response_code if isinstance(error, GitlabError) else None
    if code is None:
        return "GitLab does not answer; check CI_SERVER_URL and the network of the runner"
    return f"GitLab answers {code}: {_ADVICE.get(code, 'try again, and see its status page')}"
