"""Meters that charge: sessions, the records that the meters sign of them, and what is known of them from elsewhere.

Nothing is tampered with here; what would be easy to mistake for it is made on purpose: late sessions, copies, meters
that are swapped, two meters that share a counter, fiscal records in between, clocks that are set.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec

from wire.meter.draft import SignatureEncoding
from wire.meter.keys import PublicKey, public_key_of
from wire.meter.ocmf import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.record import CurrentType, MeterClock, Pagination, PaginationContext, ReadingReason
from wire.meter.registry import KeyOrigin, KeyPlace, KeyRegistry, KeyState, RegisteredKey
from wire.meter.verdict import Expected

START = datetime(2026, 1, 1, tzinfo=UTC)
POWER_W = 11_000
LIFETIME, TRANSACTION, BOTH = ("1-0:1.8.0*255",), ("01-00:B2.08.00*FF",), ("01-00:B1.08.00*FF", "01-00:B3.08.00*FF")
_RESTARTS = {"01-00:B2.08.00*FF", "01-00:B3.08.00*FF"}


@dataclass
class Signer:
    """Whoever holds a key and counts its pages."""

    key: ec.EllipticCurvePrivateKey
    gateway: str | None = None
    counter: int = 0
    fiscal: int = 0

    def next(self) -> Pagination:
        self.counter += 1
        return Pagination(context=PaginationContext.TRANSACTION, number=self.counter)

    def next_fiscal(self) -> Pagination:
        self.fiscal += 1
        return Pagination(context=PaginationContext.FISCAL, number=self.fiscal)


@dataclass
class Meter:
    """A mounted meter: its registers, its clock, and how its records look."""

    serial: str
    signer: Signer
    place: KeyPlace
    registers: tuple[str, ...]
    records: int
    lifetime_wh: int
    now: datetime
    by_place: bool = False
    by_gateway: bool = False
    alone: bool = True


@dataclass
class Charge:
    """One session as it happened: what the meter says, record by record, and what is known of it from elsewhere."""

    meter: Meter
    payloads: list[OCMFPayload]
    expected: Expected

    def signed(self) -> list[bytes]:
        return [sign_ocmf(payload, self.meter.signer.key) for payload in self.payloads]


@dataclass
class Told:
    """One session as the station tells it."""

    id: str
    meter: Meter
    records: list[bytes]
    expected: Expected
    claim: PublicKey | None = None
    late: bool = False


@dataclass
class World:
    """The generator: meters, the sessions told so far, and what must be found."""

    random: Random
    registry: KeyRegistry = field(default_factory=KeyRegistry)
    meters: list[Meter] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    must_find: dict[str, set[str]] = field(default_factory=dict)
    planted: list[tuple[str, str, str]] = field(default_factory=list)
    _next: dict[str, set[str]] = field(default_factory=dict)

    def charge(
        self, meter: Meter, records: int = 0, wh: int | None = None, user: str | None = None, fiscal: bool = True
    ) -> Charge:
        """The next session of a meter: its counter, registers and clock go on. `records` 0: as many as it likes; with
        `fiscal` one of that counter may stand among them."""
        # A clock that is set goes back a minute now and then.
        wait = -1 if self.random.random() < 0.01 else self.random.randrange(5, 240)
        minutes = self.random.randrange(8, 180)
        if wh is None:
            wh = self.random.randrange(1, minutes * POWER_W // 60) if self.random.random() < 0.98 else 0
        records = records or meter.records
        inner = 1 if records == 1 else records - 2
        begin_at = meter.now + timedelta(minutes=wait)
        times = [begin_at + timedelta(minutes=minutes) * part / (inner + 1) for part in range(inner + 2)]
        end = self.random.choice((ReadingReason.END, ReadingReason.LOCAL, ReadingReason.POWER_FAILURE))
        reasons = [ReadingReason.BEGIN, *[ReadingReason.CHARGING] * inner, end]
        values = [wh * part // (inner + 1) for part in range(inner + 2)]
        read = [self._readings(meter, *one) for one in zip(times, reasons, values, strict=True)]
        bundles = [tuple(reading for readings in read for reading in readings)] if records == 1 else read
        user = user or self.random.randbytes(4).hex().upper()
        payloads = [self._payload(meter, readings, user) for readings in bundles]
        if fiscal and len(payloads) > 1 and self.random.random() < 0.05:
            payloads.insert(1, self._fiscal(meter, begin_at + timedelta(minutes=1)))
        expected = Expected(
            identifications=frozenset({self.random.choice((user.lower(), bytes.fromhex(user)[::-1].hex(":")))}),
            begin_wh=Decimal(meter.lifetime_wh),
            end_wh=Decimal(meter.lifetime_wh + wh + self.random.randrange(2)),
            began_at=times[0] - timedelta(seconds=self.random.randrange(90)),
            ended_at=times[-1] + timedelta(seconds=self.random.randrange(30)),
            max_power_w=POWER_W,
            received_at=times[-1] + timedelta(seconds=20),
        )
        meter.lifetime_wh += wh
        meter.now = times[-1]
        return Charge(meter, payloads, expected)

    def pair(self, meter: Meter, wh: int | None = None, user: str | None = None) -> Charge:
        """The next session in two records and nothing else."""
        return self.charge(meter, 2, wh, user, fiscal=False)

    def _readings(self, meter: Meter, at: datetime, reason: ReadingReason, wh: int) -> tuple[ReadingDraft, ...]:
        return tuple(
            ReadingDraft(
                at=at,
                clock=MeterClock.SYNCHRONISED,
                reason=reason,
                value=Decimal(wh if register in _RESTARTS else meter.lifetime_wh + wh).scaleb(-3),
                register=register,
                unit="kWh",
                current=CurrentType.AC,
                error_flags="",
            )
            for register in meter.registers
        )

    def _payload(self, meter: Meter, readings: tuple[ReadingDraft, ...], user: str) -> OCMFPayload:
        return OCMFPayload(
            pagination=meter.signer.next(),
            meter_serial=meter.serial,
            gateway_serial=meter.signer.gateway,
            id_assigned=True,
            id_level="VERIFIED",
            id_flags=("RFID_PLAIN",),
            id_type="ISO14443",
            id_data=user,
            readings=readings,
        )

    def _fiscal(self, meter: Meter, at: datetime) -> OCMFPayload:
        readings = tuple(replace(one, reason=None) for one in self._readings(meter, at, ReadingReason.CHARGING, 0))
        return OCMFPayload(
            pagination=meter.signer.next_fiscal(),
            meter_serial=meter.serial,
            gateway_serial=meter.signer.gateway,
            readings=readings,
        )

    def tell(self, charge: Charge, records: list[bytes] | None = None, **changes: object) -> Told:
        """The session as told, with what must be found on it by what was planted before."""
        told = Told(f"S{len(self.told):05}", charge.meter, records or charge.signed(), charge.expected)
        told = replace(told, **changes)
        self.told.append(told)
        self.find(told.id, *self._next.pop(charge.meter.serial, ()))
        return told

    def find(self, session: str, *codes: str) -> None:
        """Exactly these codes must be found on the session, with those already named."""
        self.must_find.setdefault(session, set()).update(codes)

    def find_next(self, meter: Meter, *codes: str) -> None:
        """The same on the next session of this meter."""
        self._next.setdefault(meter.serial, set()).update(codes)


def mount(world: World, count: int) -> None:
    """Meters that sign themselves, meters behind a gateway that signs, and two behind one gateway that counts for both.
    Keys are registered by meter serial, by gateway serial, and by place."""
    shared = Signer(key_of(1000), "GS-SHARED")
    for number in range(count):
        kind = number % 5
        signer = (
            shared if number in (0, 5) else Signer(key_of(number + 1), f"GS-{number:03}" if kind in (0, 1) else None)
        )
        meter = Meter(
            serial=f"MS-{number:03}",
            signer=signer,
            place=KeyPlace(gateway_id="site-1", charger_id=f"CP-{number}", evse_id=1),
            registers=(LIFETIME, LIFETIME, TRANSACTION, BOTH)[number % 4],
            records=(2, 2, 1, 3)[number % 4 if number % 3 else 0],
            lifetime_wh=world.random.randrange(10**8),
            now=START + timedelta(minutes=world.random.randrange(1440)),
            by_place=kind == 4,
            by_gateway=kind == 1,
            alone=signer is not shared,
        )
        world.meters.append(meter)
        named = {"place": meter.place} if meter.by_place else {"meter_serial": meter.serial}
        world.registry.pin(_row(meter, **({"gateway_serial": signer.gateway} if meter.by_gateway else named)))


def key_of(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number, ec.SECP256R1())


def _row(meter: Meter, **named: object) -> RegisteredKey:
    key = public_key_of(meter.signer.key.public_key())
    return RegisteredKey(
        public_key=key.spki.hex(), curve=key.curve, source=KeyOrigin.NAMEPLATE, state=KeyState.PINNED, **named
    )


def swap(world: World, number: int) -> None:
    """A new meter with a key of its own at the old one's place, as the operator says."""
    old = world.meters[number]
    signer = Signer(key_of(5000 + number), old.signer.gateway)
    new = replace(old, serial=f"{old.serial}-NEW", signer=signer, lifetime_wh=0)
    world.meters[number] = new
    world.registry.pin(_row(new, place=new.place, not_before=old.now + timedelta(minutes=3)))
    new.now += timedelta(minutes=10)
    world.find_next(new, "meter-swapped")


def charge_untouched(world: World, meter: Meter, late: bool) -> None:
    charge = world.charge(meter)
    records = charge.signed()
    if world.random.random() < 0.02:
        records.append(_copy(charge.payloads[-1], meter))
    world.tell(charge, records, late=late)


def _copy(payload: OCMFPayload, meter: Meter) -> bytes:
    """The same payload under a signature section that is written otherwise."""
    return sign_ocmf(payload, meter.signer.key, encoding=SignatureEncoding.BASE64)
