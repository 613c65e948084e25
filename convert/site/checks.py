"""The program's own checks of a stack file, before it is written."""

import json
from collections.abc import Iterator

import pulumi

from components.settings.load import load
from components.types import PROJECT
from convert.site.draft import Draft

_SETTINGS = f"{PROJECT}:settings."


def prune(draft: Draft) -> list[str]:
    """Remove what the program rejects, turn its findings into refusals, and return what is left.

    What is left are errors in no value of the site, such as one that is missing.
    """
    while True:
        errors = list(_errors(draft))
        found = [(finding, text) for where, text in errors if (finding := draft.origin(where))]
        if not found:
            return [f"{where}: {text}" for where, text in errors]
        for finding, text in found:
            draft.remove(finding)
            reason, _, do = text.partition("; ")
            finding.refuse(f"the program rejects it: it {reason}", do)


def _errors(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield (path, message) of each error of the program, but for secrets that are to be stored."""
    settings = json.dumps(draft.settings)
    pulumi.runtime.set_all_config({f"{PROJECT}:settings": settings, "kubernetes:context": "import"})
    try:
        load()
    except pulumi.RunError as error:
        for line in str(error).splitlines()[1:]:
            where, _, text = line.partition(": ")
            if where.startswith(_SETTINGS):
                yield where.removeprefix(_SETTINGS), text
    finally:
        pulumi.runtime.set_all_config({})
