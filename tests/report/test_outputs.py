import dataclasses
import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from commands.shared.exit_codes import ExitCode, exit_code
from dev import browser
from report.analysis.runner_config import meaning, parse
from report.model import PropertyChange, Report, RiskChange
from report.outputs import code_quality as quality
from report.outputs import html as page
from report.outputs import markdown as note
from report.outputs import phrases, terminal
from report.outputs import terraform as widget
from report.stack_file import StackFile
from tests.support.configured import SETTINGS
from tests.support.previews import stack_file
from tests.support.reports import BROKEN, EMPTY, LONG, RAISED, REPORT, SETTING_ERROR, TOML


def _printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    terminal.write(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_note_begins_with_its_marker_and_heading() -> None:
    lines = note.write(REPORT).splitlines()

    assert lines[0] == phrases.marker("dev") == "<!-- image-builds:dev -->"
    assert lines[1] == (
        "### dev: 1 to create, 1 to update, 1 to replace; risk RAISED and not accepted"
    )


def test_a_note_without_changes_is_one_quiet_line() -> None:
    assert len(note.write(EMPTY).splitlines()) == 2


def test_names_in_a_note_call_nobody_and_make_no_markup() -> None:
    text = note.write(REPORT)

    assert "@all" not in text
    assert "<b>" not in text


def test_values_in_a_note_cannot_leave_their_fence() -> None:
    broken = dataclasses.replace(TOML, new="```\n/close\n```\n")
    report = dataclasses.replace(REPORT, keys=(dataclasses.replace(REPORT.keys[0], change=broken),))

    assert "\n````diff\n" in note.write(report)


@pytest.mark.parametrize("limit", [10, 2_400, 2_800, 4_000])
def test_a_note_that_is_too_long_loses_details_only(limit: int) -> None:
    many = tuple(dataclasses.replace(LONG, path=f"path{index}") for index in range(300))
    resources = (dataclasses.replace(REPORT.resources[0], properties=many),)
    report = dataclasses.replace(REPORT, resources=resources)
    summary = "\n".join(note.write(report, 0).splitlines()[:-1])

    text = note.write(report, limit)

    assert text.startswith(summary.rstrip())
    assert len(text) <= max(limit, len(summary) + 200)
    assert text.endswith(f"{phrases.stamp(report)}\n")
    if limit == 4_000:
        assert "more lines are in report.html" in text


def test_the_plan_of_a_note_can_be_read_again() -> None:
    assert phrases.plan_digest(note.write(REPORT)) == REPORT.digest
    assert phrases.plan_digest(note.write(EMPTY)) == REPORT.digest
    assert phrases.plan_digest("nothing") is None


def test_a_failure_shows_its_errors_and_nothing_else() -> None:
    text = note.write(BROKEN)

    assert "the preview failed" in text
    assert SETTING_ERROR in text
    assert "| resource |" not in text
    assert exit_code(BROKEN) == ExitCode.FAILED


def test_the_widget_counts_a_replacement_as_two() -> None:
    assert json.loads(widget.write(REPORT)) == {"create": 2, "update": 1, "delete": 1}


def test_findings_have_the_fields_that_gitlab_reads() -> None:
    findings = json.loads(quality.write(REPORT))

    assert [item["severity"] for item in findings] == ["critical", "info", "minor"]
    assert findings[0]["location"] == {"path": "Pulumi.dev.yaml", "lines": {"begin": 7}}
    assert findings[1]["location"]["lines"] == {"begin": 1}
    assert len({item["fingerprint"] for item in findings}) == 3
    assert set(findings[0]) == {"check_name", "description", "fingerprint", "severity", "location"}


def test_an_error_is_found_on_its_line() -> None:
    file = stack_file(SETTINGS)
    broken = dataclasses.replace(BROKEN, setting_errors=file.find_errors(BROKEN.errors))
    (finding,) = json.loads(quality.write(broken))

    assert finding["severity"] == "blocker"
    assert finding["location"]["lines"]["begin"] == file.find("runners", "main", "strategy")[1]


def test_an_error_in_the_accepted_risks_is_found_on_its_line() -> None:
    file = stack_file(SETTINGS, ["podSecurity/Namespace-a/privileged"])
    message = "image-builds:acceptedRisks.podSecurity/Namespace-a/privileged: gives no reason"
    found = file.find_errors([f"1 error in the config:\n{message}"])

    (finding,) = json.loads(quality.write(dataclasses.replace(BROKEN, setting_errors=found)))

    assert finding["description"] == "podSecurity/Namespace-a/privileged: gives no reason"
    # It is the last line of the file.
    assert finding["location"]["lines"]["begin"] > file.find("runners", "main", "strategy")[1]


class _Loads(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        """Start with nothing."""
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "img", "iframe"} or {"src", "href"} & {
            key for key, _ in attrs
        }:
            self.found.append(tag)


@pytest.mark.parametrize("report", [REPORT, EMPTY, BROKEN])
def test_a_page_needs_and_runs_nothing_else(report: Report) -> None:
    hostile = dataclasses.replace(
        report,
        sentences=("<script>alert(1)</script>",),
        errors=tuple(f"{error}<img src=x>" for error in report.errors),
    )
    parser = _Loads()

    parser.feed(page.write(hostile))

    assert parser.found == []


def test_a_page_holds_what_the_note_does_and_both_colour_schemes() -> None:
    text = page.write(REPORT)

    assert "prefers-color-scheme: dark" in text
    for expected in ("Jobs are lost.", "job is privileged", "what jobs get", "ConfigMap a/b"):
        assert expected in text
    assert "nothing changes" in page.write(EMPTY).lower()


def test_a_browser_shows_the_page_in_both_colour_schemes(tmp_path: Path) -> None:
    if browser.find() is None:
        pytest.skip(f"THE PAGE WAS NOT OPENED IN A BROWSER: {browser.MISSING}")
    file = tmp_path / "report.html"
    file.write_text(page.write(REPORT), encoding="utf-8")
    blank = tmp_path / "blank.html"
    blank.write_text("<!doctype html><title>blank</title>", encoding="utf-8")
    images: set[bytes] = set()

    for number, (shown, width, dark) in enumerate(
        [(file, 1000, False), (file, 1000, True), (file, 500, False), (blank, 1000, False)]
    ):
        image = tmp_path / f"{number}.png"
        browser.picture(shown, image, width=width, height=900, dark=dark)
        images.add(image.read_bytes())

    assert len(images) == 4
    assert all(image.startswith(b"\x89PNG") for image in images)


def test_a_page_that_no_browser_shows_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    def picture() -> None:
        browser.picture(Path("page.html"), tmp_path / "page.png", width=8, height=8)

    with pytest.raises(browser.BrowserError, match="apt-get install chromium"):
        picture()
    for script in ("exit 1", "exit 0"):
        program = tmp_path / "chromium"
        program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        program.chmod(0o755)
        with pytest.raises(browser.BrowserError, match=r"took no picture of page\.html"):
            picture()


def test_the_terminal_takes_no_markup_from_values() -> None:
    hostile = dataclasses.replace(REPORT, sentences=("[bold red]not markup[/]",))

    text = _printed(hostile)

    assert "[bold red]not markup[/]" in text
    for expected in ("Jobs are lost.", "job is privileged", "raised, accepted", "helm is not"):
        assert expected in text
    assert "… (300 characters)" in text
    assert SETTING_ERROR in _printed(BROKEN)


@pytest.mark.parametrize("line", ["++flag", "--flag", "+++ b", "--- a", "@@ x", ""])
def test_no_line_of_a_text_is_lost(line: str) -> None:
    without, having = "first\nlast\n", f"first\n{line}\nlast\n"
    added = PropertyChange(path="text", old=without, new=having)
    removed = PropertyChange(path="text", old=having, new=without)
    created = PropertyChange(path="text", old=None, new=having)

    assert f"+{line}" in list(phrases.values(added))
    assert f"-{line}" in list(phrases.values(removed))
    assert list(phrases.diff([created]))[-3:] == ["+first", f"+{line}", "+last"]


X = "x" * 300


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"{X} --verify=true", f"{X} --verify=nope"),
        (f"{X} --verify=true", f"{X} --verify=false {X}"),
        (f"a{X}{X}b", f"a{X}{X}c"),
        (X, f"{X}x"),
        (f"{X}a{X}", f"{X}b{X}"),
        ("host", "host\u200b"),
        ("a b", "a\tb"),
        ("a b", "a\xa0b"),
        ("a", "a\r"),
        ("a\nb", "a\nb\n"),
        ("a\nb\n", "a\r\nb\n"),
        ("a\nb\n", "a\nb\u2028\n"),
        ("", "\n"),
    ],
)
def test_no_two_values_look_alike(old: str, new: str) -> None:
    lines = list(phrases.values(PropertyChange(path="text", old=old, new=new)))
    removed, added = ([line[1:] for line in lines if line[0] == sign] for sign in "-+")

    assert removed != added
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 250


