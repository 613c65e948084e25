"""Certificates by which programs of one stack know each other: a CA, and what it signs.

Pure but for the source of random numbers; who keeps them is not decided here.
"""

import dataclasses
import datetime as dt
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyPair:
    """A certificate and its private key, both as PEM."""

    certificate: str
    key: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Validity:
    """When a certificate begins, and how long it lasts."""

    since: dt.datetime
    lifetime: dt.timedelta


def authority(common_name: str, validity: Validity) -> KeyPair:
    """Make a CA that signs leaf certificates only."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(common_name, ())
    builder = _builder(subject, subject, key.public_key(), validity)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return _signed(builder, key, key)


def issue(
    signer: KeyPair,
    common_name: str,
    validity: Validity,
    *,
    groups: Sequence[str] = (),
    hosts: Sequence[str] = (),
) -> KeyPair:
    """Make a certificate that ``signer`` vouches for: a client's, or a server's of ``hosts``.

    Raises:
        TypeError: the signer's key is not one that ``authority`` makes.
    """
    issuer = x509.load_pem_x509_certificate(signer.certificate.encode())
    issuer_key = serialization.load_pem_private_key(signer.key.encode(), password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        message = "the CA's key is not the elliptic-curve key that was made for it"
        raise TypeError(message)
    key = ec.generate_private_key(ec.SECP256R1())
    uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] * bool(hosts))]
    builder = _builder(_name(common_name, groups), issuer.subject, key.public_key(), validity)
    builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    leaf = x509.BasicConstraints(ca=False, path_length=None)
    builder = builder.add_extension(leaf, critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return _signed(builder, key, issuer_key)


def private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """Write a private key as PEM, without a passphrase."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _signed(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    signing_key: ec.EllipticCurvePrivateKey,
) -> KeyPair:
    certificate = builder.sign(signing_key, hashes.SHA256())
    text = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return KeyPair(certificate=text, key=private(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, validity: Validity
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # Clocks differ.
        .not_valid_before(validity.since - dt.timedelta(minutes=5))
        .not_valid_after(validity.since + validity.lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """What a key is for; Python 3.13 and later refuse certificates that do not say so."""
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str, groups: Sequence[str]) -> x509.Name:
    """Kubernetes reads the user from CN and the groups from O."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
