"""The stack that the node tests deploy: a runner for each variant."""

import contextlib
import copy
import dataclasses
from collections.abc import Generator
from typing import Any

import yaml
from pulumi import automation as auto

from commands.shared.recorded import wanted_stack
from dev.local.stack import LocalStack
from dev.node.node import Node
from dev.node.registry import LOGIN, MIRROR, OPEN, PRIVATE
from doctor.wanted import WantedStack
from tests.support.configured import SETTINGS, STRATEGIES

MANAGERS = "node"
APPS = "node-apps"
SHARING = "sharing"
"""The runner whose builds are in the daemon of another one."""
DATABASES = "databases"
"""The runner whose jobs may have any service beside an engine."""
_SHARED = {"kind": "buildkit-service", "acceptSharedBuilds": True}


@dataclasses.dataclass
class NodeStack:
    """The stack of the tests, as the code of ``make up`` brings it up."""

    local: LocalStack
    settings: dict[str, Any]

    def up(self, *, refresh: bool = False) -> None:
        with self._open() as opened:
            # All at once, since each waits for its manager.
            opened.up(on_output=print, refresh=refresh, parallel=2 * len(self.settings["runners"]))

    def wanted(self) -> WantedStack:
        """Return what doctor compares the cluster with."""
        with self._open() as opened:
            config = opened.get_all_config()
        values = {key: entry.value for key, entry in config.items()}
        return wanted_stack("node", values, [key for key, entry in config.items() if entry.secret])

    def down(self) -> None:
        """Remove it, which another worker may have brought up."""
        with self._open() as opened:
            opened.destroy(on_output=print, remove=True)

    @contextlib.contextmanager
    def _open(self) -> Generator[auto.Stack]:
        content = {"config": {"image-builds:settings": self.settings}}
        self.local.stack_file.write_text(yaml.safe_dump(content), encoding="utf-8")
        with self.local.open() as opened:
            yield opened


def stack_settings(node: Node) -> dict[str, Any]:
    """Return a stack with each variant, and runners that have little memory, change, or share."""
    certificate = node.registries.certificate
    runners: dict[str, Any] = {name: {"strategy": entry} for name, entry in STRATEGIES.items()} | {
        "small": {"strategy": "kaniko"},
        "switching": {"strategy": "kaniko"},
        SHARING: {"strategy": {**_SHARED, "daemonOf": "buildkit-service"}},
        DATABASES: {"strategy": {"kind": "dind", "acceptPrivileged": True, "jobEngines": False}},
    }
    # So that six jobs at once find room on a node with two processors.
    little: dict[str, Any] = {"requests": {"cpu": "50m"}}
    for runner in runners.values():
        runner["resources"] = {**little, "service": little}
        # By default all of them would ask for more than two processors.
        runner["manager"] = {
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
            # A deployment waits for it, by default for a minute; each question is a process.
            "readinessProbe": {"initialDelaySeconds": 5, "periodSeconds": 30},
        }
    runners["small"]["resources"]["limits"] = {"memory": "128Mi"}
    return {
        "gitlab": {"url": "https://gitlab.example.com"},
        "cluster": copy.deepcopy(SETTINGS["cluster"]),
        "namespace": MANAGERS,
        "registries": [
            {"host": OPEN.address, "insecure": True},
            {"host": LOGIN.address, "insecure": True, "pull": "in", "push": "out"},
            {"host": PRIVATE.address, "caCertificates": certificate, "pull": "in", "push": "out"},
            {"host": MIRROR.address, "caCertificates": certificate},
        ],
        "registryMirrors": [MIRROR.address],
        "targetNamespaces": {APPS: {"create": True, "deleteWithStack": True}},
        "runners": {name: {"tags": [name], **entry} for name, entry in runners.items()},
    }
