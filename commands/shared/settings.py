"""The settings of a stack file, for commands that need neither its secrets nor a stack."""

from pathlib import Path

import pydantic

from components.settings.models import Settings
from report.errors import ReportError
from report.stack_file import SETTINGS, read_config


def read_settings(file: Path, strategy: str = "") -> Settings:
    """Return the settings; ``strategy``, in YAML, takes the place of every runner's own.

    Raises:
        ReportError: the file cannot be read, or has errors.
    """
    try:
        return Settings.model_validate(read_config(file, strategy).get(SETTINGS))
    except pydantic.ValidationError:
        message = f"{file.name}: has errors; a preview lists them"
        raise ReportError(message) from None
