"""Whole transactions of a meter without a charger: what a verifier would be told, for as many as are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from firmware_sim.meter import Identification, SignedReading, SigningMeter, Taken
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_telling import Teller, ToldValue, rearranged
from wire.meter.keys import PublicKey
from wire.meter.record import ReadingReason

DRIVER = Identification("HEARSAY", ("RFID_PLAIN", "OCPP_AUTH"), "ISO14443", "04A2B3C4D5E680")
_PAUSE = timedelta(minutes=20)


@dataclass(slots=True)
class SetClock:
    """A clock that says what it is set to."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldTransaction:
    """One transaction: the signed values as they are told, in their order, and the key on the meter's housing.
    `energy_wh` is what the display counted."""

    number: int
    began_at: datetime
    ended_at: datetime
    taken: tuple[Taken, ...]
    told: tuple[ToldValue, ...]
    meter: str
    public_key: PublicKey


@dataclass(slots=True, kw_only=True)
class Bench:
    """A meter on a bench: `between` readings in each transaction, each after `step` with `watts` flowing. `clock` must
    be the meter's; `ocpp` decides the carrier."""

    meter: SigningMeter
    clock: SetClock
    ocpp: str = "2.0.1"
    between: int = 2
    watts: int = 11_000
    step: timedelta = timedelta(minutes=10)
    who: Identification = DRIVER
    _first_begin: SignedReading | None = field(default=None, init=False)

    def transactions(self, count: int) -> Iterator[ToldTransaction]:
        """So many transactions, one after the other. Raises StateError."""
        faults = self.meter.faults
        if MeterFault.KEY_STALE in faults and not self.meter.earlier_keys:
            self.meter.swap()
        tell = Teller(self.meter, self.ocpp, faults)
        for number in range(1, count + 1):
            taken = tuple(self._taken())
            told = [value for reading in self._in_order(taken) for value in tell(reading)]
            yield ToldTransaction(
                number=number,
                began_at=taken[0].at,
                ended_at=taken[-1].at,
                taken=taken,
                told=tuple(told),
                meter=self.meter.serial,
                public_key=self.meter.public_key,
            )
            self.clock.at += _PAUSE

    def _taken(self) -> Iterator[Taken]:
        yield self.meter.take(ReadingReason.BEGIN, self.who)
        for reason in (*[ReadingReason.CHARGING] * self.between, ReadingReason.LOCAL):
            self.clock.at += self.step
            self.meter.count(self.watts, self.step // timedelta(milliseconds=1))
            yield self.meter.take(reason, self.who)

    def _in_order(self, taken: tuple[Taken, ...]) -> list[SignedReading]:
        """The records in the order in which they are told."""
        signed = [one.signed for one in taken if one.signed is not None]
        if len(signed) < 2:
            return signed
        if MeterFault.REPLAYED in self.meter.faults:
            self._first_begin = self._first_begin or signed[0]
            signed[0] = self._first_begin
        first, last = rearranged(signed[0], signed[-1], self.meter.faults)
        return [first, *signed[1:-1], last]
