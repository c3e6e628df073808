"""OCSP answers, signed by a delegate of the CA.

One answer speaks of one certificate. What is the same in all answers of a signer is encoded once and lengths are looked
up, so that an answer costs little more than its signature.

Source: RFC 6960 4.2; RFC 5019 2.2; RFC 8954 and RFC 9654 (nonce); V2G20-1021 (one week).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from functools import lru_cache, partial
from typing import NoReturn

from pki.certificate import Certificate
from pki.errors import IssueError, TrustError
from pki.issue.der_writer import (
    NULL,
    enumerated,
    explicit,
    implicit,
    instant,
    object_identifier,
    octet_string,
    sequence,
    tlv,
)
from pki.issue.keys import PrivateKey, algorithm_of, public_key_der, sign
from pki.issue.lists import Reason
from pki.verify.certificate_id import HashAlgorithm, issuer_id
from pki.verify.ocsp import check_delegate
from pki.verify.ocsp_answer import OCSPStatus

ANSWER_LIFE = timedelta(days=7)
"""The longest time between thisUpdate and nextUpdate (V2G20-1021)."""
NONCE_OCTETS = 32
"""The longest nonce that is answered (RFC 8954 2.1; RFC 9654 asks for no more of a responder)."""

_BASIC, _NONCE = object_identifier("1.3.6.1.5.5.7.48.1.1"), object_identifier("1.3.6.1.5.5.7.48.1.2")
_HASHES = {
    HashAlgorithm.SHA1: "1.3.14.3.2.26",
    HashAlgorithm.SHA256: "2.16.840.1.101.3.4.2.1",
    HashAlgorithm.SHA384: "2.16.840.1.101.3.4.2.2",
    HashAlgorithm.SHA512: "2.16.840.1.101.3.4.2.3",
}
_SUCCESSFUL = enumerated(0)
_GOOD_OCTETS = implicit(0, b"")
_SERIAL_OCTETS = 20
_NEXT_UPDATE = explicit(0, bytes(17))[:2]
"""What stands before the 17 octets of a nextUpdate."""
_NONCE_HEADS = [
    explicit(1, sequence(sequence(_NONCE, octet_string(octet_string(bytes(size))))))[: -size or None]
    for size in range(NONCE_OCTETS + 1)
]
"""What stands before a nonce of so many octets."""
_HEADS, _SIGNATURES = (
    [tlv(tag, bytes(size + more))[: -size or None] for size in range(512)] for tag, more in ((0x30, 0), (0x03, 1))
)
"""What stands before so many octets in a SEQUENCE, and in a BIT STRING without unused bits."""


class Refusal(IntEnum):
    """Why a responder does not answer (RFC 6960 4.2.1); such an answer is not signed."""

    MALFORMED_REQUEST = 1
    INTERNAL_ERROR = 2
    TRY_LATER = 3
    SIGNATURE_REQUIRED = 5
    UNAUTHORIZED = 6


def encode_refusal(refusal: Refusal) -> bytes:
    """The five octets of an answer that only says why there is none."""
    return sequence(enumerated(refusal))


@dataclass(frozen=True, slots=True)
class Standing:
    """What a CA knows of one of its serial numbers. `at` and `reason` are there iff it is revoked."""

    status: OCSPStatus
    at: datetime | None = None
    reason: Reason = Reason.UNSPECIFIED


GOOD, UNKNOWN = Standing(OCSPStatus.GOOD), Standing(OCSPStatus.UNKNOWN)
"""`GOOD` is for serial numbers that the CA gave out; of any other it says `UNKNOWN`, never good."""


def revoked(at: datetime, reason: Reason = Reason.UNSPECIFIED) -> Standing:
    """The standing of a certificate that is revoked, or on hold, since `at`."""
    return Standing(OCSPStatus.REVOKED, at, reason)


class AnswerSigner:
    """Signs answers about what `issuer` issued, as its delegate. May be used by several threads at once if the key may.

    Raises:
        IssueError: "ocsp-signer": the delegate is not one of this issuer, or the key is not the delegate's.
    """

    def __init__(self, issuer: Certificate, delegate: Certificate, key: PrivateKey) -> None:
        try:
            check_delegate(delegate, issuer)
        except TrustError as error:
            raise IssueError("ocsp-signer", str(error), clause=error.clause) from error
        if public_key_der(key) != delegate.spki_der:
            _refuse("ocsp-signer", "the private key is not that of the OCSP signer's certificate", "RFC 6960 4.2.2.2")
        self.issuer, self.delegate = issuer, delegate
        self._sign = partial(sign, key)
        self._issuers = {algorithm: _issuer_octets(issuer, algorithm) for algorithm in HashAlgorithm}
        # By key: 20 octets instead of a name (RFC 5019 2.2.3 lets either be).
        self._responder = explicit(2, octet_string(issuer_id(delegate, HashAlgorithm.SHA1).key_hash))
        self._algorithm = algorithm_of(key)
        self._certificates = explicit(0, sequence(delegate.der))

    def answer(
        self,
        serial: int,
        standing: Standing,
        *,
        this_update: datetime,
        next_update: datetime,
        produced_at: datetime | None = None,
        algorithm: HashAlgorithm = HashAlgorithm.SHA1,
        nonce: bytes | None = None,
    ) -> bytes:
        """The DER of the answer about one serial number of the issuer. `algorithm` is the hash of the request's
        certificate id, `nonce` what it carried (None: nothing). `produced_at` None: `this_update`.

        Raises:
            IssueError: "ocsp-dates": nextUpdate not after thisUpdate, more than 7 days later, or either date outside
                the signer's life; "ocsp-serial": negative or too long; "ocsp-nonce": not 1 to 32 octets; "ocsp-status":
                a revocation without a time, or one that says removeFromCRL.
        """
        produced = produced_at or this_update
        self._check_dates(this_update, next_update, produced)
        octets = serial.bit_length() // 8 + 1
        if serial < 0 or octets > _SERIAL_OCTETS:
            _refuse("ocsp-serial", f"serial number {serial:#x} is negative or too long", "RFC 5280 4.1.2.2")
        asked = self._issuers[algorithm] + bytes((0x02, octets)) + serial.to_bytes(octets, "big")
        said = _GOOD_OCTETS if standing is GOOD else _status(standing)
        single = _HEADS[len(asked)] + asked + said + _moment(this_update) + _NEXT_UPDATE + _moment(next_update)
        entry = _HEADS[len(single)] + single
        response = self._responder + _moment(produced) + _HEADS[len(entry)] + entry
        if nonce is not None:
            response += _with_nonce(nonce)
        signed = _HEADS[len(response)] + response
        signature = self._sign(signed)
        basic = signed + self._algorithm + _SIGNATURES[len(signature)] + signature + self._certificates
        return _envelope(len(basic)) + basic

    def _check_dates(self, this_update: datetime, next_update: datetime, produced: datetime) -> None:
        life = next_update - this_update
        if not timedelta(0) < life <= ANSWER_LIFE:
            message = f"an answer from {this_update} to {next_update}: at most {ANSWER_LIFE.days} days, and not none"
            _refuse("ocsp-dates", message, "ISO 15118-20 V2G20-1021")
        begin, end = self.delegate.not_before, self.delegate.not_after
        if not begin <= produced <= end or next_update > end:
            message = f"an answer until {next_update} by an OCSP signer that lives from {begin} to {end}"
            _refuse("ocsp-dates", message, "RFC 6960 4.2.2.2")


def _issuer_octets(issuer: Certificate, algorithm: HashAlgorithm) -> bytes:
    """The CertID but for the serial number. NULL parameters, as requests have them."""
    found = issuer_id(issuer, algorithm)
    hash_ = sequence(object_identifier(_HASHES[algorithm]), NULL)
    return hash_ + octet_string(found.name_hash) + octet_string(found.key_hash)


def _status(standing: Standing) -> bytes:
    if standing.status is OCSPStatus.GOOD:
        return implicit(0, b"")
    if standing.status is OCSPStatus.UNKNOWN:
        return implicit(2, b"")
    if standing.at is None or standing.reason is Reason.REMOVE_FROM_CRL:
        _refuse("ocsp-status", "a revocation needs a time, and removeFromCRL is none", "RFC 6960 4.2.1")
    return _revocation(standing.at, standing.reason)


@lru_cache(maxsize=1024)
def _revocation(at: datetime, reason: Reason) -> bytes:
    """RevokedInfo; "unspecified" is said by saying nothing."""
    why = b"" if reason is Reason.UNSPECIFIED else explicit(0, enumerated(reason.number))
    return explicit(1, _moment(at) + why)


def _with_nonce(nonce: bytes) -> bytes:
    if not 1 <= len(nonce) <= NONCE_OCTETS:
        _refuse("ocsp-nonce", f"a nonce of {len(nonce)} octets; expected 1 to {NONCE_OCTETS}", "RFC 8954 2.1")
    return _NONCE_HEADS[len(nonce)] + nonce


@lru_cache(maxsize=64)
def _envelope(octets: int) -> bytes:
    """What stands before so many octets of a basic response's content."""
    basic = sequence(bytes(octets))
    return sequence(_SUCCESSFUL, explicit(0, sequence(_BASIC, octet_string(basic))))[:-octets]


@lru_cache(maxsize=1024)
def _moment(at: datetime) -> bytes:
    return instant(at, generalized=True)


def _refuse(code: str, message: str, clause: str) -> NoReturn:
    raise IssueError(code, message, clause=clause)
