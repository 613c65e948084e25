"""What a report says of a stack file's facts and options, of the program, and of acceptances."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from commands.shared import checkout
from components.settings.stack_file import beside
from report.analysis import assemble
from report.analysis.trust.declared import early_acceptances, listed
from report.inputs.charts import Charts
from report.inputs.events import read
from report.model import Report
from report.outputs import html, markdown
from report.redact import Scrubber
from report.stack_file import StackFile
from tests.support.changes import Change
from tests.support.previews import preview_change, stack

FACTS: list[tuple[str, object, object, str]] = [
    ("cluster.nodes.trusted", False, True, "nodes.trusted: true"),
    ("cluster.nodes.dockerSocket", False, True, "nodes.dockerSocket: true"),
    ("cluster.nodes.userNamespaces", False, True, "nodes.userNamespaces: true"),
    ("cluster.podSecurityLimit", "baseline", "privileged", "podSecurityLimit: privileged"),
    ("cluster.podSecurityLimit", "restricted", "baseline", "podSecurityLimit: baseline"),
    ("cluster.platform", "rke2", "other", "platform: other"),
    ("cluster.kind", "managed", "onPrem", "kind: onPrem"),
    ("cluster.nodes.runtime", "containerd", "crio", "nodes.runtime: crio"),
    ("cluster.nodes.os", "other", "ubuntu", "nodes.os: ubuntu"),
    ("cluster.nodes.selector", {"pool": "ci"}, {}, "nodes.selector: {}"),
]


def _said(report: Report) -> list[str]:
    return [f"{it.severity}: {it.what}" for it in report.risk_changes if it.direction == "raised"]


@pytest.mark.parametrize(("key", "before", "after", "fact"), FACTS)
def test_a_fact_that_admits_more_is_a_risk_by_itself(
    key: str, before: object, after: object, fact: str
) -> None:
    restricted = {"runners.main.strategy": "deploy"} if "restricted" in [before, after] else {}

    report = preview_change(
        Change(before={**restricted, key: before}, after={**restricted, key: after})
    )

    assert _said(report) == [f"minor: the stack file declares {fact}"]
    assert report.risk == "minor"
    assert "the stack file declares" in markdown.write(report)
    assert fact in html.write(report)


def test_a_fact_that_admits_less_raises_nothing() -> None:
    report = preview_change(Change(after={"cluster.nodes.userNamespaces": False}))

    assert _said(report) == []


PLAIN: dict[str, Any] = {"config": {"kubernetes:context": "a", "image-builds:settings": {"x": 1}}}
KMS: dict[str, Any] = {**PLAIN, "secretsprovider": "awskms://alias/ours", "encryptedkey": "a"}
SALTED: dict[str, Any] = {**PLAIN, "encryptionsalt": "v1:a"}


def _config(**config: object) -> dict[str, Any]:
    return {"config": {**PLAIN["config"], **config}}


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "another-key": (
        KMS,
        {**KMS, "secretsprovider": "awskms://alias/theirs"},
        ["secretsprovider: awskms://alias/theirs"],
    ),
    "another-data-key": (KMS, {**KMS, "encryptedkey": "b"}, ["another encryptedkey (digest "]),
    "another-passphrase": (
        SALTED,
        {**SALTED, "encryptionsalt": "v1:b"},
        ["another encryptionsalt (digest "],
    ),
    "passphrase-for-a-key": (KMS, SALTED, ["no secretsprovider"]),
    "imports": (PLAIN, {**PLAIN, "environment": ["theirs"]}, ["environment: digest "]),
    "imports-that-go": ({**PLAIN, "environment": ["ours"]}, PLAIN, ["no environment"]),
    "another-kubeconfig": (
        _config(**{"kubernetes:kubeconfig": {"secure": "a"}}),
        _config(**{"kubernetes:kubeconfig": {"secure": "b"}}),
        ["kubernetes:kubeconfig: digest "],
    ),
    "another-gitlab": (
        PLAIN,
        _config(**{"gitlab:baseUrl": "https://evil.example"}),
        ["gitlab:baseUrl: digest "],
    ),
    "a-token-that-is-replaced": (
        _config(**{"gitlab:token": {"secure": "a"}}),
        _config(**{"gitlab:token": {"secure": "b"}}),
        [],
    ),
    "first-passphrase": (PLAIN, SALTED, []),
    "nothing": (KMS, KMS, []),
}


def _outputs(file: Mapping[str, Any]) -> dict[str, Any]:
    return {"declared": beside(file)}


def _report(before: dict[str, Any], after: dict[str, Any], file: StackFile | None = None) -> Report:
    source = assemble.Source(
        environment="test",
        stack_file=file or StackFile("Pulumi.test.yaml", ""),
        settings={},
        program=("components/a.py",) if file else (),
    )
    plan = read([stack(before, after)], Scrubber())
    return assemble.report(plan, source, Charts(None), Scrubber())


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_beside_the_config_is_a_risk(name: str) -> None:
    before, after, texts = OPTIONS[name]

    said = _said(_report(_outputs(before), _outputs(after)))

    assert len(said) == len(texts)
    for line, text in zip(said, texts, strict=True):
        assert line.startswith(f"major: the stack file has {text}")


LOGINS = "image-builds:registryCredentials"


def test_a_login_of_another_user_is_a_risk() -> None:
    ours, theirs, hidden = (
        _outputs(_config(**{LOGINS: {"out": {"username": name}}}))
        for name in ("robot", "admin", {"secure": "v1:a"})
    )

    (line,) = _said(_report(ours, theirs))

    assert line.startswith("minor: the login out is that of another user (digest ")
    assert _said(_report(ours, hidden)) == []


def test_another_output_of_the_stack_is_a_risk() -> None:
    before = {"namespace": "builds"}

    assert _said(_report(before, {**before, "token": "x", "production": True})) == [
        "minor: the stack shows the output token"
    ]
    assert _said(_report({}, before)) == []


def test_a_stack_of_an_earlier_version_declared_nothing() -> None:
    assert _said(_report({"namespace": "a"}, _outputs(KMS))) == []


EARLY = """
config:
  image-builds:acceptedRisks:
    privileged/x/yes: a reason
    predictable-charts/x/y: a reason
