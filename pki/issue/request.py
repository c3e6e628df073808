"""A certification request (PKCS#10): read, and shown to come from whoever holds the private key.

Verification, every step a refusal (`IssueError`):
1. at most REQUEST_CAP bytes                                                          request-size
2. one DER structure, nothing behind it; version 1                               malformed-request
3. the key is of a kind that is asked for: named curve, uncompressed                      key-kind
4. the signature algorithm is the one that goes with the key                    signature-algorithm
5. the signature over the octets that arrived                                  proof-of-possession
6. each attribute and each extension once                        duplicate-attribute, malformed-request
7. the subject: one common name, printable ASCII; what else is read of it at most once     subject
8. the alternative names that are asked for can be read                           alternative-name

What a request asks for beside key and names (CA:TRUE, key usage, validity ...) is not even kept: the profile decides.

Source: RFC 2986 4; RFC 7030 4.2.1; RFC 5280 4.2.1.6; RFC 5480 2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import InitVar, dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NoReturn

from pki import der as outline
from pki.errors import IdentifierError, IssueError
from pki.identifiers import (
    parse_emaid,
    parse_emaid_20,
    parse_evccid,
    parse_evseid,
    parse_pcid,
    parse_pcid_20,
    parse_seccid,
)
from pki.profile import CommonName, Generation, Profile
from pki.public_key import (
    KeyKind,
    PublicKey,
    SignatureKind,
    key_kind,
    load_key,
    signature_kind,
    signature_of,
    signed_by,
)
from pki.verify.fields import content_of, only_child, read_extensions, read_integer, read_oid, whole

REQUEST_CAP = 4096
"""Bytes of DER beyond which a request is not read; one with a P-521 key and all names takes about 500."""
NAMES_CAP = 16
"""Alternative names of one request."""

_ATTRIBUTES = 0xA0
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_EXTENSION_REQUEST, _ALTERNATIVE_NAME = "1.2.840.113549.1.9.14", "2.5.29.17"
_TEXTS = frozenset({0x0C, 0x13, 0x16})
"""UTF8String, PrintableString, IA5String; the others of RFC 5280 are for old certificates only."""
_READ = {
    "2.5.4.3": "common name",
    "2.5.4.10": "organization",
    "2.5.4.6": "country",
    "0.9.2342.19200300.100.1.25": "domain component",
}
_TEXT_MAX = 64
_HOST = re.compile(
    r"(?=.{1,253}\Z)(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_EC, _COMPRESSED = "1.2.840.10045.2.1", (2, 3)
_BUILT_BY_VERIFY = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRequest:
    """What counts of a request; nothing but `verify_request` builds one. The names are what was asked for: whether the
    requester may have them is the caller's to decide. `sha256` is hex over the DER."""

    public_key: PublicKey
    kind: KeyKind
    common_name: str
    organization: str | None
    country: str | None
    domain_component: str | None
    dns_names: tuple[str, ...]
    addresses: tuple[IPv4Address | IPv6Address, ...]
    spki_der: bytes
    sha256: str
    token: InitVar[object] = None

    def __post_init__(self, token: object) -> None:
        if token is not _BUILT_BY_VERIFY:
            raise TypeError("a CheckedRequest comes from verify_request only")


def verify_request(der: bytes, *, kinds: Collection[KeyKind]) -> CheckedRequest:
    """The request that `der` holds, once it is shown that the requester holds the private key; `kinds` are the keys
    that are taken. Cost: one signature verification.

    Raises:
        IssueError: "request-size", "malformed-request", "key-kind", "signature-algorithm", "proof-of-possession",
            "duplicate-attribute", "subject", "alternative-name".
    """
    if len(der) > REQUEST_CAP:  # 1
        _refuse("request-size", f"the request has {len(der)} bytes, at most {REQUEST_CAP}", "RFC 7030 4.2.1")
    try:
        return _verify(der, kinds)
    except outline.MalformedDER as error:
        raise IssueError("malformed-request", f"not a certification request: {error}", clause="RFC 2986 4") from error


def identifier_for(profile: Profile, common_name: str) -> str:
    """The one spelling of what a common name identifies, by the grammar of the profile: registrations and requests are
    compared in it. Of an EMAID the 14 characters without the check character, which must be right when it is there;
    of the others the whole text, its case made one. A name of free form stays as it is.

    Raises:
        IssueError: "subject"; "emaid-format", "emaid-check-character", "evseid-format", "seccid-format", "pcid-format",
            "evccid-format".
    """
    if not 1 <= len(common_name) <= _TEXT_MAX or not _printable(common_name):
        _refuse(
            "subject",
            f"common name {common_name[:_TEXT_MAX]!a} is not printable ASCII of 1 to {_TEXT_MAX} characters",
            profile.clause("subject"),
        )
    if profile.common_name is CommonName.FREE:
        return common_name
    try:
        return _grammars(profile.generation)[profile.common_name](common_name)
    except IdentifierError as error:
        raise IssueError(error.code, f"common name: {error}", clause=error.clause) from error


