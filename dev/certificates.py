"""Certificates for the local cluster, made for the occasion and good for nowhere else.

One CA signs everything. Keys are readable by their owner only.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from components.resources.certificates import KeyPair, Validity, authority, issue, private
from dev.files import write_private

LIFETIME = dt.timedelta(days=365)
RENEW_BEFORE = dt.timedelta(days=30)


def _validity() -> Validity:
    return Validity(dt.datetime.now(dt.UTC), LIFETIME)


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
            self._write("ca", authority("image-builds local cluster", _validity()))

    def _fresh(self) -> bool:
        if not self.certificate_file.exists():
            return False
        certificate = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        return certificate.not_valid_after_utc - dt.datetime.now(dt.UTC) > RENEW_BEFORE

    def issue(
        self, name: str, common_name: str, groups: Sequence[str] = (), hosts: Sequence[str] = ()
    ) -> tuple[Path, Path]:
        """Return the certificate and key files of ``name``, for a client, or a server of hosts."""
        certificate_file, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        if not (certificate_file.exists() and key_file.exists()):
            signer = KeyPair(
                certificate=self.certificate_file.read_text(encoding="ascii"),
                key=(self.folder / "ca.key").read_text(encoding="ascii"),
            )
            pair = issue(signer, common_name, _validity(), groups=groups, hosts=hosts)
            self._write(name, pair)
        return certificate_file, key_file

    def signing_key(self, name: str) -> Path:
        """Return the file of a key pair that signs tokens and has no certificate."""
        file = self.folder / f"{name}.key"
        if not file.exists():
            write_private(
                file, private(rsa.generate_private_key(public_exponent=65537, key_size=2048))
            )
        return file

    def _write(self, name: str, pair: KeyPair) -> None:
        """Write the key first: a certificate that is there has one."""
        write_private(self.folder / f"{name}.key", pair.key)
        write_private(self.folder / f"{name}.crt", pair.certificate)
