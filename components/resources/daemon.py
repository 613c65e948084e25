"""A daemon that all jobs of a stack share: its namespace, certificates, Deployment and Service.

Its certificates are made by the program, since that needs neither another provider nor a command
to remember, and stay as they are from run to run: a Secret of the daemon's namespace holds the CA
and is never changed, another the certificates of one year. With a new year comes a new Secret, so
they are replaced long before they end, and since the CA is the same, by no job noticed.
"""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    PodSpecArgsDict,
    ProbeArgsDict,
    SeccompProfileArgsDict,
    VolumeArgsDict,
    VolumeMountArgsDict,
)

from components import plan
from components.resources.certificates import Pair, authority, issue
from components.resources.namespace import BuildNamespace
from components.resources.registry import RegistryFiles

_CA_LIFETIME = dt.timedelta(days=30 * 365)
# Longer than any stack is left alone: they are made anew by the first run of each year.
_LIFETIME = dt.timedelta(days=3 * 365)
# The longest that GitLab lets a job run unless told otherwise.
_GRACE_SECONDS = 3600


class DaemonArgs(TypedDict):
    """What runs, where, for the jobs of which namespaces, and the year of its certificates."""

    namespace: str
    daemon: plan.DaemonPlan
    job_namespaces: Sequence[str]
    year: int


