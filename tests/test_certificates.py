import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from components.resources.certificates import KeyPair, Validity, authority, issue, private

DAY = Validity(dt.datetime.now(dt.UTC), dt.timedelta(days=1))
CA = authority("a test", DAY)


def _read(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.encode())


def _policy(ca: KeyPair) -> PolicyBuilder:
    return PolicyBuilder().store(Store([_read(ca)]))


def test_a_server_is_known_by_its_hosts() -> None:
    server = _read(issue(CA, "a-daemon", DAY, hosts=["a-daemon.builds.svc"]))

    _policy(CA).build_server_verifier(x509.DNSName("a-daemon.builds.svc")).verify(server, [])

    elsewhere = _policy(CA).build_server_verifier(x509.DNSName("other.builds.svc"))
    with pytest.raises(VerificationError):
        elsewhere.verify(server, [])


def test_a_client_is_no_server() -> None:
    client = _read(issue(CA, "a-job", DAY))

    uses = client.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_another_ca_vouches_for_nobody_here() -> None:
    server = _read(issue(authority("a test", DAY), "a-daemon", DAY, hosts=["a-daemon"]))

    with pytest.raises(VerificationError):
        _policy(CA).build_server_verifier(x509.DNSName("a-daemon")).verify(server, [])


def test_it_lasts_as_long_as_it_is_asked_to() -> None:
    since = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    certificate = _read(issue(CA, "a-job", Validity(since, dt.timedelta(days=900))))

    assert certificate.not_valid_after_utc == since + dt.timedelta(days=900)


def test_a_key_of_another_kind_signs_nothing() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    with pytest.raises(TypeError, match="elliptic-curve"):
        issue(KeyPair(certificate=CA.certificate, key=private(key)), "a-job", DAY)


def test_a_key_is_never_printed() -> None:
    assert "PRIVATE" not in repr(CA)
