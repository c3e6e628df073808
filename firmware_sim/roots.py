"""The root certificates that a charger holds, by their use: installed, listed and deleted by the gateway.

Kept as `trust/USE/SHA256.pem` in the charger's folder. They are for checks of the charger itself: contract chains while
it is offline, and the gateway's TLS certificate.

Source: OCPP 2.0.1 Part 2 M03 to M05, C07; OCSPRequestDataType, CertificateHashDataType.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from firmware_sim.lines import kept

USES = ("V2GRootCertificate", "MORootCertificate", "CSMSRootCertificate", "ManufacturerRootCertificate")
MOST = 20
"""CertificateStoreMaxLength."""


class Roots:
    """The certificates under `folder`. Every method raises StateError: no access."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "trust"

    def install(self, use: str, pem: str) -> str:
        """OCPP's status: Accepted; Rejected for what is no single certificate; Failed when there is no room."""
        try:
            found = x509.load_pem_x509_certificates(pem.encode())
        except ValueError:
            return "Rejected"
        if len(found) != 1 or not _is_usable(found[0]):
            return "Rejected"
        name = f"{found[0].fingerprint(hashes.SHA256()).hex()}.pem"
        path = self._folder / use / name
        if not path.exists() and sum(1 for _ in self._folder.glob("*/*.pem")) >= MOST:
            return "Failed"
        with kept(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(".new")
            aside.write_bytes(found[0].public_bytes(serialization.Encoding.PEM))
            aside.replace(path)
        return "Accepted"

    def held(self, uses: Iterable[str] = ()) -> tuple[tuple[str, x509.Certificate], ...]:
        """Use and certificate of all that are held for `uses`, or for any when none is named."""
        wanted = set(uses)
        with kept(self._folder):
            paths = sorted(self._folder.glob("*/*.pem"))
            return tuple(
                (path.parent.name, x509.load_pem_x509_certificate(path.read_bytes()))
                for path in paths
                if not wanted or path.parent.name in wanted
            )

    def delete(self, named: Mapping[str, str]) -> str:
        """OCPP's status for a certificate that is named by its hashes: Accepted or NotFound."""
        for use, certificate in self.held():
            if _same(hash_data(certificate, certificate, named.get("hashAlgorithm", "SHA256")), named):
                path = self._folder / use / f"{certificate.fingerprint(hashes.SHA256()).hex()}.pem"
                with kept(path):
                    path.unlink(missing_ok=True)
                return "Accepted"
        return "NotFound"

    def root_of(self, chain: tuple[x509.Certificate, ...]) -> x509.Certificate | None:
        """The held MO root that issued the last of `chain`; None when there is none."""
        for _, root in self.held(("MORootCertificate",)):
            if chain and _issued(chain[-1], root):
                return root
        return None

    def vouch_for(self, chain_pem: str, at: datetime) -> bool:
        """Whether a contract chain (PEM, leaf first) leads to a held MO root and is valid at `at`.

        That is all a charger checks here, and less than the gateway does: no profile, no revocation.
        """
        chain = read_chain(chain_pem)
        if not chain or self.root_of(chain) is None:
            return False
        if not all(_issued(below, above) for below, above in pairwise(chain)):
            return False
        return all(each.not_valid_before_utc <= at <= each.not_valid_after_utc for each in chain)

    def chain_hashes(self, chain_pem: str) -> tuple[dict[str, str], ...]:
        """OCSPRequestDataType for each certificate of a chain whose root is held; empty when it is not, or when one of
        them names no responder."""
        chain = read_chain(chain_pem)
        root = self.root_of(chain)
        if root is None:
            return ()
        named = []
        for below, above in pairwise((*chain, root)):
            url = _responder(below)
            if url is None:
                return ()
            named.append({**hash_data(below, above), "responderURL": url})
        return tuple(named[:4])


def read_chain(pem: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a chain; empty for what is none."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem.encode()))
    except ValueError:
        return ()


def hash_data(certificate: x509.Certificate, issuer: x509.Certificate, algorithm: str = "SHA256") -> dict[str, str]:
    """CertificateHashDataType: hashes of the issuer's name and key bits, and the serial number, in hex."""
    hashed = {"SHA256": hashlib.sha256, "SHA384": hashlib.sha384, "SHA512": hashlib.sha512}[algorithm]
    return {
        "hashAlgorithm": algorithm,
        "issuerNameHash": hashed(certificate.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": hashed(_key_bits(issuer)).hexdigest(),
        "serialNumber": f"{certificate.serial_number:x}",
    }


def _key_bits(certificate: x509.Certificate) -> bytes:
    """The bits of subjectPublicKey, which RFC 6960 hashes."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return key.public_bytes_raw()
    raise ValueError(f"no charger holds a {type(key).__name__}")


def _is_usable(certificate: x509.Certificate) -> bool:
    try:
        return bool(_key_bits(certificate))
    except (ValueError, UnsupportedAlgorithm):
        return False


def _same(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    names = ("issuerNameHash", "issuerKeyHash")
    if any(one[name].casefold() != other.get(name, "").casefold() for name in names):
        return False
    return one["serialNumber"] == other.get("serialNumber", "").casefold().lstrip("0")


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _responder(certificate: x509.Certificate) -> str | None:
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_INFORMATION_ACCESS).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    if not isinstance(found, x509.AuthorityInformationAccess):
        return None
    for access in found:
        location = access.access_location
        if access.access_method == AuthorityInformationAccessOID.OCSP:
            return str(location.value) if isinstance(location, x509.UniformResourceIdentifier) else None
    return None