def test_a_long_value_is_cut_around_the_first_difference() -> None:
    change = PropertyChange(path="text", old=f"{X} --verify=true {X}", new=f"{X} --verify=nope")
    kept = "x" * 50

    assert list(phrases.values(change)) == [
        f"- …{kept} --verify=true {'x' * 135}… (615 characters)",
        f"+ …{kept} --verify=nope (314 characters)",
    ]


def test_no_character_of_a_report_commands_the_terminal() -> None:
    escape = "\x1b[1A\x1b[2K"
    key = REPORT.keys[0]
    change = dataclasses.replace(key.change, path=f"{escape}path", new=f"{escape}value")
    report = dataclasses.replace(
        REPORT,
        keys=(dataclasses.replace(key, change=change),),
        sentences=(f"{escape}sentence",),
        gaps=(f"{escape}gap",),
        risk_changes=(dataclasses.replace(RAISED, what=f"{escape}risk"),),
    )

    printed = _printed(report)

    assert "\x1b" not in printed
    assert printed.count(r"\x1b[1A\x1b[2K") == 5


def test_a_new_resource_is_named_on_the_terminal_and_not_listed() -> None:
    text = _printed(REPORT)

    assert "create Secret new" in text
    assert "+ data: [secret]" not in text


@pytest.mark.parametrize(
    ("deltas", "risk", "code"),
    [
        ((), "unchanged", 2),
        ((RAISED,), "raised", 3),
        ((dataclasses.replace(RAISED, accepted="a reason"),), "accepted", 2),
        ((dataclasses.replace(RAISED, severity="minor"),), "minor", 2),
        ((dataclasses.replace(RAISED, severity="info"),), "unchanged", 2),
        ((dataclasses.replace(RAISED, direction="lowered"),), "lowered", 2),
    ],
)
def test_the_risk_and_the_exit_code_follow_from_what_weighs(
    deltas: tuple[RiskChange, ...], risk: str, code: int
) -> None:
    report = dataclasses.replace(REPORT, risk_changes=deltas)

    assert (report.risk, exit_code(report)) == (risk, code)


