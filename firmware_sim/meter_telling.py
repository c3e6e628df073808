"""How a charger tells of what its meter signed: in which carrier, with which key, and what goes wrong on the way.

What the meter signed is not touched: a telling is made anew for each message from the record as the journal has it.
Source: OCA "Signed Meter Values in OCPP" v1.0, 3.1, 3.2.2, 4.1; OCPP 2.0.1 SignedMeterValueType; OCPP 2.1 J02.FR.23.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from firmware_sim.meter import SignedReading, SigningMeter
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import Carrier, KeySending, KeySpelling
from firmware_sim.meter_missigning import other_curve
from wire.meter.curves import curve_named
from wire.meter.keys import PublicKey, encode_public_key_oca
from wire.meter.record import ReadingReason

_LAST_DIGIT = re.compile(rb'"RV":"?[0-9.E+]*?([0-9])(?=[",}])')
_SIGNATURE_DIGIT = re.compile(rb'(?<="SD":")[^"]{20}[^0-9"]*([0-9])')


@dataclass(frozen=True, slots=True)
class ToldValue:
    """A signed value as it is told: `data` is signedMeterData, or a 1.6 value that is bare. `public_key` is None where
    the field is left out; `bare`: 1.6 has no envelope around it."""

    data: str
    public_key: str | None
    bare: bool = False

    @property
    def members(self) -> dict[str, str]:
        """SignedMeterValueType; signingMethod empty because OCMF names it itself."""
        told = {"signedMeterData": self.data, "signingMethod": "", "encodingMethod": "OCMF"}
        return told if self.public_key is None else {**told, "publicKey": self.public_key}

    @property
    def text(self) -> str:
        """What stands in a 1.6 value."""
        return self.data if self.bare else json.dumps(self.members, separators=(",", ":"))


Telling = Callable[[SignedReading], Sequence[ToldValue]]
"""How often and as what a record is told."""


class Teller:
    """Tells of one meter's records in one OCPP version. `sent` remembers for which transactions the key went along."""

    def __init__(self, meter: SigningMeter, ocpp: str, faults: Collection[MeterFault]) -> None:
        self._meter, self._ocpp, self._faults = meter, ocpp, frozenset(faults)
        self._sent: set[object] = set()

    def __call__(self, reading: SignedReading) -> Sequence[ToldValue]:
        """The record as it is told; () when it is lost, twice when it is doubled."""
        if self._is_lost(reading.reason):
            return ()
        told = self._value(reading)
        return (told, told) if MeterFault.DUPLICATE in self._faults else (told,)

    def _is_lost(self, reason: ReadingReason) -> bool:
        if reason is ReadingReason.BEGIN:
            return MeterFault.BEGIN_LOST in self._faults
        return (MeterFault.END_LOST if reason.is_end else MeterFault.BETWEEN_LOST) in self._faults

    def _value(self, reading: SignedReading) -> ToldValue:
        record = reading.record
        for fault, warp in _WARPS.items():
            if fault in self._faults:
                record = warp(record)
        carrier = next(
            (carrier for fault, carrier in _CARRIERS.items() if fault in self._faults), self._meter.kind.carrier
        )
        key = self._key(reading)
        data, bare = self._carried(record, carrier, key)
        for fault, most in _CUTS.items():
            if fault in self._faults:
                data = data[:most]
        return ToldValue(data, key, bare)

    def _carried(self, record: bytes, carrier: Carrier, key: str | None) -> tuple[str, bool]:
        if carrier is Carrier.STANDARD:
            return base64.b64encode(record).decode(), False
        if carrier is Carrier.ENVELOPE:
            inside = ToldValue(base64.b64encode(record).decode(), key)
            return inside.text, self._ocpp == "1.6"
        return _encoded(record, carrier), self._ocpp == "1.6"

    # --- the key ------------------------------------------------------------------------------------------------------

    def _key(self, reading: SignedReading) -> str | None:
        """publicKey; the field is mandatory before 2.1, and then empty."""
        left_out = None if self._ocpp == "2.1" else ""
        if MeterFault.KEY_EMPTY in self._faults:
            return ""
        if MeterFault.KEY_MISSING in self._faults or not self._is_due(reading):
            return left_out
        keys = {**self._meter.earlier_keys, self._meter.serial: self._meter.public_key}
        key = keys.get(reading.meter, self._meter.public_key)
        if MeterFault.KEY_STALE in self._faults:
            key = next(iter(keys.values()))
        if MeterFault.KEY_OTHER_CURVE in self._faults:
            return _on_another_curve(key).hex()
        return spelled_key(key, self._meter.kind.key_spelling)

    def _is_due(self, reading: SignedReading) -> bool:
        """PublicKeyWithSignedMeterValue."""
        sending = self._meter.kind.key_sending
        if sending is not KeySending.ONCE:
            return sending is KeySending.EVERY
        name = reading.meter, reading.began
        first = name not in self._sent
        self._sent.add(name)
        return first