def _grammars(generation: Generation) -> Mapping[CommonName, Callable[[str], str]]:
    of_20 = generation is Generation.ISO_20
    parse_account, parse_car = (parse_emaid_20, parse_pcid_20) if of_20 else (parse_emaid, parse_pcid)
    return {
        CommonName.EMAID: lambda text: parse_account(text, strict=True).normal,
        CommonName.PCID: lambda text: str(parse_car(text)),
        CommonName.EVSEID: lambda text: parse_evseid(text).normal,
        CommonName.SECCID: lambda text: parse_seccid(text).normal,
        CommonName.EVCCID: lambda text: parse_evccid(text).normal,
    }


def _verify(der: bytes, kinds: Collection[KeyKind]) -> CheckedRequest:
    body, parts, algorithm, signature = outline.read_signed(der)  # 2
    tags = [part.tag for part in parts]
    if tags != [outline.INTEGER, outline.SEQUENCE, outline.SEQUENCE, _ATTRIBUTES]:
        raise outline.MalformedDER("it does not hold version, subject, key and attributes")
    version, subject, spki, attributes = parts
    if read_integer(der, version, 1) != 0:
        raise outline.MalformedDER("its version is not 1")
    spki_der = outline.slice_of(der, spki)
    kind, key = _key(spki_der, kinds)  # 3
    _check_signature(kind, key, algorithm, outline.slice_of(der, body), signature)  # 4, 5
    extensions = _requested_extensions(der, attributes)  # 6
    named = _read_subject(der, subject)  # 7
    dns_names, addresses = _alternative_names(extensions)  # 8
    return CheckedRequest(
        public_key=key,
        kind=kind,
        common_name=named["common name"],
        organization=named.get("organization"),
        country=named.get("country"),
        domain_component=named.get("domain component"),
        dns_names=dns_names,
        addresses=addresses,
        spki_der=spki_der,
        sha256=hashlib.sha256(der).hexdigest(),
        token=_BUILT_BY_VERIFY,
    )


def _key(spki_der: bytes, kinds: Collection[KeyKind]) -> tuple[KeyKind, PublicKey]:
    clause = "RFC 5480 2"
    try:
        kind = key_kind(spki_der)
    except ValueError as error:
        raise IssueError("key-kind", str(error), clause=clause) from error
    expected = " or ".join(sorted(each.value for each in kinds))
    if kind is KeyKind.OTHER:
        found = _strange_key(spki_der)
        _refuse("key-kind", f"the key {found}; expected {expected}, as a named curve and uncompressed", clause)
    if kind not in kinds:
        _refuse("key-kind", f"the key is of {kind.value}; expected {expected}", clause)
    key = load_key(kind, spki_der)
    if key is None:
        _refuse("key-kind", f"the key of {kind.value} cannot be loaded", clause)
    return kind, key


def _strange_key(spki_der: bytes) -> str:
    """What is wrong with a key that no profile takes, as the end of a sentence."""
    fields = outline.read_children(spki_der, whole(spki_der, outline.SEQUENCE))
    if [field.tag for field in fields] != [outline.SEQUENCE, outline.BIT_STRING]:
        raise outline.MalformedDER("the key is not an algorithm and bits")
    algorithm, bits = outline.read_children(spki_der, fields[0]), content_of(spki_der, fields[1])
    if not algorithm:
        raise outline.MalformedDER("the key names no algorithm")
    oid = read_oid(spki_der, algorithm[0])
    if oid != _EC:
        return f"is of algorithm {oid}"
    if len(algorithm) != 2 or algorithm[1].tag != outline.OBJECT_IDENTIFIER:
        return "carries explicit curve parameters, or none"
    if len(bits) > 1 and bits[1] in _COMPRESSED:
        return "is a compressed point"
    return f"is on curve {read_oid(spki_der, algorithm[1])} or not in its one encoding"


def _check_signature(kind: KeyKind, key: PublicKey, algorithm: bytes, signed: bytes, signature: bytes) -> None:
    given, wanted = signature_kind(algorithm), signature_of(kind)
    if given is not wanted:
        found = "another algorithm" if given is SignatureKind.OTHER else given.value
        _refuse("signature-algorithm", f"signed with {found}; expected {wanted.value}", "RFC 2986 4.2")
    if not signed_by(kind, key, given, signed, signature):
        _refuse("proof-of-possession", "the request is not signed by the key that it asks for", "RFC 2986 4.2")


