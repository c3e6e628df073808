"""A history of some fifty meters over ten thousand sessions, with tampering planted in it, and what is found.

Every record is signed and judged for real. A plant says exactly which codes must be found on which session; a session
that is not named must have none. `python -m tests.laws.tampered_history` prints the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random

from cryptography.hazmat.primitives.asymmetric import ec

from tests.meter_pages import KeptPages
from wire.meter.draft import SignatureEncoding
from wire.meter.history import judge_history
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, public_key_of
from wire.meter.ocmf import OCMFPayload, ReadingDraft, sign_ocmf
from wire.meter.record import CurrentType, MeterClock, Pagination, PaginationContext, ReadingReason
from wire.meter.registry import KeyOrigin, KeyPlace, KeyRegistry, KeyState, RegisteredKey
from wire.meter.session import judge_session
from wire.meter.verdict import Expected, RecordVerdict

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

    def plant(self, kind: Kind, meter: Meter) -> None:
        """One case of a kind."""
        self.planted.append((kind.name, kind.code, kind.plant(self, meter)))


# --- tampering: each plants one case and says what must be found -----------------------------------------------------


def a_record_removed(world: World, meter: Meter) -> str:
    charge = world.charge(meter, records=world.random.randrange(4, 6), fiscal=False)
    records = charge.signed()
    del records[world.random.randrange(1, len(records) - 1)]
    told = world.tell(charge, records)
    world.find(told.id, "pagination-gap")
    return told.id


def a_session_removed(world: World, meter: Meter) -> str:
    world.charge(meter, fiscal=False)
    told = world.tell(world.charge(meter))
    world.find(told.id, "pagination-gap")
    return told.id


def ends_reordered(world: World, meter: Meter) -> str:
    charge = world.pair(meter, wh=1000)
    told = world.tell(charge, charge.signed()[::-1])
    world.find(told.id, "pagination-order", "reading-order", "register-falling", "time-falling")
    return told.id


def times_against_numbers(world: World, meter: Meter) -> str:
    """The meter signs a session as if it had been before the one before it."""
    world.tell(world.charge(meter))
    there = meter.now
    meter.now -= timedelta(hours=12)
    told = world.tell(world.pair(meter))
    meter.now = there
    world.find(told.id, "page-order")
    return told.id


def a_digit_altered(world: World, meter: Meter) -> str:
    charge = world.pair(meter)
    begin, end = charge.signed()
    value = b'"RV":%s' % str(charge.payloads[-1].readings[0].value).encode()
    told = world.tell(charge, [begin, end.replace(value, value + b"1", 1)])
    world.find(told.id, "signature")
    # An altered record is no page: its number is missing until the meter's own comes.
    world.find_next(meter, "pagination-gap")
    return told.id


def an_identification_altered(world: World, meter: Meter) -> str:
    charge = world.pair(meter, user="04A2B3C4")
    begin, end = charge.signed()
    told = world.tell(charge, [begin.replace(b"04A2B3C4", b"DEADBEEF"), end])
    world.find(told.id, "signature", "identification", "identification-authorised", "pagination-gap")
    return told.id


def a_time_altered(world: World, meter: Meter) -> str:
    charge = world.pair(meter)
    begin, end = charge.signed()
    told = world.tell(charge, [begin, end.replace(b",000+0000", b",250+0000")])
    world.find(told.id, "signature")
    world.find_next(meter, "pagination-gap")
    return told.id


def a_session_replayed(world: World, meter: Meter) -> str:
    """The records of one session told again as another one of the same user, with OCPP values that fit."""
    charge = world.charge(meter)
    world.tell(charge)
    told = world.tell(charge)
    world.find(told.id, "record-replayed")
    return told.id


def the_end_of_another_session(world: World, meter: Meter) -> str:
    """A session is ended by the end of the same user's next one, and OCPP's values bear it out."""
    first, second = world.pair(meter, user="04A2B3C4"), world.pair(meter, user="04A2B3C4")
    (begin, _), (other_begin, other_end) = first.signed(), second.signed()
    known = second.expected
    longer = replace(
        first.expected,
        identifications=known.identifications,
        end_wh=known.end_wh,
        ended_at=known.ended_at,
        received_at=known.received_at,
    )
    world.tell(first, [begin, other_end], expected=longer)
    told = world.tell(second, [other_begin, other_end])
    world.find(told.id, "record-replayed", "pagination-gap")
    return told.id


def begin_as_end(world: World, meter: Meter) -> str:
    charge = world.pair(meter)
    told = world.tell(charge, [charge.signed()[0]] * 2)
    world.find(told.id, "record-repeated", "end-count")
    world.find_next(meter, "pagination-gap")
    return told.id


def a_meter_swapped(world: World, meter: Meter) -> str:
    """The gateway signs on, with the same key and serial, for another meter; afterwards for the first one again."""
    charge = world.pair(meter)
    charge.payloads[-1] = replace(charge.payloads[-1], meter_serial=f"{meter.serial}-{meter.signer.counter}")
    told = world.tell(charge)
    world.find(told.id, "meter-serial", "meter-swapped")
    world.find_next(meter, "meter-swapped")
    return told.id


def a_session_by_another_key(world: World, meter: Meter) -> str:
    """Somebody writes a session that goes on where the meter stands, and sends his key along."""
    counter, lifetime, now = meter.signer.counter, meter.lifetime_wh, meter.now
    charge = world.charge(meter, fiscal=False)
    meter.signer.counter, meter.lifetime_wh, meter.now = counter, lifetime, now
    forger = _key(world.random.randrange(10**6, 10**9))
    forged = [sign_ocmf(payload, forger) for payload in charge.payloads]
    told = world.tell(charge, forged, claim=public_key_of(forger.public_key()))
    world.find(told.id, "key-claimed", "key-changed")
    return told.id


def an_end_by_another_key(world: World, meter: Meter) -> str:
    charge = world.pair(meter)
    begin, _ = charge.signed()
    forger = _key(world.random.randrange(10**6, 10**9))
    forged = sign_ocmf(charge.payloads[-1], forger)
    told = world.tell(charge, [begin, forged], claim=public_key_of(forger.public_key()))
    world.find(told.id, "key-claimed", "key-changed", "two-keys")
    world.find_next(meter, "pagination-gap")
    return told.id


def a_counter_rolled_back(world: World, meter: Meter) -> str:
    """The meter uses the numbers of its last session once more."""
    world.tell(world.pair(meter))
    meter.signer.counter -= 2
    told = world.tell(world.pair(meter))
    world.find(told.id, "pagination-back", "page-twice")
    return told.id


def a_register_lowered(world: World, meter: Meter) -> str:
    world.tell(world.charge(meter, wh=500))
    meter.lifetime_wh -= 300
    told = world.tell(world.charge(meter))
    world.find(told.id, "register-lower")
    return told.id


def another_user(world: World, meter: Meter) -> str:
    charge = world.charge(meter, user="04A2B3C4")
    billed = replace(charge.expected, identifications=frozenset({"04A2B3C5", "DEABCC12345678"}))
    told = world.tell(charge, expected=billed)
    world.find(told.id, "identification-authorised")
    return told.id


def more_than_the_cable_carries(world: World, meter: Meter) -> str:
    told = world.tell(world.charge(meter, wh=200_000))
    world.find(told.id, "power-implausible")
    return told.id


def a_fiscal_record_as_end(world: World, meter: Meter) -> str:
    charge = world.pair(meter)
    meter.signer.counter -= 1
    charge.payloads[-1] = replace(charge.payloads[-1], pagination=meter.signer.next_fiscal())
    told = world.tell(charge)
    world.find(told.id, "pagination-context")
    return told.id


def _any(meter: Meter) -> bool:
    return True


def _alone(meter: Meter) -> bool:
    return meter.alone


def _lifetime(meter: Meter) -> bool:
    return meter.alone and meter.registers is LIFETIME


def _behind_gateway(meter: Meter) -> bool:
    return meter.alone and meter.by_gateway


@dataclass(frozen=True)
class Kind:
    """A kind of tampering, the code that names it, and the meters at which it can be planted."""

    name: str
    code: str
    plant: Callable[[World, Meter], str]
    fits: Callable[[Meter], bool] = _alone


KINDS = (
    Kind("an intermediate record removed", "pagination-gap", a_record_removed),
    Kind("a whole session removed", "pagination-gap", a_session_removed),
    Kind("begin and end reordered", "pagination-order", ends_reordered),
    Kind("times against page numbers", "page-order", times_against_numbers),
    Kind("a digit of a value altered", "signature", a_digit_altered),
    Kind("the identification altered", "signature", an_identification_altered),
    Kind("a time altered", "signature", a_time_altered),
    Kind("a session replayed as another", "record-replayed", a_session_replayed),
    Kind("the end of another session", "record-replayed", the_end_of_another_session, _lifetime),
    Kind("the begin replayed as the end", "record-repeated", begin_as_end),
    Kind("a meter swapped behind one gateway serial", "meter-serial", a_meter_swapped, _behind_gateway),
    Kind("a session signed by another key", "key-claimed", a_session_by_another_key),
    Kind("an end signed by another key", "two-keys", an_end_by_another_key),
    Kind("the counter rolled back", "pagination-back", a_counter_rolled_back, _lifetime),
    Kind("a register lowered between sessions", "register-lower", a_register_lowered, _lifetime),
    Kind("a record of the fiscal counter as the end", "pagination-context", a_fiscal_record_as_end),
    Kind("billed to another user", "identification-authorised", another_user, _any),
    Kind("more energy than the cable carries", "power-implausible", more_than_the_cable_carries, _any),
)
CASES = 20
"""Of each kind."""


# --- the whole history -----------------------------------------------------------------------------------------------


def make_history(seed: int, meters: int = 50, rounds: int = 200, cases: int = CASES) -> World:
    """Some `meters` x `rounds` sessions in the order in which they happened, and `cases` of each kind among them."""
    world = World(random=Random(seed))
    _mount(world, meters)
    slots = [(turn, number) for turn in range(2, rounds - 2, 5) for number in range(meters)]
    world.random.shuffle(slots)
    plan: dict[tuple[int, int], Kind] = {}
    for kind in KINDS * cases:
        slot = next(one for one in slots if one not in plan and kind.fits(world.meters[one[1]]))
        plan[slot] = kind
    swapped = [number for number, meter in enumerate(world.meters) if meter.by_place]
    for turn in range(rounds):
        for number in range(meters):
            if turn == rounds // 2 and number in swapped:
                _swap(world, number)
            meter, kind = world.meters[number], plan.get((turn, number))
            if kind is not None:
                world.plant(kind, meter)
            else:
                _ordinary(world, meter, late=turn % 5 == 4 and world.random.random() < 0.2)
    return world


def _mount(world: World, count: int) -> None:
    """Meters that sign themselves, meters behind a gateway that signs, and two behind one gateway that counts for both.
    Keys are registered by meter serial, by gateway serial, and by place."""
    shared = Signer(_key(1000), "GS-SHARED")
    for number in range(count):
        kind = number % 5
        signer = shared if number in (0, 5) else Signer(_key(number + 1), f"GS-{number:03}" if kind in (0, 1) else None)
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


def _key(number: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(number, ec.SECP256R1())


def _row(meter: Meter, **named: object) -> RegisteredKey:
    key = public_key_of(meter.signer.key.public_key())
    return RegisteredKey(
        public_key=key.spki.hex(), curve=key.curve, source=KeyOrigin.NAMEPLATE, state=KeyState.PINNED, **named
    )


def _swap(world: World, number: int) -> None:
    """A new meter with a key of its own at the old one's place, as the operator says."""
    old = world.meters[number]
    signer = Signer(_key(5000 + number), old.signer.gateway)
    new = replace(old, serial=f"{old.serial}-NEW", signer=signer, lifetime_wh=0)
    world.meters[number] = new
    world.registry.pin(_row(new, place=new.place, not_before=old.now + timedelta(minutes=3)))
    new.now += timedelta(minutes=10)
    world.find_next(new, "meter-swapped")


