"""GitLab, from the machine that runs doctor, by the API that runners use."""

import contextlib
import datetime as dt
import os
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote, urlsplit

from components.gitlab_runner.charts import is_known, runner_of
from components.settings.models import Settings
from doctor.checks.declared import numbers
from doctor.checks.deployed import has_manager
from doctor.checks.network import only_inside
from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, not_run, of_runner, of_stack
from doctor.wanted import entries
from doctor.web import SOON, FailedError, answered, expiry, is_broken, server

TOKEN = "GITLAB_TOKEN"  # noqa: S105 - the name of a variable
"""A token by which `doctor` sees the runners in GitLab: of the role Owner, with the scope
`read_api`. Without it, some checks do not run. `pipeline --project` needs one of the role Developer
with the scope `api`, by which GitLab resolves includes.
"""
_ADDRESS = ("gitlab-name", "gitlab-unreachable", "gitlab-certificate", "gitlab-plain")


def _api(settings: Settings, path: str, data: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Return the status and the JSON of an answer, None where it is a page.

    Raises:
        FailedError: no answer came, or it is one of a proxy, or leads elsewhere.
        UnseenError: this machine cannot ask it.
    """
    gitlab = settings.gitlab
    if reason := only_inside(settings, urlsplit(gitlab.url).hostname or ""):
        raise UnseenError(reason)
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
    if is_broken(answer):
        raise FailedError(answered(answer))
    if answer.is_redirect:
        raise FailedError(answered(answer), "answer")
    content: Any = None
    with contextlib.suppress(ValueError):
        content = answer.json() if answer.content else {}
    if "read-only" in _message(content):
        raise FailedError(_message(content), "read-only")
    return answer.status_code, content


def _message(content: Any) -> str:  # noqa: ANN401 - JSON
    """Return what GitLab says of a refusal, nothing where it is not in JSON."""
    return (
        str(cast("Mapping[str, Any]", content).get("message", ""))
        if isinstance(content, dict)
        else ""
    )


def _refuses(status: int, content: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether GitLab itself knows no such runner: walls before it refuse in other words."""
    return status == HTTPStatus.FORBIDDEN and _message(content).startswith("403")


@of_stack(*_ADDRESS, "gitlab-answer", "gitlab-read-only", "gitlab-expires")
def address(visit: Visit) -> Iterator[Fault | NotRun]:
    """Ask as a runner does, with a token that nobody has: GitLab refuses that in JSON."""
    gitlab = visit.stack.settings.gitlab
    try:
        status, content = _api(visit.stack.settings, "/runners/verify", {"token": "unknown"})
    except FailedError as error:
        host = gitlab.url.partition("://")[2].partition("/")[0]
        yield fault(f"gitlab-{error.kind}", host=host, url=gitlab.url, reason=error)
        return
    if not _refuses(status, content):
        yield fault("gitlab-answer", url=gitlab.url, reason=f"it answers with status {status}")
    end = expiry(gitlab.url)
    if end and end - dt.datetime.now(dt.UTC) < SOON:
        yield fault("gitlab-expires", url=gitlab.url, date=end.date())


@of_stack("gitlab-version")
def version(visit: Visit) -> Iterator[Fault | NotRun]:
    """Compare the versions of GitLab and of the runner that the chart deploys."""
    if not os.environ.get(TOKEN):
        message = f"{TOKEN} is not set, without which GitLab does not say its version"
        raise UnseenError(message)
    content = _read(visit, "/version")
    chart = visit.stack.settings.chart.version
    if not is_known(chart):
        message = f"the runner of chart {chart} is not known here"
        raise UnseenError(message)
    runner = runner_of(chart)
    if numbers(content["version"]) < numbers(runner):
        yield fault("gitlab-version", version=content["version"], runner=runner)


def _asked(visit: Visit, path: str, data: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Return the status and the JSON of an answer, as ``_api`` does.

    Raises:
        UnseenError: no answer came.
    """
    try:
        return _api(visit.stack.settings, path, data)
    except FailedError as error:
        message = f"GitLab does not answer: {error}"
        raise UnseenError(message) from error


def _read(visit: Visit, path: str) -> Any:  # noqa: ANN401 - JSON
    """Return what GitLab shows to the user's token.

    Raises:
        UnseenError: it shows nothing.
    """
    status, content = _asked(visit, path)
    if status != HTTPStatus.OK or content is None:
        message = f"GitLab does not show it to the token in {TOKEN} (status {status})"
        raise UnseenError(message)
    return content


_OF_RUNNER = (
    "runner-paused",
    "runner-tags",
    "runner-protected",
    "runner-offline",
    "runner-scope",
    "runner-disabled",
    "token-swapped",
)


@of_runner("token-refused", "token-expires", *_OF_RUNNER)
def runner(visit: Visit) -> Iterator[Fault | NotRun]:
    """Verify a runner's token, and look at the runner if a user's token may."""
    name, token = visit.of.name, visit.of.token
    if token is None:
        message = "the stack file does not have the token of this runner"
        raise UnseenError(message)
    status, content = _asked(visit, "/runners/verify", {"token": token})
    if _refuses(status, content):
        yield fault("token-refused", name, runner=name)
    if status != HTTPStatus.OK or not content:
        message = f"GitLab does not verify the token (status {status})"
        raise UnseenError(message)
    yield from _expiry(name, content.get("token_expires_at"))
    if not os.environ.get(TOKEN):
        for check in _OF_RUNNER:
            yield not_run(check, name, f"{TOKEN} is not set, so GitLab does not show the runner")
        return
    yield from _runner(visit, _read(visit, f"/runners/{content['id']}"))


def _expiry(runner: str, date: str | None) -> Iterator[Fault]:
    if date and dt.datetime.fromisoformat(date) - dt.datetime.now(dt.UTC) < SOON:
        yield fault("token-expires", runner, runner=runner, date=date[:10])


def _runner(visit: Visit, known: Mapping[str, Any]) -> Iterator[Fault]:
    runner = visit.of
    if known.get("paused"):
        yield fault("runner-paused", runner.name)
    tags: list[str] = known.get("tag_list") or []
    if missing := [tag for tag in runner.settings.tags if tag not in tags]:
        shown = {"missing": ", ".join(missing), "found": ", ".join(tags) or "none"}
        if other := _of_tags(visit, tags):
            yield fault("token-swapped", runner.name, other=other, runner=runner.name)
        else:
            yield fault("runner-tags", runner.name, **shown)
    open_to_all = known.get("access_level") == "not_protected"
    if open_to_all and runner.plan.roots_node and visit.stack.production:
        yield fault("runner-protected", runner.name)
    if known.get("status") in _SILENT and has_manager(visit):
        yield fault("runner-offline", runner.name, status=known["status"])
    scope = [*_scope(known)]
    project = _project(visit)
    if scope and project and not any(map(_contains(project), scope)):
        yield fault("runner-scope", runner.name, scope=", ".join(scope), project=project)
    elif project:
        yield from _switched_off(visit, str(known.get("runner_type")), project)


_SILENT = {"offline", "stale", "never_contacted"}
"""What GitLab says of a runner from which it has heard nothing for two hours, or ever."""


def _of_tags(visit: Visit, tags: list[str]) -> str:
    """Return the runner of the stack that has these tags in the stack file, if there is one."""
    return next(
        (
            name
            for name, runner in visit.stack.runners.items()
            if runner.settings.tags and {*runner.settings.tags} == {*tags}
        ),
        "",
    )


def _scope(known: Mapping[str, Any]) -> Iterator[str]:
    """Yield the groups and projects whose jobs a runner takes; one of the instance has none."""
    for project in entries(known, "projects"):
        yield project["path_with_namespace"]
    for group in entries(known, "groups"):
        yield group["web_url"].partition("/groups/")[2]


def _project(visit: Visit) -> str:
    """Return the path of the named repository, if GitLab's own registry has it."""
    registry, _, path = visit.repository.partition("/")
    host = urlsplit(visit.stack.settings.gitlab.url).hostname or ""
    return path if registry.partition(":")[0] in {host, f"registry.{host}"} else ""


_SWITCHES = {
    "instance_type": ("shared_runners_enabled", "runners of the instance are switched off there"),
    "group_type": ("group_runners_enabled", "runners of groups are switched off there"),
}


def _switched_off(visit: Visit, kind: str, path: str) -> Iterator[Fault]:
    """Read the settings of a project, whose path may go on with the name of an image."""
    parts = path.split("/")
    for length in range(len(parts), 1, -1):
        name = "/".join(parts[:length])
        status, found = _asked(visit, f"/projects/{quote(name, safe='')}")
        if status != HTTPStatus.OK:
            continue
        key, reason = _SWITCHES.get(kind, ("", ""))
        if found.get("builds_access_level") == "disabled":
            yield fault("runner-disabled", visit.of.name, project=name, reason="it has no CI/CD")
        elif found.get(key) is False:
            yield fault("runner-disabled", visit.of.name, project=name, reason=reason)
        return


def _contains(path: str) -> Callable[[str], bool]:
    """Return what says whether a group or project has a path, which may go on with an image."""
    return lambda part: f"{path}/".startswith(f"{part}/")