def test_the_heading_says_that_minor_risks_rise() -> None:
    minor = dataclasses.replace(RAISED, severity="minor")
    lowered = dataclasses.replace(RAISED, direction="lowered")

    alone, beside = (
        phrases.heading(dataclasses.replace(REPORT, risk_changes=changes))
        for changes in ((minor,), (minor, lowered))
    )

    assert alone.endswith("; only minor risks rise")
    assert beside.endswith("; risk lowered, minor risks rise")


def test_counts_of_nothing_are_said() -> None:
    assert str(EMPTY.counts) == "no changes"


def test_a_stack_file_that_is_not_yaml_has_no_lines() -> None:
    file = StackFile("Pulumi.dev.yaml", "a: [")

    assert file.find("runners", "main") == ("runners.main", None)
    assert file.accepted == {}


@pytest.mark.parametrize("reason", ["", "''", "' '", "5", "[because]"])
def test_a_risk_is_accepted_with_a_reason_only(reason: str) -> None:
    text = "config:\n  image-builds:acceptedRisks:\n    a/b/c: because\n"

    assert StackFile("Pulumi.dev.yaml", text).accepted == {"a/b/c": "because"}
    assert StackFile("Pulumi.dev.yaml", f"{text}    d/e/f: {reason}\n").accepted == {}


def test_the_nearest_key_of_a_stack_file_is_found() -> None:
    text = "config:\n  image-builds:settings:\n    registries:\n      - host: a\n    namespace: b\n"
    file = StackFile("Pulumi.dev.yaml", text)

    assert file.find("registries", "0", "host") == ("registries.0.host", 4)
    assert file.find("runners", "main") == ("image-builds:settings", 2)


@pytest.mark.parametrize("values", [{}, {"runners": {"config": "= no toml"}}, {"runners": 3}])
def test_a_release_without_a_config_toml_has_no_keys(values: dict[str, Any]) -> None:
    assert parse(values) == {}


def test_an_unknown_key_refers_to_the_documentation() -> None:
    assert "documentation" in meaning("kubernetes.brand_new")
    assert meaning("kubernetes.memory_limit") == "where a build is killed, with exit code 137"