def _ordinary(world: World, meter: Meter, late: bool) -> None:
    charge = world.charge(meter)
    records = charge.signed()
    if world.random.random() < 0.02:
        records.append(_copy(charge.payloads[-1], meter))
    world.tell(charge, records, late=late)


def _copy(payload: OCMFPayload, meter: Meter) -> bytes:
    """The same payload under a signature section that is written otherwise."""
    return sign_ocmf(payload, meter.signer.key, encoding=SignatureEncoding.BASE64)


def arrivals(world: World) -> list[Told]:
    """The sessions as they arrive: a late one behind the next session of its meter."""
    arrived: list[Told] = []
    waiting: dict[str, Told] = {}
    for told in world.told:
        if told.late:
            waiting[told.meter.place.charger_id] = told
            continue
        arrived.append(told)
        held = waiting.pop(told.meter.place.charger_id, None)
        if held is not None:
            arrived.append(held)
    return arrived + list(waiting.values())


def judge_all(world: World) -> dict[str, set[str]]:
    """The codes found on each session: judged as it comes, gaps once more when everything has come."""
    pages = KeptPages()
    found: dict[str, set[str]] = {}
    gaps: list[tuple[RecordVerdict, str, str]] = []
    for told in arrivals(world):
        place = str(told.meter.place)
        key_for = partial(world.registry.key_for, place=told.meter.place)
        verdicts = [judge_record(raw, key_for, told.claim) for raw in told.records]
        codes = {finding.code for finding in judge_session(verdicts, told.expected).findings}
        for verdict in verdicts:
            across = {finding.code for finding in pages.take(verdict, told.id, place)}
            if "pagination-gap" in across:
                gaps.append((verdict, told.id, place))
            codes |= across - {"pagination-gap"}
        found[told.id] = codes
    for verdict, session, place in gaps:
        found[session] |= {one.code for one in judge_history(verdict, session, pages, place)} & {"pagination-gap"}
    return {session: codes for session, codes in found.items() if codes}


