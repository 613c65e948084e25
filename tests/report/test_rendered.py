import json
from pathlib import Path
from typing import Any

import pytest

from dev.paths import STAND_IN_CHART
from report.analysis import assemble
from report.inputs.charts import Charts, RenderError, compare
from report.inputs.events import Plan, read
from report.model import ObjectChange, PropertyChange, Report
from report.redact import SECRET, Scrubber
from report.stack_file import StackFile
from tests.support.previews import HELD, pre_event

RELEASE = "kubernetes:helm.sh/v3:Release"
URN = f"urn:pulumi:test::image-builds::{RELEASE}::main"
RENDERED = """\
---
# nothing
---
kind: Deployment
metadata: {name: manager, namespace: builds}
spec: {template: {spec: {containers: [{name: runner, image: "gitlab-runner:VALUE"}]}}}
---
kind: Secret
metadata: {name: token}
data: {runner-token: cGxhbnRlZA==}
"""
# Renders the image that the values name.
FROM_VALUES = r"""sed "s/VALUE/$(sed -E 's/.*: "(.*)".*/\1/' "$5")/" rendered.yaml"""


def _helm(folder: Path, script: str) -> Path:
    """A program that stands in for helm and keeps its arguments and values."""
    helm = folder / "helm"
    (folder / "rendered.yaml").write_text(RENDERED, encoding="utf-8")
    helm.write_text(f"#!/bin/bash\ncd {folder}\nprintf '%s\\n' \"$@\" >arguments\n{script}\n")
    helm.chmod(0o755)
    return helm


def _inputs(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A release of the stand-in chart, whose digest it has, or of a chart in a repository."""
    held = {} if "repositoryOpts" in changes else HELD
    return {
        "name": "gitlab-runner-main",
        "namespace": "builds",
        "chart": "gitlab-runner" if "repositoryOpts" in changes else str(STAND_IN_CHART),
        "version": "0.94.1",
        **changes,
        "values": {**held, **changes.get("values", {"concurrent": 10})},
    }


def test_a_chart_is_rendered_with_its_values(tmp_path: Path) -> None:
    helm = _helm(tmp_path, 'cp "$5" values; cat rendered.yaml')

    objects = Charts(helm).objects(_inputs(), Scrubber())

    arguments = (tmp_path / "arguments").read_text(encoding="utf-8").splitlines()
    assert arguments[:4] == ["template", "gitlab-runner-main", str(STAND_IN_CHART), "--values"]
    wanted = ["--namespace", "builds", "--api-versions", "monitoring.coreos.com/v1"]
    assert arguments[5:] == wanted
    values = json.loads((tmp_path / "values").read_text(encoding="utf-8"))
    assert values == {**HELD, "concurrent": 10}
    assert list(objects) == ["Deployment builds/manager", "Secret token"]
    assert objects["Secret token"]["data"] == {"runner-token": SECRET}


PULL = """\
echo "$1 $3" >>asked
case $1 in
  pull)
    echo "$*" >pulled
    touch "$8/gitlab-runner-0.94.1.tgz"
    ;;
  template)
    cat "$3" rendered.yaml
    ;;
