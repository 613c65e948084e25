"""A runner changes its strategy while it has a job."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dev.node.registry import LOGIN
from tests.support.configured import STRATEGIES
from tests.support.node.jobs import Control, Runner
from tests.support.node.project import FILES, pipeline
from tests.support.node.stack import NodeStack


def test_a_running_job_keeps_its_strategy_during_a_switch(
    stack: NodeStack, runner: Callable[..., Runner], tag: str
) -> None:
    """The next job has the new one."""
    """From dind, so that all that it had is taken away, and its level is lowered."""
    _switch(stack, "dind")
    before = pipeline("dind", "switching", f"{tag}-before", LOGIN, FILES)
    build = dataclasses.replace(
        before, script=["until test -e /builds/go-on; do sleep 1; done", *before.script]
    )
    control = Control()
    with ThreadPoolExecutor() as pool:
        old = runner("switching")
        running = pool.submit(old.run, build, control)
        control.began.wait(180)
        _switch(stack, "kaniko")
        assert not running.done()
        old.execute(control.pod, "helper", "touch /builds/go-on")
    after = pipeline("kaniko", "switching", f"{tag}-after", LOGIN, FILES)

    assert running.result().status == "success"
    assert runner("switching").run(after).status == "success"


def _switch(stack: NodeStack, name: str) -> None:
    stack.settings["runners"]["switching"]["strategy"] = STRATEGIES[name]
    stack.up()
