"""The control groups of the node, which outlive its processes."""

import os
import time
from pathlib import Path

CGROUP = "image-builds-node"
"""The control group under which everything of the node runs."""

_CGROUPS = Path("/sys/fs/cgroup")
_GRACE = 20.0


def _groups() -> list[Path]:
    """The roots of the hierarchies: one, or one for each controller (cgroup v1)."""
    if (_CGROUPS / "cgroup.controllers").exists():
        return [_CGROUPS]
    return [path for path in _CGROUPS.iterdir() if path.is_dir() and not path.is_symlink()]


def make() -> None:
    """Make the control group in each hierarchy."""
    for group in _groups():
        (group / CGROUP).mkdir(exist_ok=True)
        if group.name.startswith("cpuset"):
            for file in ("cpuset.cpus", "cpuset.mems"):
                text = (group / file).read_text(encoding="ascii")
                (group / CGROUP / file).write_text(text, encoding="ascii")


def remove() -> None:
    """Remove the control group and all below it, once their processes have ended."""
    for group in _groups():
        deadline = time.monotonic() + _GRACE
        for folder, _, _ in os.walk(group / CGROUP, topdown=False):
            # A group is empty a moment after its last process is killed.
            while True:
                try:
                    Path(folder).rmdir()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)
