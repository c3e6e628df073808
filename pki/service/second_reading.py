"""A certificate read by another parser, for `show` only: what it says, and where it differs from what we read.

asn1crypto shares no code with our parser nor with `cryptography`. Nothing is decided by it, so its weaknesses (it slows
down on long object identifiers) are bounded by a size before it is asked, and whatever it raises becomes a text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from asn1crypto import x509  # type: ignore[import-untyped]  # ships no types

from pki.certificate import CERTIFICATE_CAP, Certificate
from pki.errors import MalformedCertificate

# What a fuzzer has seen it raise on bytes that are no certificate.
_RAISED = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class SecondReading:
    """The fields as asn1crypto reads them; names in its own words, for people."""

    subject: str
    issuer: str
    subject_der: bytes
    issuer_der: bytes
    serial: int
    not_before: datetime
    not_after: datetime


def read_again(der: bytes) -> SecondReading:
    """What asn1crypto reads. About 1 ms.

    Raises:
        MalformedCertificate: "size-limit", or "malformed-certificate" with its words.
    """
    if len(der) > CERTIFICATE_CAP:
        raise MalformedCertificate("size-limit", f"{len(der)} bytes of DER, at most {CERTIFICATE_CAP}")
    try:
        certificate = x509.Certificate.load(der, strict=True)
        return SecondReading(
            subject=str(certificate.subject.human_friendly),
            issuer=str(certificate.issuer.human_friendly),
            subject_der=bytes(certificate.subject.dump()),
            issuer_der=bytes(certificate.issuer.dump()),
            serial=int(certificate.serial_number),
            not_before=certificate.not_valid_before,
            not_after=certificate.not_valid_after,
        )
    except _RAISED as error:
        raise MalformedCertificate("malformed-certificate", f"not a certificate: {error}") from error


def disagreement(certificate: Certificate) -> str | None:
    """What the second parser reads differently, in one sentence; None when both agree."""
    try:
        again = read_again(certificate.der)
    except MalformedCertificate as error:
        return f"a second parser cannot read it: {error}"
    fields = ("subject_der", "issuer_der", "serial", "not_before", "not_after")
    different = [name.removesuffix("_der") for name in fields if getattr(again, name) != getattr(certificate, name)]
    return f"a second parser reads another {', '.join(different)}" if different else None
