"""Certificates for the local cluster, made for the occasion and good for nowhere else.

One CA signs everything. Keys are readable by their owner only.
"""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=365)
RENEW_BEFORE = dt.timedelta(days=30)

_AUTHORITY = x509.BasicConstraints(ca=True, path_length=0)
_LEAF = x509.BasicConstraints(ca=False, path_length=None)


class Authority:
    """A CA in ``folder``, made anew when it is missing or ends within 30 days."""

    def __init__(self, folder: Path) -> None:
        """Load the CA, or make it and drop every certificate that an older one signed."""
        self.folder = folder
        self.certificate_file = folder / "ca.crt"
        if not self._fresh():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for stale in folder.glob("*.crt"):
                stale.unlink()
            key = ec.generate_private_key(ec.SECP256R1())
            subject = _name("image-builds local cluster", [])
            builder = _builder(subject, subject, key.public_key())
            builder = builder.add_extension(_AUTHORITY, critical=True)
            builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
            certificate = builder.sign(key, hashes.SHA256())
            _write(folder / "ca.key", _private(key))
            _write(self.certificate_file, certificate.public_bytes(serialization.Encoding.PEM))

    def _fresh(self) -> bool:
        if not self.certificate_file.exists():
            return False
        certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        return certificate.not_valid_after_utc - _now() > RENEW_BEFORE

    def issue(
        self,
        name: str,
        common_name: str,
        groups: Sequence[str] = (),
        hosts: Sequence[str] = (),
    ) -> tuple[Path, Path]:
        """Return the certificate and key files of ``name``, for a client, or a server of hosts."""
        certificate_file, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if certificate_file.exists() and key_file.exists():
            return certificate_file, key_file
        issuer = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        issuer_key = serialization.load_pem_private_key(
            (self.folder / "ca.key").read_bytes(),
            password=None,
        )
        if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
            message = f"{self.folder / 'ca.key'} is not the key that was written there"
            raise TypeError(message)
        key = ec.generate_private_key(ec.SECP256R1())
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] * bool(hosts))]
        builder = _builder(_name(common_name, groups), issuer.subject, key.public_key())
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        builder = builder.add_extension(_LEAF, critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        builder = builder.add_extension(signer, critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(issuer_key, hashes.SHA256())
        _write(key_file, _private(key))
        _write(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))
        return certificate_file, key_file

    def signing_key(self, name: str) -> Path:
        """Return the file of a key pair that signs tokens and has no certificate."""
        file = self.folder / f"{name}.key"
        if not file.exists():
            _write(file, _private(rsa.generate_private_key(public_exponent=65537, key_size=2048)))
        return file


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    now = _now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
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


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _name(common_name: str, groups: Sequence[str]) -> x509.Name:
    """Kubernetes reads the user from CN and the groups from O."""
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(file: Path, content: bytes) -> None:
    """Write a file whole or not at all, since one that is there is never written again."""
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    part.chmod(0o600)
    part.write_bytes(content)
    part.replace(file)
