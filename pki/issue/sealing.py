"""A contract's private key, encrypted for one car: a fresh key agreed with the car's own, a derived key, a cipher.

| Suite  | agreement | derived key                  | field with the encrypted key                      | public key  |
|--------|-----------|------------------------------|---------------------------------------------------|-------------|
| `P256` | ECDH      | ConcatKDF SHA-256, 16 octets | IV 16, AES-128-CBC of 32 without padding: 48      | point, 65   |
| `P521` | ECDH      | ConcatKDF SHA-512, 32 octets | IV 12, AES-256-GCM of 66, tag 16: 94              | point, 133  |
| `X448` | X448      | as P521                      | IV 12, AES-256-GCM of 56 or 57, tag 16: 84 or 85  | 56 or 57    |

Rules of this file
1. The plain key, the shared secret and the derived key are names inside one function each; none is returned or kept.
2. The ephemeral key is made here for each sealing; an argument takes its place only so that vectors can be reproduced.
3. What the standard leaves open is a function of its own below, with every reading (`Readings`).
4. The cipher of P256 does not authenticate: what was opened is good only behind the signature of the bundle.

Source: ISO 15118-2 V2G2-815 to -819, -823; ISO 15118-20 V2G20-2487 to -2507, -2534, -2535 (secondary sources);
SP 800-56A C(1,1,ECC CDH); RFC 7748.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, x448
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pki.certificate import KeyKind
from pki.errors import BundleRejected, IssueError
from pki.issue.keys import PrivateKey, PublicKey, generate_key, key_kind_of

CarPublicKey = ec.EllipticCurvePublicKey | x448.X448PublicKey
"""The key of the provisioning certificate, or the alternative X448 key that it carries (V2G20-2488)."""
CarPrivateKey = ec.EllipticCurvePrivateKey | x448.X448PrivateKey

_OTHER_INFO = b"\x01\x55\x56"
"""AlgorithmID 01, PartyUInfo `U`, PartyVInfo `V` (V2G2-818, V2G20-2535)."""
_TAG = 16
_PCID_MAX = 18


class Suite(StrEnum):
    """How a contract key is sealed: by the kind of the car's key."""

    P256 = "secp256r1"
    P521 = "secp521r1"
    X448 = "x448"


class Ed448Plain(Enum):
    """How an Ed448 key, a seed of 57 octets, fills the 56 that V2G20-2502 leaves for it (84 less IV and tag)."""

    SEED_57 = "the whole seed, so the field has 85 octets"
    SEED_56 = "a seed whose last octet is zero, which is left out, so the field has 84 octets"


class X448Point(Enum):
    """How an X448 public key is written: V2G20-2495 says 57 octets, RFC 7748 has 56."""

    OCTETS_56 = "as RFC 7748 writes it"
    OCTETS_57 = "as a little-endian number of 57 octets, so a zero octet follows"


class IdentifierText(Enum):
    """How V2G20-2492 means the "16 bytes" of the contract's subject key identifier."""

    HEX = "16 capital hexadecimal digits of an identifier of 8 octets"
    RAW = "the octets of an identifier of 16 octets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """One reading for each point that ISO 15118-20 leaves open; both ends must hold the same."""

    plain: Ed448Plain = Ed448Plain.SEED_56
    point: X448Point = X448Point.OCTETS_57
    identifier: IdentifierText = IdentifierText.HEX


USUAL = Readings()
"""The field lengths that the requirements state (84 and 57 octets), and 8-octet key identifiers, as we issue them."""


@dataclass(frozen=True, slots=True)
class SealedKey:
    """What goes into the bundle: the field with the encrypted key, and the ephemeral public key."""

    suite: Suite
    encrypted: bytes
    dh_public_key: bytes


def suite_of(key: CarPublicKey | CarPrivateKey) -> Suite:
    """The suite that goes with a car's key.

    Raises:
        IssueError: "key-kind": on a curve that no suite takes.
    """
    if isinstance(key, x448.X448PublicKey | x448.X448PrivateKey):
        return Suite.X448
    try:
        return Suite(key.curve.name)
    except ValueError as error:
        raise IssueError("key-kind", f"no contract is sealed for a key on {key.curve.name}") from error


def contract_kind(suite: Suite) -> KeyKind:
    """The contract's own key: of the same curve as the car's (V2G20-2709)."""
    return {Suite.P256: KeyKind.P256, Suite.P521: KeyKind.P521, Suite.X448: KeyKind.ED448}[suite]


def generate_contract_key(suite: Suite, readings: Readings = USUAL) -> PrivateKey:
    """A new contract key which that suite can carry; the randomness is the library's."""
    key = generate_key(contract_kind(suite))
    if isinstance(key, ed448.Ed448PrivateKey) and readings.plain is Ed448Plain.SEED_56:
        return ed448.Ed448PrivateKey.from_private_bytes(key.private_bytes_raw()[:56] + b"\0")
    return key


