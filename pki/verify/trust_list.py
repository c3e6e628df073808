"""A signed list of roots: which V2G, MO, OEM and PE roots a root pool holds, and where revocation lists are found.

A list is a CMS SignedData (DER) over JSON, which one signer made without signed attributes:

    {"version": 7, "issued_at": "...Z", "next_update": "...Z",
     "roots": [{"role": "v2g", "sha256": "hex", "certificate": "base64 of DER"}], "crls": ["http://..."]}

Steps, each a refusal (`TrustError`) of the whole list; the code repeats the numbers.
1. at most TRUST_LIST_CAP bytes                                                             trust-list-size
2. one SignedData of that form, DER, nothing behind it                                 trust-list-malformed
3. the signer's certificate: a backend client's, below a held backend root, its common name
   `trust-list-signer`                                                                    trust-list-signer
4. the signature                                                                       trust-list-signature
5. the content, its fields and no others                                               trust-list-malformed
6. the version is not below the highest that was ever taken (`floor_version`)                trust-list-old
7. the instants: issued, and not run out                       trust-list-not-yet-valid, trust-list-expired
8. each root: a role but `backend`, its digest, a certificate signed by its own key         trust-list-root

A backend root is never taken from a list: such a root is what lists are verified by.

Source: RFC 5652 5; RFC 5753 2.1.1.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography.x509.oid import NameOID

from pki import der as outline
from pki.certificate import Certificate, KeyKind, SignatureKind, parse_certificate, verify_signature
from pki.errors import MalformedCertificate, PKIError, TrustError
from pki.profile import AnchorRole
from pki.profiles import profile_named
from pki.verify.chain import VerifiedChain, verify
from pki.verify.fields import OCTET_STRING, content_of, only_child, whole
from pki.verify.revocation import RevocationEvidence
from pki.verify.trust import TrustStore

TRUST_LIST_CAP = 4 * 1024 * 1024
"""Bytes of a list beyond which nothing is parsed: about 1,500 roots of the largest size."""
TRUST_LIST_SKEW = timedelta(minutes=5)
"""How far the signer's clock may be ahead of ours."""
SIGNER_NAME = "trust-list-signer"
"""The common name of the certificate that signs."""
LISTED_ROLES = frozenset({AnchorRole.V2G, AnchorRole.MO, AnchorRole.OEM, AnchorRole.PE})

_TAGGED_0 = 0xA0
_CLAUSE = "RFC 5652 5.1"
# The fixed parts of the one form: object identifiers and algorithm identifiers as whole elements.
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_DATA = bytes.fromhex("06092a864886f70d010701")
_VERSION_1 = bytes.fromhex("020101")
_SHA256 = frozenset({bytes.fromhex("300b0609608648016503040201"), bytes.fromhex("300d06096086480165030402010500")})
_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
_BUILT_BY_VERIFY = object()


@dataclass(frozen=True, slots=True)
class ListedRoot:
    """A root and what it is trusted for."""

    role: AnchorRole
    certificate: Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTrustList:
    """A list that passed every step of `verify_trust_list`; nothing else can build one. `next_update`: not to be used
    after it. `sha256` is hex over the whole list."""

    version: int
    issued_at: datetime
    next_update: datetime
    roots: tuple[ListedRoot, ...]
    crls: tuple[str, ...]
    signer: VerifiedChain
    sha256: str
    token: object = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.token is not _BUILT_BY_VERIFY:
            raise TypeError("a VerifiedTrustList comes from verify_trust_list only")
        object.__setattr__(self, "token", None)

    def anchors(self, role: AnchorRole) -> tuple[Certificate, ...]:
        """The listed roots of one role, in the list's order."""
        return tuple(root.certificate for root in self.roots if root.role is role)


class TrustListRoot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One root as the list writes it: hex of SHA-256 over the DER, and the DER in base64."""

    role: AnchorRole
    sha256: str
    certificate: bytes


class TrustListContent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is signed. Instants are aware; `version` never falls."""

    version: int
    issued_at: datetime
    next_update: datetime
    roots: tuple[TrustListRoot, ...]
    crls: tuple[str, ...]


def encode_trust_list(content: TrustListContent) -> bytes:
    """The JSON that is signed."""
    return msgspec.json.encode(content)


