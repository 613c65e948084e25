"""What tests are called, and where their helpers are."""

import ast
import re
from collections.abc import Iterator

from dev.paths import CHECKOUT


def _nodes() -> Iterator[tuple[str, ast.AST]]:
    """Yield all that is in the modules of tests, with the path of each module."""
    for file in sorted((CHECKOUT / "tests").rglob("*.py")):
        path = str(file.relative_to(CHECKOUT))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            yield path, node


def test_the_name_of_a_test_has_at_most_60_characters() -> None:
    """The name is the claim; the rest is in the docstring."""
    names = [
        (path, node.name)
        for path, node in _nodes()
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]

    assert len(names) > 100
    assert [(path, name) for path, name in names if len(name) > 60] == []


def test_no_module_imports_from_a_test_or_a_conftest() -> None:
    """What tests share is in tests/support."""
    imports = [
        (path, node.module or "") for path, node in _nodes() if isinstance(node, ast.ImportFrom)
    ]

    assert [item for item in imports if re.search(r"^tests\..*(test_|conftest)", item[1])] == []