def spelled_key(key: PublicKey, spelling: KeySpelling) -> str:
    """The key as text."""
    curve = curve_named(key.curve)
    head = 0 if curve is None else len(curve.spki_prefix)
    point = key.spki[head:]
    half = len(point) // 2
    texts: Mapping[KeySpelling, Callable[[], str]] = {
        KeySpelling.OCA: lambda: encode_public_key_oca(key),
        KeySpelling.OCA_BASE64: lambda: _base64(b"oca:base64:asn1:" + base64.b64encode(key.spki)),
        KeySpelling.HEX: lambda: key.spki.hex(),
        KeySpelling.BASE64: lambda: _base64(key.spki),
        KeySpelling.BASE64_OF_HEX: lambda: _base64(key.spki.hex().encode()),
        KeySpelling.PEM: lambda: f"-----BEGIN PUBLIC KEY-----\n{_base64(key.spki)}\n-----END PUBLIC KEY-----\n",
        KeySpelling.POINT: lambda: point.hex(),
        KeySpelling.BARE_POINT: lambda: point[1:].hex(),
        KeySpelling.COMPRESSED: lambda: (bytes((2 + point[-1] % 2,)) + point[1 : 1 + half]).hex(),
    }
    return texts[spelling]()


def _on_another_curve(key: PublicKey) -> bytes:
    """The key with the head of a SubjectPublicKeyInfo for another curve."""
    curve = curve_named(key.curve)
    return key.spki if curve is None else other_curve(curve).spki_prefix + key.spki[len(curve.spki_prefix) :]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _encoded(record: bytes, carrier: Carrier) -> str:
    if carrier is Carrier.HEX:
        return record.hex()
    if carrier is Carrier.BASE64:
        return _base64(record)
    if carrier is Carrier.BASE64_TWICE:
        return _base64(base64.b64encode(record))
    if carrier is Carrier.BASE64_OF_HEX:
        return _base64(record.hex().encode())
    try:
        return record.decode()
    except UnicodeDecodeError:
        return record.decode("latin-1")  # JSON carries text: what is no UTF-8 becomes it here, and another text so.


# --- what happens to a record on its way ------------------------------------------------------------------------------


def _flipped(record: bytes, pattern: re.Pattern[bytes]) -> bytes:
    """One bit of the character that the pattern captures, so that it stays of its alphabet."""
    match = pattern.search(record)
    if match is None:
        return record
    place = match.start(1)
    return record[:place] + bytes((record[place] ^ 1,)) + record[place + 1 :]


def _reserialised(record: bytes) -> bytes:
    sections = record.split(b"|")
    written = [json.dumps(json.loads(section)).encode() for section in sections[1:3]]
    return b"|".join((sections[0], *written))


_WARPS: Mapping[MeterFault, Callable[[bytes], bytes]] = {
    MeterFault.PAYLOAD_BIT_FLIP: lambda record: _flipped(record, _LAST_DIGIT),
    MeterFault.SIGNATURE_BIT_FLIP: lambda record: _flipped(record, _SIGNATURE_DIGIT),
    MeterFault.RESERIALISED: _reserialised,
    MeterFault.CRLF: lambda record: record.replace(b"\n", b"\r\n"),
    MeterFault.LATIN_1_AS_UTF_8: lambda record: record.decode("latin-1").encode(),
}
_CARRIERS = {
    MeterFault.BASE64_TWICE: Carrier.BASE64_TWICE,
    MeterFault.BASE64_OF_HEX: Carrier.BASE64_OF_HEX,
    MeterFault.BARE: Carrier.BARE,
    MeterFault.ENVELOPE: Carrier.ENVELOPE,
}
_CUTS = {
    MeterFault.CUT_255: 255,
    MeterFault.CUT_500: 500,
    MeterFault.CUT_512: 512,
    MeterFault.CUT_2500: 2500,
}


def rearranged(
    begin: SignedReading, end: SignedReading, faults: Collection[MeterFault]
) -> tuple[SignedReading, SignedReading]:
    """The records that are told as begin and as end of a transaction."""
    if MeterFault.REORDERED in faults:
        return end, begin
    return begin, begin if MeterFault.BEGIN_AS_END in faults else end
