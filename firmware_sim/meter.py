"""A meter that signs: a key, registers that only rise, record numbers that never skip or repeat, as its kind wants it.

Rules of this file
1. A record is written to the journal, and the journal to the disk, before anybody else sees it. The journal decides
   what was signed: after a crash the last whole line there gives the next number and the least register.
2. The meter counts in whole mWh and states them with its kind's digits, cut, never rounded up. What a transaction's
   register says is the difference of what the display showed, so that all registers of one side agree.
3. The state file is replaced as a whole (written aside, synced, renamed), so a crash leaves the old one or the new one.
4. A meter that is swapped in has a serial, a key and counters of its own; the journal goes on, and the old key is kept.
5. A fault (`firmware_sim.meter_faults`) changes what is signed, never what is kept of it.

Source: OCMF 1.4.1, tables 1 to 8 and "Pagination".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from firmware_sim.errors import MeterKindError
from firmware_sim.meter_faults import MeterFault, fault_names
from firmware_sim.meter_kind import Between, MeterKind, Records, check_kind
from firmware_sim.meter_misreading import Moment, misnumber, misread, misstate
from firmware_sim.meter_missigning import sign_record
from firmware_sim.meter_state import (
    KEY_FILE,
    MeterFolder,
    MeterLine,
    MeterState,
    OpenTransaction,
    load_meter_journal,
    new_state,
)
from firmware_sim.meter_writing import Counts, Identification, Writer
from wire.meter.draft import ReadingDraft
from wire.meter.keys import PublicKey, parse_public_key, public_key_of
from wire.meter.record import CurrentType, Pagination, PaginationContext, ReadingReason

__all__ = [
    "KEY_FILE",
    "Began",
    "Identification",
    "MeterLine",
    "SignedReading",
    "SigningMeter",
    "Taken",
    "load_meter_journal",
]

INITIAL_KWH = Decimal("1042.1873")
"""What a meter has counted when it is mounted."""

_CABLE_V = 400


Began = tuple[datetime, Decimal]
"""When a transaction began, and what the display showed then, in kWh."""


@dataclass(frozen=True, slots=True)
class SignedReading:
    """A signed record as it left the meter.

    `record` are its exact bytes, `place` counts all records of a charger's meters from 1, `meter` is the serial of the
    one that signed. `register_kwh` is what the display showed, `began` how the record's transaction began.
    """

    record: bytes
    sha256: str
    place: int
    meter: str
    context: PaginationContext
    pagination: int
    register_kwh: Decimal
    at: datetime
    reason: ReadingReason
    began: Began | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A reading that was taken: when, why, and what the display showed in kWh. `signed` is the record that was made of
    it; None where the meter's kind makes none, or not yet."""

    at: datetime
    reason: ReadingReason
    register_kwh: Decimal
    signed: SignedReading | None


