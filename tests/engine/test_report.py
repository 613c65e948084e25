"""The report of real previews: the engine's own events, the chart's own objects.

Most is the same as without an engine, so that the notes which people have read are in
tests/report; here are those that show what only an engine and the chart say.
"""

import functools
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from commands.shared.exit_codes import ExitCode, exit_code
from dev.cluster.control_plane import ControlPlane
from dev.local.stack_file import CHART_VARIABLE, chart_of
from dev.paths import STAND_IN_CHART
from dev.toolchain.ensure import ensure
from report.analysis import assemble
from report.inputs import preview
from report.inputs.charts import Charts
from report.model import Report
from report.outputs import code_quality as quality
from report.outputs import markdown as note
from report.stack_file import SETTINGS, StackFile
from tests.support.changes import (
    CHANGES_AND_CODES,
    FOUR_RUNNERS,
    NEWER_CHART,
    Change,
    with_transforms,
)
from tests.support.configured import replace_values
from tests.support.harness import in_year
from tests.support.previews import preview_change
from tests.support.stacks import Site, fresh_site

# What is for an engine of the kind of another change: new values of one release, another level of
# one job namespace, more of one resource or less, new contents of one, a transform of inputs.
REPEATED = {
    "accepted-in-writing",
    "another-reader-by-a-transform",
    "buildkit-service-to-kaniko",
    "concurrent",
    "dind-to-kaniko",
    "disruption-budget",
    "dood-to-dind",
    "dood-to-kaniko",
    "environment",
    "gitlab-moved",
    "image-moved",
    "image-unpinned-by-a-transform",
    "kaniko-to-a-shared-daemon",
    "kaniko-to-buildah-privileged",
    "kaniko-to-buildah-root",
    "kaniko-to-buildkit",
    "kaniko-to-buildkit-profiles",
    "kaniko-to-buildkit-service-buildx",
    "kaniko-to-buildx",
    "kaniko-to-deploy",
    "managers-at-baseline-by-a-transform",
    "metadata-opened",
    "password-rotated",
    "policy-opened-by-a-transform",
    "private-addresses-closed",
    "privileged-jobs-by-a-transform",
    "resources",
    "runner-added",
    "seccomp-profile",
    "tag",
    "target-namespace-added",
}
NAMES = [
    name
    for name, (change, _) in CHANGES_AND_CODES.items()
    if change.starts_as_deployed and name not in REPEATED
]
IN_FULL = ["kaniko-to-dood", "chart-version", "job-namespace-renamed"]
"""A switch, other rendered objects, and what the engine makes again."""

CONFIG_ERROR = Change(after={"runners.builds.strategy": "dood"})
CHART_MISSING = Change(after={"chart": {**NEWER_CHART, "archive": "/no-such-chart"}})


class Markdown(SingleFileSnapshotExtension):
    """One readable note for each snapshot."""

    _write_mode = WriteMode.TEXT
    file_extension = "md"


def _write(site: Site, change: Change) -> None:
    """Write the stack file and the secrets of a change."""
    config: dict[str, Any] = {SETTINGS: replace_values(FOUR_RUNNERS.settings, change.after)}
    if change.accepted:
        config["image-builds:acceptedRisks"] = dict.fromkeys(change.accepted, "a reason")
    text = yaml.safe_dump({"config": config}, sort_keys=False)
    text = re.sub(r"\bsite\b", site.prefix, text)
    newer = site.folder / "chart"
    if NEWER_CHART["archive"] in text:
        for key, value in chart_of(newer).items():
            text = text.replace(NEWER_CHART[key], value)
    site.stack.stack_file.write_text(text, encoding="utf-8")
    site.plant(**_by_path(replace_values(FOUR_RUNNERS.secrets, change.secrets)))


