"""GitLab, from the machine that runs doctor, by the API that runners use."""

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from components.gitlab_runner.charts import runner_of
from components.settings.models import GitLab
from doctor.checks.declared import numbers
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, not_run, of_runner, of_stack
from doctor.web import FailedError, server

TOKEN = "GITLAB_TOKEN"  # noqa: S105 - the name of a variable
"""A token by which `doctor` sees the runners in GitLab: of the role Owner, with the scope
`read_api`. Without it, some checks do not run. `pipeline --project` needs one of the role Developer
with the scope `api`, by which GitLab resolves includes.
"""
_SOON = dt.timedelta(days=14)
_ADDRESS = ("gitlab-name", "gitlab-unreachable", "gitlab-certificate", "gitlab-plain")


def _api(gitlab: GitLab, path: str, data: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Return the status and the JSON of an answer, None where it is a page.

    Raises:
        FailedError: no answer came.
    """
    headers = {}
    if data is None and os.environ.get(TOKEN):
        headers = {"PRIVATE-TOKEN": os.environ[TOKEN]}
    with server(gitlab.ca_certificates) as asked:
        answer = asked.send(
            "GET" if data is None else "POST",
            f"{gitlab.url.rstrip('/')}/api/v4{path}",
            headers=headers,
            json=data,
        )
    try:
        return answer.status_code, answer.json() if answer.content else {}
    except ValueError:
        return answer.status_code, None


@of_stack(*_ADDRESS, "gitlab-answer")
def address(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask as a runner does, with a token that nobody has: GitLab refuses that in JSON."""
    gitlab = visit.stack.settings.gitlab
    try:
        status, content = _api(gitlab, "/runners/verify", {"token": "unknown"})
    except FailedError as error:
        host = gitlab.url.partition("://")[2].partition("/")[0]
        yield fault(f"gitlab-{error.kind}", host=host, url=gitlab.url, reason=error)
        return
    if status not in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS} or content is None:
        yield fault("gitlab-answer", url=gitlab.url, reason=f"it answers with status {status}")


@of_stack("gitlab-version")
def version(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the versions of GitLab and of the runner that the chart deploys."""
    if not os.environ.get(TOKEN):
        message = f"{TOKEN} is not set, without which GitLab does not say its version"
        raise UnseenError(message)
    content = _read(visit, "/version")
    try:
        runner = runner_of(visit.stack.settings.chart.version)
    except KeyError:
        message = f"the runner of chart {visit.stack.settings.chart.version} is not known here"
        raise UnseenError(message) from None
    if numbers(content["version"]) < numbers(runner):
        yield fault("gitlab-version", version=content["version"], runner=runner)


def _read(visit: Visit, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return what GitLab shows to the user's token.

    Raises:
        UnseenError: it shows nothing.
    """
    try:
        status, content = _api(visit.stack.settings.gitlab, path)
    except FailedError as error:
        message = f"GitLab does not answer: {error}"
        raise UnseenError(message) from error
    if status != HTTPStatus.OK or content is None:
        message = f"GitLab does not show it to the token in {TOKEN} (status {status})"
        raise UnseenError(message)
    return content


@of_runner("token-refused", "token-expires", "runner-paused", "runner-tags", "runner-protected")
def runner(visit: Visit) -> Iterator[Fault | NotRun]:
    """Verify a runner's token, and look at the runner if a user's token may."""
    name, token = visit.of.name, visit.of.token
    if token is None:
        message = "the stack file does not have the token of this runner"
        raise UnseenError(message)
    try:
        status, content = _api(visit.stack.settings.gitlab, "/runners/verify", {"token": token})
    except FailedError as error:
        message = f"GitLab does not answer: {error}"
        raise UnseenError(message) from error
    if status == HTTPStatus.FORBIDDEN:
        yield fault("token-refused", name, runner=name)
    if status != HTTPStatus.OK or not content:
        message = f"GitLab does not verify the token (status {status})"
        raise UnseenError(message)
    yield from _expiry(name, content.get("token_expires_at"))
    if not os.environ.get(TOKEN):
        for check in ("runner-paused", "runner-tags", "runner-protected"):
            yield not_run(check, name, f"{TOKEN} is not set, so GitLab does not show the runner")
        return
    yield from _runner(visit, _read(visit, f"/runners/{content['id']}"))


def _expiry(runner: str, date: str | None) -> Iterator[Fault]:
    if date and dt.datetime.fromisoformat(date) - dt.datetime.now(dt.UTC) < _SOON:
        yield fault("token-expires", runner, runner=runner, date=date[:10])


def _runner(visit: Visit, known: Mapping[str, Any]) -> Iterator[Fault]:
    runner = visit.of
    if known.get("paused"):
        yield fault("runner-paused", runner.name)
    tags: list[str] = known.get("tag_list") or []
    if missing := [tag for tag in runner.settings.tags if tag not in tags]:
        yield fault(
            "runner-tags", runner.name, missing=", ".join(missing), found=", ".join(tags) or "none"
        )
    open_to_all = known.get("access_level") == "not_protected"
    if open_to_all and runner.plan.roots_node and visit.stack.production:
        yield fault("runner-protected", runner.name)