def read_trust_list(der: bytes) -> TrustListContent:
    """What a list says, with nobody standing behind it: enough to see which of two is the newer, never to trust one.
    Steps 1, 2 and 5. Raises TrustError."""
    return _read_content(_read_bounded(der).content)


def verify_trust_list(
    der: bytes,
    *,
    trust: TrustStore,
    at: datetime,
    floor_version: int,
    revocation: RevocationEvidence | None = None,
    require_revocation: bool = False,
) -> VerifiedTrustList:
    """The list, verified at the instant `at` (aware). `trust` holds the backend roots, `floor_version` is the highest
    version that was taken before (0: none).

    Raises:
        TrustError: a step refused; `code` as in the list at the head of this file.
        ValueError: `at` is naive.
    """
    signed = _read_bounded(der)  # 1, 2
    signer = _verify_signer(signed, trust, at, revocation, require_revocation)  # 3
    leaf = signer.leaf
    if not verify_signature(leaf, SignatureKind.ECDSA_SHA256, signed.content, signed.signature):  # 4
        raise TrustError("trust-list-signature", "the trust list is not signed by its signer", clause="RFC 5652 5.6")
    content = _read_content(signed.content)  # 5
    if content.version < floor_version:  # 6
        message = f"the trust list has version {content.version}, {floor_version} was taken before"
        raise TrustError("trust-list-old", message)
    _check_instants(content, at)  # 7
    return VerifiedTrustList(
        version=content.version,
        issued_at=content.issued_at,
        next_update=content.next_update,
        roots=_read_roots(content.roots),  # 8
        crls=content.crls,
        signer=signer,
        sha256=hashlib.sha256(der).hexdigest(),
        token=_BUILT_BY_VERIFY,
    )


@dataclass(frozen=True, slots=True)
class _Signed:
    """Content, the signer's certificate as it was sent, and the signature."""

    content: bytes
    certificate: bytes
    signature: bytes


def _read_bounded(der: bytes) -> _Signed:
    """Steps 1 and 2."""
    if len(der) > TRUST_LIST_CAP:
        raise TrustError("trust-list-size", f"a trust list of {len(der)} bytes, at most {TRUST_LIST_CAP}")
    try:
        return _read_signed(der)
    except outline.MalformedDER as error:
        raise TrustError("trust-list-malformed", f"not a signed trust list: {error}", clause=_CLAUSE) from error


def _read_signed(der: bytes) -> _Signed:
    """Step 2: ContentInfo, SignedData, one certificate, one SignerInfo that names it, all in the one form.

    Source: RFC 5652 3, 5.1, 5.3.
    """
    head, explicit = _children(der, whole(der, outline.SEQUENCE), (outline.OBJECT_IDENTIFIER, _TAGGED_0))
    _expect(der, head, _SIGNED_DATA)
    parts = _children(
        der,
        only_child(der, explicit, outline.SEQUENCE),
        (outline.INTEGER, outline.SET, outline.SEQUENCE, _TAGGED_0, outline.SET),
    )
    version, digests, encapsulated, certificates, signers = parts
    _expect(der, version, _VERSION_1)
    _expect_digest(der, only_child(der, digests, outline.SEQUENCE))
    kind, inner = _children(der, encapsulated, (outline.OBJECT_IDENTIFIER, _TAGGED_0))
    _expect(der, kind, _DATA)
    content = content_of(der, only_child(der, inner, OCTET_STRING))
    certificate = outline.slice_of(der, only_child(der, certificates, outline.SEQUENCE))
    return _Signed(content, certificate, _read_signer(der, only_child(der, signers, outline.SEQUENCE), certificate))


def _read_signer(der: bytes, signer: outline.Element, certificate: bytes) -> bytes:
    """The signature of a SignerInfo without attributes; it names the one certificate that was sent."""
    shape = (outline.INTEGER, outline.SEQUENCE, outline.SEQUENCE, outline.SEQUENCE, OCTET_STRING)
    version, name, digest, algorithm, signature = _children(der, signer, shape)
    _expect(der, version, _VERSION_1)
    _expect_digest(der, digest)
    _expect(der, algorithm, _ECDSA_SHA256)
    issuer, serial = _children(der, name, (outline.SEQUENCE, outline.INTEGER))
    try:
        sent = parse_certificate(certificate)
    except MalformedCertificate as error:
        raise outline.MalformedDER(f"its signer's certificate: {error}") from error
    named = int.from_bytes(content_of(der, serial), "big", signed=True)
    if (outline.slice_of(der, issuer), named) != (sent.issuer_der, sent.serial):
        raise outline.MalformedDER("the signer is not the certificate that was sent")
    return content_of(der, signature)


