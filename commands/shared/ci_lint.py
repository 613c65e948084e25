"""The includes of a pipeline that are not local, as GitLab resolves them.

``POST /projects/:id/ci/lint`` returns the full configuration of any text in the context of a
project, also where the text has other errors (gitlab:doc/api/lint.md).
"""

import contextlib
import os
from collections.abc import Generator

import gitlab
import requests
from gitlab.exceptions import GitlabError

from components.settings.models import GitLab
from convert.pipeline.includes import Full, Resolve
from doctor.checks.servers.gitlab import TOKEN
from doctor.web import TrustsAsGo
from report.errors import ReportError

_TIMEOUT = 60.0
"""Seconds; GitLab itself gives up on includes after 30 (gitlab:lib/gitlab/ci/config.rb)."""
_ADVICE = {
    401: f"the token in {TOKEN} is wrong or has expired; set another one",
    403: f"the token in {TOKEN} may not do this; it needs the role Developer and the scope api",
    404: "there is no such project, or the token does not see it; correct --project",
}


@contextlib.contextmanager
def resolving(instance: GitLab, project: str) -> Generator[Resolve]:
    """Yield a function that resolves includes as a project in GitLab may.

    Raises:
        ReportError: there is no token, or no answer; also from the function.
    """
    token = os.environ.get(TOKEN)
    if not token:
        message = f"{TOKEN} must be set for --project: a token of the role Developer, scope api"
        raise ReportError(message)
    with requests.Session() as session:
        session.mount("https://", TrustsAsGo(instance.ca_certificates))
        client = gitlab.Gitlab(instance.url, private_token=token, timeout=_TIMEOUT, session=session)
        place = client.projects.get(project, lazy=True)

        def resolve(text: str) -> Full:
            try:
                found = place.ci_lint.create({"content": text}, obey_rate_limit=False)
            except (GitlabError, requests.RequestException) as error:
                message = f"{instance.url}: {_explain(error)}"
                raise ReportError(message) from None
            said = found.attributes
            return Full(
                said.get("merged_yaml") or "", " ".join("; ".join(said.get("errors") or ()).split())
            )

        yield resolve


def _explain(error: GitlabError | requests.RequestException) -> str:
    """Return advice, without what the server or the library says about the request."""
    code = error.response_code if isinstance(error, GitlabError) else None
    if code is None:
        return "GitLab's API does not answer; check gitlab.url, its CA certificates and the network"
    return f"GitLab answers {code}: {_ADVICE.get(code, 'try again later')}"
