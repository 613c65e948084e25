"""Opens a stack on a local cluster."""

import contextlib
import datetime as dt
import os
import runpy
import secrets
import shutil
from collections.abc import Generator
from pathlib import Path

import filelock
import semver
from pulumi import automation as auto

from components.types import PROJECT
from dev.files import write_private
from dev.local import leftovers, stack_file
from dev.paths import CHECKOUT
from dev.toolchain.ensure import ensure


class _Command(auto.PulumiCommand):
    """The toolchain's CLI; the SDK would start it each time to ask for the version."""

    def __init__(self, file: Path, version: str) -> None:
        self.command = str(file)
        self.version = semver.Version.parse(version)


class _Workspace(auto.LocalWorkspace):
    """Selects a stack without a process: each command of the SDK names its stack."""

    def select_stack(self, stack_name: str) -> None:
        """Leave it to the commands."""


def _no_summary(_: object) -> auto.UpdateSummary:
    return auto.UpdateSummary("", dt.datetime.now(dt.UTC), "", {}, {}, "")


class LocalStack:
    """One stack of this project on one local cluster."""

    def __init__(
        self,
        name: str,
        state: Path,
        kubeconfig: Path,
        *,
        stack_file: Path | None = None,
        program: Path = CHECKOUT / "__main__.py",
    ) -> None:
        """Remember where things are; nothing is written yet.

        ``stack_file`` is the one to copy, by default the checkout's own.
        """
        self.name = name
        self.state = state
        self.kubeconfig = kubeconfig
        self.stack_file = stack_file or CHECKOUT / f"Pulumi.{name}.yaml"
        self.program = program
        self.work = state / "stacks" / name

    @contextlib.contextmanager
    def open(self, strategy: str = "") -> Generator[auto.Stack]:
        """Write the stack's own copy of its files and yield it, for one user at a time.

        Args:
            strategy: in YAML, what ``strategy`` of every runner is to be instead.
        """
        # The files below have the modes that programs give them.
        for folder in (self.state, self.work, self._backend()):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o700)
        with filelock.FileLock(self.work.with_suffix(".lock")):
            config = stack_file.local_config(self.stack_file, strategy)
            file = self.work / f"Pulumi.{self.name}.yaml"
            values = stack_file.made_up_secrets(config, self.state / "secrets.json")
            shutil.copyfile(CHECKOUT / "Pulumi.yaml", self.work / "Pulumi.yaml")
            encrypted = stack_file.write_copy(file, config, values)
            stack_file.check_secrets(file)
            leftovers.remove(self.name, self._backend(), self._programs(), self.kubeconfig, config)
            begun = (self._backend() / f".pulumi/stacks/{PROJECT}/{self.name}.json").exists()
            open_stack = auto.Stack.select if begun else auto.Stack.create
            stack = open_stack(self.name, _Workspace(**vars(self._options())))
            # After an operation the SDK asks for what its events have said, in three processes.
            vars(stack).update(outputs=dict, info=_no_summary)
            if not encrypted:
                secret = {key: auto.ConfigValue(text, secret=True) for key, text in values.items()}
                stack.set_all_config(secret, path=True)
                stack_file.remember(file, values)
            yield stack

    def run(self) -> None:
        """The program, as the engine calls it."""
        # Like the provider, which has it from the options of the engine, it reads the cluster.
        os.environ["KUBECONFIG"] = str(self.kubeconfig)
        runpy.run_path(str(self.program))

    def _backend(self) -> Path:
        return self.state / "backend"

    def _programs(self) -> Path:
        return self.state / "pulumi" / "bin"

    def _options(self) -> auto.LocalWorkspaceOptions:
        programs = self._programs()
        programs.mkdir(parents=True, exist_ok=True)
        pulumi, provider = map(ensure, ("pulumi", "pulumi-resource-kubernetes"))
        for found in (pulumi, provider):
            link = programs / found.program.name
            link.unlink(missing_ok=True)
            link.symlink_to(found.file)
        return auto.LocalWorkspaceOptions(
            work_dir=str(self.work),
            program=self.run,
            pulumi_command=_Command(programs / "pulumi", pulumi.version),
            env_vars={
                "KUBECONFIG": str(self.kubeconfig),
                "PATH": os.pathsep.join((str(programs), os.environ["PATH"])),
                "PULUMI_BACKEND_URL": self._backend().as_uri(),
                "PULUMI_CONFIG_PASSPHRASE": self._passphrase(),
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                "PULUMI_HOME": str(programs.parent / "home"),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
            },
        )

    def _passphrase(self) -> str:
        file = self.state / "passphrase"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(24))
        return file.read_text(encoding="utf-8")
