import json
from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
from pulumi import automation as auto
from pulumi_kubernetes.core.v1 import Namespace
from pulumi_kubernetes.helm.v3 import Release

from dev.paths import STAND_IN_CHART
from report.inputs import charts as charts_module
from report.inputs import preview
from report.inputs.charts import Charts, OtherChartError, RenderError
from report.inputs.events import RELEASE, read
from report.redact import Scrubber
from tests.support.configured import configure
from tests.support.harness import deploy, eventually
from tests.support.previews import HELD, diagnostic, pre_event, prelude, stack

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
    assert step.changed_paths == ("metadata.name",)


def test_errors_in_the_stack_file_are_reported_once() -> None:
    text = "1 error in the config of this stack; nothing was changed:\nimage-builds:x: is wrong"
    received = [diagnostic(text), diagnostic(f"an unhandled error occurred: {text}")]

    assert read(received, Scrubber()).errors == (text,)


@pytest.mark.parametrize(
    ("message", "reported"),
    [
        (
            "error: configured Kubernetes cluster is unreachable: https://u:planted@host",
            "API server",
        ),
        ('pods is forbidden: User "planted"', "refuses the account"),
        ("context planted does not exist", "kubernetes:context"),
        ("incorrect passphrase planted", "PULUMI_CONFIG_PASSPHRASE"),
        ("the stack is currently locked by 1 lock(s) planted", "locks the stack"),
        (
            'property chart value {planted} has a problem: looks like "https://planted" cannot be '
            "reached: dial tcp: connect: connection refused; check the chart name",
            "chart.repository",
        ),
        ("Traceback (most recent call last):\nValueError: planted", "the program failed"),
        ("planted", "Pulumi failed"),
        ("no stack named 'planted' found", "pulumi stack init"),
    ],
)
def test_no_other_error_is_quoted(message: str, reported: str) -> None:
    (error,) = read([diagnostic(message)], Scrubber()).errors

    assert reported in error
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
        deploy(program, preview=True)
        for event in self.received:
            on_event(event)

    def export_stack(self) -> auto.Deployment:
        if not self.reads:
            raise _failure
        marked = {
            "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
            "plaintext": '"state-secret"',
        }
        token = {"urn": URN, "type": SECRET_KIND, "outputs": {"token": marked}}
        deployment = {"manifest": {"time": "now"}, "resources": [token]}
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


def test_a_failure_without_an_event_shows_no_output() -> None:
    seen = preview.run(cast("auto.Stack", FakeStack([], fails=True, reads=False)), NOTHING)

    assert len(seen.plan.errors) == 1
    assert "planted" not in seen.plan.errors[0]
    assert (seen.settings, seen.state) == ({}, "")


def test_settings_that_are_no_object_are_left_to_the_program() -> None:
    received = [prelude({"image-builds:settings": "{no json"})]

    assert preview.run(cast("auto.Stack", FakeStack(received)), NOTHING).settings == {}


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """A file in which a program that stands in for helm writes the values that it is given."""
    helm, asked = tmp_path / "helm", tmp_path / "asked"
    helm.write_text(f"#!/bin/bash\nprintf '%s\\n' \"$(<$5)\" >>{asked}\necho 'kind: Pod'\n")
    helm.chmod(0o755)
    asked.touch()
    return asked


def _values(asked: Path) -> list[str]:
    return sorted(json.loads(line)["image"] for line in asked.read_text("utf-8").splitlines())


def test_charts_are_rendered_once_and_while_the_preview_runs(asked: Path) -> None:
    release = URN.replace(SECRET_KIND, RELEASE)
    old, new, third = (
        {"chart": str(STAND_IN_CHART), "values": {**HELD, "image": image}}
        for image in ("v1", "v2", "v3")
    )
    received = [
        pre_event("update", release, RELEASE, old=old, new=new),
        pre_event("same", f"{release}-2", RELEASE, old=old, new=old),
        pre_event("update", f"{release}-3", RELEASE, old=old, new=third),
    ]

    with Charts(asked.with_name("helm")) as charts:
        preview.run(cast("auto.Stack", FakeStack(received)), charts)
        eventually(lambda: len(_values(asked)) == 3)
        assert charts.objects(new, Scrubber()) == {"Pod ": {"kind": "Pod"}}

    assert _values(asked) == ["v1", "v2", "v3"]


