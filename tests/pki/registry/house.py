"""A small PKI with a clock that is set: founded once, copied for each test, and judged by the verifier."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from pki.certificate import Certificate
from pki.errors import PKIError
from pki.issue.declaration import parse_declaration
from pki.issue.keys import PrivateKey, generate_key, signing_hash
from pki.issue.request import CheckedRequest, verify_request
from pki.profiles import profile_named
from pki.service.acts.anchoring import anchors
from pki.service.acts.founding import Foundation, found
from pki.service.acts.issuing import Issued, Wanted, issue
from pki.service.registry import Actor, Registry
from pki.service.settings import PKISettings
from pki.service.state_folder import OfflineKeys, open_registry
from pki.service.store.publications import ListKind, find_list
from pki.verify import RevocationEvidence, TrustStore, verify

BEGIN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
BY = Actor(who="operator:anna", why="test")
CONTRACT, CLIENT, SERVER, SECC = (
    profile_named(name) for name in ("iso15118-2-contract", "backend-client", "backend-server", "iso15118-2-secc")
)
SETTINGS = """\
[pki]
organization = "Small PKI"
country = "DE"
[keys]
passphrase_file = "passphrase"
[approvals]
roots = {approvals}
"""
DECLARATION = """\
organization = "Small PKI"
country = "DE"
ca_age_days = 1
crl_days = 7
backdate_minutes = 5
publication = "http://127.0.0.1:8081"
publish_all = true
[root.v2g]
common_name = "V2G Root"
role = "v2g"
[root.mo]
common_name = "MO Root"
role = "mo"
[[branch]]
name = "mo"
folder = "contracts"
profile = "iso15118-2-contract"
root = "mo"
sub1 = "MO Sub 1"
sub2 = "MO Sub 2"
leaf = [
  { name = "alice", common_name = "DEABC000000001" },
  { name = "carl", common_name = "DEABC000000003", state = "revoked" },
]
[[branch]]
name = "cpo"
folder = "secc"
profile = "iso15118-2-secc"
root = "v2g"
sub1 = "CPO Sub 1"
sub2 = "CPO Sub 2"
leaf = []
[backend]
common_name = "Backend Root"
dns_names = ["localhost"]
addresses = ["127.0.0.1"]
clients = []
"""


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    at: datetime = BEGIN

    def __call__(self) -> datetime:
        return self.at

    def move(self, by: timedelta) -> None:
        self.at += by


def found_small(folder: Path, *, approvals: bool = False) -> None:
    """The PKI of DECLARATION, founded at BEGIN."""
    text = SETTINGS.format(approvals=str(approvals).lower())
    settings: PKISettings = msgspec.toml.decode(text, type=PKISettings)
    foundation = Foundation(
        declaration=parse_declaration(DECLARATION), settings=settings, settings_text=text, make_passphrase=True
    )
    found(folder, foundation, BY, Clock())


def copy_of(folder: Path, target: Path) -> Path:
    """A state folder like another one; nobody has it open."""
    return Path(shutil.copytree(folder, target))


def opened(folder: Path, clock: Clock, offline: OfflineKeys | None = None) -> Registry:
    """The registry of a folder, by that clock."""
    return open_registry(folder, offline, now=clock)


def request_for(common_name: str, key: PrivateKey | None = None) -> CheckedRequest:
    """A checked request for a new P-256 key, or for that key."""
    key = key or generate_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, signing_hash(key))
    der = made.public_bytes(serialization.Encoding.DER)
    kinds = {algorithm.key for algorithm in (*CONTRACT.algorithms, *profile_named("iso15118-20-contract").algorithms)}
    return verify_request(der, kinds=kinds)


def contract(registry: Registry, number: int, key: PrivateKey | None = None, days: int | None = None) -> Issued:
    """A new contract certificate of the account with that number."""
    public_key = (key or generate_key()).public_key()
    name = f"DEABC{number:09}"
    return issue(registry, Wanted(profile=CONTRACT, common_name=name, public_key=public_key, days=days), BY)


def client(registry: Registry, name: str, key: PrivateKey | None = None) -> Issued:
    """A new client certificate."""
    public_key = (key or generate_key()).public_key()
    return issue(registry, Wanted(profile=CLIENT, common_name=name, public_key=public_key), BY)


def trust_of(registry: Registry) -> TrustStore:
    """All that is to be trusted, as `pnc-pki trust` writes it."""
    held: dict[object, list[Certificate]] = {}
    for anchor in anchors(registry):
        held.setdefault(anchor.role, []).append(anchor.certificate)
    return TrustStore(held)  # type: ignore[arg-type]  # keys are roles


def lists_of(registry: Registry, kinds: Iterable[ListKind] = (ListKind.FULL,)) -> list[bytes]:
    """The published lists of every authority."""
    with registry.reading() as connection:
        found = [find_list(connection, name, kind) for name in registry.authorities() for kind in kinds]
    return [made.der for made in found if made is not None]


def judged(registry: Registry, chain: Iterable[Certificate], trust: TrustStore | None = None) -> str:
    """What the verifier says of a contract chain by the anchors and lists of the registry: accepted, or the code."""
    evidence = RevocationEvidence(lists_of(registry))
    der = tuple(certificate.der for certificate in chain)
    try:
        verify(der, profile=CONTRACT, trust=trust or trust_of(registry), at=registry.now(), revocation=evidence)
    except PKIError as error:
        return error.code
    return "accepted"
