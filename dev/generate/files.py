"""Writes the committed files that follow from code: ``python -m dev.generate.files FOLDER``."""

import json
import sys

from components.settings.schema import json_schema
from dev.generate import docs, templates
from dev.paths import CHECKOUT


def texts() -> dict[str, str]:
    """Return the text of each file as it must be, by its path in the checkout."""
    folder = CHECKOUT / "docs"
    pages = [*(folder / "reference").glob("*.md"), folder / "how-to" / "move-a-pipeline.md"]
    return {
        "schema/stack.json": json.dumps(json_schema(), indent=2) + "\n",
        **{f"templates/{name}": text for name, text in templates.files().items()},
        **{str(page.relative_to(CHECKOUT)): docs.update(page.read_text("utf-8")) for page in pages},
    }


if __name__ == "__main__":
    for path, text in texts().items():
        if path.startswith(tuple(sys.argv[1:])):
            (CHECKOUT / path).write_text(text, encoding="utf-8")