@dataclass(frozen=True)
class Outcome:
    """What was planted and found, as the table says it; `missed` and `false_alarms` are session and code."""

    sessions: int
    records: int
    rows: tuple[tuple[str, str, int, int], ...]
    missed: tuple[tuple[str, str], ...]
    false_alarms: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        width = max(len(name) for name, *_ in self.rows)
        lines = [f"{'tampering':{width}}  {'code':26}  planted  found"]
        lines += [f"{name:{width}}  {code:26}  {planted:7}  {found:5}" for name, code, planted, found in self.rows]
        clean = f"{self.sessions} sessions, {self.records} records; missed {len(self.missed)}"
        return "\n".join([*lines, f"{clean}, false alarms {len(self.false_alarms)}"])


def outcome(world: World) -> Outcome:
    """Judges the history and compares it with what was planted."""
    found = judge_all(world)
    must = {(session, code) for session, codes in world.must_find.items() for code in codes}
    were = {(session, code) for session, codes in found.items() for code in codes}
    rows = []
    for kind in KINDS:
        sessions = [session for name, _, session in world.planted if name == kind.name]
        hits = sum(kind.code in found.get(session, ()) for session in sessions)
        rows.append((kind.name, kind.code, len(sessions), hits))
    return Outcome(
        sessions=len(world.told),
        records=sum(len(told.records) for told in world.told),
        rows=tuple(rows),
        missed=tuple(sorted(must - were)),
        false_alarms=tuple(sorted(were - must)),
    )


if __name__ == "__main__":
    began = time.monotonic()
    print(outcome(make_history(seed=1)))
    print(f"{time.monotonic() - began:.1f} s to sign and judge")
