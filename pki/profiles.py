"""ONE table: for each profile, what every certificate of a path must be, with the clause that asks for it.

Rules of this file
1. A profile is data. `pki.verify` judges by it and `pki.issue` writes by it, so the two cannot drift apart.
2. A row says which anchors may end its path. A V2G root may stand above a mobility operator or an OEM, never the
   other way round (V2G2-925); a vehicle's path never ends at a mobility operator (V2G20-2331).
3. What a row does not state is its generation's, in `pki.generations`.

Every clause of ISO 15118 is `secondary` (`pki.clauses`). The key usage of the -20 vehicle leaf and its EVCCID have one
weak source only.

Source: ISO 15118-2:2014 Annex F, 7.3.3, 7.9.2.4; ISO 15118-20:2022 Annex B, 7.3; RFC 5280, as cited beside the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pki.certificate import Certificate, KeyUsageBit
from pki.clauses import clause_2, clause_20
from pki.errors import UnknownProfile
from pki.generations import BACKEND, ISO_2, ISO_20, Columns
from pki.profile import (
    CLIENT_AUTHENTICATION,
    KEY_PURPOSE,
    OCSP_NO_CHECK,
    OCSP_SIGNING,
    SERVER_AUTHENTICATION,
    SUBJECT_ACCESS,
    AnchorRole as AnchorRole,
    CertificateRule,
    Clause,
    CommonName as CommonName,
    Generation,
    Place,
    Profile as Profile,
    Tolerance as Tolerance,
)

DOMAIN_COMPONENTS = frozenset({"V2G", "CPO", "CSO", "CPS", "OEM", "MO", "PE"})
"""The roles that a domain component may name; other values (a company's domain) name no role."""

_SIGN, _REPUDIATE = KeyUsageBit.DIGITAL_SIGNATURE, KeyUsageBit.NON_REPUDIATION
_ENCIPHER, _AGREE = KeyUsageBit.KEY_ENCIPHERMENT, KeyUsageBit.KEY_AGREEMENT
_CA = frozenset({KeyUsageBit.KEY_CERT_SIGN, KeyUsageBit.CRL_SIGN})
_TARIFFS = frozenset({_SIGN, _REPUDIATE})
"""An operator's Sub2 also signs tariffs."""
_NONE: frozenset[KeyUsageBit] = frozenset()
_NO_PURPOSE: frozenset[str] = frozenset()


def _ca(
    columns: Columns,
    place: Place,
    path_lengths: tuple[int | None, ...],
    days: int,
    extra: frozenset[KeyUsageBit] = _NONE,
) -> CertificateRule:
    """The row of a CA; the first of `path_lengths` is the one that is issued."""
    root, link = place is Place.ROOT, place is Place.LINK
    access = frozenset({SUBJECT_ACCESS}) if link else _NO_PURPOSE
    return CertificateRule(
        name={Place.ROOT: "root", Place.LINK: "link certificate", Place.SUB1: "Sub1"}.get(place, "Sub2"),
        place=place,
        ca=True,
        path_length=path_lengths[0],
        path_lengths=frozenset(path_lengths),
        required=_CA,
        allowed=_CA | extra,
        issued=_CA | extra,
        processed=columns.processed | access,
        extensions=None if columns.extensions is None else columns.extensions | access,
        extended_key_usage=_NO_PURPOSE,
        aki_required=columns.identifiers_required and not root,
        ski_required=columns.identifiers_required,
        pointer_required=columns.identifiers_required and not root and not link,
        days=days,
        clause=columns.annex,
    )


def _responder(columns: Columns) -> CertificateRule:
    """The row of an OCSP signer. It is issued by the CA that it answers for, lives short, and is not itself asked about
    (RFC 6960 4.2.2.2.1), so it needs no pointers."""
    purpose = frozenset({KEY_PURPOSE, OCSP_NO_CHECK})
    bits = frozenset({_SIGN})
    return CertificateRule(
        name="OCSP signer",
        place=Place.RESPONDER,
        ca=False,
        path_length=None,
        path_lengths=frozenset({None}),
        required=bits,
        allowed=bits | {_REPUDIATE},
        issued=bits,
        processed=columns.processed | purpose,
        extensions=None if columns.extensions is None else columns.extensions | purpose,
        extended_key_usage=frozenset({OCSP_SIGNING}),
        aki_required=columns.identifiers_required,
        ski_required=columns.identifiers_required,
        pointer_required=False,
        days=30,
        clause=Clause("RFC 6960 4.2.2.2", secondary=False),
    )


def _profile(
    columns: Columns,
    role: str,
    anchor_roles: tuple[AnchorRole, ...],
    *,
    leaf: str,
    required: set[KeyUsageBit],
    allowed: frozenset[KeyUsageBit] = _NONE,
    issued: frozenset[KeyUsageBit] | None = None,
    days: int,
    usage_clause: Clause | None = None,
    common_name: CommonName,
    dc: tuple[str, ...] = (),
    dc_required: bool = False,
    organization_required: bool = False,
    direct_roles: frozenset[AnchorRole] = frozenset(),
    purposes: frozenset[str] = _NO_PURPOSE,
    access: frozenset[str] = _NO_PURPOSE,
    sub2_extra: frozenset[KeyUsageBit] = _NONE,
    clauses: Mapping[str, Clause] | None = None,
) -> Profile:
    bits, processed = frozenset(required), columns.processed | access
    purpose = frozenset({KEY_PURPOSE}) if purposes else _NO_PURPOSE
    rule = CertificateRule(
        name=leaf,
        place=Place.LEAF,
        ca=False,
        path_length=None,
        path_lengths=frozenset({None}),
        required=bits,
        allowed=bits | allowed,
        issued=bits | allowed if issued is None else issued,
        processed=processed | purpose,
        extensions=None if columns.extensions is None else columns.extensions | access | purpose,
        extended_key_usage=purposes,
        aki_required=columns.identifiers_required,
        ski_required=columns.identifiers_required,
        pointer_required=columns.identifiers_required,
        days=days,
        clause=usage_clause or columns.annex,
    )
    return Profile(
        name=f"{columns.generation.value}-{role}",
        generation=columns.generation,
        role=role,
        anchor_roles=anchor_roles,
        direct_roles=direct_roles,
        algorithms=columns.algorithms,
        max_der=columns.max_der,
        max_presented=columns.max_presented,
        max_depth=columns.max_depth,
        root=_ca(columns, Place.ROOT, (None,), 3650),
        link=_ca(columns, Place.LINK, (None, 2), 1460) if columns.links else None,
        sub1=_ca(columns, Place.SUB1, (1,), 1460),
        sub2=_ca(columns, Place.SUB2, (0,), 1460, sub2_extra),
        leaf=rule,
        responder=_responder(columns),
        common_name=common_name,
        domain_component=dc[0] if dc else None,
        domain_components=frozenset(dc),
        domain_component_required=dc_required,
        organization_required=organization_required,
        subject_attributes=columns.subject_attributes,
        key_identifier_octets=columns.key_identifier_octets,
        tolerates=columns.tolerates,
        clauses=MappingProxyType({**columns.clauses, **(clauses or {})}),
    )


def _backend(role: str, purpose: str) -> Profile:
    """TLS between gateway and hub: not ISO 15118, one root, no sub-CA, issued here only (RFC 5280, RFC 8446)."""
    return _profile(
        BACKEND,
        role,
        (AnchorRole.BACKEND,),
        leaf=f"{role} leaf",
        required={_SIGN},
        days=365,
        common_name=CommonName.FREE,
        direct_roles=frozenset({AnchorRole.BACKEND}),
        purposes=frozenset({purpose}),
    )


_ROWS = (
    _profile(
        ISO_2,
        "contract",
        (AnchorRole.MO, AnchorRole.V2G),
        leaf="contract leaf",
        required={_SIGN, _REPUDIATE},
        allowed=frozenset({_ENCIPHER, _AGREE}),
        days=730,
        usage_clause=clause_2("Table F.4"),
        common_name=CommonName.EMAID,
        dc=("MO",),
        sub2_extra=_TARIFFS,
        clauses={
            "subject": clause_2("Table F.4"),
            "emaid-format": clause_2("V2G2-108"),
            "emaid-mismatch": clause_2("V2G2-108"),
        },
    ),
    _profile(
        ISO_2,
        "secc",
        (AnchorRole.V2G, AnchorRole.PE),
        leaf="SECC leaf",
        required={_SIGN},
        allowed=frozenset({_AGREE}),
        days=60,
        common_name=CommonName.EVSEID,
        dc=("CPO",),
        dc_required=True,
        direct_roles=frozenset({AnchorRole.PE}),
        purposes=frozenset({SERVER_AUTHENTICATION}),
        clauses={"subject": clause_2("V2G2-925"), "depth": clause_2("V2G2-009, V2G2-868")},
    ),
    _profile(
        ISO_2,
        "oem",
        (AnchorRole.OEM, AnchorRole.V2G),
        leaf="OEM provisioning leaf",
        required={_SIGN, _AGREE},
        days=1460,
        usage_clause=clause_2("V2G2-822"),
        common_name=CommonName.PCID,
        dc=("OEM",),
        clauses={"subject": clause_2("V2G2-933")},
    ),
    _profile(
        ISO_2,
        "cps",
        (AnchorRole.V2G,),
        leaf="CPS leaf",
        required={_SIGN},
        days=90,
        common_name=CommonName.FREE,
        dc=("CPS",),
        dc_required=True,
        clauses={"subject": clause_2("V2G2-925")},
    ),
    _profile(
        ISO_20,
        "contract",
        (AnchorRole.MO, AnchorRole.V2G),
        leaf="contract leaf",
        required={_SIGN},
        allowed=frozenset({_REPUDIATE, _ENCIPHER, _AGREE}),
        issued=frozenset({_SIGN}),
        days=730,
        common_name=CommonName.EMAID,
        dc=("MO",),
        organization_required=True,
        access=frozenset({SUBJECT_ACCESS}),
        sub2_extra=_TARIFFS,
        clauses={
            "anchor-role": clause_20("V2G20-2329"),
            "anchor-unknown": clause_20("V2G20-2211"),
            "subject": clause_20("V2G20-2589"),
            "emaid-format": clause_20("V2G20-2589"),
            "emaid-mismatch": clause_20("V2G20-2589"),
        },
    ),
    _profile(
        ISO_20,
        "secc",
        (AnchorRole.V2G, AnchorRole.PE),
        leaf="SECC leaf",
        required={_SIGN},
        allowed=frozenset({_AGREE}),
        issued=frozenset({_SIGN}),
        days=60,
        common_name=CommonName.SECCID,
        dc=("CPO", "CSO"),
        dc_required=True,
        direct_roles=frozenset({AnchorRole.PE}),
        purposes=frozenset({SERVER_AUTHENTICATION}),
        clauses={"subject": clause_20("Table B.5")},
    ),
    _profile(
        ISO_20,
        "oem",
        (AnchorRole.OEM, AnchorRole.V2G),
        leaf="OEM provisioning leaf",
        required={_SIGN, _AGREE},
        days=1460,
        usage_clause=clause_20("V2G20-822"),
        common_name=CommonName.PCID,
        dc=("OEM",),
        clauses={"subject": clause_20("V2G20-2077, V2G20-2079")},
    ),
    _profile(
        ISO_20,
        "vehicle",
        (AnchorRole.OEM, AnchorRole.V2G),
        leaf="vehicle leaf",
        required={_SIGN},
        allowed=frozenset({_AGREE}),
        issued=frozenset({_SIGN}),
        days=1460,
        common_name=CommonName.EVCCID,
        purposes=frozenset({CLIENT_AUTHENTICATION}),
        clauses={"anchor-role": clause_20("V2G20-2331, V2G20-2339")},
    ),
    _profile(
        ISO_20,
        "cps",
        (AnchorRole.V2G,),
        leaf="CPS leaf",
        required={_SIGN},
        days=90,
        common_name=CommonName.FREE,
        dc=("CPS",),
        dc_required=True,
        clauses={"anchor-role": clause_20("Annex B")},
    ),
    _backend("server", SERVER_AUTHENTICATION),
    _backend("client", CLIENT_AUTHENTICATION),
)
_PROFILES = {row.name: row for row in _ROWS}

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


def profile_for(leaf: Certificate, role: str = "contract") -> Profile:
    """The profile of one role and of the generation that the leaf's key tells: P-256 is -2, P-521 and Ed448 are -20.

    A key of neither gives the row of -2 where there is one, so that the verifier refuses it with its own words.

    Raises:
        UnknownProfile: "unknown-profile": no generation has a leaf of that role.
    """
    of_20 = leaf.key_kind in {algorithm.key for algorithm in ISO_20.algorithms}
    first, second = (ISO_20, ISO_2) if of_20 else (ISO_2, ISO_20)
    found = _PROFILES.get(f"{first.generation.value}-{role}") or _PROFILES.get(f"{second.generation.value}-{role}")
    if found is None:
        roles = ", ".join(sorted({row.role for row in _ROWS if row.generation is not Generation.BACKEND}))
        raise UnknownProfile("unknown-profile", f"no profile of the role {role[:40]!a}; known: {roles}")
    return found
