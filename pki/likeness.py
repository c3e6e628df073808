"""A certificate that is written like another one, read by comparing it: half the time of reading it.

The leafs of one issuer differ in serial number, validity, subject, key, key identifier and signature, and in nothing
else, down to the octet. Where all else is the same octets, it says the same. Anything different is left to
`parse_certificate`, so a likeness never refuses; and what it returns is what `parse_certificate` would return (a law of
the tests holds it to that).
"""

from __future__ import annotations

from cryptography import x509

from pki.certificate import (
    CERTIFICATE_CAP,
    PARSER_ERRORS,
    Certificate,
    read_attributes,
    read_serial,
    read_validity,
)
from pki.der import BIT_STRING, INTEGER, SEQUENCE, MalformedDER, read_row, read_signed_spans, read_span
from pki.errors import MalformedCertificate
from pki.public_key import key_kind

_VERSION_3_AND_SERIAL = bytes.fromhex("a00302010202")
_VALIDITY_SIZE = 32
"""Octets of a validity of two UTCTimes, which begins with 30 1e."""
_SUBJECT_AND_KEY = bytes((SEQUENCE, SEQUENCE))
_SUBJECT_KEY = bytes.fromhex("0603551d0e")


class Likeness:
    """What the certificates that are written like `pattern` have in common."""

    __slots__ = ("_after", "_algorithm", "_before", "_identifier", "_middle", "pattern")

    def __init__(self, pattern: Certificate) -> None:
        self.pattern = pattern
        der = pattern.der
        _, _, body, limit = read_signed_spans(der)
        _, at = read_span(der, limit, SEQUENCE, len(der))
        self._algorithm = der[limit:at]
        self._middle = self._algorithm + pattern.issuer_der
        _, at = read_span(der, body + 5, INTEGER, limit)
        _, at = read_span(der, at + len(self._algorithm) + len(pattern.issuer_der), SEQUENCE, limit)
        block = der[at + len(pattern.subject_der) + len(pattern.spki_der) : limit]
        self._identifier = pattern.subject_key_identifier or b""
        end = _end_of_identifier(block, self._identifier)
        self._before, self._after = block[: end - len(self._identifier)], block[end:]

    def read(self, der: bytes) -> Certificate | None:
        """The certificate that `der` holds; None: it is not written like the pattern, or it is none. About 8 us."""
        if len(der) > CERTIFICATE_CAP:
            return None
        try:
            return self._read(der)
        except (*PARSER_ERRORS, MalformedCertificate):
            return None

    def _read(self, der: bytes) -> Certificate | None:
        pattern, size = self.pattern, len(der)
        start, end, body, limit = read_signed_spans(der)
        bits, closed = read_span(der, limit + len(self._algorithm), BIT_STRING, end)
        at_serial = body + 5
        _, at_inner = read_span(der, at_serial, INTEGER, limit)
        at_validity = at_inner + len(self._middle)
        at_subject = at_validity + _VALIDITY_SIZE
        at_key, at_rest = read_row(der, at_subject, _SUBJECT_AND_KEY, limit)
        at_identifier = at_rest + len(self._before)
        after_identifier = at_identifier + len(self._identifier)
        if not (
            closed == end == size
            and end - bits > 1
            and der[bits] == 0
            and der[limit : limit + len(self._algorithm)] == self._algorithm
            and der[body : body + 6] == _VERSION_3_AND_SERIAL
            and der[at_inner:at_validity] == self._middle
            and der[at_rest:at_identifier] == self._before
            and der[after_identifier:limit] == self._after
        ):
            return None
        not_before, not_after = read_validity(der, at_validity, at_subject, None)
        spki = der[at_key:at_rest]
        attributes = read_attributes(der, at_subject, at_key)
        if not attributes or key_kind(spki) is not pattern.key_kind:
            return None
        serial = read_serial(der, at_serial, at_inner, None)
        return Certificate(
            der,
            der[start:limit],
            der[bits + 1 : end],
            pattern.signature_kind,
            pattern.issuer_der,
            der[at_subject:at_key],
            spki,
            pattern.key_kind,
            serial,
            not_before,
            not_after,
            attributes,
            pattern.extensions,
            pattern.basic_constraints,
            pattern.key_usage,
            pattern.extended_key_usage,
            der[at_identifier:after_identifier] or None,
            pattern.authority_key_identifier,
            pattern.crl_uris,
            x509.load_der_x509_certificate(der),
        )


def _end_of_identifier(block: bytes, identifier: bytes) -> int:
    """Where the subject key identifier, the last octets of its extension, ends in all extensions ([3] and all); 0 when
    there is none."""
    if not identifier:
        return 0
    at, _ = read_span(block, 0, 0xA3, len(block))
    at, end = read_span(block, at, SEQUENCE, len(block))
    while at < end:
        content, at = read_span(block, at, SEQUENCE, end)
        if block.startswith(_SUBJECT_KEY, content):
            return at
    raise MalformedDER("the subject key identifier is not where it was read")
