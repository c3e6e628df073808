"""What a profile is: the columns of the table in `pki.profiles`.

A `Profile` is a row for a whole path (generation and role of the leaf); its `CertificateRule`s are the rows of the
places on that path. Both are data only: `pki.verify` judges by them, `pki.issue` writes by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from pki.certificate import KeyKind, KeyUsageBit, SignatureKind

AUTHORITY_KEY, SUBJECT_KEY, KEY_USAGE, BASIC = "2.5.29.35", "2.5.29.14", "2.5.29.15", "2.5.29.19"
POLICIES, CRL_POINTS, KEY_PURPOSE = "2.5.29.32", "2.5.29.31", "2.5.29.37"
AUTHORITY_ACCESS, SUBJECT_ACCESS = "1.3.6.1.5.5.7.1.1", "1.3.6.1.5.5.7.1.11"
SERVER_AUTHENTICATION, CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"
OCSP_SIGNING, OCSP_NO_CHECK = "1.3.6.1.5.5.7.3.9", "1.3.6.1.5.5.7.48.1.5"

POINTERS = frozenset({AUTHORITY_ACCESS, SUBJECT_ACCESS, CRL_POINTS})
"""The extensions that say where more can be learned."""
NEVER = {
    "2.5.29.30": "nameConstraints",
    "2.5.29.33": "policyMappings",
    "2.5.29.36": "policyConstraints",
    "2.5.29.54": "inhibitAnyPolicy",
}
"""The extensions that no profile has, whether critical or not, by their names."""
_COMMON = POINTERS | {AUTHORITY_KEY, SUBJECT_KEY, KEY_USAGE, BASIC, POLICIES, KEY_PURPOSE}


class Generation(StrEnum):
    """The standard that a profile comes from; BACKEND is our own TLS between gateway and hub."""

    ISO_2 = "iso15118-2"
    ISO_20 = "iso15118-20"
    BACKEND = "backend"


class AnchorRole(StrEnum):
    """What a root is trusted for."""

    V2G = "v2g"
    MO = "mo"
    OEM = "oem"
    PE = "pe"
    BACKEND = "backend"


class Place(StrEnum):
    """Where a certificate stands on a path. LINK: a root's key certified by another root, only in ISO 15118-20.
    RESPONDER stands beside the path: who signs OCSP answers for any CA on it."""

    LEAF = "leaf"
    SUB2 = "sub2"
    SUB1 = "sub1"
    LINK = "link"
    ROOT = "root"
    RESPONDER = "responder"


class CommonName(StrEnum):
    """The grammar of a leaf's common name."""

    EMAID = "emaid"
    EVSEID = "evseid"
    SECCID = "seccid"
    EVCCID = "evccid"
    PCID = "pcid"
    FREE = "free"


class Tolerance(StrEnum):
    """The departures that an operator may tolerate, by the name of their switch.

    A profile tolerates some by itself, because certificates in the field depart so and nothing is lost by it; the
    others refuse until the operator asks (`pki.verify.policy`). A tolerated departure is always reported.
    """

    AKI_MISSING = "aki-missing"
    SKI_MISSING = "ski-missing"
    CHAIN_ORDER = "chain-order"
    CHECK_CHARACTER = "check-character"
    DC_MISSING = "dc-missing"
    ED448 = "ed448"
    EXTENDED_KEY_USAGE = "extended-key-usage"
    EXTRA_EXTENSION = "extra-extension"
    IDENTIFIER_FORMAT = "identifier-format"
    LIFETIME_OUTSIDE_ISSUER = "lifetime-outside-issuer"
    ORGANIZATION_MISSING = "organization-missing"
    REVOCATION_POINTER_MISSING = "revocation-pointer-missing"
    SUBJECT_ATTRIBUTE = "subject-attribute"
    UNUSED_CERTIFICATE = "unused-certificate"


class Algorithm(NamedTuple):
    """A key and the one signature algorithm that goes with it; one path uses one of them throughout."""

    key: KeyKind
    signature: SignatureKind


