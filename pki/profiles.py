"""ONE table: for each profile, what every certificate of a path must be, with the clause that asks for it.

Rules of this file
1. A profile is data. `pki.verify` judges by it and `pki.issue` writes by it, so the two cannot drift apart.
2. `required` key usage bits must be there, `allowed` ones may be there, any other bit refuses; `issued` is what our
   own authority writes.
3. A row says which anchors may end its path. A V2G root may stand above a mobility operator or an OEM, never the
   other way round (V2G2-925).

Source: ISO 15118-2:2014 Annex F, section 7.3.3 and 7.9.2.4, as cited beside the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pki.certificate import KeyKind, KeyUsageBit, SignatureKind
from pki.errors import UnknownProfile


class AnchorRole(StrEnum):
    """What a root is trusted for."""

    V2G = "v2g"
    MO = "mo"
    OEM = "oem"
    PE = "pe"
    BACKEND = "backend"


class CommonName(StrEnum):
    """The grammar of a leaf's common name."""

    EMAID = "emaid"
    EVSEID = "evseid"
    PCID = "pcid"
    FREE = "free"


DOMAIN_COMPONENTS = frozenset({"V2G", "CPO", "CSO", "CPS", "OEM", "MO", "PE"})
"""The roles that a domain component may name; other values (a company's domain) name no role."""

_SIGN, _REPUDIATE = KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.NON_REPUDIATION
_ENCIPHER, _AGREE = KeyUsageBit.KEY_ENCIPHERMENT, KeyUsageBit.KEY_AGREEMENT
_CA = frozenset({KeyUsageBit.KEY_CERT_SIGN, KeyUsageBit.CRL_SIGN})

SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1"
CLIENT_AUTHENTICATION = "1.3.6.1.5.5.7.3.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRule:
    """What one certificate of a path must be. `path_length` None: no limit may be stated. `days`: life when issued."""

    name: str
    ca: bool
    path_length: int | None
    required: frozenset[KeyUsageBit]
    allowed: frozenset[KeyUsageBit]
    issued: frozenset[KeyUsageBit]
    days: int
    clause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One row of the table.

    `anchor_roles` may end the path; those in `direct_roles` may sign the leaf themselves, without a sub-CA.
    `max_der` is bytes per certificate, `max_depth` certificates without the root. `domain_component` is the role that
    the leaf's DC names; it may be missing unless `domain_component_required`. `extended_key_usage` is expected when
    there is one at all. `clauses` gives the requirement behind an error code.
    """

    name: str
    anchor_roles: tuple[AnchorRole, ...]
    direct_roles: frozenset[AnchorRole]
    max_der: int
    max_depth: int
    key: KeyKind
    signature: SignatureKind
    root: CertificateRule
    sub1: CertificateRule
    sub2: CertificateRule
    leaf: CertificateRule
    common_name: CommonName
    domain_component: str | None
    domain_component_required: bool
    extended_key_usage: frozenset[str]
    clauses: Mapping[str, str]

    def clause(self, code: str) -> str | None:
        """The requirement that an error code stands for; None where no single one does."""
        return self.clauses.get(code)

    def sub_rules(self, count: int) -> tuple[CertificateRule, ...]:
        """The rules of `count` sub-CAs (0 to 2) from the leaf's issuer upwards; a single one has the Sub2 profile."""
        return (self.sub2, self.sub1)[:count]


def _ca_rule(
    name: str, path_length: int | None, days: int, extra: frozenset[KeyUsageBit] = frozenset()
) -> CertificateRule:
    return CertificateRule(
        name=name,
        ca=True,
        path_length=path_length,
        required=_CA,
        allowed=_CA | extra,
        issued=_CA | extra,
        days=days,
        clause="ISO 15118-2 Annex F",
    )


def _leaf_rule(
    name: str, required: set[KeyUsageBit], also: set[KeyUsageBit], days: int, clause: str = "ISO 15118-2 Annex F"
) -> CertificateRule:
    return CertificateRule(
        name=name,
        ca=False,
        path_length=None,
        required=frozenset(required),
        allowed=frozenset(required | also),
        issued=frozenset(required | also),
        days=days,
        clause=clause,
    )


_CLAUSES_2 = {
    "algorithm": "ISO 15118-2 V2G2-006, V2G2-007",
    "size": "ISO 15118-2 V2G2-010",
    "depth": "ISO 15118-2 V2G2-009",
    "anchor-role": "ISO 15118-2 V2G2-925",
    "anchor-unknown": "ISO 15118-2 V2G2-924",
    "expired": "ISO 15118-2 V2G2-824",
    "not-yet-valid": "ISO 15118-2 V2G2-824",
    "path-length": "ISO 15118-2 Annex F",
    "ca-flag": "ISO 15118-2 Annex F",
    "basic-constraints": "ISO 15118-2 Annex F",
    "extension": "RFC 5280 4.2",
    "name-chain": "RFC 5280 6.1.3",
    "signature": "RFC 5280 6.1.3",
    "revoked": "RFC 5280 6.3",
    "revocation-unknown": "RFC 5280 6.3",
    "revocation-stale": "RFC 5280 6.3",
}


