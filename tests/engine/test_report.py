"""The report of real previews: the engine's own events, the chart's own objects."""

import contextlib
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from report import assemble, note, page, preview, quality, terminal
from report.model import CHANGES, FAILED, NO_CHANGE, RISK_RAISED, Report
from report.source import StackFile
from tests.configured import STRATEGIES
from tests.engine.conftest import Site
from tools import toolchain


class Markdown(SingleFileSnapshotExtension):
    """One readable note for each snapshot."""

    _write_mode = WriteMode.TEXT
    file_extension = "md"


def _report(site: Site) -> Report:
    with site.stack.open() as stack:
        seen = preview.run(stack)
    file = site.stack.stack_file
    return assemble.report(
        seen.plan,
        environment="test",
        stack_file=StackFile(file.name, file.read_text(encoding="utf-8")),
        settings=seen.settings,
        helm=toolchain.find("helm").file,
        scrub=seen.scrub,
        state=seen.state,
    )


def _note(site: Site, report: Report) -> str:
    """The note without what differs from run to run."""
    told = note.write(report).replace(site.prefix, "site").replace(report.digest, "<digest>")
    told = told.replace(report.state, "<time>") if report.state else told
    lines = [line for line in told.splitlines() if "checksum/" not in line]
    return "\n".join(lines)


@pytest.fixture
def kaniko(site: Site) -> Site:
    """A site that runs kaniko already."""
    site.plant(runnerTokens__builds="glrt-first-token-0001")
    site.write("kaniko")
    assert "failed" not in site.up().operations
    return site


def test_nothing_to_change_is_quiet(kaniko: Site) -> None:
    report = _report(kaniko)

    assert report.exit_code == NO_CHANGE
    assert len(note.write(report).splitlines()) == 2


CHANGED: dict[str, tuple[Any, dict[str, Any], int]] = {
    "to-dood": (STRATEGIES["dood"], {}, CHANGES),
    "to-dind": (STRATEGIES["dind"], {}, CHANGES),
    "to-buildkit": (STRATEGIES["buildkit"], {}, RISK_RAISED),
    "resources": ("kaniko", {"runner": {"resources": {"limits": {"memory": "2Gi"}}}}, CHANGES),
    "concurrent": ("kaniko", {"runner": {"concurrent": 3}}, CHANGES),
    "registry-added": (
        "kaniko",
        {
            "registries": [
                {"host": "registry.example.com:5000", "pull": "in", "push": "out"},
                {"host": "second.example.com", "insecure": True, "pull": "in", "push": "out"},
            ],
        },
        CHANGES,
    ),
    "job-namespace-renamed": ("kaniko", {"runner": {"jobNamespace": "renamed-jobs"}}, CHANGES),
}


def test_the_notes_of_real_previews_are_as_reviewed(
    kaniko: Site,
    snapshot: SnapshotAssertion,
) -> None:
    for name, (strategy, changes, code) in CHANGED.items():
        kaniko.write(strategy, **changes)

        report = _report(kaniko)

        assert _note(kaniko, report) == snapshot(name=name, extension_class=Markdown)
        assert (report.exit_code, report.gaps) == (code, ()), name


def test_a_rotated_token_is_told_and_restarts_the_manager(kaniko: Site) -> None:
    kaniko.plant(runnerTokens__builds="glrt-second-token-002")

    report = _report(kaniko)

    assert "The token of runner builds is replaced." in report.sentences
    assert any("restarts" in effect.text for effect in report.effects)
    assert "second-token" not in note.write(report)


def test_two_previews_of_the_same_change_have_the_same_digest(kaniko: Site) -> None:
    kaniko.write(STRATEGIES["buildkit-service"])

    assert _report(kaniko).digest == _report(kaniko).digest


def test_a_mistake_in_the_config_is_told_on_its_line(kaniko: Site) -> None:
    kaniko.write("dood")

    report = _report(kaniko)

    assert report.exit_code == FAILED
    assert "acceptNodeRoot" in report.errors[0]
    file = kaniko.stack.stack_file
    findings = json.loads(quality.write(report, StackFile(file.name, file.read_text("utf-8"))))
    assert findings[0]["location"]["lines"]["begin"] > 1


def test_a_program_that_fails_shows_no_value(kaniko: Site, tmp_path: Path) -> None:
    kaniko.plant(runnerTokens__builds="glrt-spilled-token-03")
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import pulumi\n"
        "tokens = pulumi.Config('image-builds').require_object('runnerTokens')\n"
        "raise ValueError('no such thing as ' + tokens['builds'] + ' ' + tokens['builds'][5:])\n",
        encoding="utf-8",
    )
    kaniko.stack.program = broken

    report = _report(kaniko)

    assert report.exit_code == FAILED
    assert "spilled" not in str(report)


def test_updates_are_previewed_the_same_while_the_api_server_is_down(
    kaniko: Site,
    tmp_path: Path,
) -> None:
    kaniko.write(STRATEGIES["dood"])
    there = _report(kaniko)
    text = kaniko.stack.kubeconfig.read_text(encoding="utf-8")
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(re.sub("server: .*", "server: https://127.0.0.1:1", text), "utf-8")
    kaniko.stack.kubeconfig = elsewhere

    assert _report(kaniko) == there


def test_no_output_of_a_real_preview_holds_a_secret(kaniko: Site) -> None:
    planted = {
        f"registryCredentials__{login}__password": f"planted-{login}" for login in ("in", "out")
    }
    planted["registryCredentials__in__username"] = "planted-user"
    planted["runnerTokens__builds"] = "glrt-planted-token-04"
    kaniko.plant(**planted)
    # The stack file says in plain what the config keeps secret elsewhere.
    spilled = {"SPILLED": "planted-in", "OTHER": "x planted-out y"}
    kaniko.write("kaniko", runner={"environment": spilled})

    report = _report(kaniko)

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        terminal.write(report, Console(file=printed))
    file = StackFile("Pulumi.test.yaml", "")
    outputs = (note.write(report), page.write(report), quality.write(report, file), str(report))
    assert report.counts.update > 0
    assert [text for text in (*outputs, printed.getvalue()) if "planted" in text] == []