def _by_path(values: Mapping[str, Any], above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        path = f"{above}{key}"
        found.update(_by_path(value, f"{path}__") if not isinstance(value, str) else {path: value})
    return found


@pytest.fixture(scope="module", autouse=True)
def _stand_in_chart() -> Iterator[None]:
    """Take the stand-in, whichever chart other tests have: it is what people reviewed notes of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(CHART_VARIABLE, raising=False)
        yield


@pytest.fixture(scope="module")
def deployed(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """One stack for all changes, since only previews follow."""
    with (
        pytest.MonkeyPatch.context() as patch,
        fresh_site(control_plane, tmp_path_factory.mktemp("report")) as site,
    ):
        patch.setattr(site.stack, "run", in_year(site.stack.run))
        _newer_chart(site.folder / "chart")
        _write(site, Change())
        assert "failed" not in site.up().operations
        yield site


def _newer_chart(folder: Path) -> None:
    """Make a chart of a later version, whose manager has another image."""
    shutil.copytree(STAND_IN_CHART, folder)
    for name, old, new in (
        ("Chart.yaml", r"^version: .*", "version: 0.99.0"),
        ("templates/deployment.yaml", r"^( *)image: .*", r"\1image: example.com/runner:v99"),
    ):
        file = folder / name
        text, count = re.subn(old, new, file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert count
        file.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def report_of(deployed: Site) -> Callable[[str], Report]:
    """Preview a change of the table, once for all tests."""

    @functools.cache
    def find(name: str) -> Report:
        return _report(deployed, CHANGES_AND_CODES[name][0])

    return find


def _report(site: Site, change: Change) -> Report:
    """Write a change and return the report of its real preview."""
    _write(site, change)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(site.stack, "run", with_transforms(site.stack.run, change))
        return _seen(site, change)


def _seen(site: Site, change: Change) -> Report:
    with Charts(ensure("helm").file) as charts:
        with site.stack.open() as stack:
            seen = preview.run(stack, charts)
        file = site.stack.stack_file
        source = assemble.Source(
            environment=change.environment,
            stack_file=StackFile(file.name, file.read_text(encoding="utf-8"), seen.scrub),
            settings=seen.settings,
            state=seen.state,
        )
        return assemble.report(seen.plan, source, charts, seen.scrub)


def _note(site: Site, report: Report) -> str:
    """The note without what differs from run to run."""
    text = note.write(report).replace(site.prefix, "site").replace(report.digest, "<digest>")
    text = text.replace(report.state, "<time>").replace(str(STAND_IN_CHART), "<chart>")
    text = text.replace(str(site.folder), "<folder>")
    return re.sub(
        r"(checksum/.*?|(?:token|chart)-digest.*?): [0-9a-f]{16,}", r"\1: <checksum>", text
    )


def _comparable(report: Report, site: Site | None = None) -> dict[str, list[str]]:
    """Return what an engine and the chart have no part in, one entry for each thing."""
    parts: dict[str, list[Any]] = {
        "risk changes": [item for item in report.risk_changes if not _is_rendered(item.identity)],
        "violations": [*report.violations],
        "keys": [*report.keys],
        "effects": [*report.effects],
        "resources": [(item.operation, item.type, item.name) for item in report.resources],
        "counts": [report.counts],
        "exit code": [exit_code(report)],
    }
    texts = {part: [str(item) for item in items] for part, items in parts.items()}
    if site:
        texts = {part: [_neutral(text, site) for text in found] for part, found in texts.items()}
    return {part: sorted(found) for part, found in texts.items()}


def _neutral(text: str, site: Site) -> str:
    """Return a text with the names and the chart of the recorded program."""
    newer = site.folder / "chart"
    for key, value in chart_of(newer).items() if newer.exists() else ():
        text = text.replace(value, NEWER_CHART[key])
    return text.replace(site.prefix, "site")


def _is_rendered(identity: str) -> bool:
    """Whether a risk is about the pod of a manager, which the chart renders."""
    return re.search(r"-of-Deployment-\w+/gitlab-runner-", identity) is not None


@pytest.mark.parametrize("name", NAMES)
def test_an_engine_and_the_recorded_program_agree(
    deployed: Site, report_of: Callable[[str], Report], name: str
) -> None:
    change, code = CHANGES_AND_CODES[name]

    report = report_of(name)

    recorded = _comparable(preview_change(change, FOUR_RUNNERS))
    assert _comparable(report, deployed) == recorded
    assert (exit_code(report), report.gaps) == (code, ())


@pytest.mark.parametrize("name", IN_FULL)
def test_the_note_of_an_engine_is_as_reviewed(
    deployed: Site, report_of: Callable[[str], Report], snapshot: SnapshotAssertion, name: str
) -> None:
    assert _note(deployed, report_of(name)) == snapshot(extension_class=Markdown)


def test_the_note_of_a_first_deployment_is_as_reviewed(
    control_plane: ControlPlane, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    change, code = CHANGES_AND_CODES["first-deployment"]
    with fresh_site(control_plane, tmp_path) as site:
        report = _report(site, change)

    assert _note(site, report) == snapshot(extension_class=Markdown)
    assert _comparable(report, site) == _comparable(preview_change(change, FOUR_RUNNERS))
    assert (exit_code(report), report.gaps) == (code, ())


@pytest.mark.parametrize(
    ("change", "cause", "where"),
    [
        (CONFIG_ERROR, "acceptNodeRoot", "strategy: dood"),
        (
            CHART_MISSING,
            "chart.archive: must name a chart that can be read",
            "archive: /no-such-chart",
        ),
    ],
    ids=["config-error", "chart-missing"],
)
def test_a_preview_that_fails_says_the_cause_and_nothing_else(
    deployed: Site, change: Change, cause: str, where: str
) -> None:
    """And the line that it is on."""
    report = _report(deployed, change)

    assert exit_code(report) == ExitCode.FAILED
    (error,) = report.errors
    assert cause in error
    assert "the preview failed" in note.write(report).splitlines()[1]
    line: int = json.loads(quality.write(report))[0]["location"]["lines"]["begin"]
    text = deployed.stack.stack_file.read_text(encoding="utf-8")
    assert text.splitlines()[line - 1].strip() == where


def test_two_previews_of_the_same_change_have_the_same_digest(
    deployed: Site, report_of: Callable[[str], Report]
) -> None:
    """Also where keys and certificates are made anew, which no preview knows."""
    name = "kaniko-to-buildkit-service"
    first, second = report_of(name), _report(deployed, CHANGES_AND_CODES[name][0])

    assert first == second
    assert first.state


def test_previews_of_other_changes_have_other_digests(
    deployed: Site, report_of: Callable[[str], Report]
) -> None:
    another_token = Change(secrets={"runnerTokens.builds": "glrt-third-token-0003"})

    reports = [
        *map(report_of, ("kaniko-to-dood", "token-rotated")),
        _report(deployed, another_token),
    ]

    assert len({report.digest for report in reports}) == 3


def test_a_program_that_fails_shows_no_value(
    deployed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        tokens = pulumi.Config("image-builds").require_object("runnerTokens")
        message = f"no such thing as {tokens['builds']} {tokens['builds'][5:]}"
        raise ValueError(message)

    monkeypatch.setattr(deployed.stack, "run", broken)

    report = _report(deployed, Change(secrets={"runnerTokens.builds": "glrt-spilled-token-03"}))

    assert exit_code(report) == ExitCode.FAILED
    assert report.errors[0].startswith("the program failed; its message can contain a secret")
    assert "spilled" not in str(report)


@pytest.fixture
def unreachable(deployed: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The same stack while the API server is down."""
    text = deployed.stack.kubeconfig.read_text(encoding="utf-8")
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(re.sub("server: .*", "server: https://127.0.0.1:1", text), "utf-8")
    monkeypatch.setattr(deployed.stack, "kubeconfig", elsewhere)
    return deployed


def test_a_preview_is_the_same_while_the_api_server_is_down(unreachable: Site) -> None:
    change, code = CHANGES_AND_CODES["kaniko-to-dood"]

    report = _report(unreachable, change)

    without_engine = _comparable(preview_change(change, FOUR_RUNNERS))
    assert _comparable(report, unreachable) == without_engine
    assert (exit_code(report), report.gaps) == (code, ())
