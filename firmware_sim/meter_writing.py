"""What stands in a meter's record: its kind, its counts and a user, as OCMF has them. Pure.

Source: OCMF 1.4.1, tables 1 to 7, 24, 25, and its section on carry-forward.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from firmware_sim.meter_kind import ChargePoint, ClockKind, MeterKind, Signer
from firmware_sim.meter_state import OpenTransaction
from wire.meter.draft import OCMFPayload, ReadingDraft
from wire.meter.obis import parse_obis
from wire.meter.record import CurrentType, MeterClock, Pagination, ReadingReason

_CLOCKS = {
    ClockKind.SYNCHRONISED: MeterClock.SYNCHRONISED,
    ClockKind.INFORMATIVE: MeterClock.INFORMATIVE,
    ClockKind.UNKNOWN: MeterClock.UNKNOWN,
    ClockKind.RELATIVE: MeterClock.RELATIVE,
}
_SETTLING = (MeterClock.UNKNOWN, MeterClock.INFORMATIVE)


@dataclass(frozen=True, slots=True)
class Identification:
    """Whom a record is assigned to, in OCMF terms: IL, IF, IT and ID."""

    level: str
    flags: tuple[str, ...]
    type: str
    data: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What a meter has counted: energy that reached the vehicle, energy that the cable lost, and records it signed."""

    register_mwh: int
    loss_mwh: int
    signed: int


class Writer:
    """Writes for a meter of this kind at this charger."""

    def __init__(self, kind: MeterKind, charger_id: str, current: CurrentType) -> None:
        self._kind, self._charger_id = kind, charger_id
        self._current = None if kind.is_older else current
        codes = [code for register in kind.registers if (code := parse_obis(register)) is not None]
        self._registers = [(code.is_lifetime, code.is_device_side) for code in codes]

    def readings(
        self, at: datetime, reason: ReadingReason | None, open_: OpenTransaction, counts: Counts
    ) -> tuple[ReadingDraft, ...]:
        """What every register says now; `reason` None for the fiscal counter."""
        kind = self._kind
        values = self.values(counts, open_)
        loss = None if kind.loss is None else kind.shown(counts.loss_mwh - open_.begin_loss_mwh)
        return tuple(
            ReadingDraft(
                at=at,
                clock=self._clock(counts.signed),
                reason=reason,
                value=value,
                register=register,
                unit=kind.unit,
                current=self._current,
                cumulated_loss=loss if is_device_side else None,
                event_counter=0 if kind.is_older else None,
            )
            for register, value, (_, is_device_side) in zip(kind.registers, values, self._registers, strict=True)
        )

    def values(self, counts: Counts, open_: OpenTransaction) -> tuple[Decimal, ...]:
        """What each register says of these counts. The mains deliver what reached the vehicle and what the cable lost;
        a register that begins anew with a transaction says the difference of what it would say otherwise."""
        kind, found = self._kind, []
        for is_lifetime, is_device_side in self._registers:
            now, begin = counts.register_mwh, open_.begin_mwh
            if not is_device_side:
                now, begin = now + counts.loss_mwh, begin + open_.begin_loss_mwh
            value = kind.shown(now)
            found.append(value - kind.shown(begin) if kind.restarts and not is_lifetime else value)
        return tuple(found)

    def _clock(self, signed: int) -> MeterClock:
        if self._kind.clock is not ClockKind.SETTLING:
            return _CLOCKS[self._kind.clock]
        return _SETTLING[signed] if signed < len(_SETTLING) else MeterClock.SYNCHRONISED

    def payload(
        self,
        serial: str,
        page: Pagination,
        readings: tuple[ReadingDraft, ...],
        open_: OpenTransaction,
        who: Identification | None,
    ) -> OCMFPayload:
        """The record of these readings; `who` None for the fiscal counter, which has no user and no tariff."""
        kind = self._kind
        payload = OCMFPayload(
            format_version=kind.format_version,
            pagination=page,
            readings=_carried_forward(readings) if kind.carry_forward else readings,
            charge_controller_firmware=kind.controller_firmware,
            loss_compensation=kind.loss_compensation,
        )
        if kind.signer is not Signer.GATEWAY:
            payload = replace(
                payload, meter_serial=serial, meter_vendor="pncgate", meter_model="simulated", meter_firmware="0.1.0"
            )
        if kind.signer is not Signer.METER:
            payload = replace(payload, gateway_id=self._charger_id, gateway_serial=serial, gateway_version="0.1.0")
        if who is not None:
            payload = replace(
                payload,
                id_assigned=True,
                id_level=who.level,
                id_flags=who.flags,
                id_type=who.type,
                id_data=who.data,
                tariff_text=kind.tariff_next if open_.tariff_changed else kind.tariff,
            )
        return self._with_place(payload)

    def _with_place(self, payload: OCMFPayload) -> OCMFPayload:
        if self._kind.charge_point is ChargePoint.NONE or self._kind.is_older:
            return payload
        if self._kind.charge_point is ChargePoint.EVSEID:
            return replace(payload, charge_point_type="EVSEID", charge_point_id=self._kind.evse_id)
        return replace(payload, charge_point_type="CBIDC", charge_point_id=f"{self._charger_id} 1")


def _carried_forward(readings: tuple[ReadingDraft, ...]) -> tuple[ReadingDraft, ...]:
    """The readings without what each has in common with the one before it. RI and RU stand together or not at all."""
    found = list(readings[:1])
    for before, reading in pairwise(readings):
        same = (before.register, before.unit) == (reading.register, reading.unit)
        found.append(
            replace(
                reading,
                at=None if (before.at, before.clock) == (reading.at, reading.clock) else reading.at,
                reason=None if before.reason is reading.reason else reading.reason,
                register=None if same else reading.register,
                unit=None if same else reading.unit,
                current=None if before.current is reading.current else reading.current,
                error_flags=None if before.error_flags == reading.error_flags else reading.error_flags,
                status=None if before.status is reading.status else reading.status,
            )
        )
    return tuple(found)
