"""The identifiers of OPCP: accounts, cars, and the namespaces by which it names a generation.

OPCP normalises: an EMAID is capitals without hyphens and check character, a PCID 17 capitals and digits with or without
a check character. A namespace of -20 is written in three ways in its descriptions and on the wire; all are taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.x509.oid import NameOID

from pki.certificate import Certificate
from pki.errors import IdentifierError, PoolRefused
from pki.identifiers import EMAID, parse_emaid, parse_pcid
from pki.profile import Generation, Profile
from pki.profiles import profile_named

NAMESPACE_2 = "urn:iso:15118:2:2013:MsgDef"
NAMESPACE_20 = "urn:iso:15118:20:2022:MsgDef"
_NAMESPACES = {
    NAMESPACE_2: Generation.ISO_2,
    NAMESPACE_20: Generation.ISO_20,
    "urn:iso:15118:20:2020:MsgDef": Generation.ISO_20,
    "urn:iso:std:iso:15118:-20:CommonMessages": Generation.ISO_20,
}
_PCID_CLAUSE, _EMAID_CLAUSE = "OPCP 1.0, handling of IDs: PCID", "OPCP 1.0, handling of IDs: EMAID"


@dataclass(frozen=True, slots=True)
class VehicleId:
    """A PCID: `normal` without check character, which is the key; `check` when it was given."""

    normal: str
    check: str | None

    @property
    def written(self) -> str:
        """The PCID as it was given, in capitals."""
        return self.normal + (self.check or "")

    @property
    def maker(self) -> str:
        """The world manufacturer identifier (WMI), the first three characters."""
        return self.normal[:3]

    def fits(self, written: str) -> bool:
        """Whether a PCID as it was stored is the same: a check character must not contradict."""
        return self.check is None or len(written) == len(self.normal) or written.endswith(self.check)


def vehicle_id(text: str) -> VehicleId:
    """The PCID that `text` spells. Raises PoolRefused "pcid-format"."""
    try:
        found = parse_pcid(text)
    except IdentifierError as error:
        raise PoolRefused(error.code, str(error), clause=_PCID_CLAUSE) from error
    return VehicleId(found.normal, found.check)


def account(text: str) -> EMAID:
    """The EMAID that `text` spells. Raises PoolRefused "emaid-format"."""
    try:
        return parse_emaid(text)
    except IdentifierError as error:
        raise PoolRefused(error.code, str(error), clause=_EMAID_CLAUSE) from error


def provider(emaid: str) -> str:
    """Country and provider of a normal EMAID: its first five characters."""
    return emaid[:5]


def generation_of(namespace: str | None) -> Generation:
    """The generation that a namespace names; None is -2, as OPCP's default is. Raises PoolRefused "namespace"."""
    found = _NAMESPACES.get(namespace or NAMESPACE_2)
    if found is None:
        known = ", ".join(_NAMESPACES)
        raise PoolRefused("namespace", f"xsdMsgDefNamespace {(namespace or '')[:60]!a}; known: {known}")
    return found


def namespace_of(generation: Generation) -> str:
    """The namespace that answers carry."""
    return NAMESPACE_2 if generation is Generation.ISO_2 else NAMESPACE_20


def profile_of(generation: Generation, role: str) -> Profile:
    """The profile of a role in a generation."""
    return profile_named(f"{generation.value}-{role}")


def common_name(certificate: Certificate) -> str:
    """The one common name of a certificate, or an empty text."""
    names = certificate.attributes(NameOID.COMMON_NAME)
    return names[0] or "" if len(names) == 1 else ""


def distinguished_name(certificate: Certificate) -> str:
    """The subject as OPCP writes it: CN, DC, O, OU, C; what its pattern cannot say (commas, other attributes) is left
    out. It informs, and decides nothing."""
    order = (
        ("CN", NameOID.COMMON_NAME),
        ("DC", NameOID.DOMAIN_COMPONENT),
        ("O", NameOID.ORGANIZATION_NAME),
        ("OU", NameOID.ORGANIZATIONAL_UNIT_NAME),
        ("C", NameOID.COUNTRY_NAME),
    )
    parts = [
        f"{label}={text.replace(',', ' ')}" for label, oid in order for text in certificate.attributes(oid) if text
    ]
    return ", ".join(parts)


def key_identifier_text(certificate: Certificate) -> str:
    """The subject key identifier in hexadecimal digits with colons; empty when there is none."""
    return (certificate.subject_key_identifier or b"").hex(":")
