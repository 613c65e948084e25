"""The size of files and folders, and circles between modules."""

from pathlib import Path

import grimp
import pytest

from dev.paths import CHECKOUT

PACKAGES = ("components", "report", "convert", "doctor", "commands", "dev")
LINES, MODULES = 250, 12


def _modules(folder: Path) -> list[Path]:
    return [file for file in folder.glob("*.py") if file.name != "__init__.py"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_is_too_long_to_be_read_at_once(package: str) -> None:
    lengths = {
        str(file.relative_to(CHECKOUT)): len(file.read_text(encoding="utf-8").splitlines())
        for file in (CHECKOUT / package).rglob("*.py")
    }

    assert lengths
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_has_more_modules_than_a_glance_takes_in(package: str) -> None:
    folders = [CHECKOUT / package, *(CHECKOUT / package).rglob("*/")]
    counts = {str(folder.relative_to(CHECKOUT)): len(_modules(folder)) for folder in folders}

    assert {name: count for name, count in counts.items() if count > MODULES} == {}


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    todo = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    while done := {name for name, imported in todo.items() if not imported & todo.keys()}:
        todo = {name: imported for name, imported in todo.items() if name not in done}

    assert todo == {}
