import os
from pathlib import Path

import pytest

from components.config import Chart
from tests.executor.keys import RUNNERS

# An f-string of an Output then raises instead of writing a paragraph of help into a value.
os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "1"
# Nothing a test does may reach a cluster of the user's.
os.environ["KUBECONFIG"] = str(Path(__file__).parent / "no-such-kubeconfig")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever is below tests/engine and tests/node by its folder."""
    for item in items:
        for tier in ("engine", "node"):
            if tier in item.path.parts:
                item.add_marker(tier)


def pytest_report_header() -> str:
    """Say who runs the jobs of the engine tests."""
    runner = RUNNERS[Chart().version]
    return f"jobs: run by tests/executor, which stands in for gitlab-runner {runner}"
