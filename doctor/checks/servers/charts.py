"""The repository of the chart, from the machine that runs doctor, as that of a deployment asks."""

from collections.abc import Iterator
from http import HTTPStatus

from doctor.diagnosis import Fault, UnseenError, fault
from doctor.examine import NotRun, Visit, of_stack
from doctor.web import FailedError, answered, server


@of_stack("chart-unreachable", "chart-missing")
def charts(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for the version in the index of the repository."""
    chart = visit.stack.settings.chart
    if chart.archive:
        return
    url = f"{chart.repository.rstrip('/')}/index.yaml"
    with server(None) as asked:
        try:
            answer = asked.send("GET", url, redirects=True)
        except FailedError as error:
            if error.kind == "certificate":
                # Helm trusts the CAs of the system, which Python does not read.
                message = f"the certificate of {url} is not trusted here: {error}"
                raise UnseenError(message) from error
            yield fault("chart-unreachable", url=url, reason=error)
            return
    if answer.status_code != HTTPStatus.OK:
        yield fault("chart-unreachable", url=url, reason=answered(answer))
    # Read as text: the index of GitLab has megabytes, and no other chart's file has this name.
    elif f"gitlab-runner-{chart.version}.tgz" not in answer.text:
        yield fault("chart-missing", repository=chart.repository, version=chart.version)
