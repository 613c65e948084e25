"""The reports of many changes, each as a note that a person has read."""

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from commands.shared.exit_codes import exit_code
from report.inputs.charts import Charts
from report.model import Report
from report.outputs import markdown as note
from tests.support.changes import CHANGES_AND_CODES, FOUR_RUNNERS
from tests.support.previews import preview_change, previewed


class Markdown(SingleFileSnapshotExtension):
    """One readable note for each snapshot."""

    _write_mode = WriteMode.TEXT
    file_extension = "md"


def _report(name: str) -> Report:
    return preview_change(CHANGES_AND_CODES[name][0], FOUR_RUNNERS, Charts(None))


@pytest.mark.parametrize("name", CHANGES_AND_CODES)
def test_the_note_is_as_reviewed(name: str, snapshot: SnapshotAssertion) -> None:
    report = _report(name)

    text = note.write(report).replace(report.digest, "<digest>")
    assert text == snapshot(extension_class=Markdown)
    assert exit_code(report) == CHANGES_AND_CODES[name][1]


def test_a_secret_that_changes_shows_no_value() -> None:
    text = note.write(_report("password-rotated"))

    assert "AnotherPassword" not in text
    assert "[secret]" in text


def test_equal_plans_have_equal_digests_and_others_do_not() -> None:
    first = _report("concurrent").digest
    previewed.cache_clear()

    assert _report("concurrent").digest == first != _report("resources").digest
