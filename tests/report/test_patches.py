"""Patches of a pod's spec, by the three types that Kubernetes has."""

import json
import tomllib

import pytest

from components.gitlab_runner import charts
from report.analysis.pods.job import job_risks
from report.analysis.pods.patches import PatchError, merge
from report.tree import Tree
from tests.executor.rendered import config_toml
from tests.support.configured import FORMS, SITE
from tests.support.runners import NAMES, rendered

SPEC: Tree = {
    "containers": [
        {"name": "build", "image": "a", "env": [{"name": "A", "value": "1"}]},
        {"name": "helper"},
    ],
    "securityContext": {"runAsUser": 1000},
    "tolerations": [{"key": "a"}],
}


def _merged(patch: object, kind: str) -> Tree:
    return merge(SPEC, json.dumps(patch), kind)


def test_a_strategic_patch_merges_entries_of_the_same_name() -> None:
    patch = {"containers": [{"name": "build", "env": [{"name": "B"}]}, {"name": "side"}]}

    assert _merged(patch, "strategic")["containers"] == [
        {"name": "build", "image": "a", "env": [{"name": "A", "value": "1"}, {"name": "B"}]},
        {"name": "helper"},
        {"name": "side"},
    ]


@pytest.mark.parametrize("kind", ["strategic", "merge"])
def test_null_removes_and_a_list_without_names_is_replaced(kind: str) -> None:
    merged = _merged({"securityContext": None, "tolerations": [{"key": "b"}]}, kind)

    assert "securityContext" not in merged
    assert merged["tolerations"] == [{"key": "b"}]


def test_a_merge_patch_replaces_every_list() -> None:
    assert _merged({"containers": [{"name": "build"}]}, "merge")["containers"] == [
        {"name": "build"}
    ]


@pytest.mark.parametrize(
    ("operation", "path", "value", "merged"),
    [
        ("add", "/hostUsers", False, {"hostUsers": False}),
        ("replace", "/securityContext/runAsUser", 0, {"securityContext": {"runAsUser": 0}}),
        ("remove", "/securityContext", None, {"securityContext": None}),
        ("remove", "/nothing", None, {}),
        ("add", "/tolerations/-", {"key": "b"}, {"tolerations": [{"key": "a"}, {"key": "b"}]}),
        ("add", "/tolerations/0", {"key": "b"}, {"tolerations": [{"key": "b"}, {"key": "a"}]}),
        ("replace", "/tolerations/0", {"key": "b"}, {"tolerations": [{"key": "b"}]}),
        ("remove", "/tolerations/0", None, {"tolerations": []}),
        ("add", "/tolerations/0/key", "c", {"tolerations": [{"key": "c"}]}),
        ("add", "/volumes/-", {"name": "v"}, {"volumes": [{"name": "v"}]}),
        (
            "add",
            "/securityContext/a~1b~0c",
            1,
            {"securityContext": {"runAsUser": 1000, "a/b~c": 1}},
        ),
        ("test", "/hostUsers", True, {}),
    ],
)
def test_an_operation_changes_the_value_at_its_path(
    operation: str, path: str, value: object, merged: dict[str, object]
) -> None:
    found = _merged([{"op": operation, "path": path, "value": value}], "json")

    wanted = {**SPEC, **merged}
    assert found == {key: item for key, item in wanted.items() if item is not None}


@pytest.mark.parametrize(
    ("patch", "kind"),
    [
        ("{", "strategic"),
        ("text", "strategic"),
        ("[]", "merge"),
        ("{}", "json"),
        ("{}", "other"),
        ("", "strategic"),
        ('{"$patch": "replace"}', "strategic"),
        ('{"containers": [{"image": "b"}]}', "strategic"),
        ('[{"op": "move", "from": "/a", "path": "/b"}]', "json"),
        ('[{"op": "add", "path": "", "value": {}}]', "json"),
        ('[{"op": "replace", "path": "/tolerations/-", "value": {}}]', "json"),
        ('[{"op": "add", "path": "/tolerations/7", "value": {}}]', "json"),
        ('[{"op": "add", "path": "/tolerations/first", "value": {}}]', "json"),
    ],
)
def test_what_is_no_such_patch_cannot_be_merged(patch: str, kind: str) -> None:
    with pytest.raises(PatchError):
        merge(SPEC, patch, kind)


@pytest.mark.parametrize("form", FORMS)
def test_a_key_of_the_runner_is_judged_like_a_patch(form: str) -> None:
    """So an update of the chart changes no risk."""
    plan = FORMS[form].plan(SITE)
    old, new = (
        {
            subject: set(risks)
            for subject, risks in job_risks("main", tomllib.loads(text)["runners"][0])
        }
        for text in (rendered(plan, NAMES, charts.OLDEST), rendered(plan))
    )

    assert new == old


@pytest.mark.parametrize(
    ("profile", "filtered"),
    [
        ({"type": "RuntimeDefault"}, True),
        ({"type": "Localhost", "localhost_profile": "build.json"}, True),
        ({"type": "runtimeDefault"}, False),
        ({"type": "Localhost"}, False),
    ],
)
def test_a_profile_that_the_runner_drops_filters_nothing(
    profile: dict[str, str],
    filtered: bool,  # noqa: FBT001 - a column of the table
) -> None:
    entry: Tree = {"kubernetes": {"build_container_security_context": {"seccomp_profile": profile}}}

    (risks,) = [
        set(risks)
        for subject, risks in job_risks("main", entry)
        if subject == ("noProfile", "the build container of runner main")
    ]

    assert risks == (set() if filtered else {"none"})


def test_an_engine_that_alone_is_privileged_is_found() -> None:
    strategy = {"kind": "dind", "acceptPrivileged": True, "jobEngines": False}
    (entry,) = tomllib.loads(config_toml(strategy, {}))["runners"]

    found = {
        name for (kind, name), risks in job_risks("main", entry) if kind == "privileged" and risks
    }
    assert found == {"the service docker of runner main"}
