"""Ways to spoil a sound branch: each changes one thing, in a spec or in the bytes, and signs it again."""

from __future__ import annotations

from collections.abc import Callable

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.pki.mint import (
    CA_USAGE,
    CONTRACT_USAGE,
    Branch,
    Key,
    Spec,
    access,
    content_of,
    name_of,
    split,
    tlv,
)

Spoil = Callable[[Branch], list[bytes] | None]

SHA512_ALGORITHM = bytes.fromhex("300a06082a8648ce3d040304")
SHA1_ALGORITHM = bytes.fromhex("300906072a8648ce3d0401")
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
CONSTRAINTS = x509.NameConstraints([x509.DirectoryName(name_of(""))], None)
POLICY = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)])


def set_on(which: str, **fields: object) -> Spoil:
    """Change fields of one certificate."""

    def spoil(branch: Branch) -> None:
        for name, value in fields.items():
            setattr(getattr(branch, which), name, value)

    return spoil


def every(*spoils: Spoil) -> Spoil:
    """Several changes at once."""

    def spoil(branch: Branch) -> None:
        for change in spoils:
            change(branch)

    return spoil


def keys(make: Callable[[], object], *, hash_: hashes.HashAlgorithm | None = None) -> Spoil:
    """The whole branch with other keys."""

    def spoil(branch: Branch) -> None:
        for spec in (branch.root, branch.sub1, branch.sub2, branch.leaf):
            spec.key = make()
            spec.hash_ = hash_ or hashes.SHA256()

    return spoil


def p384() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def chain_of(pick: Callable[[Branch, list[bytes]], list[bytes]]) -> Spoil:
    """Another list of certificates than leaf, Sub2, Sub1."""
    return lambda branch: pick(branch, branch.mint())


def flip_signature(branch: Branch) -> list[bytes]:
    leaf, *subs = branch.mint()
    return [leaf[:-1] + bytes([leaf[-1] ^ 1]), *subs]


def explicit_parameters(parts: list[bytes]) -> list[bytes]:
    """The same P-256 key, its curve written out instead of named."""
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    x = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
    y = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5

    def number(value: int) -> bytes:
        return tlv(
            0x02, value.to_bytes(33, "big").lstrip(b"\0") if value < 2**255 else b"\0" + value.to_bytes(32, "big")
        )

    field = tlv(0x30, bytes.fromhex("06072a8648ce3d0101") + number(p))
    curve = tlv(0x30, tlv(0x04, (p - 3).to_bytes(32, "big")) + tlv(0x04, b.to_bytes(32, "big")))
    base = tlv(0x04, b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))
    parameters = tlv(0x30, number(1) + field + curve + base + number(order) + number(1))
    _, point = split(content_of(parts[6]))
    algorithm = tlv(0x30, bytes.fromhex("06072a8648ce3d0201") + parameters)
    return [*parts[:6], tlv(0x30, algorithm + point), *parts[7:]]


def compressed_point(parts: list[bytes]) -> list[bytes]:
    algorithm, point = split(content_of(parts[6]))
    raw = content_of(point)[1:]
    short = bytes([2 + (raw[-1] & 1)]) + raw[1:33]
    return [*parts[:6], tlv(0x30, algorithm + tlv(0x03, b"\0" + short)), *parts[7:]]


def algorithm_inside(algorithm: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda parts: [*parts[:2], algorithm, *parts[3:]]


def serial_octets(content: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda parts: [parts[0], tlv(0x02, content), *parts[2:]]


def version_1(parts: list[bytes]) -> list[bytes]:
    return parts[1:]


def twice_key_usage(parts: list[bytes]) -> list[bytes]:
    (listed,) = split(content_of(parts[7]))
    extensions = split(content_of(listed))
    usage = next(entry for entry in extensions if bytes.fromhex("0603551d0f") in entry)
    return [*parts[:7], tlv(0xA3, tlv(0x30, b"".join([*extensions, usage])))]


def late_utc(parts: list[bytes]) -> list[bytes]:
    """notAfter as GeneralizedTime in 2027, where DER wants UTCTime."""
    not_before, _ = split(content_of(parts[4]))
    return [*parts[:4], tlv(0x30, not_before + tlv(0x18, b"20270101000000Z")), *parts[5:]]


def common_names(*values: bytes, tag: int = 0x0C) -> Callable[[list[bytes]], list[bytes]]:
    """The subject with exactly these common names, octet for octet."""
    names = [tlv(0x31, tlv(0x30, bytes.fromhex("0603550403") + tlv(tag, value))) for value in values]
    return lambda parts: [*parts[:5], tlv(0x30, b"".join(names)), *parts[6:]]


def sub3_below(branch: Branch) -> list[bytes]:
    """Four certificates: a further sub-CA between Sub2 and the leaf."""
    sub3 = Spec(name_of("Sub3"), True, 0, CA_USAGE)
    _, sub2, sub1 = branch.mint()
    return [branch.leaf.mint(sub3), sub3.mint(branch.sub2), sub2, sub1]


def deep_with_right_lengths(branch: Branch) -> list[bytes]:
    branch.sub1.path_length, branch.sub2.path_length = 2, 1
    return sub3_below(branch)


def leaf_under_leaf(branch: Branch) -> list[bytes]:
    below = Spec(name_of("DEABC000000002"), False, None, CONTRACT_USAGE)
    leaf, sub2, _ = branch.mint()
    return [below.mint(branch.leaf), leaf, sub2]


def too_large(branch: Branch) -> None:
    branch.leaf.extra.append(
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x04\x82\x01\x90" + bytes(400)), False)
    )


def wrong_aki() -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier(b"\x11" * 20, None, None)


def wrong_serial_in_aki(branch: Branch) -> None:
    right = x509.SubjectKeyIdentifier.from_public_key(branch.sub2.key.public_key()).digest
    names = [x509.DirectoryName(branch.sub1.name)]
    branch.leaf.aki_value = x509.AuthorityKeyIdentifier(right, names, branch.sub2.serial + 1)


def stranger_root_inside(branch: Branch) -> list[bytes]:
    stranger = Spec(name_of("Stranger"), True, None, CA_USAGE)
    return [*branch.mint(), stranger.mint(stranger)]


SIGN = frozenset({"digital_signature"})
POINTER: tuple[x509.ExtensionType, bool] = (access(), False)
PURPOSE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
STATE = x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "Hessen")


def adding(which: str, *extensions: tuple[x509.ExtensionType, bool]) -> Spoil:
    """Further extensions on one certificate, beside its pointer."""
    return set_on(which, extra=[POINTER, *extensions])


def only(which: str, *extensions: tuple[x509.ExtensionType, bool]) -> Spoil:
    """These extensions on one certificate instead of its pointer."""
    return set_on(which, extra=list(extensions))


def with_another(branch: Branch) -> list[bytes]:
    """A sub-CA of the same root that the path does not need."""
    other = Spec(name_of("Other"), True, 0, CA_USAGE, new_like(branch), extra=[POINTER], hash_=hashes.SHA512())
    return [*branch.mint(), other.mint(branch.root)]


def new_like(branch: Branch) -> Key:
    """A key of the branch's kind."""
    key = branch.leaf.key
    return (
        ec.generate_private_key(key.curve)
        if isinstance(key, ec.EllipticCurvePrivateKey)
        else ed448.Ed448PrivateKey.generate()
    )


def no_name() -> x509.Name:
    """A contract's name without organization."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "DEABC000000001G")])
