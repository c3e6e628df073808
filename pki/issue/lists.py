"""Revocation lists, written: complete ones and deltas.

The entries are put together octet by octet, because there may be a hundred thousand of them; the signature is made by
the key object, which may be in hardware.

Source: RFC 5280 5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import NoReturn

from pki.certificate import Certificate
from pki.errors import IssueError, TrustError
from pki.issue.der_writer import (
    TRUE,
    bit_string,
    enumerated,
    explicit,
    implicit,
    instant,
    integer,
    object_identifier,
    octet_string,
    sequence,
)
from pki.issue.keys import PrivateKey, algorithm_of, sign
from pki.verify.crl import check_head, parse_crl

_AKI, _NUMBER, _DELTA, _POINT, _FRESHEST, _REASON = (f"2.5.29.{arc}" for arc in (35, 20, 27, 28, 46, 21))
_NUMBER_BITS = 159
_SERIAL_BITS = 159


class Reason(StrEnum):
    """Why a certificate is revoked, by the names of RFC 5280 5.3.1. `REMOVE_FROM_CRL` is said in deltas only: the
    certificate was on hold and is good again, or has expired."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    REMOVE_FROM_CRL = "removeFromCRL"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"

    @property
    def number(self) -> int:
        """The value of the enumeration in lists and answers: 0 to 10 without 7."""
        return _NUMBERS[self]


_NUMBERS = dict(zip(Reason, (0, 1, 2, 3, 4, 5, 6, 8, 9, 10), strict=True))


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry of a list: the serial number, since when, and why."""

    serial: int
    at: datetime
    reason: Reason = Reason.UNSPECIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOrder:
    """What a list says beside its entries. `number` grows with every list of an issuer, deltas included. `base`: the
    number of the complete list that a delta is laid upon (None: this one is complete). `point` is the URI of the one
    distribution point the list is for; it then says nothing of certificates that do not name this URI. `freshest` is
    where its deltas are."""

    number: int
    this_update: datetime
    next_update: datetime
    base: int | None = None
    point: str | None = None
    freshest: str | None = None


def build_list(issuer: Certificate, key: PrivateKey, order: ListOrder, revoked: Iterable[Revocation]) -> bytes:
    """The DER of the list; entries stay in the order given. About 2 us for each entry, and one signature.

    Raises:
        IssueError: "crl-number", "crl-dates", "crl-entry", "crl-scope"; "crl-issuer" when the verifier would refuse the
            list of this issuer, one without cRLSign for example.

    Source: RFC 5280 5.1, 5.2, 5.3.
    """
    _check(order)
    algorithm = algorithm_of(key)
    entries = b"".join(_entries(revoked, delta=order.base is not None))
    signed = sequence(
        integer(1),
        algorithm,
        issuer.subject_der,
        instant(order.this_update),
        instant(order.next_update),
        # An empty list of entries is left out (RFC 5280 5.1.2.6).
        sequence(entries) if entries else b"",
        explicit(0, sequence(*_extensions(issuer, order))),
    )
    der = sequence(signed, algorithm, bit_string(sign(key, signed)))
    try:
        check_head(parse_crl(der), issuer)
    except TrustError as error:
        raise IssueError("crl-issuer", f"{error.code}: {error}", clause=error.clause) from error
    return der


def _check(order: ListOrder) -> None:
    if not 0 <= order.number < 1 << _NUMBER_BITS or not 0 <= (order.base or 0) <= order.number:
        base = "" if order.base is None else f" upon base {order.base}"
        _refuse("crl-number", f"a list cannot have the number {order.number}{base}", "RFC 5280 5.2.3, 5.2.4")
    if order.next_update <= order.this_update:
        _refuse("crl-dates", f"nextUpdate {order.next_update} is not after thisUpdate", "RFC 5280 5.1.2.5")
    if order.base is not None and order.freshest is not None:
        _refuse("crl-scope", "a delta does not say where its deltas are", "RFC 5280 5.2.6")
    for uri in (order.point, order.freshest):
        if uri is not None and not (uri.isascii() and uri.isprintable() and uri):
            _refuse("crl-scope", f"{uri[:80]!a} is no URI of a list", "RFC 5280 4.2.1.6")


def _extensions(issuer: Certificate, order: ListOrder) -> Iterator[bytes]:
    if issuer.subject_key_identifier is not None:
        yield _extension(_AKI, sequence(implicit(0, issuer.subject_key_identifier)))
    yield _extension(_NUMBER, integer(order.number))
    if order.base is not None:
        yield _extension(_DELTA, integer(order.base), critical=True)
    if order.point is not None:
        yield _extension(_POINT, sequence(explicit(0, _full_name(order.point))), critical=True)
    if order.freshest is not None:
        yield _extension(_FRESHEST, sequence(sequence(explicit(0, _full_name(order.freshest)))))


def _full_name(uri: str) -> bytes:
    return explicit(0, implicit(6, uri.encode("ascii")))


def _extension(oid: str, value: bytes, *, critical: bool = False) -> bytes:
    return sequence(object_identifier(oid), TRUE if critical else b"", octet_string(value))


def _entries(revoked: Iterable[Revocation], *, delta: bool) -> Iterator[bytes]:
    """The octets of each entry. Its ending, time and reason, is shared by many and made once."""
    seen: set[int] = set()
    for entry in revoked:
        serial = entry.serial
        bits = serial.bit_length()
        if serial < 1 or bits > _SERIAL_BITS or serial in seen:
            again = "is listed twice" if serial in seen else "is no serial number"
            _refuse("crl-entry", f"{serial:#x} {again}", "RFC 5280 5.1.2.6")
        seen.add(serial)
        if not delta and entry.reason is Reason.REMOVE_FROM_CRL:
            _refuse("crl-entry", f"serial {serial:#x} is removed from a list that is complete", "RFC 5280 5.3.1")
        octets = bits // 8 + 1
        ending = _ending(entry.at, entry.reason)
        # SEQUENCE { INTEGER, ending }, whose lengths are all of one octet.
        header = bytes((0x30, 2 + octets + len(ending), 0x02, octets))
        yield header + serial.to_bytes(octets, "big") + ending


@lru_cache(maxsize=4096)
def _ending(at: datetime, reason: Reason) -> bytes:
    return instant(at) + _REASONS[reason]


_REASONS = {reason: sequence(_extension(_REASON, enumerated(reason.number))) for reason in Reason}
_REASONS[Reason.UNSPECIFIED] = b""
"""The extensions of an entry; "unspecified" is said by saying nothing (RFC 5280 5.3.1)."""


def _refuse(code: str, message: str, clause: str) -> NoReturn:
    raise IssueError(code, message, clause=clause)
