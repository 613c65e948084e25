"""What a report says of runners that build in one daemon."""

from typing import Any

import pulumi
import pytest

from report.model import Report
from tests.support.changes import ONE_RUNNER, Change, Deployed
from tests.support.configured import SECRETS, replace_values
from tests.support.previews import preview_change

OWN = {"tags": ["other"], "strategy": "buildkit-service"}
SHARED = {"kind": "buildkit-service", "daemonOf": "main", "acceptSharedBuilds": True}
SERVICE = {"runners.main.strategy": "buildkit-service"}
TOKENS = {"main": "glrt-a-first-token", "other": "glrt-another-token"}
DEPLOYED = Deployed(
    replace_values(ONE_RUNNER.settings, SERVICE), replace_values(SECRETS, {"runnerTokens": TOKENS})
)


def _report(before: dict[str, Any], after: dict[str, Any], **more: Any) -> Report:  # noqa: ANN401 - fields of a change
    return preview_change(Change(before=before, after=after, **more), DEPLOYED)


def _said(report: Report) -> list[tuple[str, str, str]]:
    return [
        (item.direction, item.severity, item.what)
        for item in report.risk_changes
        if item.identity.startswith("sharedDaemon/")
    ]


@pytest.mark.parametrize("before", [{}, {"runners.other": OWN}], ids=["new", "known"])
def test_a_runner_that_begins_to_share_is_a_major_risk(before: dict[str, Any]) -> None:
    """The strategy's own acceptance does not accept it."""
    report = _report(before, {"runners.other": {**OWN, "strategy": SHARED}})

    assert _said(report) == [
        ("raised", "major", "runner other builds in the daemon of runner main")
    ]
    assert "sharedDaemon/runner-other/runner-main" in report.unaccepted


def test_a_runner_that_gets_its_own_daemon_is_a_lower_risk() -> None:
    report = _report({"runners.other": {**OWN, "strategy": SHARED}}, {"runners.other": OWN})

    assert _said(report) == [
        ("lowered", "major", "runner other no longer builds in the daemon of runner main")
    ]


def test_runners_with_their_own_daemons_share_nothing() -> None:
    assert _said(_report({}, {"runners.other": OWN})) == []


def test_shared_builds_accept_no_privilege_of_jobs() -> None:
    def privileged(release: dict[str, Any]) -> None:
        runners = release["values"]["runners"]
        runners["config"] = pulumi.Output.from_input(runners["config"]).apply(
            lambda config: config.replace("privileged = false", "privileged = true")
        )

    shared = {"runners.other": {**OWN, "strategy": SHARED}}

    report = _report(shared, shared, transforms={("Release", "other"): privileged})

    assert "privileged/the-build-container-of-runner-other/yes" in report.unaccepted
