"""Contract bundles for tests: a service that signs, contracts that are certified, cars that open them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric import ec, x448

from pki.certificate import KeyKind
from pki.issue.authority import Authority, LeafOrder, Publication, Subject, Validity, create_root
from pki.issue.contract import ContractBundle, ContractData, make_contract_data, sign_contract
from pki.issue.keys import PrivateKey, PublicKey, fresh_serial, generate_key
from pki.issue.sealing import USUAL, CarPrivateKey, Readings, Suite, iv_octets, suite_of
from pki.issue.signed_parts import PLAIN, Encoding
from pki.profile import AnchorRole, Generation
from pki.profiles import profile_named
from pki.verify import TrustStore
from tests.pki.mint import AT

EMAID = "DEABC000000001"
PCID = "WVWABCDEFGH1234567"
LIFE = Validity(AT - timedelta(days=10), AT + timedelta(days=60))
_POINT = Publication(responder="http://ocsp.example")


@dataclass
class House:
    """The branches of one kind of car: contracts below an MO root, the provisioning service below a V2G root."""

    suite: Suite
    contracts: Authority
    service: Authority
    root: Authority
    service_key: PrivateKey
    service_chain: tuple[bytes, ...]

    @property
    def trust(self) -> TrustStore:
        """What the car holds: the V2G root."""
        return TrustStore({AnchorRole.V2G: [self.root.certificate]})

    def certify(self, key: PublicKey, emaid: str = EMAID) -> tuple[bytes, ...]:
        """A contract's chain."""
        return chain_of(self.contracts, key, emaid, "MO")

    def data(self, car: CarPrivateKey, readings: Readings = USUAL, pcid: str = PCID) -> ContractData:
        """New contract data for a car."""
        iv = bytes(range(iv_octets(self.suite)))
        return make_contract_data(car.public_key(), self.certify, pcid=pcid, iv=iv, readings=readings)

    def bundle(self, car: CarPrivateKey, readings: Readings = USUAL, encoding: Encoding = PLAIN) -> ContractBundle:
        """The same, signed."""
        return self.sign(self.data(car, readings), encoding)

    def sign(self, data: ContractData, encoding: Encoding = PLAIN) -> ContractBundle:
        """The data, signed by the service."""
        return sign_contract(data, self.service_chain, self.service_key, encoding)


def branch(profile_name: str, kind: KeyKind, name: str) -> tuple[Authority, Authority]:
    """The root and the Sub2 of a new branch."""
    profile = profile_named(profile_name)
    point = _POINT if profile.generation is Generation.ISO_20 else None
    root = create_root(Subject(common_name=f"{name} Root", organization="Test"), generate_key(kind), LIFE, 1, profile)
    above = Authority(root.certificate, root.key, profile, publication=point)
    for number in ("1", "2"):
        subject = Subject(common_name=f"{name} Sub {number}", organization="Test")
        above = above.sub_authority(subject, generate_key(kind), LIFE, fresh_serial(), point)
    return root, above


def chain_of(authority: Authority, key: PublicKey, common_name: str, dc: str) -> tuple[bytes, ...]:
    """A leaf's chain without the root."""
    subject = Subject(common_name=common_name, organization="Test", domain_component=dc)
    leaf = authority.issue(LeafOrder(subject=subject, public_key=key, validity=LIFE, serial=fresh_serial()))
    return (leaf.der, *(certificate.der for certificate in authority.sent))


def house(suite: Suite) -> House:
    """New branches for one suite; the service has a key of the same kind."""
    generation = "iso15118-2" if suite is Suite.P256 else "iso15118-20"
    kind = {Suite.P256: KeyKind.P256, Suite.P521: KeyKind.P521, Suite.X448: KeyKind.ED448}[suite]
    _, contracts = branch(f"{generation}-contract", kind, "MO")
    root, service = branch(f"{generation}-cps", kind, "V2G")
    key = generate_key(kind)
    return House(suite, contracts, service, root, key, chain_of(service, key.public_key(), "CPS", "CPS"))


def car_key(suite: Suite) -> CarPrivateKey:
    """A car's key for a suite."""
    if suite is Suite.X448:
        return x448.X448PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1() if suite is Suite.P256 else ec.SECP521R1())


def p256_of(label: str) -> ec.EllipticCurvePrivateKey:
    """The key of a label in the vector of -2."""
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(label.encode()).digest(), "big"), ec.SECP256R1())


def p521_of(label: str) -> ec.EllipticCurvePrivateKey:
    """The key of a label in the vector of -20."""
    number = int.from_bytes(hashlib.shake_256(label.encode()).digest(66), "big") % 2**520
    return ec.derive_private_key(number, ec.SECP521R1())


def suite_for(key: CarPrivateKey) -> Suite:
    """The suite of a key."""
    return suite_of(key)


def flipped(octets: bytes, at: int) -> bytes:
    """The octets with one bit changed."""
    return bytes([*octets[:at], octets[at] ^ 1, *octets[at + 1 :]])


def joined(chain: Sequence[bytes]) -> bytes:
    """All octets of a chain."""
    return b"".join(chain)
