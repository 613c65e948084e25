"""Volumes of job pods: what outlasts a job, what all jobs read, and room for one job."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Self, cast

from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic.alias_generators import to_camel

from components.gitlab_runner import authorities
from components.gitlab_runner.before_job import LOGINS
from components.plan import DAEMON_SECRET, FILES, PULL_SECRET, PUSH_SECRET, BuildPlan
from components.quantity import Quantity
from components.types import DnsLabel, DnsName, Model, dns_label

_SOURCES = ("claim", "secret", "config_map", "scratch", "per_job")
_OF_STACK = {authorities.CONFIG_MAP, DAEMON_SECRET, FILES, PULL_SECRET, PUSH_SECRET}
"""The Secrets and ConfigMaps that the stack makes in job namespaces."""


def _mount_path(value: str) -> str:
    parts = value.split("/")[1:]
    if not re.fullmatch(r"(/[A-Za-z0-9._@+-]+)+", value) or {".", ".."} & set(parts):
        message = (
            "must be an absolute path of a folder in the containers, without '..', ':' and a slash "
            "at its end: /cache"
        )
        raise ValueError(message)
    if parts[0] in {"proc", "sys"}:
        message = f"must not be below /{parts[0]}, where runtimes refuse mounts; use another path"
        raise ValueError(message)
    return value


SLOT = "$CI_CONCURRENT_ID"
"""What GitLab Runner writes for the number of a job among those of its manager."""


def _claim(value: str) -> str:
    if "$" in value.replace(SLOT, ""):
        message = (
            f"must not have variables but {SLOT}, since a job can set them and so choose a claim; "
            "write the name"
        )
        raise ValueError(message)
    dns_label(value.replace(SLOT, "0"))
    return value


def _no_host_path(value: object) -> object:
    keys = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    if {"hostPath", "host_path"} & keys.keys():
        message = (
            "must not mount a path of the node (hostPath), through which a job can take over the "
            "node and read what other jobs left there; use claim for files that stay, perJob or "
            "scratch for room, secret or configMap for files to read, or cache for the caches of "
            "pipelines"
        )
        raise ValueError(message)
    return cast("object", value)


class Scratch(Model):
    """An empty folder for each job, on the disk of its node or in its memory."""

    size: Quantity
    """The most that it may hold: `20Gi`. A pod that exceeds it is evicted."""
    memory: bool = False
    """Set `true` to keep it in the memory of the node. What is in it counts as memory of the
    container that wrote it, so the limit of that container needs room for it."""


class PerJob(Model):
    """A claim that Kubernetes makes for each job, and deletes with its pod."""

    size: Quantity
    """The size of the claim: `100Gi`."""
    storage_class: DnsName | None = None
    """The StorageClass, which must make volumes on demand; by default the cluster's default one."""


class Volume(Model):
    """A folder that every container of a job has, its services and GitLab's helper included.

    Exactly one key says what is in it. Secrets, ConfigMaps and claims must be in the job namespace
    of the runner; the stack does not make them. Paths of the node cannot be mounted.
    """

    path: Annotated[str, AfterValidator(_mount_path)]
    """Where the folder is in each container. With `scratch` or `perJob` it may be `/builds`, where
    the sources of a job are."""
    read_only: bool = False
    """Set `true` to keep jobs from writing to a `claim`. Secrets and ConfigMaps are read-only
    anyway. Security: no job changes what others read there."""
    claim: Annotated[str, AfterValidator(_claim)] | None = None
    """The name of a PersistentVolumeClaim, for files that outlast the job, such as a cache in
    `/cache`. With the access mode ReadWriteOnce, jobs on a second node do not start. With
    `$CI_CONCURRENT_ID` in the name, such as `cache-$CI_CONCURRENT_ID`, each job that runs at the
    same time has its own of the claims `cache-0`, `cache-1` and so on; a job that sets this
    variable has another one. Security: what one job writes there all later ones read, so keep
    protected branches on another runner."""
    secret: DnsLabel | None = None
    """The name of a Secret, a file for each of its keys. Security: anyone who can run a job can
    read it."""
    config_map: DnsLabel | None = None
    """The name of a ConfigMap, a file for each of its keys."""
    scratch: Scratch | None = None
    """An empty folder with a size, gone with the job."""
    per_job: PerJob | None = None
    """A separate volume for each job, gone with it, for builds that need more disk than nodes
    have. The cluster must make volumes on demand."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [key for key in _SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            keys = ", ".join(map(to_camel, _SOURCES))
            message = f"must have exactly one of {keys}; add one, or remove all but one"
            raise ValueError(message)
        if self.read_only and given[0] in {"scratch", "per_job"}:
            message = "must not be readOnly, since it is empty when the job starts; remove readOnly"
            raise ValueError(message)
        return self

    @property
    def name(self) -> str:
        """Name the volume in the pod; of an object, GitLab Runner takes the object's own name."""
        kind = "scratch" if self.scratch else "per-job"
        digest = hashlib.sha256(self.path.encode()).hexdigest()[:8]
        return self.claim or self.secret or self.config_map or f"{kind}-{digest}"


AnyVolume = Annotated[Volume, BeforeValidator(_no_host_path, json_schema_input_type=Volume)]
"""A volume; one of the node is refused with the way out."""


def volume_errors(volumes: Sequence[Volume], plan: BuildPlan) -> Iterator[tuple[str, str]]:
    """Yield (key below the runner, message) of each volume that the pod could not have."""
    builds = "/builds" if plan.host_users else "/tmp/builds"  # noqa: S108 - a path in the job's own pod
    paths = set[str]()
    names = {folder.name for folder in (*plan.empty_dirs, *plan.host_paths)}
    for index, volume in enumerate(volumes):
        where = f"volumes[{index}]"
        whole = volume.path == builds and (volume.scratch or volume.per_job)
        for own in () if whole else (builds, *_own_paths(plan)):
            if _overlap(volume.path, own):
                yield (
                    f"{where}.path",
                    f"is {volume.path}, and the runner or {plan.strategy} has its own files at "
                    f"{own}; use another path",
                )
        if volume.path in paths:
            yield f"{where}.path", f"is {volume.path} a second time; use another path"
        if volume.name in _OF_STACK:
            yield (
                where,
                f"mounts {volume.name}, which the stack makes for its own use; name another object",
            )
        elif volume.name in names:
            yield (
                where,
                f"mounts {volume.name} a second time or has the name of a volume of "
                f"{plan.strategy}, and GitLab Runner names volumes after their objects; mount it "
                "once, or name another object",
            )
        paths.add(volume.path)
        names.add(volume.name)


def _own_paths(plan: BuildPlan) -> list[str]:
    """Return where a job's pod has files of the runner, the stack and the strategy."""
    found = [
        *(folder.path for folder in (*plan.empty_dirs, *plan.host_paths)),
        plan.files_folder,
        plan.credentials_folder,
        plan.daemon.certificates_folder if plan.daemon else "",
        LOGINS if plan.builds else "",
        authorities.FOLDER,
        "/var/run/secrets/kubernetes.io",
    ]
    return [path for path in found if path]


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