def _requested_extensions(der: bytes, attributes: outline.Element) -> Mapping[str, bytes]:
    """The content of each extension that is asked for; every attribute is read for its form."""
    seen: set[str] = set()
    extensions: dict[str, bytes] = {}
    for attribute in outline.read_children(der, attributes):
        fields = outline.read_children(der, attribute)
        if attribute.tag != outline.SEQUENCE or len(fields) != 2 or fields[1].tag != outline.SET:
            raise outline.MalformedDER(f"attribute at byte {attribute.start} is not a type and a set")
        oid = read_oid(der, fields[0])
        if oid in seen:
            _refuse("duplicate-attribute", f"attribute {oid} appears twice", "RFC 2986 4.1")
        seen.add(oid)
        if not outline.read_children(der, fields[1]):
            raise outline.MalformedDER(f"attribute at byte {attribute.start} has no value")
        if oid == _EXTENSION_REQUEST:
            asked = only_child(der, fields[1], outline.SEQUENCE)
            extensions = {name: field.content for name, field in read_extensions(der, asked).items()}
    return extensions


def _read_subject(der: bytes, subject: outline.Element) -> dict[str, str]:
    """The texts that are read of the subject, by what they are; other attributes are passed over."""
    found: dict[str, str] = {}
    for entry in outline.read_children(der, subject):
        pairs = outline.read_children(der, entry)
        if entry.tag != outline.SET or not pairs:
            raise outline.MalformedDER(f"subject at byte {entry.start} is not a set of attributes")
        if len(pairs) > 1:
            _refuse("subject", "a part of the subject holds several attributes", "RFC 5280 4.1.2.6")
        fields = outline.read_children(der, pairs[0])
        if pairs[0].tag != outline.SEQUENCE or len(fields) != 2:
            raise outline.MalformedDER(f"subject at byte {entry.start} is not a type and a value")
        what = _READ.get(read_oid(der, fields[0]))
        if what is None:
            continue
        if what in found:
            _refuse("subject", f"the subject has more than one {what}", "RFC 5280 4.1.2.6")
        found[what] = _text(der, fields[1], what)
    if "common name" not in found:
        _refuse("subject", "the subject has no common name", "RFC 5280 4.1.2.6")
    if "country" in found and not (len(found["country"]) == 2 and found["country"].isalpha()):
        _refuse("subject", f"country {found['country']!a} is not two letters", "RFC 5280 Appendix A.1")
    return found


def _text(der: bytes, value: outline.Element, what: str) -> str:
    content = content_of(der, value)
    if value.tag not in _TEXTS:
        _refuse("subject", f"{what} is of type {value.tag:#04x}, not a text in ASCII", "RFC 5280 4.1.2.4")
    text = content.decode("latin-1")
    if not 1 <= len(text) <= _TEXT_MAX or not _printable(text):
        shown = content[:_TEXT_MAX].decode("utf-8", "backslashreplace")
        message = f"{what} {shown!a} is not printable ASCII of 1 to {_TEXT_MAX} characters, no space at either end"
        _refuse("subject", message, "RFC 5280 4.1.2.4")
    return text


def _alternative_names(
    extensions: Mapping[str, bytes],
) -> tuple[tuple[str, ...], tuple[IPv4Address | IPv6Address, ...]]:
    content = extensions.get(_ALTERNATIVE_NAME)
    if content is None:
        return (), ()
    names = outline.read_children(content, whole(content, outline.SEQUENCE))
    if len(names) > NAMES_CAP:
        _refuse_name(f"{len(names)} alternative names, at most {NAMES_CAP}")
    dns_names: list[str] = []
    addresses: list[IPv4Address | IPv6Address] = []
    for name in names:
        octets = content_of(content, name)
        if name.tag == _DNS_NAME:
            text = octets.decode("latin-1")
            if not _HOST.fullmatch(text):
                _refuse_name(f"{text[:_TEXT_MAX]!a} is no DNS name")
            dns_names.append(text.lower())
        elif name.tag == _IP_ADDRESS:
            if len(octets) not in (4, 16):
                _refuse_name(f"an address of {len(octets)} octets")
            addresses.append(ip_address(octets))
    return tuple(dict.fromkeys(dns_names)), tuple(dict.fromkeys(addresses))


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and text == text.strip()


def _refuse_name(message: str) -> NoReturn:
    _refuse("alternative-name", f"the request asks for {message}", "RFC 5280 4.2.1.6")


def _refuse(code: str, message: str, clause: str | None) -> NoReturn:
    raise IssueError(code, message, clause=clause)