def additional_data(pcid: str, subject_key_identifier: bytes, reading: IdentifierText = IdentifierText.HEX) -> bytes:
    """What AES-GCM authenticates beside the key: the PCID in capitals, then the contract's subject key identifier.

    34 octets for a PCID of 18 characters. One of 17 is taken as it is, which the standard does not mention.

    Raises:
        IssueError: "additional-data": the PCID is no ASCII text of 17 or 18 characters, or the identifier does not have
            the length of that reading.

    Source: V2G20-2492.
    """
    text = pcid.replace("-", "").upper()
    if not text.isascii() or not _PCID_MAX - 1 <= len(text) <= _PCID_MAX:
        raise IssueError("additional-data", f"a PCID of {len(text)} characters, 17 or 18 are covered", clause=_AAD)
    wanted = 8 if reading is IdentifierText.HEX else 16
    if len(subject_key_identifier) != wanted:
        found = f"the contract's key identifier has {len(subject_key_identifier)} octets, this needs {wanted}"
        raise IssueError("additional-data", found, clause=_AAD)
    written = subject_key_identifier.hex().upper().encode() if wanted == 8 else subject_key_identifier
    return text.encode() + written


def seal_private_key(
    contract_key: PrivateKey,
    car: CarPublicKey,
    *,
    aad: bytes = b"",
    readings: Readings = USUAL,
    iv: bytes,
    ephemeral: CarPrivateKey | None = None,
) -> SealedKey:
    """The contract's private key for the holder of `car`. `iv`: fresh random octets, 16 for P256 and 12 otherwise.

    `aad` is what GCM authenticates (`additional_data`); P256 has none.

    Raises:
        IssueError: "key-kind": the contract's key is of another curve than the car's; "sealing": an IV or ephemeral
            key of another kind, or a key that the reading cannot carry.
    """
    suite = suite_of(car)
    if key_kind_of(contract_key) is not contract_kind(suite):
        message = f"a contract key of {key_kind_of(contract_key).value} is not of the car's curve, {suite.value}"
        raise IssueError("key-kind", message, clause="ISO 15118-20 V2G20-2709")
    if len(iv) != iv_octets(suite):
        raise IssueError("sealing", f"an IV of {len(iv)} octets, {suite.value} takes {iv_octets(suite)}")
    own = ephemeral if ephemeral is not None else _fresh(suite)
    if suite_of(own) is not suite:
        raise IssueError("sealing", "the ephemeral key is not of the car's curve")
    key = _derive(suite, _agree(own, car))
    plain = _plain_key(contract_key, readings.plain)
    if suite is Suite.P256:
        encryptor = Cipher(AES(key), modes.CBC(iv)).encryptor()
        encrypted = iv + encryptor.update(plain) + encryptor.finalize()
    else:
        encrypted = iv + AESGCM(key).encrypt(iv, plain, aad)
    return SealedKey(suite, encrypted, write_public_key(own.public_key(), readings.point))


def open_private_key(
    sealed: SealedKey, car: CarPrivateKey, expected: PublicKey, *, aad: bytes = b"", readings: Readings = USUAL
) -> PrivateKey:
    """The contract's private key, once it is shown to be the one of `expected`, the certificate's public key.

    Raises:
        BundleRejected: "bundle-field", "bundle-point", "bundle-decryption" (GCM's tag), "bundle-scalar" (not in
            1 .. n-1), "bundle-key" (not the certificate's).

    Source: V2G2-823, V2G20-2504, V2G20-2507.
    """
    suite = suite_of(car)
    if sealed.suite is not suite or len(sealed.encrypted) != field_octets(suite, readings.plain):
        message = f"the encrypted key has {len(sealed.encrypted)} octets of {sealed.suite.value}, expected "
        message += f"{field_octets(suite, readings.plain)} of {suite.value}"
        raise BundleRejected("bundle-field", message, clause=_FIELDS[suite])
    peer = read_public_key(suite, sealed.dh_public_key, readings.point)
    key = _derive(suite, _agree(car, peer))
    size = iv_octets(suite)
    iv, body = sealed.encrypted[:size], sealed.encrypted[size:]
    if suite is Suite.P256:
        decryptor = Cipher(AES(key), modes.CBC(iv)).decryptor()
        plain = decryptor.update(body) + decryptor.finalize()
    else:
        try:
            plain = AESGCM(key).decrypt(iv, body, aad)
        except InvalidTag as error:
            message = "the encrypted key does not belong to this car, PCID or contract: its tag is wrong"
            raise BundleRejected("bundle-decryption", message, clause="ISO 15118-20 V2G20-2504") from error
    found = _key_of(suite, plain, readings.plain)
    if found.public_key() != expected:
        message = "the decrypted key is not the one of the contract certificate"
        raise BundleRejected("bundle-key", message, clause=_CLAUSES[suite])
    return found


def iv_octets(suite: Suite) -> int:
    """The length of the suite's IV."""
    return 16 if suite is Suite.P256 else 12


