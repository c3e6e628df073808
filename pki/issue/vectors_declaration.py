"""The conformance vectors as they are declared in TOML: suites, sound branches, error codes, and the cases.

A certificate is a table of fields (`CertificateOrder`). Its table is laid together from three layers, the later over
the earlier: the place in its standard (`[place.2.leaf]`), the branch (`[branch.2.contract.leaf]`), and what a case
changes (`with.leaf.days = [-10, -1]`). A certificate that a case adds begins as a copy of another one (`like`).
Read strictly: a misspelt key is an error.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from pki.errors import DeclarationError
from pki.issue.vectors_keys import HashName, KeyForm, PointForm
from pki.profile import AnchorRole

Name = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9.-]{0,63}\Z")]
Hex = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{2})+\Z")]
Days = tuple[float, float]
"""From and until, in days from the declaration's instant."""
Fields = dict[str, object]
"""Some fields of an order, as TOML has them."""


class Usage(StrEnum):
    """The bits of key usage, in their order (RFC 5280 4.2.1.3)."""

    DIGITAL_SIGNATURE = "digital-signature"
    NON_REPUDIATION = "non-repudiation"
    KEY_ENCIPHERMENT = "key-encipherment"
    DATA_ENCIPHERMENT = "data-encipherment"
    KEY_AGREEMENT = "key-agreement"
    KEY_CERT_SIGN = "key-cert-sign"
    CRL_SIGN = "crl-sign"
    ENCIPHER_ONLY = "encipher-only"
    DECIPHER_ONLY = "decipher-only"


class Purpose(StrEnum):
    """Extended key usages."""

    SERVER = "server"
    CLIENT = "client"
    OCSP_SIGNING = "ocsp-signing"


class Part(StrEnum):
    """The extensions that a certificate is made with; `without`, `flip` and `twice` name them."""

    BASIC_CONSTRAINTS = "basic-constraints"
    KEY_USAGE = "key-usage"
    SKI = "ski"
    AKI = "aki"
    EKU = "eku"
    AIA = "aia"
    CRL_POINT = "crl-point"


class Damage(StrEnum):
    """What is done to the octets of a finished certificate."""

    SIGNATURE_BIT = "signature-bit"
    TRAILING_OCTET = "trailing-octet"
    CUT_OFF = "cut-off"
    INDEFINITE_LENGTH = "indefinite-length"


class TextFault(StrEnum):
    """What is done to the text of a finished chain."""

    TEXT_BETWEEN = "text-between"
    OTHER_LABEL = "other-label"
    NOT_BASE64 = "not-base64"


_POINTS = {
    PointForm.NAMED: frozenset(KeyForm),
    PointForm.COMPRESSED: frozenset({KeyForm.P256, KeyForm.P521}),
    PointForm.EXPLICIT: frozenset({KeyForm.P256}),
}


class Suite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Vectors of one kind: a standard (its `generation` names the layers, `profiles` begins the names of its profiles)
    with one kind of key. `key_identifier_octets`: 20 (RFC 5280 method 1) or 8 (method 2)."""

    name: Name
    title: str
    generation: str
    profiles: str
    key: KeyForm
    hash: HashName
    key_identifier_octets: Literal[8, 20]


class CertificateOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every field of a certificate. `issuer` names the certificate above, "self" makes it self-signed; `key`
    names its key (None: it is called as the certificate is) and `signer` the key that signs (None: the issuer's).

    Names: the attributes C, O, OU, ST, CN, DC in this order, those that are given; several CNs make several.
    `path_length` None or "none": states none. `serial`: content octets. `aki_names_serial`: the identifier also names
    the issuer's issuer and serial number, rightly or wrongly. `add` names entries of the declaration's `extension`.
    """

    issuer: str
    days: Days
    cn: str | list[str]
    c: str | None = "DE"
    o: str | None = "Vectors"
    ou: str | None = None
    st: str | None = None
    dc: str | None = None
    issuer_cn: str | None = None
    key: str | None = None
    key_form: KeyForm | None = None
    point: PointForm = PointForm.NAMED
    signer: str | None = None
    hash: HashName | None = None
    outer_hash: HashName | None = None
    version: Literal[1, 3] = 3
    serial: Hex | None = None
    generalized_end: bool = False
    unique_id: bool = False
    ca: bool = False
    path_length: int | Literal["none"] | None = None
    usage: tuple[Usage, ...] = ()
    eku: tuple[Purpose, ...] = ()
    ski: Hex | None = None
    aki: Hex | None = None
    aki_names_serial: Literal["right", "wrong"] | None = None
    aia: str | None = None
    crl_point: str | None = None
    without: tuple[Part, ...] = ()
    flip: tuple[Part, ...] = ()
    twice: tuple[Part, ...] = ()
    add: tuple[str, ...] = ()
    damage: Damage | None = None


class ExtensionOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further extension, its value in hex; with `padding` an OCTET STRING of so many zeros instead."""

    oid: str
    critical: bool
    value: Hex = "0500"
    padding: Annotated[int, msgspec.Meta(ge=1, le=4096)] | None = None


class ListOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CRL of the CA `of`; `revoked` names certificates, which were revoked when the list begins. `delta` makes it a
    delta upon that number; `point` is the DER of an issuing distribution point, `named` the CA whose name it bears."""

    of: str
    revoked: tuple[str, ...] = ()
    days: Days = (-1, 6)
    number: int | None = 1
    delta: int | None = None
    signer: str | None = None
    named: str | None = None
    hash: HashName | None = None
    aki: Hex | None = None
    point: Hex | None = None
    unknown_critical: bool = False


class Status(StrEnum):
    """What an OCSP answer says, or "try-later" for an answer without content."""

    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"
    TRY_LATER = "try-later"


class AnswerOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An OCSP answer about the certificate `of`, by its issuer or by the delegate `by`, which is sent along unless not
    `sent`. `issuer`: whose hashes stand in the certificate id (None: the issuer's). `days`: thisUpdate and
    nextUpdate; `produced`: producedAt (None: thisUpdate)."""

    of: str
    status: Status = Status.GOOD
    days: Days = (-1, 5)
    produced: float | None = None
    by: str | None = None
    sent: bool = True
    signer: str | None = None
    issuer: str | None = None
    id_hash: HashName = HashName.SHA256
    by_name: bool = False
    nonce: Hex | None = None
    unknown_critical: bool = False


class CodeOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code of a verdict, and the clause that it stands for in each generation."""

    verdict: Literal["accept", "reject", "malformed", "no-evidence"] = "reject"
    clause: dict[str, str] = {}


_RESERVED = {"changes": "with", "suites": "in"}


class CaseOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_RESERVED):
    """A case in every suite of `suites` (None: its group's). `chain` and `trust` name certificates (`trust` None: the
    root under the role of its branch), `crls` CAs, `ocsps` certificates, or orders in full. `expect` is "accepted" or a
    code; `clause` is given where it is not the code's, for each generation."""

    id: Name
    title: str
    suites: tuple[str, ...] | None = None
    role: str = "contract"
    profile: str | None = None
    changes: dict[str, Fields] = {}
    chain: tuple[str, ...] = ("leaf", "sub2", "sub1")
    trust: dict[AnchorRole, list[str]] | None = None
    text: TextFault | None = None
    at: datetime | None = None
    crls: tuple[str | ListOrder, ...] = ()
    ocsps: tuple[str | AnswerOrder, ...] = ()
    emaid: str | None = None
    require_revocation: bool = False
    policy: tuple[str, ...] = ()
    expect: str
    clause: dict[str, str] | None = None
    index: int | None = None
    revocation: Literal["good", "revoked", "unknown", "stale"] = "unknown"
    findings: tuple[str, ...] = ()
    account: str | None = None
    comment: str | None = None


class CaseGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename=_RESERVED):
    """Cases under one heading. They go to the files whose names end in `file`, and to the suites `suites` (None: all)
    unless a case names its own."""

    title: str
    file: Name
    suites: tuple[str, ...] | None = None
    cases: list[CaseOrder]


