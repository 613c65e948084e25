"""What a short-lived pod sees of the network where jobs are: names, ways, proxies, packets."""

import ipaddress
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from components.image_reference import DOCKER_HUB
from components.network.addresses import METADATA as METADATA_SERVICES
from components.settings.models import Settings
from doctor.wanted import WantedRunner
from doctor.web import HUB

METADATA = f"http://{METADATA_SERVICES[0].network_address}/"
"""Where most clouds serve the credentials of nodes."""
_FACT = re.compile(r"^image-builds-doctor: ([\w-]+) (\S+)$", re.MULTILINE)
_PORTS = {"http": 80, "https": 443}

# GitLab's helper has Bash, which opens connections itself: the clients that an image may have do
# not agree on what they say of a failure. To open UDP sends nothing, but looks up the name.
# An answer over plain HTTP, or to a client that speaks TLS, is read to its end: its large packets
# get lost where the network of the pods lets through smaller ones than their interface says.
SCRIPT = r"""
say() { echo "image-builds-doctor: $1 $2"; }
opens() {
  said=$(timeout "$1" bash -c 'exec 3<>"/dev/$0/$1/$2"' "$2" "$3" "$4" 2>&1)
  code=$?
}
reach() {
  opens 8 udp "$1" 9
  case "$code:$said" in
  0:* | *unreachable*) ;;
  12[67]:*) found=unknown; return ;;
  *) found=name; return ;;
  esac
  opens 4 tcp "$1" "$2"
  found=open
  [ "$code" = 0 ] || found=closed
}
ask() {
  timeout 8 bash -c 'exec 3<>"/dev/tcp/$0/$1"; printf "$2" >&3; eval "$3"' "$@" 2>/dev/null
}
look() {
  reach "$2" "$3"
  if [ "$found" = open ] && [ "$4" ]; then
    case "$1" in
    http:*) ask "$2" "$3" "GET $4 HTTP/1.0\r\nHost: $2\r\n\r\n" 'cat <&3' >/dev/null ;;
    *) ! wget -T 8 -O /dev/null "$1" 2>&1 | grep -q 'timed out' || (exit 124) ;;
    esac
    case $? in 124 | 143) found=stalls ;; esac
  fi
  say "$found" "$1"
}
closes() {
  for _ in 1 2 3 4 5; do
    reach "$2" "$3"
    [ "$found" = open ] || break
    sleep 1
  done
  say "$found" "$1"
}
through() {
  reach "$2" "$3"
  case "$found" in
  open) ;;
  unknown) say unknown "$1"; return ;;
  *) say "proxy-$found" "$1"; return ;;
  esac
  line=$(ask "$2" "$3" "$4\r\n\r\n" 'read -r _ code _ <&3; echo "$code"')
  case "$line" in
  40[37] | 5?? | "") say "proxy-${line:-silent}" "$1" ;;
  *) say open "$1" ;;
  esac
}
if mtu=$(cat /sys/class/net/eth0/mtu); then say mtu "$mtu"; fi
"""


class Asked(NamedTuple):
    """An address that jobs ask; an empty ``path`` says that only the connection matters."""

    url: str
    path: str

    @property
    def host(self) -> str:
        """The host, without the brackets of an address of IPv6."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The port, by default that of the scheme."""
        parts = urlsplit(self.url)
        return parts.port or _PORTS[parts.scheme]


class Facts(NamedTuple):
    """What the pod said: how each address answered, and the bytes of its largest packet."""

    addresses: Mapping[str, str]
    mtu: int | None


def places(settings: Settings, runner: WantedRunner) -> Iterator[Asked]:
    """Yield what jobs reach: GitLab, the storage of caches, registries and mirrors."""
    for url in (settings.gitlab.url, settings.gitlab.clone_url, runner.cache_url):
        if url:
            yield Asked(url, urlsplit(url).path or "/")
    schemes = {item.host.partition("/")[0]: item.insecure for item in settings.registries}
    for host in dict.fromkeys([*schemes, *settings.registry_mirrors]):
        place = HUB if host == DOCKER_HUB else host
        yield Asked(f"http{'' if schemes.get(host) else 's'}://{place}/v2/", "/v2/")


def proxy_of(runner: WantedRunner, place: Asked) -> str:
    """Return the address of the proxy by which jobs reach a place, empty where they need none."""
    pairs = (entry.split("=", 1) for entry in runner.toml.get("environment", []))
    given = {name.lower(): text for name, text in pairs}
    exceptions = given.get("no_proxy", "").split(",")
    if not place.path or any(_is_of(place.host, place.port, item) for item in exceptions):
        return ""
    return given.get(f"{urlsplit(place.url).scheme}_proxy", "")


def script(runner: WantedRunner, asked: Iterable[Asked]) -> str:
    """Return the script of the pod; what a proxy leads to is asked by it, as jobs do."""
    # All at once: what does not answer takes its time.
    return (
        SCRIPT
        + "".join(f"{_line(place, proxy_of(runner, place))} &\n" for place in asked)
        + "wait\n"
    )


def _line(place: Asked, proxy: str) -> str:
    host, port = place.host, place.port
    if not proxy:
        # A pod can start before its network plugin has the rules for it.
        command = ["look"] if place.path else ["closes"]
        return shlex.join([*command, place.url, host, str(port), *filter(None, [place.path])])
    by = Asked(proxy, "")
    asks = f"CONNECT {host}:{port}" if place.url.startswith("https:") else f"GET {place.url}"
    request = rf"{asks} HTTP/1.1\r\nHost: {host}:{port}"
    return shlex.join(["through", place.url, by.host, str(by.port), request])


def _is_of(host: str, port: int, exception: str) -> bool:
    """Whether a proxy's exception has a host: a host, a domain, or a range of addresses.

    It is so for programs in Go, which most tools of jobs are (golang.org/x/net/http/httpproxy);
    what requests does takes any end of a name for a domain.
    """
    name = exception.strip().removesuffix(f":{port}").lstrip(".")
    if name in {"*", host} or (name and host.endswith(f".{name}")):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name)
    except ValueError:
        return False


def read(log: str) -> Facts:
    """Return what a log of the pod says."""
    facts = {what: found for found, what in _FACT.findall(log)}
    sizes = [int(what) for what, found in facts.items() if found == "mtu"]
    addresses = {what: found for what, found in facts.items() if found != "mtu"}
    return Facts(addresses, sizes[0] if sizes else None)
