"""A certificate revocation list: read, then verified against its issuer, then indexed.

Verification, every step a refusal (`TrustError`) of the whole list:
1. the list's issuer name is the issuer's subject, byte for byte; a key identifier, when there is one, is the issuer's
2. the issuer may sign lists (cRLSign)
3. thisUpdate is before nextUpdate, which must be there; the instants themselves are judged when the list is used
4. no critical extension that is not processed here; no indirect, reason-limited or attribute list; a delta has a number
5. the signature
6. every entry reads; no critical extension on an entry that is not processed; removeFromCRL in a delta only

Reading costs the same for every length, because entries are outlined as one element; step 6 walks them once.

Source: RFC 5280 5 and 6.3.3.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509

from pki import der as outline
from pki.certificate import Certificate, KeyUsageBit, SignatureKind, signature_kind
from pki.errors import TrustError
from pki.verify.fields import (
    ExtensionField,
    SignatureCheck,
    content_of,
    only_child,
    pinned_signature,
    read_extensions,
    read_instant,
    read_integer,
    whole,
)
from pki.verify.serials import RevokedSerials, read_serials

CRL_CAP = 64 * 1024 * 1024
"""Bytes of DER beyond which a list is not read: 1,000,000 entries with a reason take 53 MB, without one 39 MB."""

_AKI, _IDP, _NUMBER, _DELTA = "2.5.29.35", "2.5.29.28", "2.5.29.20", "2.5.29.27"
_PROCESSED = frozenset({_AKI, _IDP, _NUMBER, _DELTA})
_EXTENSIONS = 0xA0
_TIMES = (outline.UTC_TIME, outline.GENERALIZED_TIME)
_KEY_IDENTIFIER, _KEY_SERIAL = 0x80, 0x82
_POINT, _USERS, _AUTHORITIES, _REASONS, _INDIRECT, _ATTRIBUTES = 0xA0, 0x81, 0x82, 0x83, 0x84, 0x85
_FULL_NAME, _URI = 0xA0, 0x86


@dataclass(frozen=True, slots=True)
class Scope:
    """The certificates a list speaks for: `uris` empty means no distribution point is named, so all of them."""

    users: bool = True
    authorities: bool = True
    uris: frozenset[str] = frozenset()

    def covers(self, is_ca: bool, crl_uris: frozenset[str]) -> bool:
        """Whether absence from the list means anything for a certificate of that kind with these CRL pointers."""
        in_kind = self.authorities if is_ca else self.users
        return in_kind and (not self.uris or not self.uris.isdisjoint(crl_uris))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CRL:
    """A list as it was read: nothing in it is trusted yet. `number` None: it carries no CRLNumber."""

    der: bytes
    sha256: str
    body: outline.Element
    algorithm: bytes
    signature: bytes
    issuer_der: bytes
    this_update: datetime
    next_update: datetime | None
    entries: outline.Element | None
    extensions: Mapping[str, ExtensionField]
    number: int | None

    @property
    def signature_kind(self) -> SignatureKind:
        """The signature algorithm, as the profiles know it."""
        return signature_kind(self.algorithm)

    @property
    def parsed(self) -> x509.CertificateRevocationList:
        """The list as `cryptography` reads it, to be shown; the library's ValueError when it cannot."""
        return x509.load_der_x509_crl(self.der)

    def head(self) -> CRL:
        """The list without its octets and entries: enough for `check_head`, and small."""
        return replace(self, der=b"", signature=b"", entries=None)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VerifiedCRL:
    """A list whose issuer stands behind it, its entries indexed. `number` -1: it has none. `base`: for a delta, the
    lowest number of the complete list that it may be laid upon."""

    sha256: str
    this_update: datetime
    next_update: datetime
    number: int
    base: int | None
    scope: Scope
    revoked: RevokedSerials


@dataclass(frozen=True, slots=True)
class Head:
    """What steps 1 to 4 found out about a list."""

    next_update: datetime
    base: int | None
    scope: Scope


