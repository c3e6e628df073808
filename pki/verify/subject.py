"""The rules of a subject: attributes, organization, domain component, and the grammar of the common name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptography.x509.oid import NameOID

from pki.certificate import Certificate
from pki.errors import IdentifierError
from pki.identifiers import (
    EMAID,
    emaid_check_character,
    parse_emaid,
    parse_emaid_20,
    parse_evccid,
    parse_evseid,
    parse_pcid,
    parse_pcid_20,
    parse_seccid,
)
from pki.profile import CertificateRule, CommonName, Generation, Profile, Tolerance
from pki.profiles import DOMAIN_COMPONENTS
from pki.verify.judgement import Judgement

_COMMON_NAME = NameOID.COMMON_NAME.dotted_string
_ORGANIZATION = NameOID.ORGANIZATION_NAME.dotted_string
_DOMAIN_COMPONENT = NameOID.DOMAIN_COMPONENT.dotted_string
_COMMON_NAME_MAX = 64
_STATION_AND_CAR: Mapping[CommonName, Callable[[str], object]] = {
    CommonName.EVSEID: parse_evseid,
    CommonName.SECCID: parse_seccid,
    CommonName.EVCCID: parse_evccid,
}


def check_attributes(certificate: Certificate, rule: CertificateRule, judgement: Judgement, index: int) -> None:
    """Refuse attributes that the subjects of the profile do not have ("subject")."""
    allowed = judgement.profile.subject_attributes
    if allowed is None:
        return
    for attribute in certificate.subject:
        if attribute.oid not in allowed:
            foreign = sorted({attribute.oid for attribute in certificate.subject} - allowed)
            judgement.depart(
                "subject",
                Tolerance.SUBJECT_ATTRIBUTE,
                f"the subject of the {rule.name} has an attribute {foreign[0]}, which its profile does not have",
                index=index,
                expected="CN, O, OU, C and DC only",
                found=", ".join(foreign),
            )
            return


def check_subject(certificate: Certificate, profile: Profile, judgement: Judgement, index: int) -> EMAID | None:
    """The EMAID of a contract leaf, None for other leafs ("subject", "emaid-format").

    One common name, printable ASCII, without space at either end; a domain component naming another role refuses.
    """
    names: list[str | None] = []
    organizations: list[str | None] = []
    components: list[str | None] = []
    for attribute in certificate.subject:
        oid = attribute.oid
        if oid == _COMMON_NAME:
            names.append(attribute.text)
        elif oid == _ORGANIZATION:
            organizations.append(attribute.text)
        elif oid == _DOMAIN_COMPONENT:
            components.append(attribute.text)
    _check_organization(organizations, profile, judgement, index)
    _check_domain_component(components, profile, judgement, index)
    if len(names) != 1:
        judgement.refuse(
            "subject",
            f"{len(names)} common names, expected one",
            index=index,
            expected="one common name",
            found=str(len(names)),
        )
        return None
    name = names[0]
    if name is None or not _printable(name) or not 1 <= len(name) <= _COMMON_NAME_MAX:
        judgement.refuse(
            "subject",
            f"common name {name!a} is not printable ASCII of 1 to 64 characters",
            index=index,
            expected="printable ASCII, 1 to 64 characters, no space at either end",
            found=ascii(name),
        )
        return None
    return _check_common_name(name, profile, judgement, index)


def _check_organization(given: list[str | None], profile: Profile, judgement: Judgement, index: int) -> None:
    if profile.organization_required and not "".join(filter(None, given)).strip():
        judgement.depart(
            "subject",
            Tolerance.ORGANIZATION_MISSING,
            "the subject has no organization",
            index=index,
            expected="an organization (O)",
            found="none",
        )


def _check_domain_component(components: list[str | None], profile: Profile, judgement: Judgement, index: int) -> None:
    if len(components) == 1 and components[0] in profile.domain_components:
        return  # As below, for nearly every leaf.
    given: set[str] = set()
    for text in components:
        if text is None or not (text.isascii() and text.isprintable()):
            # It is an IA5String (RFC 4519 2.4); what cannot be seen might hide a role.
            message = f"domain component {text!a} is not printable ASCII"
            judgement.refuse("subject", message, index=index, expected="printable ASCII", found=ascii(text))
            return
        given.add(text.strip().upper())
    if given <= profile.domain_components and (given or not profile.domain_component_required):
        return
    expected = " or ".join(sorted(profile.domain_components)) or "none"
    foreign = given & (DOMAIN_COMPONENTS - profile.domain_components)
    if foreign:
        roles = ", ".join(sorted(foreign))
        judgement.refuse(
            "subject", f"domain component names the role {roles}", index=index, expected=expected, found=roles
        )
    elif profile.domain_component_required and profile.domain_components.isdisjoint(given):
        judgement.depart(
            "subject",
            Tolerance.DC_MISSING,
            f"no domain component {expected}",
            index=index,
            expected=expected,
            found=", ".join(sorted(given)) or "none",
        )


def parse_account(text: str, profile: Profile) -> EMAID:
    """The EMAID that `text` spells in the profile's generation.

    Raises:
        IdentifierError: "emaid-format".
    """
    return parse_emaid_20(text) if profile.generation is Generation.ISO_20 else parse_emaid(text)


def _check_common_name(name: str, profile: Profile, judgement: Judgement, index: int) -> EMAID | None:
    form = profile.common_name
    if form is CommonName.EMAID:
        return _check_emaid(name, judgement, index)
    if form is CommonName.PCID:
        try:
            (parse_pcid_20 if profile.generation is Generation.ISO_20 else parse_pcid)(name)
        except IdentifierError as error:
            judgement.refuse("subject", f"common name: {error}", index=index, expected="a PCID", found=ascii(name))
    elif form in _STATION_AND_CAR:
        try:
            _STATION_AND_CAR[form](name)
        except IdentifierError as error:
            # A SECC may also carry a CPID, whose form is the operator's own; the EVCCID's is known from one source.
            judgement.depart(
                error.code,
                Tolerance.IDENTIFIER_FORMAT,
                f"common name: {error}",
                index=index,
                expected=f"an {form.value.upper()}",
                found=ascii(name),
            )
    return None


def _check_emaid(name: str, judgement: Judgement, index: int) -> EMAID | None:
    try:
        emaid = parse_account(name, judgement.profile)
    except IdentifierError as error:
        judgement.refuse("emaid-format", f"common name: {error}", index=index, expected="an EMAID", found=ascii(name))
        return None
    if not emaid.check_valid:
        judgement.depart(
            "emaid-check-character",
            Tolerance.CHECK_CHARACTER,
            f"common name {name!a} has a wrong check character",
            index=index,
            clause="ISO 15118-2 Annex H",
            expected=emaid_check_character(emaid.normal),
            found=emaid.check,
        )
    return emaid


def _printable(text: str) -> bool:
    return text.isascii() and text.isprintable() and text == text.strip()
