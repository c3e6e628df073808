"""The curves that meters sign on: one table of their names, spellings, sizes, and who does the mathematics.

Source: OCMF 1.4.1 table 22 (the first seven; secp521r1 is an extension that verifiers in the field know); SEC 2;
RFC 5639.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec

_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One named curve. `name` is as OCMF spells it, `spellings` are further names, in lower case
    and without hyphens.

    `oid` is the DER of its object identifier, header included. A coordinate takes `coordinate_bytes`. `implementation`
    is the class of `cryptography`, None for the one curve that is computed here (`wire.meter.secp192k1`). `extension`:
    not in OCMF's list. `is_nist`: one of FIPS 186's, which is what a size alone suggests.
    """

    name: str
    spellings: tuple[str, ...] = ()
    oid: bytes
    coordinate_bytes: int
    implementation: type[ec.EllipticCurve] | None
    extension: bool = False
    is_nist: bool = False
    spki_prefix: bytes = field(init=False, repr=False)
    """What stands before the point in a SubjectPublicKeyInfo with an uncompressed point (RFC 5480 2)."""

    def __post_init__(self) -> None:
        point = 2 * self.coordinate_bytes + 1
        algorithm = _tlv_head(0x30, len(_EC_PUBLIC_KEY) + len(self.oid)) + _EC_PUBLIC_KEY + self.oid
        bits = _tlv_head(0x03, point + 1) + b"\0"
        prefix = _tlv_head(0x30, len(algorithm) + len(bits) + point) + algorithm + bits
        object.__setattr__(self, "spki_prefix", prefix)


def _tlv_head(tag: int, length: int) -> bytes:
    return bytes((tag, length)) if length < 0x80 else bytes((tag, 0x81, length))


CURVES = (
    Curve(
        name="secp192k1",
        oid=bytes.fromhex("06052b8104001f"),
        coordinate_bytes=24,
        implementation=None,
    ),
    Curve(
        name="secp192r1",
        spellings=("prime192v1", "p192", "nistp192"),
        oid=bytes.fromhex("06082a8648ce3d030101"),
        coordinate_bytes=24,
        implementation=ec.SECP192R1,
        is_nist=True,
    ),
    Curve(
        name="secp256k1",
        oid=bytes.fromhex("06052b8104000a"),
        coordinate_bytes=32,
        implementation=ec.SECP256K1,
    ),
    Curve(
        name="secp256r1",
        spellings=("prime256v1", "p256", "nistp256"),
        oid=bytes.fromhex("06082a8648ce3d030107"),
        coordinate_bytes=32,
        implementation=ec.SECP256R1,
        is_nist=True,
    ),
    Curve(
        name="brainpool256r1",
        spellings=("brainpoolp256r1", "brainpool256r11"),  # The last one stood in the table of earlier OCMF versions.
        oid=bytes.fromhex("06092b2403030208010107"),
        coordinate_bytes=32,
        implementation=ec.BrainpoolP256R1,
    ),
    Curve(
        name="secp384r1",
        spellings=("p384", "nistp384"),
        oid=bytes.fromhex("06052b81040022"),
        coordinate_bytes=48,
        implementation=ec.SECP384R1,
        is_nist=True,
    ),
    Curve(
        name="brainpool384r1",
        spellings=("brainpoolp384r1",),
        oid=bytes.fromhex("06092b240303020801010b"),
        coordinate_bytes=48,
        implementation=ec.BrainpoolP384R1,
    ),
    Curve(
        name="secp521r1",
        spellings=("p521", "nistp521"),
        oid=bytes.fromhex("06052b81040023"),
        coordinate_bytes=66,
        implementation=ec.SECP521R1,
        is_nist=True,
        extension=True,
    ),
)
"""Every curve, 192 bits first; where sizes are equal, the curves of the SEC's own list before others."""

BY_NAME = {spelling: curve for curve in CURVES for spelling in (curve.name, *curve.spellings)}
"""Every curve by each of its spellings, in lower case and without hyphens."""

BY_OID = {curve.oid: curve for curve in CURVES}
"""Every curve by the DER of its object identifier."""


def curve_named(text: str) -> Curve | None:
    """The curve that `text` names in any spelling and case; None for no curve known here."""
    return BY_NAME.get(text.lower().replace("-", ""))


@cache
def is_available(curve: Curve) -> bool:
    """Whether this machine can verify on `curve`: some builds of OpenSSL lack curves. Asked once for each."""
    if curve.implementation is None:
        return True
    try:
        ec.derive_private_key(1, curve.implementation())
    except (UnsupportedAlgorithm, ValueError):
        return False
    return True
