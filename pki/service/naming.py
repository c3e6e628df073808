"""What certificates are called on a screen. Text from a certificate is shown with its control characters escaped: a
subject must not be able to write to the terminal, to hide, or to turn the direction of a line."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509

from pki.certificate import PARSER_ERRORS, Certificate, parse_certificate
from pki.errors import MalformedCertificate

_NAMES_CAP = 16
_UNREADABLE = "(cannot be read)"


def printable(text: str) -> str:
    """The text with everything escaped that is not printable: controls, bidirectional marks, zero-width characters."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def name_text(name: x509.Name) -> str:
    """A name in the words of RFC 4514, printable; "(empty)" for one without attributes.

    Raises:
        PARSER_ERRORS: the name is no DER.
    """
    return printable(", ".join(part.rfc4514_string() for part in reversed(name.rdns))) or "(empty)"


def subject_text(certificate: Certificate) -> str:
    """The subject, printable; a subject that cannot be read is said to be such."""
    try:
        return name_text(certificate.parsed.subject)
    except PARSER_ERRORS:
        return _UNREADABLE


def subjects(chain: Sequence[bytes]) -> tuple[str, ...]:
    """The subjects of a presented chain, of the first 16 at most; unreadable certificates are said to be such."""
    found = []
    for der in chain[:_NAMES_CAP]:
        try:
            found.append(subject_text(parse_certificate(der)))
        except MalformedCertificate:
            found.append(_UNREADABLE)
    return tuple(found)
