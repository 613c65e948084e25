import ast
import re
from pathlib import Path

import pytest

from dev.paths import CHECKOUT

COMPONENTS = [
    file.stem
    for file in (CHECKOUT / "components/resources").glob("*.py")
    if file.stem not in {"__init__", "certificates"}
]
MODULES = [*(CHECKOUT / "components/resources").rglob("*.py"), CHECKOUT / "__main__.py"]


def _tree(name: str) -> ast.Module:
    return ast.parse((CHECKOUT / "components" / f"{name}.py").read_text(encoding="utf-8"))


def _classes(name: str) -> list[ast.ClassDef]:
    return [
        node
        for node in _tree(name).body
        if isinstance(node, ast.ClassDef) and "ComponentResource" in ast.unparse(node.bases[0])
    ]


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_has_a_literal_type_and_registers_outputs(name: str) -> None:
    """It registers them last."""
    for component in _classes(f"resources/{name}"):
        constructor = next(
            node
            for node in component.body
            if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        )
        token = f"super().__init__('image-builds:index:{component.name}', name, None, opts)"
        assert ast.unparse(constructor.body[0]) == token
        assert ast.unparse(constructor.body[-1]).startswith("self.register_outputs(")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_children_never_get_the_callers_options(module: Path) -> None:
    assert "merge(" not in module.read_text(encoding="utf-8")


@pytest.mark.parametrize("module", sorted((CHECKOUT / "components").rglob("*.py")), ids=str)
def test_no_component_reads_the_clock(module: Path) -> None:
    assert re.findall(r"\b(now|today|time)\(", module.read_text(encoding="utf-8")) == []


def test_the_program_is_short_and_decides_nothing() -> None:
    text = (CHECKOUT / "__main__.py").read_text(encoding="utf-8")
    deciding = (ast.If, ast.Lambda, ast.IfExp, ast.FunctionDef)

    assert len(text.splitlines()) <= 40
    assert [node for node in ast.walk(ast.parse(text)) if isinstance(node, deciding)] == []


def test_each_class_name_has_one_meaning() -> None:
    names = [
        node.name
        for package in ("components", "report", "convert", "doctor", "commands", "dev")
        for file in (CHECKOUT / package).rglob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]

    assert {name for name in names if names.count(name) > 1} == set()