class SigningMeter:
    """The meter of one charger, kept in `folder` (`meter.json`, `meter.jsonl`, its key `meter.pub`); one process at a
    time.

    `clock` gives aware instants. A new meter starts at `initial_kwh`; one that is found goes on where it stood, with
    its own key. Not `durable` is for a meter on a bench, of which nothing has to outlive a power cut.

    Raises:
        MeterKindError: there cannot be such a meter. MalformedValue: the state or a whole line of the journal in
            `folder` cannot be read. StateError: no access to `folder`; `take` and `swap` raise it too.
    """

    def __init__(
        self,
        folder: Path,
        charger_id: str,
        clock: Callable[[], datetime],
        *,
        current: CurrentType,
        kind: MeterKind | None = None,
        faults: frozenset[MeterFault] = frozenset(),
        initial_kwh: Decimal = INITIAL_KWH,
        durable: bool = True,
    ) -> None:
        self.charger_id, self.kind, self.faults = charger_id, kind or MeterKind(), faults
        check_kind(self.kind)
        self._clock, initial_mwh = clock, int(initial_kwh.scaleb(6))
        self._folder = MeterFolder(folder, durable=durable)
        self._writer = Writer(self.kind, charger_id, current)
        found = self._folder.load()
        if found is not None and found.curve != self.kind.curve:
            message = f"the meter in {folder} signs on {found.curve}, not on {self.kind.curve}: its kind must say so"
            raise MeterKindError("bad-meter", message)
        self._use(found or new_state(f"SIM-{charger_id}", self.kind.curve, initial_mwh))

    def _use(self, state: MeterState) -> None:
        self._state, self._key = state, state.key
        self._register_mwh, self._loss_mwh = state.register_mwh, state.loss_mwh
        self._public = public_key_of(self._key.public_key())
        self._folder.save(state)
        self._folder.show_keys(self._public, state)

    # --- what it is ---------------------------------------------------------------------------------------------------

    @property
    def serial(self) -> str:
        """Its serial number."""
        return self._state.serial

    @property
    def public_key(self) -> PublicKey:
        """The key on its housing, which verifies the records."""
        return self._public

    @property
    def earlier_keys(self) -> dict[str, PublicKey]:
        """The keys of the meters that were here before, by their serials, oldest first."""
        return {gone.serial: parse_public_key(gone.public_key) for gone in self._state.retired}

    @property
    def pagination(self) -> int:
        """The number of the last record of a transaction; 0 when nothing was signed yet."""
        return self._state.transaction_page

    @property
    def records(self) -> int:
        """How many records the journal holds, of all meters that were here."""
        return self._state.lines

    @property
    def open_transaction(self) -> Began | None:
        """When the transaction began whose end is not signed, and what the display showed; None without one."""
        return self._began(self._state.transaction)

    @property
    def register_kwh(self) -> Decimal:
        """What the display shows, in kWh."""
        return self._shown_kwh(self._register_mwh)

    def _shown_kwh(self, mwh: int) -> Decimal:
        return self.kind.kwh_of(self.kind.shown(mwh))

    def _began(self, open_: OpenTransaction | None) -> Began | None:
        return None if open_ is None else (open_.began_at, self._shown_kwh(open_.begin_mwh))

    # --- what it does -------------------------------------------------------------------------------------------------

    def count(self, watts: int, milliseconds: int) -> None:
        """Energy flows: `watts` for `milliseconds`, both at least 0. The part under 1 mWh is cut.

        Kept on the disk with the next record; what flowed after the last record is lost with a crash.
        """
        if watts < 0 or milliseconds < 0:
            raise ValueError(f"an import register only rises: {watts} W for {milliseconds} ms")
        self._register_mwh += watts * milliseconds // 3600
        if self.kind.loss is not None:
            self._loss_mwh += watts**2 * self.kind.loss.milliohm * milliseconds // (_CABLE_V**2 * 1000 * 3600)

    def swap(self) -> None:
        """Another meter of the same kind takes its place: rule 4. It has counted nothing yet.

        Raises:
            ValueError: in the middle of a transaction.
        """
        if self._state.transaction is not None:
            raise ValueError(f"{self.serial} is in the middle of a transaction")
        serial = f"SIM-{self.charger_id}-{len(self._state.retired) + 2}"
        self._use(new_state(serial, self.kind.curve, 0, self._state))

    def take(self, reason: ReadingReason, who: Identification) -> Taken:
        """A reading of the registers now; if the kind makes a record of it, the next one, signed and on the disk when
        this returns. About 2 ms."""
        at, kind = self._clock(), self.kind
        open_ = self._state.transaction
        if reason is ReadingReason.BEGIN or open_ is None:
            open_ = self._begin(at)
        between = reason is ReadingReason.CHARGING
        if between and kind.between is Between.NOTHING:
            return Taken(at, reason, self.register_kwh, None)
        is_fiscal = between and kind.between is Between.FISCAL
        if between and not is_fiscal and kind.tariff_next is not None and not open_.tariff_changed:
            reason, open_ = ReadingReason.TARIFF_CHANGE, msgspec.structs.replace(open_, tariff_changed=True)
        moment = self._moment(reason, open_)
        readings = misread(
            self._writer.readings(at, None if is_fiscal else reason, open_, self._counts()), moment, self.faults
        )
        open_ = msgspec.structs.replace(open_, readings_taken=open_.readings_taken + 1)
        if kind.records is Records.MULTIPLE and not is_fiscal:
            room = reason.is_end or len(open_.readings) + 2 * len(readings) <= kind.most_readings
            readings = (*open_.readings, *readings) if room else open_.readings
            if not reason.is_end:
                self._keep(msgspec.structs.replace(open_, readings=readings))
                return Taken(at, reason, self.register_kwh, None)
            open_ = msgspec.structs.replace(open_, readings=())
        signed = self._sign(at, readings, moment, open_, None if is_fiscal else who)
        return Taken(at, reason, signed.register_kwh, signed)

    def _begin(self, at: datetime) -> OpenTransaction:
        return OpenTransaction(
            number=self._state.transactions + 1,
            began_at=at,
            begin_mwh=self._register_mwh,
            begin_loss_mwh=self._loss_mwh,
        )

    def _moment(self, reason: ReadingReason, open_: OpenTransaction) -> Moment:
        begin = Counts(open_.begin_mwh, open_.begin_loss_mwh, self._state.signed)
        return Moment(open_.number, reason, open_.readings_taken, self._writer.values(begin, open_))

    def _counts(self) -> Counts:
        return Counts(self._register_mwh, self._loss_mwh, self._state.signed)

    def _keep(self, open_: OpenTransaction) -> None:
        """A reading that is not signed yet: it outlives the process all the same."""
        self._state = msgspec.structs.replace(
            self._state,
            register_mwh=self._register_mwh,
            loss_mwh=self._loss_mwh,
            transaction=open_,
            transactions=open_.number,
        )
        self._folder.save(self._state)

    # --- a record -----------------------------------------------------------------------------------------------------

    def _sign(
        self,
        at: datetime,
        readings: tuple[ReadingDraft, ...],
        moment: Moment,
        open_: OpenTransaction,
        who: Identification | None,
    ) -> SignedReading:
        context = PaginationContext.FISCAL if who is None else PaginationContext.TRANSACTION
        due = Pagination(context=context, number=self._state.page(context) + 1)
        fiscal = Pagination(context=PaginationContext.FISCAL, number=self._state.fiscal_page)
        page = misnumber(due, fiscal, moment, self.faults)
        payload = misstate(self._writer.payload(self.serial, page, readings, open_, who), moment, self.faults)
        record = sign_record(payload, self._key, self.kind, moment, self.faults)
        line = self._line(record, page, at, moment.reason, open_)
        self._folder.append(line)
        self._state = self._state.after(line)
        self._folder.save(self._state)
        return self._reading(line, self._state.lines)

    def _line(
        self, record: bytes, page: Pagination, at: datetime, reason: ReadingReason, open_: OpenTransaction
    ) -> MeterLine:
        try:
            text, encoding = record.decode(), "utf-8"
        except UnicodeDecodeError:
            text, encoding = record.decode("latin-1"), "latin-1"
        return MeterLine(
            charger_id=self.charger_id,
            meter=self.serial,
            context=page.context,
            pagination=page.number,
            sha256=hashlib.sha256(record).hexdigest(),
            ocmf=text,
            encoding=encoding,
            at=at,
            reason=reason,
            register_mwh=self._register_mwh,
            loss_mwh=self._loss_mwh,
            transaction=open_,
            faults=fault_names(self.faults, of_meter=True) if self.faults else (),
        )

    # --- what it has signed -------------------------------------------------------------------------------------------

    def readings(self) -> tuple[SignedReading, ...]:
        """Every record of this charger's meters, in order, as the journal holds them. Raises MalformedValue,
        StateError."""
        return tuple(self._reading(line, place) for place, line in enumerate(self._folder.lines(), start=1))

    def _reading(self, line: MeterLine, place: int) -> SignedReading:
        return SignedReading(
            record=line.record,
            sha256=line.sha256,
            place=place,
            meter=line.meter,
            context=line.context,
            pagination=line.pagination,
            register_kwh=self._shown_kwh(line.register_mwh),
            at=line.at,
            reason=line.reason,
            began=self._began(line.transaction),
        )
