import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from pulumi import automation as auto

from report import preview
from report.events import RELEASE, read
from report.rendered import Charts
from report.values import Scrubber
from tests.configured import configure
from tests.report.previewed import diagnostic, pre_event, prelude, stack

SECRET_KIND = "kubernetes:core/v1:Secret"
NOTHING = Charts(None)
URN = f"urn:pulumi:test::image-builds::{SECRET_KIND}::token"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_the_operations_of_a_replacement_are_one(order: tuple[int, ...]) -> None:
    old, new = {"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}
    operations = [
        pre_event("create-replacement", URN, SECRET_KIND, old=old, new=new, diff=["metadata.name"]),
        pre_event("replace", URN, SECRET_KIND, old=old, new=new),
        pre_event("delete-replaced", URN, SECRET_KIND, old=old),
    ]

    (step,) = read([operations[index] for index in order], Scrubber()).steps

    assert (step.operation, step.old, step.new) == ("replace", old, new)
    assert step.moved == ("metadata.name",)


def test_our_own_mistakes_are_told_once() -> None:
    text = "1 mistake in the config of this stack; nothing was changed:\nimage-builds:x: is wrong"
    received = [diagnostic(text), diagnostic(f"an unhandled error occurred: {text}")]

    assert read(received, Scrubber()).errors == (text,)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "error: configured Kubernetes cluster is unreachable: https://u:planted@host",
            "API server",
        ),
        ('pods is forbidden: User "planted"', "refuses the account"),
        ("context planted does not exist", "kubernetes:context"),
        ("incorrect passphrase planted", "PULUMI_CONFIG_PASSPHRASE"),
        ("the stack is currently locked by 1 lock(s) planted", "locked"),
        (
            'property chart value {planted} has a problem: looks like "https://planted" cannot be '
            "reached: dial tcp: connect: connection refused; check the chart name",
            "chart.repository",
        ),
        ("Traceback (most recent call last):\nValueError: planted", "the program failed"),
        ("planted", "the preview failed"),
    ],
)
def test_no_other_error_is_quoted(message: str, told: str) -> None:
    (error,) = read([diagnostic(message)], Scrubber()).errors

    assert told in error
    assert "planted" not in error


def test_an_error_names_its_resource() -> None:
    assert " at token;" in read([diagnostic("planted", urn=URN)], Scrubber()).errors[0]


def test_warnings_are_no_errors() -> None:
    assert read([diagnostic("careful", "warning")], Scrubber()).errors == ()


def test_a_resource_of_nobody_has_no_ancestor() -> None:
    plan = read([pre_event("same", URN, SECRET_KIND, new={})], Scrubber())

    assert plan.ancestor(plan.steps[0], "image-builds:index:Runner") is None


_failure = auto.CommandError(cast("Any", "code: 1\nstderr: planted"))


class FakeStack:
    """What preview.run needs of a stack."""

    def __init__(self, received: list[Any], *, fails: bool = False, reads: bool = True) -> None:
        """Say whether it fails, and whether the state can be read."""
        self.served = False
        self.received = received
        self.fails = fails
        self.reads = reads

    @property
    def workspace(self) -> "FakeStack":
        return self

    def program(self) -> None:
        self.served = True

    def preview(self, on_event: Any, program: Any) -> None:  # noqa: ANN401 - callbacks
        if self.fails:
            raise _failure
        configure({}, {"runnerTokens": {"main": "config-secret"}})
        program()
        for event in self.received:
            on_event(event)

    def export_stack(self) -> auto.Deployment:
        if not self.reads:
            raise _failure
        marked = {
            "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
            "plaintext": '"state-secret"',
        }
        deployment = {"manifest": {"time": "now"}, "resources": [{"outputs": {"token": marked}}]}
        return auto.Deployment(version=3, deployment=deployment)


def test_a_preview_is_cleaned_of_what_config_and_state_mark() -> None:
    inputs = {"note": "config-secret and state-secret"}
    received = [
        diagnostic("starting", "info"),
        prelude({"image-builds:settings": json.dumps({"namespace": "builds"})}),
        stack({}, {"namespace": "builds"}),
        pre_event("create", URN, SECRET_KIND, new=inputs),
    ]

    previewed = FakeStack(received)

    seen = preview.run(cast("auto.Stack", previewed), NOTHING)

    assert previewed.served
    assert seen.plan.steps[0].new == {"note": "[secret] and [secret]"}
    assert (seen.settings, seen.state) == ({"namespace": "builds"}, "now")
    assert seen.plan.new_outputs == {"namespace": "builds"}


def test_a_preview_that_fails_without_an_event_is_told_without_its_output() -> None:
    seen = preview.run(cast("auto.Stack", FakeStack([], fails=True, reads=False)), NOTHING)

    assert len(seen.plan.errors) == 1
    assert "planted" not in seen.plan.errors[0]
    assert (seen.settings, seen.state) == ({}, "")


def test_settings_that_are_no_object_are_left_to_the_program() -> None:
    received = [prelude({"image-builds:settings": "{no json"})]

    assert preview.run(cast("auto.Stack", FakeStack(received)), NOTHING).settings == {}


def _eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_charts_are_rendered_once_and_while_the_preview_runs(tmp_path: Path) -> None:
    helm, asked = tmp_path / "helm", tmp_path / "asked"
    helm.write_text(f"#!/bin/bash\nprintf '%s\\n' \"$(<$5)\" >>{asked}\necho 'kind: Pod'\n")
    helm.chmod(0o755)
    asked.touch()
    release = URN.replace(SECRET_KIND, RELEASE)
    old, new = {"values": {"image": "v1"}}, {"values": {"image": "v2"}}
    received = [
        pre_event("update", release, RELEASE, old=old, new=new),
        pre_event("same", f"{release}-2", RELEASE, old=old, new=old),
        pre_event("update", f"{release}-3", RELEASE, old=old, new={"values": {"image": "v3"}}),
    ]

    with Charts(helm) as charts:
        preview.run(cast("auto.Stack", FakeStack(received)), charts)
        _eventually(lambda: len(asked.read_text("utf-8").splitlines()) == 3)
        assert charts.objects(new, Scrubber()) == {"Pod ": {"kind": "Pod"}}

    values = sorted(asked.read_text("utf-8").splitlines())
    assert values == [f'{{"image": "v{number}"}}' for number in (1, 2, 3)]
