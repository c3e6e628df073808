"""Certificates as stations name them: by hashes of the issuer and a serial number, in more than one spelling.

The responder's URL is left behind: what a station names is never asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pki.verify.hash_text import HashData, read_hash, read_serial
from wire.ocpp import v21, v201
from wire.ocpp.quirks import Noticed, Quirk

Named = v201.OCSPRequestData | v21.OCSPRequestData | v201.CertificateHashData

_OCTETS = {"SHA256": 32, "SHA384": 48, "SHA512": 64}
_PLAIN_HASH = re.compile(r"(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{96}|[0-9A-Fa-f]{128})", re.ASCII)
_PLAIN_SERIAL = re.compile(r"[1-9A-Fa-f][0-9A-Fa-f]*", re.ASCII)
_DECIMAL = re.compile(r"[0-9]{16,}", re.ASCII)


def hash_data_of(named: Sequence[Named], where: str, noticed: Noticed) -> tuple[HashData, ...]:
    """The names as they were received, in their order. A spelling that OCPP does not have is told to `noticed`, with
    `where` (action and JSON path); what it means is read later (`pki.verify.hash_text`)."""
    for each in named:
        octets = _OCTETS[each.hash_algorithm]
        for field, text in (("issuerNameHash", each.issuer_name_hash), ("issuerKeyHash", each.issuer_key_hash)):
            if not _PLAIN_HASH.fullmatch(text) and read_hash(text, octets) is not None:
                noticed(Quirk.HASH_SPELLING, f"{where}.{field}")
        serial = each.serial_number
        if (not _PLAIN_SERIAL.fullmatch(serial) or _DECIMAL.fullmatch(serial)) and read_serial(serial):
            noticed(Quirk.SERIAL_SPELLING, f"{where}.serialNumber")
    return tuple(
        HashData(
            hash_algorithm=each.hash_algorithm,
            issuer_name_hash=each.issuer_name_hash,
            issuer_key_hash=each.issuer_key_hash,
            serial_number=each.serial_number,
        )
        for each in named
    )