def parse_crl(der: bytes) -> CRL:
    """The list that `der` holds, unverified. Its entries are not read, so a million of them cost only their hashing.

    Raises:
        TrustError: "malformed-crl" or "size-limit".
    """
    if len(der) > CRL_CAP:
        raise TrustError("size-limit", f"CRL of {len(der)} bytes, at most {CRL_CAP}")
    try:
        return _read(der)
    except outline.MalformedDER as error:
        raise TrustError("malformed-crl", f"not a CRL: {error}") from error


def verify_crl(crl: CRL, issuer: Certificate, signed_by: SignatureCheck = pinned_signature) -> VerifiedCRL:
    """The list with its entries indexed, once `issuer` is shown to stand behind it. Cost: one signature, then about
    3 us for each entry.

    Raises:
        TrustError: "crl-issuer", "crl-key-usage", "crl-dates", "crl-extension", "crl-scope", "crl-number",
            "crl-signature", "malformed-crl".
    """
    head = check_head(crl, issuer)
    if not signed_by(issuer, crl.algorithm, outline.slice_of(crl.der, crl.body), crl.signature):  # 5
        raise not_signed()
    try:
        revoked = read_serials(crl.der, crl.entries)  # 6
    except outline.MalformedDER as error:
        raise TrustError("malformed-crl", f"a CRL entry cannot be read: {error}") from error
    if revoked.removals and head.base is None:
        raise TrustError("crl-extension", "a complete CRL has a removeFromCRL entry", clause="RFC 5280 5.3.1")
    return VerifiedCRL(
        sha256=crl.sha256,
        this_update=crl.this_update,
        next_update=head.next_update,
        number=-1 if crl.number is None else crl.number,
        base=head.base,
        scope=head.scope,
        revoked=revoked,
    )


def check_head(crl: CRL, issuer: Certificate) -> Head:
    """Steps 1 to 4: all that is asked of a list before its signature.

    Raises:
        TrustError: as `verify_crl`, but for "crl-signature".
    """
    try:
        _check_issuer(crl, issuer)  # 1
        if issuer.key_usage is None or KeyUsageBit.CRL_SIGN not in issuer.key_usage.bits:  # 2
            raise TrustError("crl-key-usage", "the issuer's key usage has no cRLSign", clause="RFC 5280 6.3.3")
        if crl.next_update is None or crl.next_update < crl.this_update:  # 3
            raise TrustError(
                "crl-dates", "CRL without nextUpdate, or with nextUpdate before thisUpdate", clause="RFC 5280 5.1.2.5"
            )
        for oid, extension in crl.extensions.items():  # 4
            if extension.critical and oid not in _PROCESSED:
                message = f"CRL carries critical extension {oid}, which is not processed"
                raise TrustError("crl-extension", message, clause="RFC 5280 5.2")
        return Head(crl.next_update, _base(crl), _scope(crl))
    except outline.MalformedDER as error:
        raise TrustError("malformed-crl", f"a CRL extension cannot be read: {error}") from error


def not_signed() -> TrustError:
    """The error of step 5."""
    return TrustError("crl-signature", "CRL is not signed by its issuer's key", clause="RFC 5280 6.3.3")


def _read(der: bytes) -> CRL:
    body, parts, algorithm, signature = outline.read_signed(der)
    # version INTEGER (v2), signature algorithm, issuer, thisUpdate ...; version 1 has no extensions and is not issued.
    if len(parts) < 4 or [part.tag for part in parts[:3]] != [outline.INTEGER, outline.SEQUENCE, outline.SEQUENCE]:
        raise outline.MalformedDER("not a version 2 CRL")
    if read_integer(der, parts[0]) != 1 or outline.slice_of(der, parts[1]) != algorithm:
        raise outline.MalformedDER("not version 2, or inner and outer signature algorithm differ")
    rest = parts[3:]
    this_update = read_instant(der, rest.pop(0))
    next_update = read_instant(der, rest.pop(0)) if rest and rest[0].tag in _TIMES else None
    entries = rest.pop(0) if rest and rest[0].tag == outline.SEQUENCE else None
    extensions: dict[str, ExtensionField] = {}
    if rest and rest[0].tag == _EXTENSIONS:
        extensions = read_extensions(der, only_child(der, rest.pop(0), outline.SEQUENCE))
    if rest:
        raise outline.MalformedDER(f"unexpected element with tag {rest[0].tag:#04x} at byte {rest[0].start}")
    return CRL(
        der=der,
        sha256=hashlib.sha256(der).hexdigest(),
        body=body,
        algorithm=algorithm,
        signature=signature,
        issuer_der=outline.slice_of(der, parts[2]),
        this_update=this_update,
        next_update=next_update,
        entries=entries,
        extensions=extensions,
        number=_integer(extensions.get(_NUMBER)),
    )


