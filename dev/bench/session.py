"""The stacks of one session, on a control plane that it starts and stops."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import yaml

from dev.bench import floor
from dev.cluster.control_plane import ControlPlane
from dev.local.stack_file import CHART_VARIABLE
from dev.paths import CHECKOUT, STAND_IN_CHART
from dev.toolchain.ensure import ensure

PROGRAM = CHECKOUT / "__main__.py"


@contextlib.contextmanager
def start_session() -> Generator["Session"]:
    """Yield a session in a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="image-builds-bench-"))
    control_plane = ControlPlane(folder / "cluster")
    try:
        control_plane.up()
        yield Session(folder, control_plane.kubeconfig)
    finally:
        control_plane.down()
        shutil.rmtree(folder, ignore_errors=True)


@dataclasses.dataclass(frozen=True)
class Session:
    """The folder with the stacks' files, and the kubeconfig of the cluster that they are on."""

    folder: Path
    kubeconfig: Path

    def create(self, name: str, runners: int) -> None:
        """Write the stack file of a stack with this many runners, in a namespace of its name."""
        config = {"config": {"image-builds:settings": _settings(name, runners)}}
        self._stack_file(name).write_text(yaml.safe_dump(config), encoding="utf-8")

    def create_floor(self, name: str, of: str, runners: int) -> Path:
        """Write a stack file, and the program that registers what ``of`` has deployed."""
        self.create(name, runners)
        program = self.folder / f"{name}.py"
        floor.literal_program(self._export(of, name), program)
        return program

    def operate(
        self, operation: str, name: str, program: Path = PROGRAM, strategy: str = ""
    ) -> dict[str, Any]:
        """Run one operation of the stack ``name`` in a new process and return its figures."""
        files = (self.folder / "state", self.kubeconfig, self._stack_file(name), program)
        answer = subprocess.run(
            [sys.executable, "-m", "dev.bench.drive", operation, name, *files, strategy],
            cwd=CHECKOUT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return json.loads(answer.stdout.splitlines()[-1])

    def helm_and_kubectl(self, name: str) -> Callable[[], dict[str, float]]:
        """Return a function that applies the objects of ``name`` with helm and kubectl, timed."""
        kubectl, helm = (ensure(program).file for program in ("kubectl", "helm"))
        install = [helm, "upgrade", "--install", "--wait"]
        chart = os.environ.get(CHART_VARIABLE) or STAND_IN_CHART
        manifests = self.folder / "manifests.yaml"
        commands = [[kubectl, "apply", "--server-side", "--filename", manifests]]
        objects: list[str] = []
        for number, resource in enumerate(self._export(name, "plain")["resources"]):
            inputs = resource.get("inputs", {})
            if resource["type"].startswith("kubernetes:helm.sh"):
                values = self.folder / f"values-{number}.yaml"
                values.write_text(yaml.safe_dump(inputs["values"]), encoding="utf-8")
                where = ["--namespace", inputs["namespace"], "--values", values]
                commands.append([*install, inputs["name"], chart, *where])
            elif resource["type"].startswith("kubernetes:"):
                objects.append(yaml.safe_dump(floor.plain(inputs)))
        manifests.write_text("---\n".join(objects), encoding="utf-8")
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

        def apply() -> dict[str, float]:
            begun = time.perf_counter()
            for command in commands:
                subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            return {"seconds": time.perf_counter() - begun}

        return apply

    def _export(self, name: str, renamed: str) -> dict[str, Any]:
        """Return the state of a stack, as if it had another name."""
        return json.loads(json.dumps(self.operate("export_stack", name)).replace(name, renamed))

    def _stack_file(self, name: str) -> Path:
        return self.folder / f"{name}.yaml"


def _settings(namespace: str, runners: int) -> dict[str, Any]:
    return {
        "gitlab": {"url": "https://gitlab.example.com"},
        "cluster": {"kind": "managed", "nodes": {"trusted": True}},
        "namespace": namespace,
        "registries": [{"host": "registry.example.com", "pull": "pull", "push": "push"}],
        "runners": {
            f"runner-{number}": {"tags": ["bench"], "strategy": "kaniko"}
            for number in range(1, runners + 1)
        },
    }
