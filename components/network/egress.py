"""What the stack file says of the connections that pods open."""

import ipaddress
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from components.network.addresses import METADATA, is_inside, is_private
from components.types import Model


def _cidr(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError as error:
        message = (
            "must be a range of addresses in CIDR notation, without bits of a host; write it like "
            "10.20.0.0/16, or 10.20.0.5/32 for one address"
        )
        raise ValueError(message) from error


def _port(value: int) -> int:
    if value > 65535:
        message = "must be a TCP port, 65535 or less; lower it"
        raise ValueError(message)
    return value


Cidr = Annotated[str, AfterValidator(_cidr)]
Port = Annotated[int, Field(ge=1), AfterValidator(_port)]


class Destination(Model):
    """Addresses that jobs may reach although the rest of their kind is closed."""

    cidr: Cidr
    """The addresses in CIDR notation: `10.20.0.0/16`, or `10.20.0.5/32` for one."""
    ports: list[Port] = Field(default_factory=list[int])
    """The TCP ports; by default all ports."""


class Egress(Model):
    """Which connections pods may open: by kinds of addresses, and to some that are named.

    A network plugin must enforce it. DNS stays open everywhere, and jobs reach their BuildKit
    daemon.
    """

    metadata: bool = False
    """Set `true` to let pods reach the cloud's metadata service, which gives them the permissions
    of their node. Workload identity of GKE needs it. Security: anyone who can run a job has the
    permissions of its node."""
    private: bool = True
    """Set `false` to keep jobs and builds from private addresses: other pods, nodes, the API
    server, and the networks that are connected to the cluster's. Managers keep them, since they
    need the API server. Name in `allow` what jobs need there, such as GitLab and registries.
    Security: with `false`, a job cannot reach what the network protects."""
    public: bool = True
    """Set `false` to keep jobs and builds from public addresses. Name in `allow` what they need
    there. With `private: false` too, only what `allow` names is left. Security: with `false`, a job
    cannot send sources and secrets elsewhere."""
    allow: list[Destination] = Field(default_factory=list[Destination])
    """What jobs and builds may reach of the addresses that `private: false` or `public: false`
    closes."""

    @model_validator(mode="after")
    def _allows_what_is_closed(self) -> Self:
        if self.allow and self.private and self.public:
            message = (
                "must not have allow while private and public are true, which allow all of it; "
                "remove allow, or set one of them to false"
            )
            raise ValueError(message)
        for item in self.allow:
            network = ipaddress.ip_network(item.cidr)
            if not self.metadata and any(is_inside(network, address) for address in METADATA):
                message = (
                    f"must not allow {item.cidr}, where a cloud serves metadata; remove it, or set "
                    "metadata: true"
                )
                raise ValueError(message)
        return self

    def reaches(self, host: str) -> bool:
        """Whether jobs reach a host; True for a name, whose addresses are not known here."""
        try:
            address = ipaddress.ip_network(host)
        except ValueError:
            return True
        allowed = any(is_inside(address, ipaddress.ip_network(item.cidr)) for item in self.allow)
        return allowed or (self.private if is_private(address) else self.public)

    @property
    def unlimited(self) -> bool:
        """Whether no address is closed."""
        return self.metadata and self.private and self.public


class Network(Model):
    """What the network policies of the stack allow."""

    egress: Egress = Egress()
    """Which connections the pods of jobs, managers and BuildKit daemons may open. By default all
    but those to the cloud's metadata service."""