def _iso2(
    role: str,
    leaf: CertificateRule,
    anchor_roles: tuple[AnchorRole, ...],
    *,
    common_name: CommonName,
    domain_component: str,
    required: bool,
    clauses: Mapping[str, str],
    direct_roles: frozenset[AnchorRole] = frozenset(),
    extended_key_usage: frozenset[str] = frozenset(),
    sub2_extra: frozenset[KeyUsageBit] = frozenset(),
) -> Profile:
    return Profile(
        name=f"iso15118-2-{role}",
        anchor_roles=anchor_roles,
        direct_roles=direct_roles,
        max_der=800,
        max_depth=3,
        key=KeyKind.P256,
        signature=SignatureKind.ECDSA_SHA256,
        root=_ca_rule("root", None, 3650),
        sub1=_ca_rule("Sub1", 1, 1460),
        sub2=_ca_rule("Sub2", 0, 1460, sub2_extra),
        leaf=leaf,
        common_name=common_name,
        domain_component=domain_component,
        domain_component_required=required,
        extended_key_usage=extended_key_usage,
        clauses=MappingProxyType(_CLAUSES_2 | dict(clauses)),
    )


def _backend(role: str, usage: str) -> Profile:
    """TLS between gateway and hub: not ISO 15118, one root, no sub-CA, issued here only (RFC 5280, RFC 8446)."""
    return Profile(
        name=f"backend-{role}",
        anchor_roles=(AnchorRole.BACKEND,),
        direct_roles=frozenset({AnchorRole.BACKEND}),
        max_der=1600,
        max_depth=1,
        key=KeyKind.P256,
        signature=SignatureKind.ECDSA_SHA256,
        root=_ca_rule("root", None, 3650),
        sub1=_ca_rule("Sub1", 1, 1460),
        sub2=_ca_rule("Sub2", 0, 1460),
        leaf=_leaf_rule(f"{role} leaf", {_SIGN}, set(), 365, "RFC 5280 4.2.1.3"),
        common_name=CommonName.FREE,
        domain_component=None,
        domain_component_required=False,
        extended_key_usage=frozenset({usage}),
        clauses=MappingProxyType({}),
    )


_PROFILES = {
    profile.name: profile
    for profile in (
        _iso2(
            "contract",
            _leaf_rule("contract leaf", {_SIGN, _REPUDIATE}, {_ENCIPHER, _AGREE}, 730, "ISO 15118-2 Table F.4"),
            (AnchorRole.MO, AnchorRole.V2G),
            common_name=CommonName.EMAID,
            domain_component="MO",
            required=False,
            clauses={
                "subject": "ISO 15118-2 Table F.4",
                "emaid-format": "ISO 15118-2 V2G2-108",
                "emaid-mismatch": "ISO 15118-2 V2G2-108",
            },
            # The operator's Sub2 also signs tariffs.
            sub2_extra=frozenset({_SIGN, _REPUDIATE}),
        ),
        _iso2(
            "secc",
            _leaf_rule("SECC leaf", {_SIGN}, {_AGREE}, 60),
            (AnchorRole.V2G, AnchorRole.PE),
            common_name=CommonName.EVSEID,
            domain_component="CPO",
            required=True,
            clauses={
                "subject": "ISO 15118-2 V2G2-925",
                "depth": "ISO 15118-2 V2G2-009, V2G2-868",
            },
            direct_roles=frozenset({AnchorRole.PE}),
            extended_key_usage=frozenset({SERVER_AUTHENTICATION}),
        ),
        _iso2(
            "oem",
            _leaf_rule("OEM provisioning leaf", {_SIGN, _AGREE}, set(), 1460, "ISO 15118-2 V2G2-822"),
            (AnchorRole.OEM, AnchorRole.V2G),
            common_name=CommonName.PCID,
            domain_component="OEM",
            required=False,
            clauses={
                "subject": "ISO 15118-2 V2G2-933",
            },
        ),
        _iso2(
            "cps",
            _leaf_rule("CPS leaf", {_SIGN}, set(), 90),
            (AnchorRole.V2G,),
            common_name=CommonName.FREE,
            domain_component="CPS",
            required=True,
            clauses={
                "subject": "ISO 15118-2 V2G2-925",
            },
        ),
        _backend("server", SERVER_AUTHENTICATION),
        _backend("client", CLIENT_AUTHENTICATION),
    )
}

PROFILE_NAMES = tuple(_PROFILES)
"""The names that `profile_named` knows."""


def profile_named(name: str) -> Profile:
    """The profile of that name.

    Raises:
        UnknownProfile: "unknown-profile"; the message lists the known names.
    """
    found = _PROFILES.get(name)
    if found is None:
        raise UnknownProfile("unknown-profile", f"no profile {name!r}; known: {', '.join(PROFILE_NAMES)}")
    return found
