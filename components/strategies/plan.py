"""What a strategy yields: frozen data in which all differences between strategies are values.

A field joins only if two strategies differ in it; none is named after a strategy.
"""

import dataclasses
from collections.abc import Mapping
from typing import Literal

PodSecurity = Literal["privileged", "baseline", "restricted"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostPath:
    """A path of the node that is mounted into every container of a job."""

    name: str
    path: str
    read_only: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class EmptyDir:
    """An empty folder that all containers of a job share, on the node's disk or in its memory."""

    name: str
    path: str
    medium: Literal["", "Memory"] = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Service:
    """A container beside the build container, such as a daemon that the build talks to."""

    image: str
    alias: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildPlan:
    """What one strategy needs of a job, its namespace and its node.

    ``credentials_folder`` and ``certificates_folder`` are where the tool reads config.json and
    the registries' CAs; None means that it reads none in the job. ``certificate_paths`` says where
    in that folder each file belongs; without it all lie flat. ``service_privileged`` is of the
    services alone, and False leaves them as ``privileged`` says. ``allow_privilege_escalation`` is
    None where Kubernetes' default must stay. ``node_setup`` holds a line for each thing that
    has to be set on the nodes by their owner, ``warnings`` one for each choice that is risky.
    """

    strategy: str
    image: str
    pod_security: PodSecurity
    privileged: bool
    allow_privilege_escalation: bool | None
    credentials_folder: str
    certificates_folder: str | None
    environment: Mapping[str, str]
    service_privileged: bool = False
    certificate_paths: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    empty_dirs: tuple[EmptyDir, ...] = ()
    host_paths: tuple[HostPath, ...] = ()
    services: tuple[Service, ...] = ()
    node_selector: Mapping[str, str]
    node_setup: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def certificate_file(host: str) -> str:
    """Name the file that holds a registry's CA: ConfigMap keys allow no colon."""
    return f"{host.replace(':', '_')}.crt"
