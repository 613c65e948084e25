"""The HTTP proxy of a site: what reaches the outside by it, and what is reached without it."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from components.network.addresses import is_private
from components.types import Model, Url

_OWN = ("localhost", "127.0.0.1", "::1", ".svc", ".cluster.local")
"""The pod itself, and Services of the cluster by the names that end with these."""


def _exception(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        if re.fullmatch(r"\.?[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?", value):
            return value
    message = (
        "must be a host, a domain that begins with '.', an address or a range of addresses, "
        "without a scheme or '*'; correct it"
    )
    raise ValueError(message)


Exception_ = Annotated[str, AfterValidator(_exception)]


class Proxy(Model):
    """An HTTP proxy that leads out of the site, for all that needs one."""

    http: Url | None = None
    """The proxy for addresses with `http://`, with its port: `http://proxy.example.com:3128`.
    Security: a login is rejected, since the address is readable wherever it is set."""
    https: Url | None = None
    """The proxy for addresses with `https://`, which most often is the same."""
    except_: list[Exception_] = Field(default_factory=list[str], alias="except")
    """What is reached without the proxy: hosts, domains that begin with `.`, addresses and ranges.
    The API server, Services of the cluster, registries with `insecure` and those at a private
    address are never reached by it, and need no entry."""

    @model_validator(mode="after")
    def _is_for_something(self) -> Self:
        if not (self.http or self.https):
            message = "must have http or https; add the address of the proxy, or remove proxy"
            raise ValueError(message)
        return self

    def variables(self, direct: Iterable[str]) -> dict[str, str]:
        """Return the variables of a program, in both spellings; ``direct`` hosts are excepted.

        Programs read either spelling (docs.gitlab.com: runner/configuration/proxy).
        """
        exceptions = dict.fromkeys((*_OWN, *direct, *self.except_))
        pairs = {
            "HTTP_PROXY": self.http,
            "HTTPS_PROXY": self.https,
            "NO_PROXY": ",".join(exceptions),
        }
        given = {name: value for name, value in pairs.items() if value}
        return {**given, **{name.lower(): value for name, value in given.items()}}

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Yield the address of each proxy, by its key."""
        pairs: Mapping[str, str | None] = {"http": self.http, "https": self.https}
        yield from ((key, value) for key, value in pairs.items() if value)


def is_near(host: str) -> bool:
    """Whether a host is an address of private networks, which no proxy leads to."""
    try:
        return is_private(ipaddress.ip_network(host))
    except ValueError:
        return False
