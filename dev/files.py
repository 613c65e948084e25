"""Files that no other user may read, and files that are made from templates."""

import os
import threading
from pathlib import Path

import jinja2


def write_private(file: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all, so that others may read meanwhile."""
    # Each of two concurrent writers has its own part.
    part = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}.part")
    part.touch(mode=0o600)
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def fill(template: Path, **values: object) -> str:
    """Return what a template of Jinja says with these values; none may be missing."""
    environment = jinja2.Environment(  # noqa: S701 - configuration files, not HTML
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(values)
