"""One certificate against the row of its role: which row that is, and every deviation from it.

Rules of this file
1. The rules are the verifier's own (`pki.verify.rules`), in a judgement that collects; nothing is judged twice.
2. A row that nobody named is guessed from the certificate's own words. A guess serves a reader only: no verdict of the
   verifier rests on one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.x509.oid import NameOID

from pki.certificate import Certificate
from pki.errors import Finding, IdentifierError, Severity, UnknownProfile
from pki.identifiers import Identifier, parse_emaid, parse_evccid, parse_evseid, parse_pcid, parse_seccid
from pki.profile import CLIENT_AUTHENTICATION, OCSP_SIGNING, SERVER_AUTHENTICATION, Place, Profile
from pki.profiles import profile_for, profile_named
from pki.verify.policy import STRICT, VerifyPolicy
from pki.verify.rules import lint_certificate

AUTO = "auto"
LEAF_ROLES = ("contract", "secc", "oem", "vehicle", "cps")
"""The roles of leafs; beside them, a place (`leaf`, `sub2`, `sub1`, `link`, `root`, `responder`) names a row."""
ROWS = (*LEAF_ROLES, *(place.value for place in Place))

_ROLE_OF_COMPONENT = {"MO": "contract", "CPO": "secc", "CSO": "secc", "CPS": "cps", "OEM": "oem"}
_ROLE_OF_PURPOSE = {SERVER_AUTHENTICATION: "secc", CLIENT_AUTHENTICATION: "vehicle"}
_ROLE_OF_NAME: tuple[tuple[Callable[[str], Identifier], str], ...] = (
    (parse_emaid, "contract"),
    (parse_evseid, "secc"),
    (parse_seccid, "secc"),
    (parse_pcid, "oem"),
    (parse_evccid, "vehicle"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a profile and a place on its path. `guessed`: why this row, when nobody named it."""

    profile: Profile
    place: Place
    guessed: str | None = None


@dataclass(frozen=True, slots=True)
class LintReport:
    """One certificate, the row that it was judged by, and every deviation in the order of the rules."""

    index: int
    certificate: Certificate
    row: Row
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> int:
        """How many findings would refuse a chain with this certificate."""
        return sum(finding.severity is Severity.REFUSED for finding in self.findings)


def lint_chain(
    certificates: Sequence[Certificate], *, profile: str = AUTO, role: str | None = None, policy: VerifyPolicy = STRICT
) -> tuple[LintReport, ...]:
    """A report for each certificate; all are judged as those of the first one's branch.

    `profile` is a name of the table or "auto". `role`, one of `ROWS`, is the row of the first certificate; the others
    tell their places themselves, and so does the first when `role` is None.

    Raises:
        UnknownProfile: "unknown-profile": no such profile, role or place, or a role that is not the profile's.
    """
    reports: list[LintReport] = []
    for index, certificate in enumerate(certificates):
        if index == 0:
            row = choose_row(certificate, profile=profile, role=role)
        else:
            row = Row(reports[0].row.profile, _guessed_place(certificate), "the first certificate tells the branch")
        findings = lint_certificate(certificate, row.profile, row.place, policy)
        reports.append(LintReport(index, certificate, row, findings))
    return tuple(reports)


def choose_row(certificate: Certificate, *, profile: str = AUTO, role: str | None = None) -> Row:
    """The row that was named, or the one that the certificate seems to be made for.

    Raises:
        UnknownProfile: "unknown-profile".
    """
    if role is not None and role not in ROWS:
        raise UnknownProfile("unknown-profile", f"no role {role[:40]!a}; known: {', '.join(ROWS)}")
    place = Place(role) if role in set(Place) else Place.LEAF if role else _guessed_place(certificate)
    if profile != AUTO:
        found = profile_named(profile)
        if role in LEAF_ROLES and found.role != role:
            raise UnknownProfile("unknown-profile", f"{profile} has no row of the role {role}")
        why = None if role else f"it is {'a CA' if _is_ca(certificate) else 'no CA'}"
    elif role in LEAF_ROLES:
        found, why = profile_for(certificate, role), None
    else:
        guess, why = _guessed_role(certificate)
        found = profile_for(certificate, guess)
    if place is Place.LINK and found.link is None:
        raise UnknownProfile("unknown-profile", f"{found.name} has no link certificates")
    return Row(found, place, why)


def _is_ca(certificate: Certificate) -> bool:
    return certificate.basic_constraints is not None and certificate.basic_constraints.ca


def _guessed_place(certificate: Certificate) -> Place:
    constraints = certificate.basic_constraints
    if constraints is None or not constraints.ca:
        return Place.RESPONDER if OCSP_SIGNING in certificate.extended_key_usage else Place.LEAF
    if certificate.self_issued:
        return Place.ROOT
    return Place.SUB2 if constraints.path_length == 0 else Place.SUB1


def _guessed_role(certificate: Certificate) -> tuple[str, str]:
    """The role of a leaf and what tells it: domain component, then key purpose, then the form of the common name."""
    for text in certificate.attributes(NameOID.DOMAIN_COMPONENT):
        role = _ROLE_OF_COMPONENT.get((text or "").upper())
        if role and not _is_ca(certificate):
            return role, f"its domain component is {(text or '').upper()}"
    for purpose, role in _ROLE_OF_PURPOSE.items():
        if purpose in certificate.extended_key_usage:
            return role, f"its extended key usage is {purpose}"
    for name in certificate.attributes(NameOID.COMMON_NAME):
        for parse, role in _ROLE_OF_NAME:
            if name is not None and _reads(parse, name):
                return role, f"its common name reads as {parse.__name__.removeprefix('parse_').upper()}"
    return "contract", "nothing in it tells another role"


def _reads(parse: Callable[[str], Identifier], text: str) -> bool:
    try:
        parse(text)
    except IdentifierError:
        return False
    return True
