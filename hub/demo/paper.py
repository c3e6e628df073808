"""The certificates of the demo: one root made for it, a certificate for each program and each gateway.

Keys are P-256 and good for some days; nothing outside the demo's folder trusts the root.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT_FILE = "root.pem"
_GOOD_FOR = timedelta(days=30)
_CERTIFICATE_SIGNING = x509.KeyUsage(False, False, False, False, False, True, True, False, False)


class Paper:
    """A root and what it issues, as PEM files in a folder."""

    def __init__(self, folder: Path, at: datetime) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, self._at, self._key = folder, at, ec.generate_private_key(ec.SECP256R1())
        self._name = _named("demo root")
        self.root = folder / ROOT_FILE
        builder = self._builder(self._name, self._key.public_key(), is_ca=True)
        self.root.write_bytes(_pem(self._signed(builder.add_extension(_CERTIFICATE_SIGNING, critical=True))))

    def issue(self, common_name: str) -> tuple[Path, Path]:
        """The files of a certificate for `common_name` and localhost, and of its key, mode 0600."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_named(common_name), key.public_key(), is_ca=False)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        certificate = self._folder / f"{common_name}.pem"
        certificate.write_bytes(_pem(self._signed(builder.add_extension(names, critical=False))))
        secret = self._folder / f"{common_name}.key.pem"
        descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(
                key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
        return certificate, secret

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, is_ca: bool) -> x509.CertificateBuilder:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._at - timedelta(hours=1))
            .not_valid_after(self._at + _GOOD_FOR)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(authority, critical=False)
        )

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._key, hashes.SHA256())


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
