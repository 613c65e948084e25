"""Where things are: the checkout, and the state of the local run."""

import os
from pathlib import Path

from commands.shared.checkout import CHECKOUT
from components.types import PROJECT

STAND_IN_CHART = CHECKOUT / "tests" / "charts" / "gitlab-runner"
"""The chart that the tests deploy in place of GitLab's, which no package registry carries."""
STATE_VARIABLE = "IMAGE_BUILDS_STATE"
"""The folder of the local run's state, instead of ``.state``."""


def state_folder() -> Path:
    """The folder that holds everything of the local run."""
    return Path(os.environ.get(STATE_VARIABLE) or CHECKOUT / ".state").absolute()


def checkpoint(name: str) -> Path:
    """The file that holds a stack's state in the local run; only a stack that is up has one."""
    return state_folder() / "backend" / ".pulumi" / "stacks" / PROJECT / f"{name}.json"
