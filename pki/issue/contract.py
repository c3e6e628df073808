"""Contract bundles of ISO 15118-2 and -20: made by an operator, signed by a provisioning service, opened in a car.

    make_contract_data   a new key, its certificate, and the key sealed for one car           the mobility operator
    check_contract_data  that such data, made elsewhere, can be signed at all                 the provisioning service
    sign_contract        the signature over the parts                                         the provisioning service
    open_bundle          the receiver's check; its result is the only way to the key          the car

Rules of this file
1. The contract's private key exists unencrypted inside `make_contract_data` only, and leaves it sealed.
2. `open_bundle` takes its steps in order, repeated by number in the code, and decrypts after the signature:
   1 field lengths and kinds  2 the service's chain to a V2G root (DC=CPS, dates, revocation)  3 its signature over all
   parts  4 the key decrypts  5 0 < d < n  6 d*G is the certificate's key  7 the eMAID is the common name
3. The contract's own chain is not judged here: a car needs no MO root (V2G2-894 leaves it to the back ends).

Source: ISO 15118-2 7.9.2.4, V2G2-815 to -823; ISO 15118-20 V2G20-2487 to -2507 (secondary sources).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from cryptography.x509.oid import NameOID
from msgspec.structs import force_setattr

from pki.certificate import Certificate, KeyKind, parse_certificate
from pki.errors import BundleRejected, IdentifierError, IssueError, MalformedCertificate
from pki.identifiers import EMAID, parse_emaid, parse_emaid_20
from pki.issue.keys import PrivateKey, PublicKey
from pki.issue.sealing import (
    USUAL,
    CarPrivateKey,
    CarPublicKey,
    Readings,
    SealedKey,
    Suite,
    additional_data,
    contract_kind,
    field_octets,
    generate_contract_key,
    open_private_key,
    read_public_key,
    seal_private_key,
    suite_of,
)
from pki.issue.signed_parts import PLAIN, Encoding, Part, Value, sign_parts, verify_parts
from pki.profile import Generation
from pki.profiles import profile_named
from pki.verify.chain import VerifiedChain, verify
from pki.verify.revocation import RevocationEvidence
from pki.verify.trust import TrustStore

BUNDLE_CAP = 32 * 1024
"""Octets of a written bundle: six certificates of 1600 in base64 take 13,000."""
_CHAIN_MAX = 3
_BUILT_BY_OPEN = object()


class ContractData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed: the contract's chain (leaf, Sub2, Sub1) as DER, its sealed key, the ephemeral public key, the
    eMAID without hyphens. `suite` is the kind of the car's key."""

    suite: Suite
    contract_chain: tuple[bytes, ...]
    encrypted_private_key: bytes
    dh_public_key: bytes
    emaid: str

    @property
    def generation(self) -> Generation:
        """The standard that a suite belongs to."""
        return Generation.ISO_2 if self.suite is Suite.P256 else Generation.ISO_20

    def parts(self) -> tuple[Part, ...]:
        """The signed parts with their Ids in the standard's order: four in -2, one in -20."""
        chain = _chain_values(self.contract_chain)
        dh, key = self.dh_public_key, self.encrypted_private_key
        if self.generation is Generation.ISO_2:
            return (
                Part("id1", "ContractSignatureCertChain", chain),
                Part("id2", "ContractSignatureEncryptedPrivateKey", (Value("value", key),)),
                Part("id3", "DHpublickey", (Value("value", dh),)),
                Part("id4", "eMAID", (Value("value", self.emaid.encode()),)),
            )
        curve, field = _NAMES_20[self.suite]
        values = (*chain, Value("ECDHCurve", curve), Value("DHPublicKey", dh), Value(field, key))
        return (Part("id1", "SignedInstallationData", values),)


class ContractBundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The data with the provisioning service's chain (leaf, Sub2, Sub1), signature, and the encoding it was made by."""

    data: ContractData
    cps_chain: tuple[bytes, ...]
    signature: bytes
    encoding: str


class OpenedBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that passed every step of `open_bundle`; nothing else can build one."""

    private_key: PrivateKey
    contract: Certificate
    contract_chain: tuple[bytes, ...]
    emaid: EMAID
    cps: VerifiedChain
    token: object = None

    def __post_init__(self) -> None:
        if self.token is not _BUILT_BY_OPEN:
            raise TypeError("an OpenedBundle comes from open_bundle only")
        force_setattr(self, "token", None)

    def __repr__(self) -> str:
        return f"OpenedBundle(emaid={self.emaid.normal!r})"


_NAMES_20 = {
    Suite.P521: (b"SECP521", "SECP521_EncryptedPrivateKey"),
    Suite.X448: (b"X448", "X448_EncryptedPrivateKey"),
}
_CURVE_CLAUSE = "ISO 15118-20 V2G20-2709"


def make_contract_data(
    car: CarPublicKey,
    certify: Callable[[PublicKey], Sequence[bytes]],
    *,
    pcid: str,
    iv: bytes,
    readings: Readings = USUAL,
    ephemeral: CarPrivateKey | None = None,
) -> ContractData:
    """A contract for one car: a new key, the chain that `certify` returns for its public key (DER, leaf, Sub2, Sub1),
    and the key sealed for `car`. `iv`: fresh random octets (`iv_octets`).

    Raises:
        IssueError: "contract": the chain does not fit; "key-kind", "additional-data"; and what `certify` raises.
    """
    suite = suite_of(car)
    key = generate_contract_key(suite, readings)
    chain = tuple(certify(key.public_key()))
    leaf, emaid = _read_contract(chain, suite)
    if leaf.public_key != key.public_key():
        raise IssueError("contract", "the certificate is not of the key that was made for it")
    sealed = seal_private_key(
        key, car, aad=_aad(suite, pcid, leaf, readings), readings=readings, iv=iv, ephemeral=ephemeral
    )
    return ContractData(
        suite=suite,
        contract_chain=chain,
        encrypted_private_key=sealed.encrypted,
        dh_public_key=sealed.dh_public_key,
        emaid=_written(emaid),
    )


def check_contract_data(data: ContractData, readings: Readings = USUAL) -> EMAID:
    """The contract's EMAID, when the data is of the right form: what can be known without the car's key.

    Raises:
        IssueError: "contract"; BundleRejected: "bundle-field", "bundle-point", "bundle-emaid".
    """
    wanted = field_octets(data.suite, readings.plain)
    if len(data.encrypted_private_key) != wanted:
        message = f"the encrypted key has {len(data.encrypted_private_key)} octets, {data.suite.value} has {wanted}"
        raise BundleRejected("bundle-field", message, clause=_FIELD_CLAUSES[data.generation])
    read_public_key(data.suite, data.dh_public_key, readings.point)
    _, emaid = _read_contract(data.contract_chain, data.suite)
    _check_emaid(data, emaid)
    return emaid


def sign_contract(
    data: ContractData, cps_chain: Sequence[bytes], key: PrivateKey, encoding: Encoding = PLAIN
) -> ContractBundle:
    """The bundle, signed by the provisioning service. `cps_chain`: DER, leaf, Sub2, Sub1.

    Raises:
        IssueError: "key-kind"; "contract": the key is not of the chain's leaf.
    """
    if not cps_chain or parse_certificate(cps_chain[0]).public_key != key.public_key():
        raise IssueError("contract", "the signing key is not the one of the provisioning service's certificate")
    signature = sign_parts(data.parts(), key, encoding)
    return ContractBundle(data=data, cps_chain=tuple(cps_chain), signature=signature, encoding=encoding.name)


def check_signature(
    bundle: ContractBundle,
    *,
    trust: TrustStore,
    at: datetime,
    revocation: RevocationEvidence | None = None,
    require_revocation: bool = False,
    encoding: Encoding = PLAIN,
) -> VerifiedChain:
    """Steps 2 and 3: the provisioning service's chain, once it is shown to have signed all parts.

    Raises:
        BundleRejected: "bundle-encoding", "bundle-signature"; ChainRejected, NoEvidence, MalformedCertificate: of the
            service's chain.
    """
    if bundle.encoding != encoding.name:
        message = f"signed in the encoding {bundle.encoding[:40]!a}, this is {encoding.name}"
        raise BundleRejected("bundle-encoding", message)
    profile = profile_named(f"{bundle.data.generation.value}-cps")
    cps = verify(
        bundle.cps_chain,
        profile=profile,
        trust=trust,
        at=at,
        revocation=revocation,
        require_revocation=require_revocation,
    )
    verify_parts(bundle.data.parts(), bundle.signature, cps.leaf, encoding)
    return cps


def open_bundle(
    bundle: ContractBundle,
    car: CarPrivateKey,
    *,
    pcid: str,
    trust: TrustStore,
    at: datetime,
    revocation: RevocationEvidence | None = None,
    require_revocation: bool = False,
    encoding: Encoding = PLAIN,
    readings: Readings = USUAL,
) -> OpenedBundle:
    """The contract and its private key, for the car whose key and PCID these are; `trust` holds its V2G roots.

    Raises:
        BundleRejected: "bundle-field", "bundle-point", "bundle-chain", "bundle-encoding", "bundle-signature",
            "bundle-decryption", "bundle-scalar", "bundle-key", "bundle-emaid".
        ChainRejected, NoEvidence, MalformedCertificate: of the provisioning service's chain.
    """
    data = bundle.data
    try:  # 1
        if data.suite is not suite_of(car):
            message = f"the bundle is for a car's key of {data.suite.value}, not of {suite_of(car).value}"
            raise BundleRejected("bundle-field", message, clause=_CURVE_CLAUSE)
        contract, emaid = _read_contract(data.contract_chain, data.suite)
        aad = _aad(data.suite, pcid, contract, readings)
    except IssueError as error:
        raise BundleRejected("bundle-chain", str(error), clause=error.clause) from error
    cps = check_signature(  # 2, 3
        bundle,
        trust=trust,
        at=at,
        revocation=revocation,
        require_revocation=require_revocation,
        encoding=encoding,
    )
    expected = contract.public_key
    if expected is None:
        raise BundleRejected("bundle-chain", "the contract's key is of no kind that a profile takes")
    sealed = SealedKey(data.suite, data.encrypted_private_key, data.dh_public_key)
    key = open_private_key(sealed, car, expected, aad=aad, readings=readings)  # 4, 5, 6
    _check_emaid(data, emaid)  # 7
    return OpenedBundle(
        private_key=key,
        contract=contract,
        contract_chain=data.contract_chain,
        emaid=emaid,
        cps=cps,
        token=_BUILT_BY_OPEN,
    )


def encode_bundle(bundle: ContractBundle) -> bytes:
    """The bundle as one JSON text, octets in base64: how pools and programs of this house carry it."""
    return msgspec.json.encode(bundle)


def parse_bundle(text: bytes) -> ContractBundle:
    """The reverse of `encode_bundle`; nothing in it is verified yet.

    Raises:
        BundleRejected: "bundle-format": too long, or another form.
    """
    if len(text) > BUNDLE_CAP:
        raise BundleRejected("bundle-format", f"a bundle of {len(text)} octets, at most {BUNDLE_CAP}")
    try:
        return msgspec.json.decode(text, type=ContractBundle)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BundleRejected("bundle-format", f"not a contract bundle: {error}") from error


def _chain_values(chain: Sequence[bytes]) -> tuple[Value, ...]:
    names = ("Certificate", *["SubCertificates"] * (len(chain) - 1))
    return tuple(Value(name, der) for name, der in zip(names, chain, strict=False))


def _read_contract(chain: Sequence[bytes], suite: Suite) -> tuple[Certificate, EMAID]:
    """The contract certificate and its EMAID; of the kind of key that the suite asks for."""
    if not 1 <= len(chain) <= _CHAIN_MAX:
        raise IssueError("contract", f"a contract chain of {len(chain)} certificates, 1 to {_CHAIN_MAX}")
    try:
        leaf = parse_certificate(chain[0], index=0)
    except MalformedCertificate as error:
        raise IssueError("contract", f"the contract certificate: {error}", clause=error.clause) from error
    wanted = contract_kind(suite)
    if leaf.key_kind is not wanted:
        message = f"the contract's key is {leaf.key_kind.value}, a car of {suite.value} takes {wanted.value}"
        raise IssueError("contract", message, clause=_CURVE_CLAUSE)
    names = leaf.attributes(NameOID.COMMON_NAME)
    if len(names) != 1 or names[0] is None:
        raise IssueError("contract", "the contract certificate has not one common name")
    try:
        return leaf, (parse_emaid if wanted is KeyKind.P256 else parse_emaid_20)(names[0])
    except IdentifierError as error:
        raise IssueError("contract", str(error), clause=error.clause) from error


def _aad(suite: Suite, pcid: str, contract: Certificate, readings: Readings) -> bytes:
    if suite is Suite.P256:
        return b""
    return additional_data(pcid, contract.subject_key_identifier or b"", readings.identifier)


def _written(emaid: EMAID) -> str:
    """The EMAID as -2 carries it, without hyphens; with the check character if the certificate has it."""
    return emaid.normal + (emaid.check or "")


def _check_emaid(data: ContractData, contract: EMAID) -> None:
    """Step 7. In -20 it is not sent, so what stands in the data must only agree."""
    parse = parse_emaid if data.generation is Generation.ISO_2 else parse_emaid_20
    try:
        stated = parse(data.emaid)
    except IdentifierError as error:
        raise BundleRejected("bundle-emaid", str(error), clause=error.clause) from error
    if stated.normal != contract.normal:
        message = f"the bundle says {stated.normal}, the contract certificate is {contract.normal}'s"
        raise BundleRejected("bundle-emaid", message, clause="ISO 15118-2 V2G2-108")


_FIELD_CLAUSES = {Generation.ISO_2: "ISO 15118-2 V2G2-815", Generation.ISO_20: "ISO 15118-20 V2G20-2499, V2G20-2502"}
