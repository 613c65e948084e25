"""The addresses that a network policy allows, by what they are.

Only the standard library is imported here, since the policy pack links this folder.
"""

import dataclasses
import functools
import ipaddress
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias, cast

AnyNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

METADATA = tuple(
    map(
        ipaddress.ip_network,
        (
            # AWS, Azure, Google Cloud, Oracle Cloud, OpenStack: "instance metadata".
            "169.254.169.254/32",
            # GKE: its own metadata server, to which nodes redirect the address above.
            "169.254.169.252/32",
            # Azure: "What is IP address 168.63.129.16?", the host's agent.
            "168.63.129.16/32",
            # Alibaba Cloud: "Instance metadata".
            "100.100.100.200/32",
            # AWS, Google Cloud and Oracle Cloud over IPv6.
            "fd00:ec2::254/128",
            "fd20:ce::254/128",
            "fd00:c1::a9fe:a9fe/128",
        ),
    )
)
"""Where clouds give a machine its metadata, and with them the credentials of its role."""

PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        # RFC 1918, 6598 (shared) and 3927 (link-local); RFC 4193 and 4291.
        (
            *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
            *("fc00::/7", "fe80::/10"),
        ),
    )
)
"""Addresses that are not of the internet, those of pods and nodes included."""

_EVERYTHING = tuple(map(ipaddress.ip_network, ("0.0.0.0/0", "::/0")))
_PUBLIC_NAME = "public addresses"
_PRIVATE_NAME = "private addresses"
METADATA_NAME = "the metadata services of clouds"
CLASSES = (_PUBLIC_NAME, _PRIVATE_NAME, METADATA_NAME)
"""What reports call the addresses."""


@dataclasses.dataclass(frozen=True)
class Route:
    """A range of addresses, without some of them, as a network policy writes it."""

    cidr: str
    without: tuple[str, ...] = ()


def routes(*, public: bool, private: bool, metadata: bool) -> Iterator[Route]:
    """Yield the ranges that have all addresses of these kinds and no others."""
    if public:
        denied = (*(() if private else PRIVATE), *(() if metadata else METADATA))
        yield from (route(whole, denied) for whole in _EVERYTHING)
    elif private:
        yield from (route(whole, () if metadata else METADATA) for whole in PRIVATE)
    if metadata and not (public and private):
        yield from (Route(str(address)) for address in METADATA)


def route(whole: AnyNetwork, denied: Iterable[AnyNetwork]) -> Route:
    """Return a range without those of the denied ones that it contains."""
    inside = [item for item in denied if is_inside(item, whole) and item != whole]
    # The type of the argument of collapse_addresses has one version of addresses only.
    collapsed = ipaddress.collapse_addresses(cast("list[ipaddress.IPv4Network]", inside))
    return Route(str(whole), tuple(map(str, collapsed)))


def is_inside(part: AnyNetwork, whole: AnyNetwork) -> bool:
    """Whether all addresses of one network are also in another one."""
    return part.version == whole.version and (
        int(whole.network_address) <= int(part.network_address)
        and int(part.broadcast_address) <= int(whole.broadcast_address)
    )


def is_private(part: AnyNetwork) -> bool:
    """Whether all addresses of a network are private ones."""
    return any(is_inside(part, whole) for whole in PRIVATE)


def classes_of(cidr: str, without: Iterable[str]) -> frozenset[str] | None:
    """Return what the addresses of a range are, None for one that ``routes`` does not yield."""
    return _known().get((cidr, frozenset(without)))


def kind_of(cidr: str) -> str | None:
    """Return what all addresses of a range are, None where they are not of one kind."""
    try:
        part = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return None
    if is_private(part):
        return _PRIVATE_NAME
    if any(is_inside(whole, part) for whole in (*PRIVATE, *METADATA)):
        return None
    return _PUBLIC_NAME


@functools.cache
def _known() -> Mapping[tuple[str, frozenset[str]], frozenset[str]]:
    found: dict[tuple[str, frozenset[str]], frozenset[str]] = {}
    addresses = {str(address) for address in METADATA}
    everything = {str(whole) for whole in _EVERYTHING}
    for public, private, metadata in itertools.product((True, False), repeat=3):
        for item in routes(public=public, private=private, metadata=metadata):
            whole = ipaddress.ip_network(item.cidr)
            reached = any(is_inside(address, whole) for address in METADATA) and metadata
            kinds = {
                _PUBLIC_NAME: item.cidr in everything,
                _PRIVATE_NAME: private and item.cidr not in addresses,
                METADATA_NAME: reached,
            }
            found[item.cidr, frozenset(item.without)] = frozenset(
                name for name, has in kinds.items() if has
            )
    return found