class Daemon(pulumi.ComponentResource):
    """The daemon and what lets jobs reach it, and nobody else."""

    client_certificates: pulumi.Output[Mapping[str, str]]
    """``ca.pem``, ``cert.pem`` and ``key.pem`` of jobs, in base64, known once the daemon serves."""
    namespace: pulumi.Output[str]
    """The namespace that it runs in."""

    def __init__(
        self,
        name: str,
        args: DaemonArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the daemon."""
        super().__init__("image-builds:index:Daemon", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        daemon = args["daemon"]
        self.namespace = namespace = BuildNamespace(
            name,
            {"namespace": args["namespace"], "pod_security": daemon.pod_security},
            child,
        ).namespace
        certificates = self._certificates(name, args, namespace)
        files = RegistryFiles(
            name,
            {
                "namespace": namespace,
                "config_map": name,
                "files": {plan.file_key(path): text for path, text in daemon.files.items()},
            },
            child,
        )
        account = k8s.core.v1.ServiceAccount(
            name,
            metadata={"name": name, "namespace": namespace},
            automount_service_account_token=False,
            opts=child,
        )
        labels = {"app.kubernetes.io/name": name}
        self._network_policy(name, args, namespace, labels)
        k8s.core.v1.Service(
            name,
            metadata={"name": name, "namespace": namespace},
            spec={"selector": labels, "ports": [{"port": daemon.port, "protocol": "TCP"}]},
            opts=child,
        )
        deployment = k8s.apps.v1.Deployment(
            name,
            metadata={"name": name, "namespace": namespace},
            spec={
                "replicas": 1,
                "selector": {"match_labels": labels},
                # A new daemon serves before the old one, which ends its builds, takes no more.
                "strategy": {
                    "type": "RollingUpdate",
                    "rolling_update": {"max_surge": 1, "max_unavailable": 0},
                },
                "template": {
                    "metadata": {
                        "labels": labels,
                        # Nothing else restarts the daemon when only its files change.
                        "annotations": {"image-builds/files-digest": _digest(daemon.files)},
                    },
                    "spec": _pod(name, daemon, certificates),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[files, account]),
        )
        self.client_certificates = pulumi.Output.all(certificates.data, deployment.id).apply(
            lambda known: {
                "ca.pem": known[0]["ca.pem"],
                "cert.pem": known[0]["client-cert.pem"],
                "key.pem": known[0]["client-key.pem"],
            },
        )
        self.register_outputs({"namespace": self.namespace})

    def _certificates(
        self,
        name: str,
        args: DaemonArgs,
        namespace: pulumi.Output[str],
    ) -> k8s.core.v1.Secret:
        """Declare the CA and this year's certificates; what is there is never changed."""
        made_once = pulumi.ResourceOptions(parent=self, ignore_changes=["data"])
        ca = k8s.core.v1.Secret(
            f"{name}-ca",
            metadata={"name": f"{name}-ca", "namespace": namespace},
            data=pulumi.Output.secret(_authority(name)),
            opts=made_once,
        )
        hosts = [f"{name}.{args['namespace']}.svc", f"{name}.{args['namespace']}.svc.cluster.local"]
        year = f"{name}-{args['year']}"
        return k8s.core.v1.Secret(
            year,
            metadata={"name": year, "namespace": namespace},
            data=pulumi.Output.secret(ca.data.apply(lambda data: _issued(name, data, hosts))),
            opts=made_once,
        )

    def _network_policy(
        self,
        name: str,
        args: DaemonArgs,
        namespace: pulumi.Output[str],
        labels: Mapping[str, str],
    ) -> None:
        """Let the jobs' namespaces reach the port, and nobody else anything."""
        k8s.networking.v1.NetworkPolicy(
            name,
            metadata={"name": name, "namespace": namespace},
            spec={
                "pod_selector": {"match_labels": labels},
                "policy_types": ["Ingress"],
                "ingress": [
                    {
                        "from_": [
                            {
                                "namespace_selector": {
                                    "match_expressions": [
                                        {
                                            "key": "kubernetes.io/metadata.name",
                                            "operator": "In",
                                            "values": sorted(args["job_namespaces"]),
                                        },
                                    ],
                                },
                            },
                        ],
                        "ports": [{"port": args["daemon"].port, "protocol": "TCP"}],
                    },
                ],
            },
            opts=pulumi.ResourceOptions(parent=self),
        )


def _pod(name: str, daemon: plan.DaemonPlan, certificates: k8s.core.v1.Secret) -> PodSpecArgsDict:
    mounts: list[VolumeMountArgsDict] = [
        {"name": "certificates", "mount_path": daemon.certificates_folder, "read_only": True},
        {"name": "files", "mount_path": daemon.files_folder, "read_only": True},
        *({"name": folder.name, "mount_path": folder.path} for folder in daemon.empty_dirs),
    ]
    volumes: list[VolumeArgsDict] = [
        {
            "name": "certificates",
            "secret": {
                "secret_name": certificates.metadata.apply(lambda known: known.name or ""),
                "items": [
                    {"key": "ca.pem", "path": "ca.pem"},
                    {"key": "server-cert.pem", "path": "cert.pem"},
                    {"key": "server-key.pem", "path": "key.pem"},
                ],
            },
        },
        {
            "name": "files",
            "config_map": {
                "name": name,
                "items": [
                    {"key": plan.file_key(path), "path": path} for path in sorted(daemon.files)
                ],
            },
        },
        *(
            {
                "name": folder.name,
                "empty_dir": {"size_limit": str(folder.limit)} if folder.limit else {},
            }
            for folder in daemon.empty_dirs
        ),
    ]
    return {
        "service_account_name": name,
        "automount_service_account_token": False,
        "enable_service_links": False,
        "termination_grace_period_seconds": _GRACE_SECONDS,
        "containers": [_container(name, daemon, mounts)],
        "volumes": volumes,
    }


def _container(
    name: str,
    daemon: plan.DaemonPlan,
    mounts: list[VolumeMountArgsDict],
) -> ContainerArgsDict:
    security = daemon.security
    return {
        "name": name,
        "image": daemon.image,
        "args": list(daemon.arguments),
        "ports": [{"container_port": daemon.port, "protocol": "TCP"}],
        "readiness_probe": _probe(daemon),
        "liveness_probe": {**_probe(daemon), "period_seconds": 30},
        "resources": {
            "requests": dict(daemon.resources.get("requests", {})),
            "limits": dict(daemon.resources.get("limits", {})),
        },
        "security_context": {
            "privileged": security.privileged,
            "run_as_user": security.user or 0,
            "run_as_group": security.user or 0,
            "seccomp_profile": _profile(security.seccomp),
            "app_armor_profile": _profile(security.app_armor),
        },
        "volume_mounts": mounts,
    }


def _probe(daemon: plan.DaemonPlan) -> ProbeArgsDict:
    """Give it time to start, and to answer on a node that builds keep busy."""
    return {
        "exec_": {"command": list(daemon.probe)},
        "initial_delay_seconds": 5,
        "timeout_seconds": 60,
    }


def _profile(profile: Mapping[str, str]) -> SeccompProfileArgsDict:
    """Both kinds of profile have the same two keys."""
    if "localhostProfile" in profile:
        return {"type": profile["type"], "localhost_profile": profile["localhostProfile"]}
    return {"type": profile["type"]}


def _digest(files: Mapping[str, str]) -> str:
    text = json.dumps(files, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _authority(name: str) -> dict[str, str]:
    pair = authority(f"{name} of image-builds", _CA_LIFETIME)
    return {"ca.pem": _encoded(pair.certificate), "ca-key.pem": _encoded(pair.key)}


def _issued(name: str, ca: Mapping[str, str], hosts: Sequence[str]) -> dict[str, str]:
    signer = Pair(certificate=_decoded(ca["ca.pem"]), key=_decoded(ca["ca-key.pem"]))
    server = issue(signer, name, _LIFETIME, hosts=hosts)
    client = issue(signer, "job", _LIFETIME)
    return {
        "ca.pem": ca["ca.pem"],
        "server-cert.pem": _encoded(server.certificate),
        "server-key.pem": _encoded(server.key),
        "client-cert.pem": _encoded(client.certificate),
        "client-key.pem": _encoded(client.key),
    }


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
