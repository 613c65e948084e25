"""The daemon of a runner: its namespace, certificates, Deployment and Service.

The program makes its certificates, since that needs neither another provider nor a command to
remember, and they stay as they are from run to run: a Secret of the daemon's namespace holds the CA
and is never changed, another the certificates of one year. A new year brings a new Secret, long
before the old certificates end, and no job notices, since the CA is the same.
"""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

import pulumi
import pulumi_kubernetes as k8s
from pulumi_kubernetes.meta.v1 import LabelSelectorRequirementArgsDict
from pulumi_kubernetes.networking.v1 import NetworkPolicyIngressRuleArgsDict

from components.network.egress import Egress
from components.plan import DaemonPlan
from components.resources.certificates import KeyPair, Validity, authority, issue
from components.resources.daemon_pod import pod_spec
from components.resources.namespace import BuildNamespace
from components.resources.network import network_policies
from components.resources.registry import RegistryFiles

_CA_LIFETIME = dt.timedelta(days=30 * 365)
# Longer than any stack is left alone: the first run of each year replaces them.
_LIFETIME = dt.timedelta(days=3 * 365)
# Each run makes other keys. After an update that was killed the next one writes its own over them,
# which the API server allows only to the same field manager.
_SAME_MANAGER = {"pulumi.com/patchFieldManager": "image-builds"}


class DaemonArgs(TypedDict):
    """What runs, where, for the jobs of which namespaces, and the year of its certificates.

    ``egress`` is what its builds may reach, ``environment`` holds variables of the daemon, and
    ``host_aliases`` are names by their address.
    """

    namespace: str
    daemon: DaemonPlan
    egress: Egress
    environment: Mapping[str, str]
    host_aliases: Mapping[str, Sequence[str]]
    job_namespaces: Sequence[str]
    year: int


class Daemon(pulumi.ComponentResource):
    """The daemon, and what lets jobs and nobody else reach it; its name is that of the runner."""

    client_certificates: pulumi.Output[Mapping[str, str]]
    """``ca.pem``, ``cert.pem`` and ``key.pem`` of jobs, in base64, known once the daemon serves.

    It is for runners of the same stack and is not registered: state has the key in its Secret.
    """
    namespace: pulumi.Output[str]
    """The namespace that it runs in."""

    def __init__(
        self, name: str, args: DaemonArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("image-builds:index:Daemon", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        daemon = args["daemon"]
        # In the cluster each has a namespace, and so the same names as any other.
        unit, called = f"{name}-{daemon.name}", daemon.name
        self.namespace = namespace = BuildNamespace(
            unit,
            {"namespace": args["namespace"], "pod_security": daemon.pod_security, "keep": False},
            child,
        ).namespace
        certificates = self._certificates(unit, args, namespace)
        files = RegistryFiles(
            unit, {"namespace": namespace, "config_map": called, "files": daemon.files}, child
        )
        account = k8s.core.v1.ServiceAccount(
            unit,
            metadata={"name": called, "namespace": namespace},
            automount_service_account_token=False,
            opts=child,
        )
        labels = {"app.kubernetes.io/name": called}
        policies = self._network_policies(unit, args, namespace)
        k8s.core.v1.Service(
            unit,
            metadata={"name": called, "namespace": namespace},
            spec={"selector": labels, "ports": [{"port": daemon.port, "protocol": "TCP"}]},
            opts=child,
        )
        deployment = k8s.apps.v1.Deployment(
            unit,
            metadata={"name": called, "namespace": namespace},
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
                    "spec": pod_spec(
                        daemon,
                        certificates.metadata.apply(lambda known: known.name or ""),
                        args["environment"],
                        args["host_aliases"],
                    ),
                },
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[files, account, *policies]),
        )
        self.client_certificates = pulumi.Output.all(certificates.data, deployment.id).apply(
            lambda known: {
                "ca.pem": known[0]["ca.pem"],
                "cert.pem": known[0]["client-cert.pem"],
                "key.pem": known[0]["client-key.pem"],
            }
        )
        self.register_outputs({"namespace": self.namespace})

    def _certificates(
        self, unit: str, args: DaemonArgs, namespace: pulumi.Output[str]
    ) -> k8s.core.v1.Secret:
        """Declare the CA and this year's certificates; what is there is never changed."""
        made_once = pulumi.ResourceOptions(parent=self, ignore_changes=["data"])
        called, year = args["daemon"].name, args["year"]
        ca = k8s.core.v1.Secret(
            f"{unit}-ca",
            metadata={"name": f"{called}-ca", "namespace": namespace, "annotations": _SAME_MANAGER},
            data=pulumi.Output.secret(_authority(called, year)),
            opts=made_once,
        )
        host = f"{called}.{args['namespace']}.svc"
        hosts = [host, f"{host}.cluster.local"]
        validity = Validity(_start_of(year), _LIFETIME)
        return k8s.core.v1.Secret(
            f"{unit}-{year}",
            metadata={
                "name": f"{called}-{year}",
                "namespace": namespace,
                "annotations": _SAME_MANAGER,
            },
            data=pulumi.Output.secret(
                ca.data.apply(lambda data: _issue(called, data, hosts, validity))
            ),
            opts=made_once,
        )

    def _network_policies(
        self, unit: str, args: DaemonArgs, namespace: pulumi.Output[str]
    ) -> Sequence[pulumi.Resource]:
        """Let the jobs' namespaces reach the port, and nobody else anything."""
        daemon = args["daemon"]
        of_jobs: LabelSelectorRequirementArgsDict = {
            "key": "kubernetes.io/metadata.name",
            "operator": "In",
            "values": sorted(args["job_namespaces"]),
        }
        admitted: NetworkPolicyIngressRuleArgsDict = {
            "from_": [{"namespace_selector": {"match_expressions": [of_jobs]}}],
            "ports": [{"port": daemon.port, "protocol": "TCP"}],
        }
        child = pulumi.ResourceOptions(parent=self)
        return network_policies(
            unit, daemon.name, namespace, args["egress"], child, ingress=[admitted]
        )


def _digest(files: Mapping[str, str]) -> str:
    text = json.dumps(files, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _start_of(year: int) -> dt.datetime:
    return dt.datetime(year, 1, 1, tzinfo=dt.UTC)


def _authority(name: str, year: int) -> dict[str, str]:
    pair = authority(f"{name} of image-builds", Validity(_start_of(year), _CA_LIFETIME))
    return {"ca.pem": _encode(pair.certificate), "ca-key.pem": _encode(pair.key)}


def _issue(
    name: str, ca: Mapping[str, str], hosts: Sequence[str], validity: Validity
) -> dict[str, str]:
    signer = KeyPair(certificate=_decode(ca["ca.pem"]), key=_decode(ca["ca-key.pem"]))
    server = issue(signer, name, validity, hosts=hosts)
    client = issue(signer, "job", validity)
    return {
        "ca.pem": ca["ca.pem"],
        "server-cert.pem": _encode(server.certificate),
        "server-key.pem": _encode(server.key),
        "client-cert.pem": _encode(client.certificate),
        "client-key.pem": _encode(client.key),
    }


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()
