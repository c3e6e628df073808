"""The paper of a site whose chargers come over TLS, and what its ledger and its log say."""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from gateway.chargers.port import KeyPair, Port, SecurityProfile
from gateway.decide.contract import Trust
from pki.issue.authority import Authority, Validity
from pki.issue.keys import encode_key_pem
from pki.verify.revocation import RevocationEvidence
from tests.gateway.conftest import Bench
from tests.gateway.rough_pki import Papers, crl, leaf, now
from wire.chain import RecordKind
from wire.records import AuditEntry, decode


@dataclass
class House:
    """Certificates of a site in a folder: the port's own and the stations'."""

    folder: Path
    papers: Papers
    serials: dict[str, int] = field(default_factory=dict)

    def server(self, name: str = "csms") -> KeyPair:
        """A pair of EC for the port."""
        pem = self.papers.server()
        path = self.folder / f"{name}.pem"
        path.touch(0o600)
        path.write_bytes(pem)
        return KeyPair(path, path)

    def rsa_server(self, name: str = "csms-rsa") -> KeyPair:
        """A pair of RSA, signed by itself: our PKI makes none."""
        key = rsa.generate_private_key(65537, 2048)
        named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "csms.test")])
        certificate = (
            x509.CertificateBuilder(named, named, key.public_key(), x509.random_serial_number())
            .not_valid_before(now() - timedelta(hours=1))
            .not_valid_after(now() + timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        path = self.folder / f"{name}.pem"
        path.touch(0o600)
        secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.write_bytes(certificate.public_bytes(pem) + secret)
        return KeyPair(path, path)

    def station(self, name: str, authority: Authority | None = None, validity: Validity | None = None) -> Path:
        """A certificate with its key, as a station holds them."""
        made, key = leaf(authority or self.papers.backend, name, validity=validity)
        self.serials[name] = made.serial
        path = self.folder / f"station {name} {made.serial:x}.pem"
        path.write_bytes(encode_key_pem(key) + made.pem().encode())
        return path

    def trust(self, *revoked: int, lists: Sequence[bytes] | None = None) -> Trust:
        """The anchors, and a list of the backend's root."""
        found = [crl(self.papers.backend, 1 + len(revoked), revoked=revoked)] if lists is None else list(lists)
        return Trust(anchors=self.papers.trust(), revocation=RevocationEvidence(crls=found))

    def client(
        self, station: Path | None = None, version: ssl.TLSVersion | None = None, ciphers: str | None = None
    ) -> ssl.SSLContext:
        """What a station trusts and shows."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if station is not None:
            context.load_cert_chain(station)
        return context


def tls_port(house: House, profile: int, *pairs: KeyPair) -> Port:
    return Port("[[chargers.port]] number 1", "127.0.0.1", 0, SecurityProfile(profile), pairs or (house.server(),))


def events(bench: Bench) -> list[AuditEntry]:
    return [decode(AuditEntry, r.body, "audit") for r in bench.records() if r.kind is RecordKind.AUDIT]


def said(capfd: pytest.CaptureFixture[str], event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    return [line for line in lines if line["event"] == event]
