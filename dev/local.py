"""Brings a stack up on the local control plane, with the real engine and provider.

No package registry carries Pulumi's Python language host, so the Automation API serves
``__main__.py`` to the engine itself. The stack file is copied into the state folder, where the
cluster, the chart and made-up secrets are put in; no committed file is written. For one's own
cluster none of this is needed: ``pulumi up`` is enough.
"""

import argparse
import contextlib
import json
import os
import runpy
import secrets
import shutil
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import filelock
import psutil
import semver
import yaml
from kubernetes import client
from pulumi import automation as auto
from pulumi.automation import events
from rich.console import Console
from rich.table import Table

from commands import drift, policies
from commands import preview as preview_report
from components.types import PROJECT
from dev import cluster, toolchain
from dev.files import write_privately
from dev.paths import CHECKOUT, STAND_IN_CHART, checkpoint, state_folder
from report.stack_file import SETTINGS, StackFileError, read_config

CHART_VARIABLE = "IMAGE_BUILDS_CHART"
"""A chart archive or folder, which is deployed instead of the stand-in for the official chart."""
USERNAME = "registry-user"
"""That of every made-up login; not a word of everyday, since reports blot it out as a secret."""

_TIMED = {"up", "preview", "destroy", "clean"}


class _Command(auto.PulumiCommand):
    """The toolchain's CLI; the SDK would start it each time, to ask for the version."""

    def __init__(self, file: Path, version: str) -> None:
        self.command = str(file)
        self.version = semver.Version.parse(version)


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
        self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
        with filelock.FileLock(self.work.with_suffix(".lock")):
            config = self._config(strategy)
            values = self._secrets(config)
            shutil.copyfile(CHECKOUT / "Pulumi.yaml", self.work / "Pulumi.yaml")
            encrypted = self._write_stack_file(config, values)
            self._tidy(config)
            stack = auto.create_or_select_stack(
                self.name,
                project_name=PROJECT,
                program=self.run,
                opts=self._options(),
            )
            if not encrypted:
                secret = {key: auto.ConfigValue(text, secret=True) for key, text in values.items()}
                stack.set_all_config(secret, path=True)
                _write(self._in_stack_file, values)
            yield stack

    def run(self) -> None:
        """The program, as the engine calls it."""
        runpy.run_path(str(self.program))

    def _tidy(self, config: Mapping[str, Any]) -> None:
        """Remove what a killed run left; nobody else can be at work on this stack.

        That is its lock, and an attributes file that it had begun: the engine reads the state
        only if such a file is whole or missing (gocloud.dev: blob/fileblob/attrs.go). And its
        plugins, which go on without an engine, and may have made a release meanwhile.
        """
        for attributes in self._backend().glob(".pulumi/stacks/**/*.attrs"):
            if attributes.name.startswith(f"{self.name}.json") and not attributes.stat().st_size:
                attributes.unlink()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, IndexError):
                parent = process.parent()
                orphan = parent is None or not Path(parent.cmdline()[0]).name.startswith("pulumi")
                if orphan and Path(process.cmdline()[0]).parent == self._programs():
                    process.kill()
        for lock in self._backend().glob(f".pulumi/locks/**/{self.name}/*.json"):
            with contextlib.suppress(AttributeError, TypeError):  # the program says what is wrong
                self._forget_releases(config[SETTINGS])
            lock.unlink()

    def _forget_releases(self, settings: Mapping[str, Any]) -> None:
        """Let Helm forget what it will not go on from: it makes no release of a name that it has.

        That is a release that the state does not know, and otherwise what had been begun. The
        objects stay, and the next run takes them over, since they are of that name.
        """
        file = self._backend() / f".pulumi/stacks/{PROJECT}/{self.name}.json"
        state: Any = json.loads(file.read_bytes())["checkpoint"]["latest"] if file.exists() else {}
        known = {
            resource.get("id")
            for resource in state.get("resources", [])
            if resource["type"] == "kubernetes:helm.sh/v3:Release"
        }
        begun = ",status in (pending-install,pending-rollback,pending-upgrade)"
        with cluster.api_of(self.kubeconfig) as api:
            core = cast("Any", client.CoreV1Api(api))
            for runner in settings["runners"]:
                release = f"gitlab-runner-{runner}"
                some = begun if f"{settings['namespace']}/{release}" in known else ""
                core.delete_collection_namespaced_secret(
                    settings["namespace"],
                    label_selector=f"owner=helm,name={release}{some}",
                )

    def _backend(self) -> Path:
        return self.state / "backend"

    def _programs(self) -> Path:
        return self.state / "pulumi" / "bin"

    def _options(self) -> auto.LocalWorkspaceOptions:
        programs = self._programs()
        programs.mkdir(parents=True, exist_ok=True)
        self._backend().mkdir(parents=True, exist_ok=True)
        pulumi, provider = map(toolchain.ensure, ("pulumi", "pulumi-resource-kubernetes"))
        for found in (pulumi, provider):
            link = programs / found.program.name
            link.unlink(missing_ok=True)
            link.symlink_to(found.file)
        return auto.LocalWorkspaceOptions(
            work_dir=str(self.work),
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
            write_privately(file, secrets.token_urlsafe(24))
        return file.read_text(encoding="utf-8")

    def _config(self, strategy: str) -> dict[str, Any]:
        """Return the stack file's config with the cluster, chart and strategy of this run."""
        config = read_config(self.stack_file, strategy)
        config = {key: value for key, value in config.items() if not _encrypted(value)}
        config["kubernetes:context"] = cluster.NAME
        settings = config.get(SETTINGS)
        if isinstance(settings, dict):
            archive = os.environ.get(CHART_VARIABLE) or str(STAND_IN_CHART)
            chart = cast("dict[str, Any]", settings).setdefault("chart", {})
            if isinstance(chart, dict):
                cast("dict[str, Any]", chart).setdefault("archive", archive)
        return config

    @property
    def _in_stack_file(self) -> Path:
        """The secrets that the stack file holds in encrypted form."""
        return self.work / "encrypted.json"

    def _write_stack_file(self, config: Mapping[str, Any], values: Mapping[str, str]) -> bool:
        """Keep the salt with which this stack's state is encrypted, and the secrets that stay.

        Encrypting them takes the engine a third of a second. Return whether they are all there.
        """
        file = self.work / f"Pulumi.{self.name}.yaml"
        old: dict[str, Any] = yaml.safe_load(file.read_bytes()) if file.exists() else {}
        content = {key: old[key] for key in ("encryptionsalt",) if key in old}
        keys = {path.partition(".")[0] for path in values}
        kept = {key: value for key, value in old.get("config", {}).items() if key in keys}
        stays = kept.keys() == keys - config.keys() and _read(self._in_stack_file) == values
        if not stays:
            kept = {}
            self._in_stack_file.unlink(missing_ok=True)
        write_privately(file, yaml.safe_dump({**content, "config": {**config, **kept}}))
        return stays

    def _secrets(self, config: Mapping[str, Any]) -> dict[str, str]:
        """Make up what the settings ask for, once, and return it by config key and path."""
        file = self.state / "secrets.json"
        known = _read(file)
        wanted = dict(_wanted_secrets(config.get(SETTINGS)))
        values = {path: known.get(path) or value for path, value in wanted.items()}
        _write(file, {**known, **values})
        return {f"{PROJECT}:{path}": value for path, value in values.items()}


def _read(file: Path) -> dict[str, str]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def _write(file: Path, values: Mapping[str, str]) -> None:
    write_privately(file, json.dumps(values, indent=1))


def _encrypted(value: object) -> bool:
    """Whether a config value holds ciphertext, which only its own stack can read."""
    if isinstance(value, dict):
        items = cast("dict[str, object]", value)
        return "secure" in items or any(map(_encrypted, items.values()))
    return False


def _wanted_secrets(settings: object) -> Iterator[tuple[str, str]]:
    """Yield (config path, a value made up for it); what is malformed is left to the program."""
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        content = cast("dict[str, Any]", settings)
        for name, runner in cast("dict[str, dict[str, Any]]", content["runners"]).items():
            if runner.get("registration", "token") in ("token", {"kind": "token"}):
                yield f"runnerTokens.{name}", f"glrt-{secrets.token_urlsafe(15)}"
        for registry in cast("list[dict[str, Any]]", content.get("registries") or []):
            for use in ("pull", "push"):
                login = cast("str", registry.get(use))
                if login:
                    yield f"registryCredentials.{login}.username", USERNAME
                    yield f"registryCredentials.{login}.password", secrets.token_urlsafe(15)


class Progress:
    """Prints a line for each resource that is done, and what the engine has to say."""

    # The provider is handed over on PATH because the registries carry no newer one than 4.25.0;
    # the engine says so each time.
    _KNOWN = ("using pulumi-resource-kubernetes from $PATH", "resource plugin kubernetes is expec")
    # Automation API servers report an error of the program a second time under this heading.
    _AGAIN = "an unhandled error occurred: "

    def __call__(self, event: events.EngineEvent) -> None:
        """Handle one engine event; secret values are not in what is printed."""
        if event.res_outputs_event:
            step = event.res_outputs_event.metadata
            if step.op not in (events.OpType.SAME, events.OpType.READ):
                print(f"{step.op.value:16} {step.type} {step.urn.rpartition('::')[2]}", flush=True)
        diagnostic = event.diagnostic_event
        if diagnostic and diagnostic.severity in ("warning", "error", "info#err"):
            text = diagnostic.message.strip()
            if text and not text.startswith((*self._KNOWN, self._AGAIN)):
                print(f"{diagnostic.severity}: {text.removeprefix('error: ')}", flush=True)


def _changes(summary: auto.UpdateSummary) -> str:
    counts = dict(summary.resource_changes or {})
    same = counts.pop(events.OpType.SAME, 0)
    if not counts:
        return f"nothing changed, {same} resources are as they should be"
    return ", ".join(f"{count} {operation}" for operation, count in sorted(counts.items()))


def _show(name: str, outputs: auto.OutputMap, api: client.ApiClient) -> None:
    """Print what runs where."""
    table = Table(title=f"{name}: managers in namespace {outputs['namespace'].value}")
    for heading in ("runner", "strategy", "tags", "jobs in namespace", "Pod Security", "manager"):
        table.add_column(heading, overflow="fold")
    apps = client.AppsV1Api(api)
    for runner, settings in cast("dict[str, Any]", outputs["runners"].value).items():
        deployment = cast(
            "Any",
            apps.read_namespaced_deployment(
                f"gitlab-runner-{runner}",
                outputs["namespace"].value,
            ),
        )
        ready = deployment.status.available_replicas
        table.add_row(
            runner,
            settings["strategy"],
            ", ".join(settings["tags"]),
            settings["jobNamespace"],
            settings["podSecurity"],
            "Available" if ready else "not available",
        )
    Console().print(table)


def up(stack: LocalStack, control_plane: cluster.Cluster, strategy: str) -> None:
    """Bring the stack up and say what runs where."""
    with stack.open(strategy) as opened:
        result = opened.up(on_event=Progress())
        print(f"{stack.name}: {_changes(result.summary)}")
        with control_plane.api() as api:
            _show(stack.name, result.outputs, api)


def preview(stack: LocalStack, strategy: str) -> None:
    """Say what ``up`` would change."""
    with stack.open(strategy) as opened:
        opened.preview(on_output=print, diff=True, suppress_progress=True)


def check_policies(name: str) -> int:
    """Check the local state of a stack against the policies, without a cluster."""
    file = checkpoint(name)
    if not file.is_file():
        advice = f"run make up STACK={name} first"
        print(f"{name}: is not up on the local control plane; {advice}", file=sys.stderr)
        return 1
    return policies.check_file(file)


def _report(command: str, stack: LocalStack, strategy: str) -> int:
    """Run one of the users' commands on a local stack, with the toolchain's helm on PATH."""
    helm = toolchain.ensure("helm").file
    os.environ["PATH"] = os.pathsep.join((str(helm.parent), os.environ["PATH"]))
    with stack.open(strategy) as opened:
        if command == "drift":
            return drift.run(opened, output=Path("build/drift"))
        return preview_report.run(opened, output=Path("build/preview"))


def destroy(stack: LocalStack) -> None:
    """Remove everything that the stack deployed, and the stack."""
    with stack.open() as opened:
        opened.destroy(on_event=Progress(), remove=True)


def clean(state: Path) -> None:
    """Stop the cluster and remove the state folder."""
    cluster.Cluster(state / "cluster").down()
    shutil.rmtree(state, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """Run one of the local commands and return its exit status."""
    parser = argparse.ArgumentParser(prog="dev.local", description=__doc__)
    parser.add_argument(
        "command",
        choices=(
            "up",
            "preview",
            "preview-report",
            "drift",
            "policies",
            "destroy",
            "clean",
            "cluster-up",
            "cluster-down",
            "cluster-status",
        ),
    )
    parser.add_argument("--stack", default="dev")
    parser.add_argument("--strategy", default="", help="in YAML, for every runner")
    options = parser.parse_args(arguments)
    state = state_folder()
    command, _, cluster_command = options.command.partition("cluster-")
    if cluster_command:
        return cluster.main([cluster_command], state / "cluster")
    started = time.monotonic()
    try:
        code = _run(command, state, options.stack, options.strategy)
    except (StackFileError, cluster.ClusterError, toolchain.ToolchainError) as error:
        print(error, file=sys.stderr)
        return 1
    except auto.CommandError as error:
        # The engine says what is wrong on its output; before it runs, the CLI says it here.
        said = str(error).partition("stderr: ")[2].strip().removeprefix("error: ")
        print(
            f"{options.stack}: {command} failed{f': {said}' if said else ', see above'}",
            file=sys.stderr,
        )
        return 1
    if command in _TIMED:
        print(f"{options.stack}: {command} took {time.monotonic() - started:.0f} s")
    return code


def _run(command: str, state: Path, name: str, strategy: str) -> int:
    if command == "clean":
        clean(state)
        return 0
    if command == "policies":
        return check_policies(name)
    toolchain.ensure_all("cluster")
    control_plane = cluster.Cluster(state / "cluster")
    control_plane.up()
    stack = LocalStack(name, state, control_plane.kubeconfig)
    match command:
        case "up":
            up(stack, control_plane, strategy)
        case "preview":
            preview(stack, strategy)
        case "destroy":
            destroy(stack)
        case _:
            return _report(command, stack, strategy)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
