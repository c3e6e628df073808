"""Names of subjects beside the distinguished one: their syntax, and where they lie.

A name is well formed or refused (RFC 5280 4.2.1.6); only well-formed names are ever compared with a constraint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from cryptography import x509
from cryptography.x509.oid import NameOID

from pki.verify.rfc5280.names import Name, comparable
from pki.verify.rfc5280.reading import PathCertificate
from pki.verify.rfc5280.refusal import refuse

_LABEL = r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)"
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)*(?!\d+\Z){_LABEL}")
_LOCAL = re.compile(r"""[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}|"(?:[^"\\\r\n]|\\[ -~]){0,62}\"""")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(.+)", re.DOTALL)
_AUTHORITY = re.compile(r"//([^/?#]*)")


class Form(Enum):
    """The kinds of names that constraints can speak of. OTHER: not processed here."""

    DIRECTORY = "directoryName"
    DNS = "dNSName"
    EMAIL = "rfc822Name"
    IP = "iPAddress"
    URI = "uniformResourceIdentifier"
    OTHER = "another form"


FORMS: dict[type[x509.GeneralName], Form] = {
    x509.DirectoryName: Form.DIRECTORY,
    x509.DNSName: Form.DNS,
    x509.RFC822Name: Form.EMAIL,
    x509.IPAddress: Form.IP,
    x509.UniformResourceIdentifier: Form.URI,
}
"""The form of each class of `cryptography`; any other class is OTHER."""


@dataclass(frozen=True, slots=True)
class SubjectName:
    """A name of a subject, ready to be compared. `value`: comparable name, lower-case host, mailbox, address octets,
    or the lower-case host of a URI; None for OTHER, for a URI without host and for what only looks like a mailbox."""

    form: Form
    value: Name | str | bytes | None


def is_host(text: str) -> bool:
    """Whether `text` is in preferred name syntax: letters, digits and hyphens, and no number at the end."""
    return _HOST.fullmatch(text) is not None


def host_of(uri: str) -> str | None:
    """The host of a URI's authority in lower case; None when it has none that is a fully qualified name."""
    found = _SCHEME.fullmatch(uri)
    authority = _AUTHORITY.match(found[1]) if found else None
    if authority is None:
        return None
    host = authority[1].rpartition("@")[2].partition(":")[0].lower()
    return host if is_host(host) else None


def is_mailbox(text: str) -> bool:
    """Whether `text` is `local@host`, without comment or display name."""
    local, _, host = text.rpartition("@")
    return _LOCAL.fullmatch(local) is not None and is_host(host)


def mailbox(text: str) -> str | None:
    """A mailbox as it compares: the host without regard to case, the rest exactly (RFC 5280 7.5); None: it is none."""
    local, _, host = text.rpartition("@")
    return f"{local}@{host.lower()}" if is_mailbox(text) else None


def subject_names(certificate: PathCertificate) -> tuple[SubjectName, ...]:
    """Every name that constraints apply to: the subject, its subjectAltName, and without one the mailboxes in the
    subject (RFC 5280 4.2.1.10). The names must have passed `check_alternative_names`."""
    found = [SubjectName(Form.DIRECTORY, certificate.subject)] if certificate.subject else []
    alternative = certificate.find(x509.SubjectAlternativeName)
    if alternative is not None:
        return (*found, *(_subject_name(name) for name in alternative))
    mailboxes = certificate.parsed.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)
    return (*found, *(SubjectName(Form.EMAIL, mailbox(str(entry.value))) for entry in mailboxes))


def check_alternative_names(certificate: PathCertificate) -> None:
    """Refuse a subjectAltName that is empty or holds a name that is not well formed ("subject")."""
    alternative = certificate.find(x509.SubjectAlternativeName)
    if alternative is None:
        return
    names = list(alternative)
    if not names:
        refuse("subject", "subjectAltName holds no name", clause="4.2.1.6", index=certificate.index)
    for name in names:
        if not _is_well_formed(name):
            form = FORMS.get(type(name), Form.OTHER).value
            message = f"{form} {str(name.value)[:80]!a} is not well formed"
            refuse("subject", message, clause="4.2.1.6", index=certificate.index)


def _is_well_formed(name: x509.GeneralName) -> bool:
    if isinstance(name, x509.DNSName):
        # A wildcard is no host name, but it stands for host names and every profile of TLS issues it.
        return is_host(name.value.removeprefix("*."))
    if isinstance(name, x509.RFC822Name):
        return is_mailbox(name.value)
    if isinstance(name, x509.UniformResourceIdentifier):
        return _SCHEME.fullmatch(name.value) is not None and name.value.isascii()
    if isinstance(name, x509.IPAddress):
        return isinstance(name.value, IPv4Address | IPv6Address)
    return True


def _subject_name(name: x509.GeneralName) -> SubjectName:
    if isinstance(name, x509.DirectoryName):
        return SubjectName(Form.DIRECTORY, comparable(name.value))
    if isinstance(name, x509.DNSName):
        return SubjectName(Form.DNS, name.value.lower())
    if isinstance(name, x509.RFC822Name):
        return SubjectName(Form.EMAIL, mailbox(name.value))
    if isinstance(name, x509.UniformResourceIdentifier):
        return SubjectName(Form.URI, host_of(name.value))
    if isinstance(name, x509.IPAddress) and isinstance(name.value, IPv4Address | IPv6Address):
        return SubjectName(Form.IP, name.value.packed)
    return SubjectName(Form.OTHER, None)
