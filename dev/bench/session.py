"""The stacks of one session, on a control plane that it starts and stops."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
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


class Session:
    """The folder with the stacks' files, and the cluster that they are on."""

    def __init__(self, folder: Path, kubeconfig: Path) -> None:
        """Remember where things are."""
        self._folder = folder
        self._kubeconfig = kubeconfig

    def create(self, name: str, runners: int) -> None:
        """Write the stack file of a stack with this many runners, in a namespace of its name."""
        config = {"config": {"image-builds:settings": _settings(name, runners)}}
        self._stack_file(name).write_text(yaml.safe_dump(config), encoding="utf-8")

    def create_floor(self, name: str, of: str, runners: int) -> Path:
        """Write a stack file, and the program that registers what ``of`` has deployed."""
        self.create(name, runners)
        deployed = json.dumps(self.export(of)).replace(of, name)
        program = self._folder / f"{name}.py"
        floor.literal_program(json.loads(deployed), program)
        return program

    def export(self, name: str) -> dict[str, Any]:
        """Return the state of a stack."""
        return self.operate("export_stack", name)

    def operate(
        self,
        operation: str,
        name: str,
        program: Path = PROGRAM,
        strategy: str = "",
    ) -> dict[str, Any]:
        """Run one operation of the stack ``name`` in a new process and return its figures."""
        files = (self._folder / "state", self._kubeconfig, self._stack_file(name), program)
        answer = subprocess.run(
            [
                *(sys.executable, "-m", "dev.bench.drive", operation, name),
                *(*map(str, files), strategy),
            ],
            cwd=CHECKOUT,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return json.loads(answer.stdout.splitlines()[-1])

    def helm_and_kubectl(self, deployment: Mapping[str, Any], name: str) -> Callable[[], float]:
        """Return a function that applies the objects of ``name`` with helm and kubectl, timed."""
        chart = os.environ.get(CHART_VARIABLE) or str(STAND_IN_CHART)
        manifests: list[str] = []
        releases: list[list[str]] = []
        for number, resource in enumerate(deployment["resources"]):
            inputs = json.loads(json.dumps(resource.get("inputs", {})).replace(name, "plain"))
            if resource["type"].startswith("kubernetes:helm.sh"):
                values = self._folder / f"values-{number}.yaml"
                values.write_text(yaml.safe_dump(inputs["values"]), encoding="utf-8")
                where = ["--namespace", inputs["namespace"], "--values", str(values)]
                releases.append([inputs["name"], chart, *where])
            elif resource["type"].startswith("kubernetes:"):
                manifests.append(yaml.safe_dump(floor.plain(inputs)))
        file = self._folder / "manifests.yaml"
        file.write_text("---\n".join(manifests), encoding="utf-8")
        environment = {**os.environ, "KUBECONFIG": str(self._kubeconfig)}
        kubectl, helm = (str(ensure(name).file) for name in ("kubectl", "helm"))
        commands = [[kubectl, "apply", "--server-side", "--filename", str(file)]]
        commands += [[helm, "upgrade", "--install", "--wait", *release] for release in releases]

        def apply() -> float:
            begun = time.perf_counter()
            for command in commands:
                subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - begun

        return apply

    def _stack_file(self, name: str) -> Path:
        return self._folder / f"{name}.yaml"


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
