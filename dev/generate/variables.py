"""The environment variables as a Markdown table: what each means is the docstring of its name."""

import ast
import re
from collections.abc import Iterator

from dev.generate.keys import table, text
from dev.paths import CHECKOUT

_NAME = re.compile(r"IMAGE_BUILDS_\w+|GITLAB_RUNNER_BIN|GITLAB_TOKEN")
_USERS = {"commands": "commands", "doctor": "commands", "dev": "local runs, tests"}
"""Who reads a variable, by the folder that defines its name."""


def write() -> str:
    """Return the table of all variables.

    Raises:
        ValueError: if a variable has no docstring.
    """
    rows = sorted(row for folder, user in _USERS.items() for row in _rows(folder, user))
    return table(["variable", "read by", "meaning"], rows)


def _rows(folder: str, user: str) -> Iterator[list[str]]:
    for file in (CHECKOUT / folder).rglob("*.py"):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        for statement, following in zip(body, [*body[1:], None], strict=True):
            match statement, following:
                case (
                    ast.Assign(value=ast.Constant(value=str(name))),
                    ast.Expr(value=ast.Constant(value=str(meaning))),
                ) if _NAME.fullmatch(name):
                    yield [f"`{name}`", user, text(meaning)]
                case ast.Assign(value=ast.Constant(value=str(name))), _ if _NAME.fullmatch(name):
                    message = f"{file}: {name} has no docstring, which says what it means; add it"
                    raise ValueError(message)
                case _:
                    pass
