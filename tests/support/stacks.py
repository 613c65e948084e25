"""Stacks on the cluster of the engine tests, each with namespaces under a prefix."""

import atexit
import base64
import contextlib
import dataclasses
import functools
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import yaml
from pulumi import automation as auto
from pulumi.automation import events

from dev.cluster.control_plane import ControlPlane
from dev.local.stack import LocalStack
from dev.local.stack_file import USERNAME
from dev.paths import CHECKOUT
from tests.support.configured import SETTINGS
from tests.support.kubernetes import core_v1


@dataclasses.dataclass
class Outcome:
    """What one operation of the engine did, and everything that it printed."""

    operations: dict[str, list[str]]
    output: str


@dataclasses.dataclass
class Site:
    """A stack on the session's cluster, whose namespaces begin with a prefix."""

    prefix: str
    folder: Path
    stack: LocalStack

    def write(self, strategy: Any, **changes: Any) -> None:  # noqa: ANN401 - YAML
        """Write the stack file."""
        runner = {"tags": ["build"], "strategy": strategy, **changes.pop("runner", {})}
        settings = {
            "gitlab": SETTINGS["gitlab"],
            "cluster": SETTINGS["cluster"],
            "namespace": self.prefix,
            "registries": [{"host": "registry.example.com:5000", "pull": "in", "push": "out"}],
            "targetNamespaces": {f"{self.prefix}-apps": {"create": True}},
            "runners": {"builds": runner},
            **changes,
        }
        content = {"config": {"image-builds:settings": settings}}
        text = yaml.dump(content, Dumper=yaml.CSafeDumper)
        self.stack.stack_file.write_text(text, encoding="utf-8")

    def plant(self, **values: str) -> None:
        """Choose the secrets' values by config path, with ``__`` for the dot."""
        self.stack.state.mkdir(parents=True, exist_ok=True)
        planted = {path.replace("__", "."): value for path, value in values.items()}
        file = self.stack.state / "secrets.json"
        known: dict[str, str] = json.loads(file.read_bytes()) if file.exists() else {}
        file.write_text(json.dumps({**known, **planted}), encoding="utf-8")

    def up(self, *, whatever_fails: bool = False) -> Outcome:
        """Update; with ``whatever_fails``, all that does not depend on what failed."""
        return self._run(
            lambda stack, see, say: stack.up(
                on_event=see, on_output=say, continue_on_error=whatever_fails
            )
        )

    def preview(self) -> Outcome:
        return self._run(
            lambda stack, see, say: stack.preview(on_event=see, on_output=say, diff=True)
        )

    def destroy(self) -> Outcome:
        return self._run(
            lambda stack, see, say: stack.destroy(on_event=see, on_output=say, remove=True)
        )

    def state(self) -> str:
        """The stack's state as it lies in the backend, with its history and backups."""
        files = (self.stack.state / "backend").rglob("*.json*")
        return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)

    def start(self) -> subprocess.Popen[str]:
        """Start ``up`` in another process group, so that a test can kill all of it."""
        return subprocess.Popen(
            [
                sys.executable,
                *("-m", "tests.support.drive"),
                str(self.stack.state),
                str(self.stack.kubeconfig),
                str(self.stack.stack_file),
            ],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def _run(
        self,
        operation: Callable[
            [auto.Stack, Callable[[events.EngineEvent], Any], Callable[[str], Any]], object
        ],
    ) -> Outcome:
        operations: dict[str, list[str]] = {}
        lines: list[str] = []

        def see(event: events.EngineEvent) -> None:
            done = event.resource_pre_event
            if done and done.metadata.op != events.OpType.SAME:
                operations.setdefault(done.metadata.op, []).append(done.metadata.urn)

        try:
            with self.stack.open() as stack:
                # The engine would save its state after each step, a third of the time of an update;
                # here only what there is in the end counts, and `start` is for what is killed.
                variables = cast("dict[str, str]", stack.workspace.env_vars)
                variables["PULUMI_SKIP_CHECKPOINTS"] = "true"
                operation(stack, see, lines.append)
        except auto.CommandError as error:
            lines.append(str(error))
            return Outcome({**operations, "failed": [str(error)]}, "\n".join(lines))
        return Outcome(operations, "\n".join(lines))


@functools.cache
def _begun() -> Path:
    """Return the state of a stack that nothing is deployed of, once for each process.

    The CLI begins a stack and encrypts its secrets in processes that take a second.
    """
    folder = Path(tempfile.mkdtemp(prefix="begun-"))
    atexit.register(shutil.rmtree, folder)
    site = _site(folder, folder / "kubeconfig")
    site.write("kaniko")
    with site.stack.open():
        return site.stack.state


def _site(folder: Path, kubeconfig: Path) -> Site:
    file = folder / "Pulumi.test.yaml"
    stack = LocalStack("test", folder / "state", kubeconfig, stack_file=file)
    return Site(f"t{secrets.token_hex(4)}", folder, stack)


@contextlib.contextmanager
def fresh_site(control_plane: ControlPlane, folder: Path) -> Generator[Site]:
    """Yield a fresh stack, and remove what it left."""
    site = _site(folder, control_plane.kubeconfig)
    shutil.copytree(_begun(), site.stack.state, symlinks=True)
    yield site
    with control_plane.api() as api:
        namespaces = core_v1(api)
        for namespace in namespaces.list_namespace().items:
            if namespace.metadata.name.startswith(site.prefix):
                namespaces.delete_namespace(namespace.metadata.name)


def encodings(planted: list[str]) -> list[str]:
    """Return each secret as it is, and as Secrets and Docker's config.json encode it."""
    texts = [text for secret in planted for text in (secret, f"{USERNAME}:{secret}")]
    return [*planted, *(base64.b64encode(text.encode()).decode() for text in texts)]