def _integer(extension: ExtensionField | None) -> int | None:
    if extension is None:
        return None
    return read_integer(extension.content, whole(extension.content, outline.INTEGER))


def _check_issuer(crl: CRL, issuer: Certificate) -> None:
    if crl.issuer_der != issuer.subject_der:
        raise TrustError("crl-issuer", "CRL names another issuer", clause="RFC 5280 6.3.3")
    if _AKI not in crl.extensions:
        return
    content = crl.extensions[_AKI].content
    fields = {part.tag: part for part in outline.read_children(content, whole(content, outline.SEQUENCE))}
    key, serial = fields.get(_KEY_IDENTIFIER), fields.get(_KEY_SERIAL)
    expected = issuer.subject_key_identifier
    other_key = key is not None and expected is not None and content_of(content, key) != expected
    if other_key or (serial is not None and read_integer(content, serial) != issuer.serial):
        raise TrustError("crl-issuer", "CRL names another key of its issuer", clause="RFC 5280 5.2.1")


def _base(crl: CRL) -> int | None:
    """The base number of a delta; None for a complete list."""
    base = _integer(crl.extensions.get(_DELTA))
    if base is not None and (crl.number is None or crl.number < base):
        raise TrustError("crl-number", "a delta CRL has no number, or one below its base", clause="RFC 5280 5.2.4")
    return base


def _scope(crl: CRL) -> Scope:
    if _IDP not in crl.extensions:
        return Scope()
    content = crl.extensions[_IDP].content
    children = outline.read_children(content, whole(content, outline.SEQUENCE))
    fields = {part.tag: part for part in children}
    if [*fields] != sorted(fields) or len(fields) != len(children):
        raise outline.MalformedDER("the fields of the issuing distribution point are not in their order")
    limits = {
        _INDIRECT: "indirect",
        _REASONS: "limited to some reasons",
        _ATTRIBUTES: "for attribute certificates",
    }
    met = [what for tag, what in limits.items() if tag in fields]
    unknown = fields.keys() - limits.keys() - {_POINT, _USERS, _AUTHORITIES}
    if met or unknown:
        raise TrustError("crl-scope", f"CRL is {', '.join(met) or 'of an unknown scope'}", clause="RFC 5280 5.2.5")
    only = [_is_set(content, fields[tag]) if tag in fields else False for tag in (_USERS, _AUTHORITIES)]
    uris = _point_uris(content, fields[_POINT]) if _POINT in fields else frozenset[str]()
    return Scope(users=not only[1], authorities=not only[0], uris=uris)


def _is_set(content: bytes, field: outline.Element) -> bool:
    if content_of(content, field) != b"\xff":
        raise outline.MalformedDER(f"boolean at byte {field.start} is not TRUE in DER")
    return True


def _point_uris(content: bytes, point: outline.Element) -> frozenset[str]:
    """The URIs of a distribution point's full name; a point without one could not be compared, so it refuses."""
    names = outline.read_children(content, point)
    if [name.tag for name in names] != [_FULL_NAME]:
        raise TrustError("crl-scope", "CRL is of a relative distribution point", clause="RFC 5280 5.2.5")
    octets = [content_of(content, name) for name in outline.read_children(content, names[0]) if name.tag == _URI]
    if not octets or not all(uri.isascii() for uri in octets):
        raise TrustError("crl-scope", "CRL's distribution point has no URI", clause="RFC 5280 5.2.5")
    return frozenset(uri.decode("ascii") for uri in octets)
