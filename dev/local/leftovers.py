"""Removes what a killed run of a local stack left."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import psutil
from kubernetes import client

from components.types import PROJECT
from dev.cluster.kubeconfig import api_of
from report.stack_file import SETTINGS


def remove(
    name: str, backend: Path, programs: Path, kubeconfig: Path, config: Mapping[str, Any]
) -> None:
    """Remove what a killed run left; nobody else may be at work on this stack.

    That is its lock, and an attributes file that it had begun: the engine reads the state only
    if such a file is whole or missing (gocloud.dev: blob/fileblob/attrs.go). And its plugins,
    which go on without an engine, and may have made a release meanwhile.
    """
    for attributes in backend.glob(".pulumi/stacks/**/*.attrs"):
        if attributes.name.startswith(f"{name}.json") and not attributes.stat().st_size:
            attributes.unlink()
    _kill_plugins(programs)
    for lock in backend.glob(f".pulumi/locks/**/{name}/*.json"):
        # The program reports what is wrong with the settings.
        with contextlib.suppress(AttributeError, TypeError):
            checkpoint = backend / f".pulumi/stacks/{PROJECT}/{name}.json"
            _forget_releases(checkpoint, kubeconfig, config[SETTINGS])
        lock.unlink()


def _kill_plugins(programs: Path) -> None:
    """Kill the plugins that were started from the folder ``programs`` and have no engine."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, IndexError):
            if Path(process.cmdline()[0]).parent != programs:
                continue
            parent = process.parent()
            if parent is None or not Path(parent.cmdline()[0]).name.startswith("pulumi"):
                process.kill()


def _forget_releases(checkpoint: Path, kubeconfig: Path, settings: Mapping[str, Any]) -> None:
    """Let Helm forget the releases from which it would not go on: it never takes a name twice.

    That is a release that the state does not know, and otherwise one that had been begun. The
    objects stay, and the next run takes them over by their names.
    """
    state: Any = {}
    if checkpoint.exists():
        state = json.loads(checkpoint.read_bytes())["checkpoint"]["latest"]
    known = {
        resource.get("id")
        for resource in state.get("resources", [])
        if resource["type"] == "kubernetes:helm.sh/v3:Release"
    }
    begun = ",status in (pending-install,pending-rollback,pending-upgrade)"
    with api_of(kubeconfig) as api:
        core = cast("Any", client.CoreV1Api(api))
        for runner in settings["runners"]:
            release = f"gitlab-runner-{runner}"
            some = begun if f"{settings['namespace']}/{release}" in known else ""
            core.delete_collection_namespaced_secret(
                settings["namespace"], label_selector=f"owner=helm,name={release}{some}"
            )
