"""Objects that the pods of a runner name, and that others keep."""

from collections.abc import Iterator, Mapping
from typing import Any

from doctor.diagnosis import Fault, fault
from doctor.examine import NotRun, Visit, of_runner
from doctor.wanted import WantedRunner

_KINDS = {"secret": "Secret", "config_map": "ConfigMap", "pvc": "PersistentVolumeClaim"}
"""The kind of object by the kind of volume in config.toml."""


@of_runner("object-missing")
def references(visit: Visit) -> Iterator[Fault | NotRun]:
    """Look for what the stack file names and the stack does not make."""
    managers = visit.stack.settings.namespace
    made = {
        (item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"])
        for item in visit.stack.manifests
    }
    for wanted in dict.fromkeys(_references(visit.of, managers)):
        kind, namespace, name = wanted
        if wanted in made:
            continue
        visit.seen.existing(namespace)
        if visit.seen.get("v1", kind, name, namespace) is None:
            yield fault("object-missing", visit.of.name, kind=kind, name=name, namespace=namespace)


def _references(runner: WantedRunner, managers: str) -> Iterator[tuple[str, str, str]]:
    table: Mapping[str, Any] = runner.toml["kubernetes"]
    jobs = runner.names["job_namespace"]
    yield "Secret", managers, runner.values["runners"]["secret"]
    for name in table.get("image_pull_secrets", []):
        yield "Secret", jobs, name
    for volume, kind in _KINDS.items():
        for entry in table.get("volumes", {}).get(volume, []):
            yield kind, jobs, entry["name"]
