import pytest

from report.model import PropertyChange
from report.tree import at, differences, entries, texts


def test_entries_of_lists_are_identified_by_name() -> None:
    old = {"list": [{"name": "a", "x": 1}, {"name": "b"}], "env": ["A=1", "B=2"], "empty": []}
    new = {"list": [{"name": "b"}], "env": ["B=2", "C=3"], "empty": [], "odd key": None}

    assert differences(old, new) == (
        PropertyChange(path='["odd key"]', old=None, new="null"),
        PropertyChange(path="env[A]", old="A=1", new=None),
        PropertyChange(path="env[C]", old=None, new="C=3"),
        PropertyChange(path="list[a].name", old="a", new=None),
        PropertyChange(path="list[a].x", old="1", new=None),
    )


def test_what_is_of_another_shape_counts_as_empty() -> None:
    assert entries({"rules": "text"}, "rules") == []
    assert texts({"verbs": {"get": True}}, "verbs") == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ('metadata.labels["a.b/c"]', 1),
        ("metadata.labels.a.b/c", 1),
        ("list[1].name", "x"),
        ("list[1]", {"name": "x"}),
        ("list[2]", None),
        ("list.name", None),
        ("metadata.annotations", None),
        ("list[0].name", None),
    ],
)
def test_a_path_is_found_as_providers_spell_it(path: str, value: object) -> None:
    inputs = {"metadata": {"labels": {"a.b/c": 1}}, "list": ["text", {"name": "x"}]}

    assert at(inputs, path) == value
