import pytest

from dev.generate import docs as readme

TEXT = readme.FILE.read_text(encoding="utf-8")


def test_the_tables_are_those_of_the_plans_of_the_role_and_of_the_rules() -> None:
    assert readme.written(TEXT) == TEXT


@pytest.mark.parametrize("cell", ["| SETFCAP |", "| pods/log |", "| `no-dood-in-prod` |"])
def test_a_stale_table_is_written_again_and_nothing_else(cell: str) -> None:
    stale = TEXT.replace(cell, "| old |")

    assert stale != TEXT
    assert readme.written(f"before{stale}after") == f"before{TEXT}after"