class Clause(NamedTuple):
    """Where a rule is written. `secondary`: known only from what others cite, the standard's own text was not read."""

    text: str
    secondary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRule:
    """What the certificate in one place of a path must be.

    `path_lengths` are the path length limits it may state (None: states none); `path_length` is the one we issue.
    Key usage: `required` bits must be there, `allowed` ones may, any other refuses; `issued` is what we write.
    Extensions: those in `processed` may be critical; `extensions` lists all that may be there at all (None: any that is
    not critical). `extended_key_usage` is expected when there is one. `days`: life when issued by us.
    `plain` follows from these: extensions and their criticality to which no rule has an objection, whatever they say.
    """

    name: str
    place: Place
    ca: bool
    path_length: int | None
    path_lengths: frozenset[int | None]
    required: frozenset[KeyUsageBit]
    allowed: frozenset[KeyUsageBit]
    issued: frozenset[KeyUsageBit]
    processed: frozenset[str]
    extensions: frozenset[str] | None
    extended_key_usage: frozenset[str]
    aki_required: bool
    ski_required: bool
    pointer_required: bool
    days: int
    clause: Clause
    plain: frozenset[tuple[str, bool]] = field(init=False)

    def __post_init__(self) -> None:
        """Critical ones that are processed, but for pointers, which are read first; others that may be there."""
        critical = self.processed - POINTERS
        other = _COMMON if self.extensions is None else self.extensions
        both = {*((oid, True) for oid in critical - NEVER.keys()), *((oid, False) for oid in other - NEVER.keys())}
        object.__setattr__(self, "plain", frozenset(both))


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A row of the table: one generation, one role of leaf.

    `anchor_roles` may end the path; those in `direct_roles` sign the leaf themselves and stand above no sub-CA, the
    others stand above sub-CAs only.
    `algorithms`: the leaf's key picks one, and the whole path with its anchor must use it. `max_der` is bytes for each
    certificate, `max_presented` the certificates that may arrive, `max_depth` those of a path without the root and
    without a link certificate (`link` None: the generation has none).
    `domain_components` are the roles that the leaf's DC may name, `domain_component` the one we issue; it may be
    missing unless `domain_component_required`. `subject_attributes` (dotted) are all that a subject may hold, None is
    any. `key_identifier_octets` is the length of the key identifiers we issue. `tolerates` are the departures that do
    not refuse, unless policy says so. `clauses` gives the requirement behind an error code.
    """

    name: str
    generation: Generation
    role: str
    anchor_roles: tuple[AnchorRole, ...]
    direct_roles: frozenset[AnchorRole]
    algorithms: tuple[Algorithm, ...]
    max_der: int
    max_presented: int
    max_depth: int
    root: CertificateRule
    link: CertificateRule | None
    sub1: CertificateRule
    sub2: CertificateRule
    leaf: CertificateRule
    responder: CertificateRule
    common_name: CommonName
    domain_component: str | None
    domain_components: frozenset[str]
    domain_component_required: bool
    organization_required: bool
    subject_attributes: frozenset[str] | None
    key_identifier_octets: int
    tolerates: frozenset[Tolerance]
    clauses: Mapping[str, Clause]

    def roles_above(self, length: int) -> tuple[AnchorRole, ...]:
        """The roles whose anchors may stand above a path of `length` certificates: a private root only above a leaf
        (V2G2-868, -927; V2G20-2336), the others only above sub-CAs (V2G2-867, V2G20-867)."""
        return tuple([role for role in self.anchor_roles if (role in self.direct_roles) is (length == 1)])

    @property
    def unnamed_roles(self) -> tuple[AnchorRole, ...]:
        """The roles that roots count for which somebody holds for this profile without naming a role: those above
        sub-CAs. Never a private root's, unless nothing else ends such a path."""
        return self.roles_above(2) or self.roles_above(1)

    def clause(self, code: str) -> str | None:
        """The requirement that an error code stands for; None where no single one does."""
        found = self.clauses.get(code)
        return found.text if found else None

    def requirement(self, code: str) -> Clause | None:
        """The same with whether it is known from secondary sources only."""
        return self.clauses.get(code)

    def rule(self, place: Place) -> CertificateRule:
        """The row of one place.

        Raises:
            ValueError: the generation has no link certificates.
        """
        found = {
            Place.LEAF: self.leaf,
            Place.SUB2: self.sub2,
            Place.SUB1: self.sub1,
            Place.LINK: self.link,
            Place.ROOT: self.root,
            Place.RESPONDER: self.responder,
        }[place]
        if found is None:
            raise ValueError(f"{self.name} has no {place.value} certificate")
        return found

    @property
    def extended_key_usage(self) -> frozenset[str]:
        """The key purposes of the leaf, dotted; empty when it has none."""
        return self.leaf.extended_key_usage
