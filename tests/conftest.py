import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.executor.binary import PINNED, VARIABLE, find
from tools import browser

# An f-string of an Output then raises instead of writing a paragraph of help into a value.
os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "1"
# Nothing a test does may reach a cluster of the user's.
os.environ["KUBECONFIG"] = str(Path(__file__).parent / "no-such-kubeconfig")

# How long an example takes says how busy the machine is, not whether the claim holds.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark whatever is below tests/engine and tests/node by its folder."""
    for item in items:
        for tier in ("engine", "node"):
            if tier in item.path.parts:
                item.add_marker(tier)


def pytest_report_header() -> list[str]:
    """Say who runs the jobs of the engine tests, and which browser opens the report's page."""
    real = find()
    beside = f"{real} is the real one" if real else f"no real one is on PATH or in {VARIABLE}"
    jobs = f"jobs: run by tests/executor, which stands in for gitlab-runner {PINNED}; {beside}"
    return [jobs, f"browser: {browser.find() or f'NONE, {browser.MISSING}'}"]