"""


def test_an_acceptance_before_its_risk_is_a_risk() -> None:
    file = StackFile("Pulumi.test.yaml", EARLY)

    report = _report(_outputs(PLAIN), _outputs(PLAIN), file)

    said = _said(report)

    assert said == [
        "minor: the program differs from that of the base in components/a.py",
        "minor: the stack file accepts privileged/x/yes before it is there",
    ]
    note = markdown.write(report)
    assert "`image-builds:acceptedRisks`" in note


def test_an_acceptance_that_is_needed_or_known_is_none() -> None:
    accepted = {"a/b/c": "a reason", "d/e/f": "a reason"}
    before = {"declared": {"accepted": ["d/e/f"]}}

    assert early_acceptances(before, accepted, {"a/b/c"}) == ()
    assert early_acceptances({}, accepted, ()) == ()


def test_many_files_of_the_program_are_counted() -> None:
    assert listed(()) == ()
    assert listed(("a", "b", "c", "d", "e")) == ("a, b, c and 2 more",)


def test_a_stack_file_takes_the_place_of_the_deployed_one() -> None:
    file = StackFile("Pulumi.test.yaml", "secretsprovider: awskms://a")

    declared: Any = file.declare({"declared": {"cluster": {}}})["declared"]

    assert declared["options"] == {"secretsprovider": "awskms://a"}
    assert file.declare({"namespace": "a"}) == {"namespace": "a"}
    assert StackFile("Pulumi.test.yaml", "a: [").declared["options"] == {}


def test_without_git_the_base_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkout.changed_program(tmp_path, "0123abc") is None

    monkeypatch.setenv("PATH", str(tmp_path))

    assert checkout.changed_program(tmp_path, "0123abc") is None
