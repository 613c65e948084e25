"""Violated rules in every output of a report, and what an acceptance changes."""

import io
import json

import pytest
from rich.console import Console

from commands.shared.exit_codes import ExitCode, exit_code
from report.model import Report
from report.outputs import code_quality as quality
from report.outputs import html as page
from report.outputs import markdown as note
from report.outputs import terminal
from tests.support.changes import ONE_RUNNER, Change
from tests.support.configured import STRATEGIES, replace_values
from tests.support.previews import preview_change, stack_file

STRATEGY = "runners.main.strategy"
DOOD = {STRATEGY: STRATEGIES["dood"]}
IDENTITY = "no-dood-in-prod/the-job-pod-of-runner-main//var/run/docker.sock"
WHAT = "the job pod of runner main mounts /var/run/docker.sock from the node"
ANOTHER = "no-dood-in-prod/the-job-pod-of-runner-main//etc"
NO_LIMIT = {"runners.main.resources": {"limits": {"cpu": "1"}}}


def _report(*accepted: str, **settings: object) -> Report:
    after = {**DOOD, **settings}
    return preview_change(Change(after=after, environment="prod", accepted=accepted))


def _printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=200)
    terminal.write(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_mandatory_violation_blocks_until_it_is_accepted() -> None:
    codes = [exit_code(_report(*accepted)) for accepted in ((), (ANOTHER,), (IDENTITY,))]

    assert codes == [ExitCode.RISK_RAISED, ExitCode.RISK_RAISED, ExitCode.CHANGES]


def test_an_advisory_violation_stops_nothing() -> None:
    change = Change(after=NO_LIMIT)
    (violation,) = preview_change(change).violations

    assert (violation.rule, violation.stops) == ("job-memory-limits", False)
    assert exit_code(preview_change(change)) == ExitCode.CHANGES


def test_an_old_violation_blocks_and_an_accepted_one_is_quiet() -> None:
    before = Change(before=DOOD, after=DOOD, environment="prod")
    accepted = Change(before=DOOD, after=DOOD, environment="prod", accepted=(IDENTITY,))

    assert exit_code(preview_change(before)) == ExitCode.RISK_RAISED
    assert WHAT in note.write(preview_change(before))
    assert exit_code(preview_change(accepted)) == ExitCode.NO_CHANGE
    assert len(note.write(preview_change(accepted)).splitlines()) == 2


def test_a_deleted_resource_violates_nothing() -> None:
    change = Change(before=DOOD, environment="prod")

    assert preview_change(change).violations == ()


@pytest.mark.parametrize(
    ("accepted", "level"),
    [((), "no-dood-in-prod, mandatory"), ((IDENTITY,), "no-dood-in-prod, accepted")],
)
def test_every_output_says_whether_a_violation_is_accepted(
    accepted: tuple[str, ...], level: str
) -> None:
    report = _report(*accepted)

    for text in (note.write(report), page.write(report), _printed(report)):
        assert level in text
        assert WHAT in text


def test_violations_that_block_come_first_and_accepted_ones_last() -> None:
    many = {"runners.main.environment": {"NPM_TOKEN": "planted"}, "runners.main.resources": {}}
    found = [item.rule for item in _report(IDENTITY, **many).violations]

    assert found == ["no-secrets-in-values", "job-memory-limits", "no-dood-in-prod"]


@pytest.mark.parametrize(("accepted", "severity"), [((), "critical"), ((IDENTITY,), "info")])
def test_a_finding_is_on_the_line_of_the_strategy(accepted: tuple[str, ...], severity: str) -> None:
    file = stack_file(replace_values(ONE_RUNNER.settings, DOOD), accepted)
    report = _report(*accepted)
    (finding,) = [
        item
        for item in json.loads(quality.write(report))
        if item["check_name"] == "no-dood-in-prod"
    ]

    assert finding["severity"] == severity
    assert finding["location"]["lines"]["begin"] == file.find("runners", "main", "strategy")[1]
    assert finding["description"].startswith(WHAT)


def test_a_page_without_changes_lists_violations() -> None:
    text = page.write(preview_change(Change(before=DOOD, after=DOOD, environment="prod")))

    assert '<header class="raised">' in text
    assert WHAT in text


def test_a_secret_in_values_is_reported_by_its_path_alone() -> None:
    report = _report(**{"runners.main.environment": {"NPM_TOKEN": "planted"}})

    assert "values.runners.config of release main contains a secret" in note.write(report)
    assert "planted" not in note.write(report) + page.write(report) + _printed(report)
