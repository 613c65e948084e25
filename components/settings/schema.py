"""The JSON Schema of a stack file, for editors."""

from typing import Any

from components.settings.models import ACCEPTED_RISKS, AcceptedRisks, Settings
from components.types import PROJECT


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a whole stack file, for editors."""
    settings = Settings.model_json_schema(ref_template="#/$defs/{model}")
    accepted = AcceptedRisks.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stack file of image-builds",
        "type": "object",
        "$defs": settings.pop("$defs"),
        "properties": {
            "config": {
                "type": "object",
                "properties": {f"{PROJECT}:settings": settings, ACCEPTED_RISKS: accepted},
                "required": [f"{PROJECT}:settings"],
            },
        },
        "required": ["config"],
    }
