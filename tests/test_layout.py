import ast
import re
from pathlib import Path

import pytest

from tools.local import CHECKOUT

PURE = {
    "config": set[str](),
    "combinations": {
        "components.config",
        "components.strategies",
        "components.strategies.plan",
    },
    "explanation": {
        "components.combinations",
        "components.config",
        "components.strategies",
        "components.strategies.plan",
    },
    "strategies/plan": {"components.config"},
    "strategies/kaniko": {"components.config", "components.strategies.plan"},
    "strategies/docker_certificates": {"components.config"},
    "strategies/dood": {
        "components.config",
        "components.strategies.docker_certificates",
        "components.strategies.plan",
    },
    "strategies/dind": {
        "components.config",
        "components.strategies.docker_certificates",
        "components.strategies.plan",
    },
    "strategies/buildkit": {"components.config", "components.strategies.plan"},
    "strategies/buildkit_service": {
        "components.config",
        "components.strategies.buildkit",
        "components.strategies.plan",
    },
    "strategies/buildx": {
        "components.config",
        "components.strategies.buildkit",
        "components.strategies.plan",
    },
    "strategies/buildah": {"components.config", "components.strategies.plan"},
    "strategies/none": {"components.config", "components.strategies.plan"},
    "strategies/__init__": {
        "components.config",
        "components.strategies",
        "components.strategies.plan",
    },
    "runner_toml": {"components.strategies.plan"},
    "certificates": set[str](),
}
COMPONENTS = (
    "namespace",
    "access",
    "registry",
    "registration",
    "daemon",
    "reviewer",
    "runner",
    "environment",
)
MODULES = [*(CHECKOUT / "components").rglob("*.py"), CHECKOUT / "__main__.py"]


def _tree(name: str) -> ast.Module:
    return ast.parse((CHECKOUT / "components" / f"{name}.py").read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def _classes(name: str) -> list[ast.ClassDef]:
    return [
        node
        for node in _tree(name).body
        if isinstance(node, ast.ClassDef) and "ComponentResource" in ast.unparse(node.bases[0])
    ]


@pytest.mark.parametrize("name", PURE)
def test_imports_go_one_way(name: str) -> None:
    ours = {module for module in _imports(_tree(name)) if module.startswith("components")}

    assert ours <= PURE[name]


@pytest.mark.parametrize("name", [name for name in PURE if name != "config"])
def test_plans_and_toml_know_nothing_of_pulumi(name: str) -> None:
    assert [module for module in _imports(_tree(name)) if module.startswith("pulumi")] == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_does_not_know_the_config(name: str) -> None:
    assert "components.config" not in _imports(_tree(name))


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_has_its_literal_token_and_registers_its_outputs_last(name: str) -> None:
    for component in _classes(name):
        constructor = next(
            node
            for node in component.body
            if isinstance(node, ast.FunctionDef) and node.name == "__init__"
        )
        token = f"super().__init__('image-builds:index:{component.name}', name, None, opts)"
        assert ast.unparse(constructor.body[1]) == token
        assert ast.unparse(constructor.body[-1]).startswith("self.register_outputs(")


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_strategies_are_named_only_where_they_are_chosen_and_planned(module: Path) -> None:
    text = module.read_text(encoding="utf-8")

    told_apart = {"config.py", "combinations.py", "explanation.py"}
    if module.name not in told_apart and module.parent.name != "strategies":
        assert re.findall(r"\b(kaniko|dood|buildkit|buildah|dind)\b", text, re.IGNORECASE) == []


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_children_never_get_the_callers_options(module: Path) -> None:
    assert "merge(" not in module.read_text(encoding="utf-8")


def test_the_program_is_short_and_decides_nothing() -> None:
    text = (CHECKOUT / "__main__.py").read_text(encoding="utf-8")
    deciding = (ast.If, ast.For, ast.Lambda, ast.IfExp, ast.FunctionDef)

    assert len(text.splitlines()) <= 40
    assert [node for node in ast.walk(ast.parse(text)) if isinstance(node, deciding)] == []
