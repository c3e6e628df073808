"""A meter that signs: a P-256 key, a register that only rises, a record number that never skips or repeats.

Rules of this file
1. A record is written to the journal, and the journal to the disk, before anybody else sees it. The journal decides
   what was signed: after a crash the last whole line there gives the next number and the least register.
2. The register counts in whole mWh inside and is stated in kWh with four decimals, cut, never rounded up.
3. The state file is replaced as a whole (written aside, synced, renamed), so a crash leaves the old one or the new one.

Source: OCMF 1.4.1, tables 1 to 8 and "Pagination"; OCMF payload, format 1.2.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_sim.lines import append_lines, cut_torn_line, journal_lines, kept
from wire.errors import MalformedValue
from wire.meter.keys import public_key_of
from wire.meter.ocmf import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.record import CurrentType, Pagination, PaginationContext, ReadingReason
from wire.records import Value, decode, encode

REGISTER_OBIS = "01-00:B2.08.00*FF"
"""Total import of the device's transaction register (OCMF table of OBIS codes)."""
_MWH_PER_STEP = 100
"""0.0001 kWh, the last digit shown."""

KEY_FILE = "meter.pub"
"""The meter's public key, SubjectPublicKeyInfo as hex: what a real meter bears on its housing."""


class MeterLine(Value, frozen=True, kw_only=True):
    """One line of a meter's journal: a record that was signed, whoever got to see it. `ocmf` is its exact text."""

    charger_id: str
    pagination: int
    sha256: str
    ocmf: str
    at: datetime


class _State(Value, frozen=True, kw_only=True):
    key_pem: str
    pagination: int
    register_mwh: int


@dataclass(frozen=True, slots=True)
class Identification:
    """Whom a record is assigned to, in OCMF terms: IL, IF, IT and ID."""

    level: str
    flags: tuple[str, ...]
    type: str
    data: str


@dataclass(frozen=True, slots=True)
class SignedReading:
    """A signed record as it leaves the meter; `register_kwh` is the value it states, `reason` why it was taken."""

    ocmf: str
    sha256: str
    pagination: int
    register_kwh: Decimal
    at: datetime
    reason: ReadingReason


