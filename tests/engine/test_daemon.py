import base64
import contextlib
import dataclasses
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from dev.cluster.control_plane import ControlPlane
from dev.toolchain.ensure import ensure
from tests.support.configured import STRATEGIES
from tests.support.harness import in_year
from tests.support.kubernetes import Api, apps_v1, core_v1
from tests.support.stacks import Outcome, Site, fresh_site

SERVICE = STRATEGIES["buildkit-service"]


def _names(urns: list[str]) -> set[str]:
    return {"::".join((urn.split("::")[2].rpartition(":")[2], urn.split("::")[3])) for urn in urns}


def _secret(core: Api, namespace: str, name: str) -> dict[str, bytes]:
    data: dict[str, str] = core.read_namespaced_secret(name, namespace).data or {}
    return {key: base64.b64decode(value) for key, value in data.items()}


@dataclasses.dataclass(frozen=True)
class Served:
    """A stack that has got a daemon; the tests of it go on from each other, as they stand here."""

    site: Site
    program: Callable[[], None]
    uid: str
    """That of the job namespace, before there was a daemon."""
    appeared: Outcome

    @property
    def jobs(self) -> str:
        return f"{self.site.prefix}-builds"

    @property
    def own(self) -> str:
        return f"{self.jobs}-buildkitd"


