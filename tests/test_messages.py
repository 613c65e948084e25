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


def _text(node: ast.AST) -> str | None:
    """Return a string of the product, with a gap where a value is put in."""
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
        return "".join(map(str, parts))
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _strings() -> Iterator[str]:
    """Yield every string of the product, and each pair of a key and what is wrong with it."""
    for folder in ("components", "report", "convert", "doctor", "commands", "dev"):
        for file in (CHECKOUT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                pair = map(_text, node.elts) if isinstance(node, ast.Tuple) else [_text(node)]
                known = [text for text in pair if text is not None]
                if known:
                    yield ": ".join(known)


@pytest.fixture(scope="module")
def product() -> str:
    return "\1".join(_strings())


def _quoted(message: str) -> re.Pattern[str]:
    """Match one string with the parts of a message in order, and anything where it has a value."""
    parts = re.split(r"…|<\w+>|image-builds", message)
    return re.compile("[^\1]*".join(re.escape(text) for part in parts if (text := part.strip())))


@pytest.mark.parametrize("message", sorted({*_messages()} - FOREIGN))
def test_the_product_has_the_message_that_the_page_explains(message: str, product: str) -> None:
    assert _quoted(message).search(product)


def test_parts_of_two_messages_are_not_one() -> None:
    assert _quoted("needs … here").search("needs \0 and is here")
    assert not _quoted("needs … here").search("needs this\1is here")