class SigningMeter:
    """The meter of one charger, kept in `folder` (`meter.json`, `meter.jsonl`; `meter.pub`, its key); one process at a
    time.

    `clock` gives aware instants. A new meter starts at `initial_kwh`; one that is found goes on where it stood.

    Raises:
        MalformedValue: the state or a whole line of the journal in `folder` cannot be read.
        StateError: no access to `folder`; `sign` raises it too.
    """

    def __init__(
        self,
        folder: Path,
        charger_id: str,
        clock: Callable[[], datetime],
        *,
        current: CurrentType,
        initial_kwh: Decimal = Decimal("1042.1873"),
    ) -> None:
        self.charger_id, self.serial = charger_id, f"SIM-{charger_id}"
        self._clock, self._current = clock, current
        self._state_path, self._journal_path = folder / "meter.json", folder / "meter.jsonl"
        with kept(folder):
            folder.mkdir(parents=True, exist_ok=True)
        state = self._load() or _State(
            key_pem=_new_key_pem(), pagination=0, register_mwh=int(initial_kwh.scaleb(6).to_integral_value())
        )
        self._key = _private_key(state.key_pem, self._state_path)
        self._key_pem = state.key_pem
        self._pagination, self._register_mwh = state.pagination, state.register_mwh
        self._recover()
        self._save()
        key_path = folder / KEY_FILE
        with kept(key_path):
            key_path.write_text(f"{public_key_of(self.public_key).spki.hex()}\n", "ascii")

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies the records."""
        return self._key.public_key()

    @property
    def pagination(self) -> int:
        """The number of the last record; 0 when nothing was signed yet."""
        return self._pagination

    @property
    def register_kwh(self) -> Decimal:
        """What the display shows: kWh with four decimals."""
        return Decimal(self._register_mwh // _MWH_PER_STEP).scaleb(-4)

    def count(self, watts: int, milliseconds: int) -> None:
        """Energy flows: `watts` for `milliseconds`, both at least 0. The part under 1 mWh is cut.

        Kept on the disk with the next record; what flowed after the last record is lost with a crash.
        """
        if watts < 0 or milliseconds < 0:
            raise ValueError(f"an import register only rises: {watts} W for {milliseconds} ms")
        self._register_mwh += watts * milliseconds // 3600

    def sign(self, reason: ReadingReason, who: Identification) -> SignedReading:
        """The next record: one reading of the register now, signed; on the disk when this returns. About 2 ms."""
        at, number, value = self._clock(), self._pagination + 1, self.register_kwh
        payload = OCMFPayload(
            pagination=Pagination(context=PaginationContext.TRANSACTION, number=number),
            readings=(
                ReadingDraft(
                    at=at, reason=reason, value=value, register=REGISTER_OBIS, unit="kWh", current=self._current
                ),
            ),
            meter_serial=self.serial,
            gateway_id=self.charger_id,
            gateway_serial=self.serial,
            gateway_version="0.1.0",
            meter_vendor="pncgate",
            meter_model="simulated",
            meter_firmware="0.1.0",
            id_assigned=True,
            id_level=who.level,
            id_flags=who.flags,
            id_type=who.type,
            id_data=who.data,
            charge_point_type="CBIDC",
            charge_point_id=f"{self.charger_id} 1",
        )
        ocmf = sign_ocmf(payload, self._key)
        text, digest = ocmf.decode("ascii"), hashlib.sha256(ocmf).hexdigest()
        line = MeterLine(charger_id=self.charger_id, pagination=number, sha256=digest, ocmf=text, at=at)
        append_lines(self._journal_path, line, sync=True)
        self._pagination = number
        self._save()
        return SignedReading(ocmf=text, sha256=digest, pagination=number, register_kwh=value, at=at, reason=reason)

    def readings(self) -> tuple[SignedReading, ...]:
        """Every record of this meter, in order, as the journal holds them. Raises MalformedValue, StateError."""
        return tuple(self._reading(line) for line in load_meter_journal(self._journal_path))

    def _reading(self, line: MeterLine) -> SignedReading:
        where = f"record {line.pagination} of {self._journal_path}"
        try:
            stated = decode(_StatedPayload, line.ocmf.split("|")[1], where).RD[-1]
        except IndexError as error:
            raise MalformedValue(where, "$.ocmf", "no OCMF record with a reading") from error
        return SignedReading(
            ocmf=line.ocmf,
            sha256=line.sha256,
            pagination=line.pagination,
            register_kwh=stated.RV,
            at=line.at,
            reason=stated.TX,
        )

    def _load(self) -> _State | None:
        with kept(self._state_path):
            try:
                data = self._state_path.read_bytes()
            except FileNotFoundError:
                return None
        return decode(_State, data, str(self._state_path))

    def _recover(self) -> None:
        """Brings number and register up to the last record in the journal; a torn last line never left the meter."""
        cut_torn_line(self._journal_path)
        lines = load_meter_journal(self._journal_path)
        if not lines:
            return
        last = lines[-1]
        self._pagination = max(self._pagination, last.pagination)
        self._register_mwh = max(self._register_mwh, int(self._reading(last).register_kwh.scaleb(6)))

    def _save(self) -> None:
        state = _State(key_pem=self._key_pem, pagination=self._pagination, register_mwh=self._register_mwh)
        aside = self._state_path.with_suffix(".new")
        with kept(self._state_path):
            with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(encode(state))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._state_path)


class _StatedReading(msgspec.Struct, frozen=True):
    RV: Decimal
    TX: ReadingReason


class _StatedPayload(msgspec.Struct, frozen=True):
    RD: tuple[_StatedReading, ...]


def load_meter_journal(path: Path) -> tuple[MeterLine, ...]:
    """Every record a meter signed, in order; empty when there is no journal yet.

    Raises:
        MalformedValue: a line cannot be read; names file and line. StateError: no access.
    """
    return tuple(decode(MeterLine, line, f"{path} line {number}") for number, line in journal_lines(path))


def _new_key_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode("ascii")


def _private_key(pem: str, path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise MalformedValue(str(path), "$.key_pem", "expected an elliptic curve key, not encrypted") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedValue(str(path), "$.key_pem", "expected a key on P-256")
    return key