@pytest.fixture(scope="module")
def served(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    with (
        pytest.MonkeyPatch.context() as patch,
        fresh_site(control_plane, tmp_path_factory.mktemp("daemon")) as site,
        control_plane.api() as api,
    ):
        program = site.stack.run
        patch.setattr(site.stack, "run", in_year(program, 2026))
        site.write("kaniko")
        site.up()
        uid = core_v1(api).read_namespace(f"{site.prefix}-builds").metadata.uid
        site.write(SERVICE)
        yield Served(site, program, uid, site.up())


def test_it_appears_with_the_strategy(served: Served, control_plane: ControlPlane) -> None:
    appeared = served.appeared

    assert set(appeared.operations) == {"create", "update"}, appeared.output
    assert _names(appeared.operations["update"]) == {"Namespace::builds-jobs", "Release::builds"}
    assert served.site.preview().operations == {}
    with control_plane.api() as api:
        daemon = apps_v1(api).read_namespaced_deployment("buildkitd", served.own)
    assert daemon.status.available_replicas == 1


def test_a_client_without_a_certificate_of_the_ca_is_rejected(
    served: Served, core: Api, tmp_path: Path
) -> None:
    """With OpenSSL at both ends, as the daemon itself needs a node."""
    both = _secret(core, served.own, "buildkitd-2026")
    client_side = _secret(core, served.jobs, "daemon-certificates")
    for name, text in {**both, **client_side}.items():
        (tmp_path / name).write_bytes(text)

    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.pem")
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(tmp_path / "server-cert.pem", tmp_path / "server-key.pem")
    job = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    stranger = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    job.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    host = f"buildkitd.{served.own}.svc"

    _handshake(server, job, host)
    with pytest.raises(ssl.SSLError):
        _handshake(server, stranger, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(server, job, "elsewhere.svc")


def test_a_leaked_client_certificate_is_replaced(
    served: Served, core: Api, control_plane: ControlPlane
) -> None:
    """By the commands of docs/how-to/manage-stacks.md."""
    leaked = _secret(core, served.jobs, "daemon-certificates")
    kubectl = [ensure("kubectl").file, "--kubeconfig", control_plane.kubeconfig]
    kubectl += ["--namespace", served.own]

    subprocess.run([*kubectl, "delete", "secrets", "--all"], check=True)
    with served.site.stack.open() as stack:
        stack.refresh()
    replaced = served.site.up()
    subprocess.run([*kubectl, "delete", "pods", "--all", "--wait=false"], check=True)

    assert {kind: len(urns) for kind, urns in replaced.operations.items()} == {
        "create": 2,
        "update": 1,
    }
    renewed = _secret(core, served.jobs, "daemon-certificates")
    authority = x509.load_pem_x509_certificate(renewed["ca.pem"])
    old = x509.load_pem_x509_certificate(leaked["cert.pem"])
    new = x509.load_pem_x509_certificate(renewed["cert.pem"])
    new.verify_directly_issued_by(authority)
    with pytest.raises(InvalidSignature):
        old.verify_directly_issued_by(authority)


def test_a_new_year_brings_other_certificates_of_the_same_ca(
    served: Served, core: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then they stay as they are."""
    assert served.site.up().operations == {}
    ca, first = (
        _secret(core, served.own, "buildkitd-ca"),
        _secret(core, served.jobs, "daemon-certificates"),
    )

    monkeypatch.setattr(served.site.stack, "run", in_year(served.program, 2027))
    renewed = served.site.up()

    # The jobs' Secret and the daemon change in place; last year's Secret goes at the end.
    assert {kind: _names(urns) for kind, urns in renewed.operations.items()} == {
        "create": {"Secret::builds-buildkitd-2027"},
        "update": {"Deployment::builds-buildkitd", "Secret::builds-daemon"},
        "delete": {"Secret::builds-buildkitd-2026"},
    }
    second = _secret(core, served.jobs, "daemon-certificates")
    server = _secret(core, served.own, "buildkitd-2027")
    assert _secret(core, served.own, "buildkitd-ca") == ca
    assert first["key.pem"] != second["key.pem"]
    # A job that started last year still knows the daemon, and the daemon the job.
    authority = x509.load_pem_x509_certificate(first["ca.pem"])
    for certificate in (first["cert.pem"], second["cert.pem"], server["server-cert.pem"]):
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(authority)


def test_it_goes_with_the_strategy(served: Served, core: Api) -> None:
    served.site.write("kaniko")
    gone = served.site.up()

    assert set(gone.operations) == {"delete", "update"}, gone.output
    assert len(gone.operations["delete"]) == len(served.appeared.operations["create"])
    assert _names(gone.operations["update"]) == {"Namespace::builds-jobs", "Release::builds"}
    assert core.read_namespace(served.jobs).metadata.uid == served.uid
    assert served.own not in [item.metadata.name for item in core.list_namespace().items]


def test_runners_share_a_daemon_and_part_again(site: Site, core: Api) -> None:
    """Without a replacement of anything that stays."""
    shared = {"kind": "buildkit-service", "daemonOf": "builds", "acceptSharedBuilds": True}
    own, more = {"tags": ["build"], "strategy": SERVICE}, {"tags": ["more"], "strategy": SERVICE}
    site.write(SERVICE, runners={"builds": own, "more": more})
    site.up()
    uid = core.read_namespace(f"{site.prefix}-more").metadata.uid

    site.write(SERVICE, runners={"builds": own, "more": {**more, "strategy": shared}})
    joined = site.up()

    assert {kind: _names(urns) for kind, urns in joined.operations.items() if kind != "delete"} == {
        "update": {
            "NetworkPolicy::builds-buildkitd-ingress",
            "Release::more",
            "Secret::more-daemon",
        }
    }
    certificates = [
        _secret(core, f"{site.prefix}-{name}", "daemon-certificates") for name in ("builds", "more")
    ]
    assert certificates[0] == certificates[1]

    site.write(SERVICE, runners={"builds": own, "more": more})
    parted = site.up()

    assert _names(parted.operations["update"]) == _names(joined.operations["update"])
    assert len(parted.operations["create"]) == len(joined.operations["delete"])
    assert core.read_namespace(f"{site.prefix}-more").metadata.uid == uid
    others = _secret(core, f"{site.prefix}-more", "daemon-certificates")
    assert others["ca.pem"] != certificates[0]["ca.pem"]


def _handshake(server: ssl.SSLContext, client_side: ssl.SSLContext, host: str) -> None:
    """Let both speak in memory until they agree, or one of them objects."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client_side.wrap_bio(back, there, server_hostname=host),
        server.wrap_bio(there, back, server_side=True),
    ]
    for _ in range(10):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    for end in ends:
        end.do_handshake()
