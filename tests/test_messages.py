"""The page on troubleshooting quotes messages that exist."""

import ast
import re
from collections.abc import Iterator

import pytest

from dev.paths import CHECKOUT
from tests.support.pages import TROUBLESHOOTING

SECTIONS = ("Stack file and secrets", "Local programs and control plane")
"""The messages of this project; the others are those of Kubernetes, Helm, GitLab and tools."""
FOREIGN = {"410 Gone - runner registration disallowed"}


def _messages() -> Iterator[str]:
    for section in re.split(r"^## ", TROUBLESHOOTING.read_text("utf-8"), flags=re.MULTILINE):
        if section.startswith(SECTIONS):
            for line in re.findall(r"^### .*\n\n(`.*)$", section, re.MULTILINE):
                yield from re.findall(r"`([^`]*)`", line)


def _strings() -> Iterator[str]:
    """Yield every string of the product, with a gap where a value is put in."""
    for folder in ("components", "report", "commands", "dev"):
        for file in (CHECKOUT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else "\0"
                        for part in node.values
                    )
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


@pytest.fixture(scope="module")
def product() -> str:
    return "\1".join(_strings())


@pytest.mark.parametrize("message", sorted({*_messages()} - FOREIGN))
def test_the_product_has_the_message_that_the_page_explains(message: str, product: str) -> None:
    # The code has gaps where a message has a value or the project's name.
    parts = [part.strip() for part in re.split(r"…|<\w+>|image-builds", message)]

    assert [part for part in parts if part not in product] == []
