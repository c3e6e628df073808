"""The columns that all rows of a generation share: algorithms, sizes, depth, extensions, what is tolerated, clauses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pki.certificate import KeyKind, SignatureKind
from pki.clauses import CLAUSES_2, CLAUSES_20, clause_2, clause_20, rfc
from pki.profile import (
    AUTHORITY_ACCESS,
    AUTHORITY_KEY,
    BASIC,
    CRL_POINTS,
    KEY_USAGE,
    POLICIES,
    SUBJECT_KEY,
    Algorithm,
    Clause,
    Generation,
    Tolerance,
)

# commonName, countryName, organizationName, organizationalUnitName, domainComponent
_SUBJECT_20 = frozenset({"2.5.4.3", "2.5.4.6", "2.5.4.10", "2.5.4.11", "0.9.2342.19200300.100.1.25"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What all rows of a generation share."""

    generation: Generation
    algorithms: tuple[Algorithm, ...]
    max_der: int
    max_presented: int
    max_depth: int
    links: bool
    processed: frozenset[str]
    extensions: frozenset[str] | None
    subject_attributes: frozenset[str] | None
    identifiers_required: bool
    key_identifier_octets: int
    tolerates: frozenset[Tolerance]
    clauses: Mapping[str, Clause]
    annex: Clause


_FIELD = frozenset({Tolerance.CHAIN_ORDER, Tolerance.CHECK_CHARACTER, Tolerance.IDENTIFIER_FORMAT})
"""Certificates in the field depart so, and nothing is lost by it."""
ISO_2 = Columns(
    generation=Generation.ISO_2,
    algorithms=(Algorithm(KeyKind.P256, SignatureKind.ECDSA_SHA256),),
    max_der=800,
    max_presented=4,
    max_depth=3,
    links=False,
    processed=frozenset({BASIC, KEY_USAGE}),
    extensions=None,
    subject_attributes=None,
    identifiers_required=False,
    key_identifier_octets=20,
    tolerates=_FIELD
    | {
        Tolerance.AKI_MISSING,
        Tolerance.EXTENDED_KEY_USAGE,
        Tolerance.LIFETIME_OUTSIDE_ISSUER,
        Tolerance.UNUSED_CERTIFICATE,
    },
    clauses=CLAUSES_2,
    annex=clause_2("Annex F"),
)
# Annex B marks these critical, so they must be processed: key identifiers are matched, pointers and access are read.
_PROCESSED_20 = frozenset({BASIC, KEY_USAGE, AUTHORITY_KEY, SUBJECT_KEY, CRL_POINTS, AUTHORITY_ACCESS})
ISO_20 = Columns(
    generation=Generation.ISO_20,
    algorithms=(
        Algorithm(KeyKind.P521, SignatureKind.ECDSA_SHA512),
        Algorithm(KeyKind.ED448, SignatureKind.ED448),
    ),
    max_der=1600,
    max_presented=5,
    max_depth=3,
    links=True,
    processed=_PROCESSED_20,
    extensions=_PROCESSED_20 | {POLICIES},
    subject_attributes=_SUBJECT_20,
    identifiers_required=True,
    key_identifier_octets=8,
    tolerates=_FIELD | {Tolerance.ED448, Tolerance.UNUSED_CERTIFICATE},
    clauses=CLAUSES_20,
    annex=clause_20("Annex B"),
)
BACKEND = Columns(
    generation=Generation.BACKEND,
    algorithms=ISO_2.algorithms,
    max_der=1600,
    max_presented=4,
    max_depth=1,
    links=False,
    processed=ISO_2.processed,
    extensions=None,
    subject_attributes=None,
    identifiers_required=False,
    key_identifier_octets=20,
    tolerates=ISO_2.tolerates,
    clauses={},
    annex=rfc("4.2.1.3"),
)