class VectorDeclaration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it. `place`: generation, place, fields. `branch`: generation, role, then `trust` (a role) and the fields
    of each place."""

    at: datetime
    seed: str
    suite: dict[Name, Suite]
    place: dict[str, dict[str, Fields]]
    branch: dict[str, dict[str, dict[str, object]]]
    extension: dict[str, ExtensionOrder]
    code: dict[str, CodeOrder]
    group: list[CaseGroup]

    @property
    def cases(self) -> tuple[CaseOrder, ...]:
        """The cases of all groups, in their order."""
        return tuple(case for group in self.group for case in group.cases)

    def cases_of(self, suite: str, file: str) -> tuple[CaseOrder, ...]:
        """The cases of one suite that go to one file, in their order."""
        return tuple(
            case
            for group in self.group
            if group.file == file
            for case in group.cases
            if suite in (case.suites or group.suites or self.suite)
        )


def parse_vectors(text: bytes) -> VectorDeclaration:
    """The declaration that a TOML text holds.

    Raises:
        DeclarationError: "declaration"; names the key and its place, or where the text is not TOML.
    """
    try:
        found = msgspec.convert(tomllib.loads(text.decode()), VectorDeclaration)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DeclarationError("declaration", f"vector declaration: {error}") from error
    for problem in _problems(found):
        raise DeclarationError("declaration", f"vector declaration: {problem}")
    return found


def certificate_order(declaration: VectorDeclaration, suite: Suite, case: CaseOrder, name: str) -> CertificateOrder:
    """The certificate of that name in a case: the layers of its place and branch, then the case's changes.

    Raises:
        DeclarationError: "declaration": there is no such certificate, or a field is wrong.
    """
    try:
        found = msgspec.convert(_layers(declaration, suite, case, name), CertificateOrder)
    except msgspec.ValidationError as error:
        raise DeclarationError("declaration", f"case {case.id}: certificate {name!r}: {error}") from error
    for added in found.add:
        if added not in declaration.extension:
            raise DeclarationError("declaration", f"case {case.id}: certificate {name!r}: no extension {added!a}")
    if (found.key_form or suite.key) not in _POINTS[found.point]:
        raise DeclarationError("declaration", f"case {case.id}: certificate {name!r}: no {found.point.value} key here")
    return found


def anchor_role(declaration: VectorDeclaration, suite: Suite, case: CaseOrder) -> AnchorRole:
    """The role that the root of a case's branch is trusted for.

    Raises:
        DeclarationError: "declaration": the branch does not say.
    """
    branch = declaration.branch.get(suite.generation, {}).get(case.role, {})
    try:
        return AnchorRole(str(branch.get("trust")))
    except ValueError as error:
        raise DeclarationError("declaration", f"branch {suite.generation}.{case.role}: trust: {error}") from error


def _layers(
    declaration: VectorDeclaration, suite: Suite, case: CaseOrder, name: str, copies: tuple[str, ...] = ()
) -> Fields:
    """The fields of a certificate; `copies` have asked for it as their original."""
    changes = dict(case.changes.get(name, {}))
    original = changes.pop("like", name)
    place = declaration.place.get(suite.generation, {}).get(str(original))
    if place is not None:
        branch = declaration.branch.get(suite.generation, {}).get(case.role, {}).get(str(original), {})
        own = branch if isinstance(branch, dict) else {}
        return {**place, **own, **changes}
    if original == name or original in copies or original not in case.changes:
        raise DeclarationError("declaration", f"case {case.id}: no certificate {original!a} to make {name!r} from")
    return {**_layers(declaration, suite, case, str(original), (*copies, name)), **changes}


def _problems(declaration: VectorDeclaration) -> Iterator[str]:
    if declaration.at.tzinfo is None:
        yield "at has no UTC offset"
    seen: set[str] = set()
    for case in declaration.cases:
        if case.id in seen:
            yield f"case {case.id} is declared twice"
        seen.add(case.id)
        if case.expect not in declaration.code:
            yield f"case {case.id}: no code {case.expect!r} is declared"
        for name in case.suites or ():
            if name not in declaration.suite:
                yield f"case {case.id}: no suite {name!a} is declared"
