import os
from pathlib import Path

import pytest

# An f-string of an Output then raises instead of writing a paragraph of help into a value.
os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "1"
# Nothing a test does may reach a cluster of the user's.
os.environ["KUBECONFIG"] = str(Path(__file__).parent / "no-such-kubeconfig")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever is below tests/engine."""
    for item in items:
        if "engine" in item.path.parts:
            item.add_marker(pytest.mark.engine)
