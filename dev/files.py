"""Files that no other user may read."""

import os
import threading
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all, so that others may read meanwhile."""
    # Each of two concurrent writers has its own part.
    part = file.with_name(f"{file.name}.{os.getpid()}.{threading.get_ident()}.part")
    part.touch(mode=0o600)
    part.write_text(text, encoding="utf-8")
    part.replace(file)