def _verify_signer(
    signed: _Signed,
    trust: TrustStore,
    at: datetime,
    revocation: RevocationEvidence | None,
    required: bool,
) -> VerifiedChain:
    """Step 3."""
    try:
        signer = verify(
            [signed.certificate],
            profile=profile_named("backend-client"),
            trust=trust,
            at=at,
            revocation=revocation,
            require_revocation=required,
        )
    except PKIError as error:
        raise TrustError("trust-list-signer", f"the signer is not trusted: {error}", clause=error.clause) from error
    names = signer.leaf.attributes(NameOID.COMMON_NAME)
    if names != (SIGNER_NAME,):
        raise TrustError("trust-list-signer", f"signed by {names}, not by {SIGNER_NAME}")
    return signer


def _read_content(octets: bytes) -> TrustListContent:
    """Step 5."""
    try:
        content = msgspec.json.decode(octets, type=TrustListContent)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise TrustError("trust-list-malformed", f"the content of the trust list: {error}") from error
    if content.version < 1 or None in (content.issued_at.tzinfo, content.next_update.tzinfo):
        raise TrustError("trust-list-malformed", "the trust list has no version of 1 or more, or naive instants")
    return content


def _check_instants(content: TrustListContent, at: datetime) -> None:
    """Step 7; both ends are inclusive."""
    if content.issued_at > at + TRUST_LIST_SKEW:
        raise TrustError("trust-list-not-yet-valid", f"issued at {_utc(content.issued_at)}, judged at {at}")
    if content.next_update < at:
        raise TrustError("trust-list-expired", f"to be replaced by {_utc(content.next_update)}, judged at {at}")


def _read_roots(listed: tuple[TrustListRoot, ...]) -> tuple[ListedRoot, ...]:
    """Step 8."""
    found: dict[tuple[AnchorRole, str], ListedRoot] = {}
    for index, root in enumerate(listed):
        if root.role not in LISTED_ROLES:
            raise TrustError("trust-list-root", f"root {index}: a list names no {root.role.value} root", index=index)
        if hashlib.sha256(root.certificate).hexdigest() != root.sha256:
            raise TrustError("trust-list-root", f"root {index} is not the one of its digest", index=index)
        if (root.role, root.sha256) in found:
            raise TrustError("trust-list-root", f"root {index} is listed twice", index=index)
        try:
            certificate = parse_certificate(root.certificate)
        except MalformedCertificate as error:
            raise TrustError("trust-list-root", f"root {index}: {error}", index=index) from error
        check_root(certificate, f"root {index}")
        found[root.role, root.sha256] = ListedRoot(root.role, certificate)
    return tuple(found.values())


def check_root(certificate: Certificate, what: str = "the certificate") -> None:
    """Return when a certificate is a CA signed by its own key, of a kind that some profile takes.

    Raises:
        TrustError: "trust-list-root".
    """
    constraints = certificate.basic_constraints
    if certificate.key_kind is KeyKind.OTHER:
        raise TrustError("trust-list-root", f"{what} has a key that no profile takes")
    if not certificate.self_issued or constraints is None or not constraints.ca:
        raise TrustError("trust-list-root", f"{what} is no root: not issued by itself, or no CA")
    if not verify_signature(certificate, certificate.signature_kind, certificate.tbs, certificate.signature):
        raise TrustError("trust-list-root", f"{what} is not signed by its own key")


def _children(der: bytes, parent: outline.Element, tags: tuple[int, ...]) -> list[outline.Element]:
    found = outline.read_children(der, parent)
    if tuple(child.tag for child in found) != tags:
        raise outline.MalformedDER(f"unexpected elements at byte {parent.content}")
    return found


def _expect(der: bytes, element: outline.Element, octets: bytes) -> None:
    if outline.slice_of(der, element) != octets:
        raise outline.MalformedDER(f"unexpected value at byte {element.start}")


def _expect_digest(der: bytes, element: outline.Element) -> None:
    if outline.slice_of(der, element) not in _SHA256:
        raise outline.MalformedDER(f"at byte {element.start}: another digest than SHA-256")


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
