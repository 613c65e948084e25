import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from pulumi.runtime import resource
from pulumi.runtime.proto import source_pb2

from dev import browser
from dev.toolchain.ensure import PROVIDER_VARIABLE
from dev.toolchain.gitlab_runner import VARIABLE, pinned, used
from tests.executor.binary import find

TESTS = Path(__file__).parent

# An f-string of an Output then raises instead of writing a paragraph of help into a value.
os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "1"
# Nothing a test does may reach a cluster of the user's.
os.environ["KUBECONFIG"] = str(TESTS / "no-such-kubeconfig")

# How long an example takes says how busy the machine is, not whether the claim holds.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# A worker takes whole files, in this order; begun last, one of these would keep it long after the
# others have ended.
LONGEST = [
    *(
        TESTS / "engine" / f"test_{name}.py"
        for name in ("variants", "local_commands", "interruption", "report")
    ),
    TESTS / "node" / "test_switching.py",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in tests/engine and tests/node by its folder; begin with what is long."""
    for item in items:
        for tier in ("engine", "node"):
            if tier in item.path.parts:
                item.add_marker(tier)
    items.sort(key=lambda item: [file != item.path for file in LONGEST])


@pytest.fixture(autouse=True, scope="module")
def quick_positions(request: pytest.FixtureRequest) -> Iterator[None]:
    """Leave out where in the code a resource is made, which only an engine reads.

    The SDK reads all calls on the stack for it, with those of pytest, a quarter of the time of a
    recorded program.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "engine" not in request.path.parts:
            patch.setattr(resource, "_get_stack_trace", source_pb2.StackTrace)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the garbage collector leave alone what stays until the end: thousands of tests.

    It does not run while they are collected, and seldom afterwards: a tenth of the time of reports.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()


def pytest_report_header() -> list[str]:
    """Say who runs the jobs, which provider deploys, and which browser opens the report's page."""
    return [_jobs(), _provider(), f"browser: {browser.find() or f'NONE, {browser.MISSING}'}"]


def _jobs() -> str:
    if real := find():
        return f"jobs: run by gitlab-runner {used()} ({real}); beside it by tests/executor"
    stand_ins = "run by tests/executor and, on a node, by tests/support/node/jobs.py"
    return (
        f"jobs: {stand_ins}, which stand in for gitlab-runner {pinned()}; "
        f"no real one is on PATH or in {VARIABLE}"
    )


def _provider() -> str:
    given = os.environ.get(PROVIDER_VARIABLE)
    return f"Kubernetes provider: {f'{given} ({PROVIDER_VARIABLE})' if given else 'the pinned one'}"