RELEASES: dict[str, tuple[str, str]] = {
    "changed": ("old", "new"),
    "same": ("same", "same"),
    "added": ("", "added"),
    "secret": ("plain", "secret"),
}
"""Images of releases, before and after."""


def _release(name: str, image: str) -> dict[str, Any]:
    chart = str(STAND_IN_CHART)
    common = {"name": name, "namespace": "builds", "chart": chart, "version": "1.0.0"}
    values = {"image": image, "concurrent": 10, "args": ["one"], **HELD}
    return {**common, "repositoryOpts": {}, "values": values}


class RegisteringStack(FakeStack):
    """Its program registers releases, which the engine never reports."""

    def program(self) -> None:
        Namespace("builds")
        for name, (_, image) in RELEASES.items():
            inputs = _release(name, image)
            inputs["values"]["args"] = [pulumi.Output.from_input("one")]
            if name == "secret":
                inputs["values"]["image"] = pulumi.Output.secret(image)
            inputs["repository_opts"] = inputs.pop("repositoryOpts")
            Release(name, opts=None, **inputs)

    def export_stack(self) -> auto.Deployment:
        resources = [
            {
                "urn": f"{URN.rpartition('::')[0]}::{name}",
                "type": RELEASE,
                # As the provider keeps it.
                "inputs": {**_release(name, image), "repositoryOpts": {"repo": ""}},
            }
            for name, (image, _) in RELEASES.items()
            if image
        ]
        return auto.Deployment(version=3, deployment={"resources": resources})


def test_the_provider_renders_releases_that_the_program_changes(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []

    async def invoke(token: str, given: dict[str, str], options: object) -> dict[str, Any]:
        assert (token, type(options)) == ("kubernetes:helm:template", pulumi.InvokeOptions)
        calls.append(json.loads(given["jsonOpts"]))
        values = calls[-1]["values"]
        # As it comes back from a provider.
        pod = {"kind": "Pod", "half": 0.5, **values, "concurrent": 10.0}
        return {"result": [{key: pod[key] for key in pod if key not in HELD}]}

    monkeypatch.setattr(pulumi.runtime, "invoke_async", invoke)
    with Charts(asked.with_name("helm")) as charts:
        preview.run(cast("auto.Stack", RegisteringStack([])), charts)
        # The engine registers the same ones later.
        seen = [
            charts.objects({**_release("changed", image), "timeout": 600}, Scrubber())
            for image in ("old", "new")
        ]

    assert [objects["Pod "]["image"] for objects in seen] == ["old", "new"]
    rendered = {"kind": "Pod", "half": 0.5, "image": "old", "concurrent": 10, "args": ["one"]}
    assert str(seen[0]["Pod "]) == str(rendered)
    assert sorted(call["values"]["image"] for call in calls) == ["added", "new", "old"]
    assert {call["chart"] for call in calls} == {"gitlab-runner"}
    assert _values(asked) == []


def test_a_failure_of_the_provider_shows_no_output(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def invoke(*_: object) -> None:
        message = "planted"
        raise ValueError(message)

    monkeypatch.setattr(pulumi.runtime, "invoke_async", invoke)
    with Charts(asked.with_name("helm")) as charts:
        preview.run(cast("auto.Stack", RegisteringStack([])), charts)
        with pytest.raises(
            RenderError, match=r"^the objects of chart \S+ 1\.0\.0, which cannot"
        ) as failure:
            charts.objects(_release("added", "added"), Scrubber())

    assert "planted" not in str(failure.value)


def test_another_chart_than_the_releases_is_not_rendered(
    asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charts_module, "digest_of", str)
    with Charts(asked.with_name("helm")) as charts:
        preview.run(cast("auto.Stack", RegisteringStack([])), charts)
        with pytest.raises(OtherChartError, match="that is there now is another one"):
            charts.objects(_release("added", "added"), Scrubber())


def test_without_helm_nothing_is_asked_of_the_provider() -> None:
    with Charts(None) as charts:
        # The mocks refuse what is asked.
        preview.run(cast("auto.Stack", RegisteringStack([])), charts)

        assert charts.objects(_release("added", "added"), Scrubber()) == {}
