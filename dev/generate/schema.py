"""Writes the JSON Schema of the stack file, which the stack files point editors at."""

import json

from components.settings.schema import json_schema
from dev.paths import CHECKOUT

FILE = CHECKOUT / "schema" / "stack.json"


def text() -> str:
    """The schema as it is committed."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