def field_octets(suite: Suite, reading: Ed448Plain = Ed448Plain.SEED_56) -> int:
    """The length of the field with the encrypted key (V2G2-815, V2G20-2499, V2G20-2502)."""
    if suite is Suite.X448:
        return iv_octets(suite) + (57 if reading is Ed448Plain.SEED_57 else 56) + _TAG
    return 48 if suite is Suite.P256 else 94


def write_public_key(key: CarPublicKey, reading: X448Point = X448Point.OCTETS_57) -> bytes:
    """The ephemeral public key as the bundle carries it: an uncompressed point, or X448's octets (V2G2-819,
    V2G20-2489, V2G20-2495)."""
    if isinstance(key, x448.X448PublicKey):
        return key.public_bytes_raw() + (b"\0" if reading is X448Point.OCTETS_57 else b"")
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def read_public_key(suite: Suite, octets: bytes, reading: X448Point = X448Point.OCTETS_57) -> CarPublicKey:
    """The reverse of `write_public_key`.

    Raises:
        BundleRejected: "bundle-point": another length or form, or no point of the curve.
    """
    sizes = {Suite.P256: 65, Suite.P521: 133, Suite.X448: 57 if reading is X448Point.OCTETS_57 else 56}
    if len(octets) != sizes[suite]:
        message = f"the ephemeral key has {len(octets)} octets, {suite.value} has {sizes[suite]}"
        raise BundleRejected("bundle-point", message, clause=_POINTS[suite])
    try:
        if suite is Suite.X448:
            if any(octets[56:]):
                raise ValueError("the octet behind an X448 key is not zero")
            return x448.X448PublicKey.from_public_bytes(octets[:56])
        curve = ec.SECP256R1() if suite is Suite.P256 else ec.SECP521R1()
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, octets)
    except ValueError as error:
        message = f"the ephemeral key is no point of {suite.value}: {error}"
        raise BundleRejected("bundle-point", message, clause=_POINTS[suite]) from error


def _fresh(suite: Suite) -> CarPrivateKey:
    if suite is Suite.X448:
        return x448.X448PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1() if suite is Suite.P256 else ec.SECP521R1())


def _agree(own: CarPrivateKey, peer: CarPublicKey) -> bytes:
    """The shared secret; X448's all-zero one (RFC 7748 6.2) is refused."""
    try:
        if isinstance(own, x448.X448PrivateKey) and isinstance(peer, x448.X448PublicKey):
            return own.exchange(peer)
        if isinstance(own, ec.EllipticCurvePrivateKey) and isinstance(peer, ec.EllipticCurvePublicKey):
            return own.exchange(ec.ECDH(), peer)
    except ValueError as error:
        raise BundleRejected("bundle-point", f"no secret can be agreed with that key: {error}") from error
    raise BundleRejected("bundle-point", "the two keys are not of one curve")


def _derive(suite: Suite, secret: bytes) -> bytes:
    if suite is Suite.P256:
        return ConcatKDFHash(hashes.SHA256(), 16, _OTHER_INFO).derive(secret)
    return ConcatKDFHash(hashes.SHA512(), 32, _OTHER_INFO).derive(secret)


def _plain_key(key: PrivateKey, reading: Ed448Plain) -> bytes:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8, "big")
    seed = key.private_bytes_raw()
    if reading is Ed448Plain.SEED_57:
        return seed
    if seed[56]:
        raise IssueError("sealing", "an Ed448 seed that does not end in a zero octet does not fit 56 octets")
    return seed[:56]


def _key_of(suite: Suite, plain: bytes, reading: Ed448Plain) -> PrivateKey:
    if suite is Suite.X448:
        return ed448.Ed448PrivateKey.from_private_bytes(plain if reading is Ed448Plain.SEED_57 else plain + b"\0")
    curve: ec.EllipticCurve = ec.SECP256R1() if suite is Suite.P256 else ec.SECP521R1()
    scalar = int.from_bytes(plain, "big")
    if not 0 < scalar < curve.group_order:
        message = "the decrypted key is no scalar between 1 and the order of the curve"
        raise BundleRejected("bundle-scalar", message, clause=_CLAUSES[suite])
    return ec.derive_private_key(scalar, curve)


_AAD = "ISO 15118-20 V2G20-2492"
_CLAUSES = {Suite.P256: "ISO 15118-2 V2G2-823", Suite.P521: "ISO 15118-20 V2G20-2507"}
_CLAUSES[Suite.X448] = _CLAUSES[Suite.P521]
_FIELDS = {
    Suite.P256: "ISO 15118-2 V2G2-815",
    Suite.P521: "ISO 15118-20 V2G20-2499",
    Suite.X448: "ISO 15118-20 V2G20-2502",
}
_POINTS = {
    Suite.P256: "ISO 15118-2 V2G2-819",
    Suite.P521: "ISO 15118-20 V2G20-2489",
    Suite.X448: "ISO 15118-20 V2G20-2495",
}