esac
"""


def test_a_chart_of_a_repository_is_fetched_once(tmp_path: Path) -> None:
    helm = _helm(tmp_path, PULL)
    there = {"repositoryOpts": {"repo": "https://charts"}}

    with Charts(helm) as charts:
        for name in ("one", "two", "three"):
            charts.begin(_inputs(name=name, **there))
        assert charts.objects(_inputs(name="two", **there), Scrubber())

    asked = (tmp_path / "asked").read_text(encoding="utf-8").splitlines()
    assert [line.partition(" ")[0] for line in asked] == ["pull", *["template"] * 3]
    assert {Path(line).name for line in asked[1:]} == {"gitlab-runner-0.94.1.tgz"}
    pulled = (tmp_path / "pulled").read_text(encoding="utf-8")
    assert pulled.startswith(
        "pull gitlab-runner --version 0.94.1 --repo https://charts --destination "
    )
    assert not Path(pulled.split()[-1]).exists()


def test_a_repository_that_cannot_be_reached_is_asked_once(tmp_path: Path) -> None:
    helm = _helm(tmp_path, "echo asked >>asked; exit 1")
    there = {"repositoryOpts": {"repo": "https://charts"}}

    with Charts(helm) as charts:
        for name in ("one", "two"):
            with pytest.raises(RenderError, match="check that helm can reach the chart"):
                charts.objects(_inputs(name=name, **there), Scrubber())

    assert (tmp_path / "asked").read_text(encoding="utf-8") == "asked\n"


def test_a_failure_shows_no_output_of_helm(tmp_path: Path) -> None:
    helm = _helm(tmp_path, "echo planted >&2; exit 1")

    with pytest.raises(
        RenderError, match=r"the objects of chart \S+ 0\.94\.1, which cannot"
    ) as failure:
        Charts(helm).objects(_inputs(), Scrubber())

    assert "planted" not in str(failure.value)


def test_without_helm_nothing_is_rendered() -> None:
    with Charts(None) as charts:
        assert charts.objects(_inputs(), Scrubber()) == {}


def test_objects_come_go_and_change() -> None:
    old = {"A": {"x": 1}, "B": {"x": 1}, "D": {"x": 1}}
    new = {"A": {"x": 2}, "C": {"x": 1}, "D": {"x": 1}}

    changes = {item.identity: item.operation for item in compare(old, new)}

    assert changes == {"A": "update", "B": "delete", "C": "create"}


def _report(helm: Path | None, operation: str, **sides: Any) -> Report:  # noqa: ANN401 - JSON
    return _reported(helm, read([pre_event(operation, URN, RELEASE, **sides)], Scrubber()))


def _reported(helm: Path | None, plan: Plan) -> Report:
    with Charts(helm) as charts:
        source = assemble.Source(
            environment="test", stack_file=StackFile("Pulumi.test.yaml", ""), settings={}
        )
        return assemble.report(plan, source, charts, Scrubber())


def test_only_a_manager_whose_pod_changes_restarts(tmp_path: Path) -> None:
    helm = _helm(tmp_path, FROM_VALUES)
    old, new = _inputs(values={"image": "v1"}), _inputs(values={"image": "v2"})

    restarted = _report(helm, "update", old=old, new=new)
    untouched = _report(helm, "update", old=old, new={**old, "timeout": 1})

    path = "spec.template.spec.containers[runner].image"
    assert restarted.objects == (
        ObjectChange(
            operation="update",
            identity="Deployment builds/manager",
            properties=(PropertyChange(path=path, old="gitlab-runner:v1", new="gitlab-runner:v2"),),
        ),
    )
    assert "restarts" in restarted.effects[0].text
    assert "keeps running" in untouched.effects[0].text


def test_managers_to_which_the_same_happens_share_a_sentence(tmp_path: Path) -> None:
    helm = _helm(tmp_path, "cat rendered.yaml")
    old = _inputs(values={"image": "v1"})
    events = [
        pre_event("update", f"{URN}-{number}", RELEASE, old=old, new={**old, "timeout": 1})
        for number in (1, 2)
    ]
    plan = read(events, Scrubber())

    report = _reported(helm, plan)

    assert [effect.text for effect in report.effects] == [
        "The managers of runners main-1, main-2 keep running: their pods do not change."
    ]


def test_a_new_chart_version_can_raise_a_risk(tmp_path: Path) -> None:
    helm = _helm(tmp_path, FROM_VALUES)
    old, new = _inputs(values={"image": "v1"}), _inputs(values={"image": "latest"})

    (delta, *_) = _report(helm, "update", old=old, new=new).risk_changes

    assert delta.what == (
        "container runner of Deployment builds/manager runs gitlab-runner:latest, "
        "which is not pinned"
    )
    assert delta.key == "chart.version"


def test_what_could_not_be_rendered_is_a_gap(tmp_path: Path) -> None:
    helm = _helm(tmp_path, "exit 1")

    assert "cannot be rendered" in _report(helm, "create", new=_inputs()).gaps[0]
    assert _report(None, "create", new=_inputs()).gaps == (assemble.NO_HELM,)


def test_a_new_or_deleted_release_has_one_side(tmp_path: Path) -> None:
    helm = _helm(tmp_path, "cat rendered.yaml")

    operations = {
        operation: {item.operation for item in _report(helm, operation, **sides).objects}
        for operation, sides in {"create": {"new": _inputs()}, "delete": {"old": _inputs()}}.items()
    }

    assert operations == {"create": {"create"}, "delete": {"delete"}}
