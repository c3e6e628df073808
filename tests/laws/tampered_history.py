"""A history of some fifty meters over ten thousand sessions, with tampering planted in it, and what is found.

Every record is signed and judged for real. A plant says exactly which codes must be found on which session; a session
that is not named must have none. `python -m tests.laws.tampered_history` prints the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from random import Random

from tests.laws.charging_history import LIFETIME, Meter, Told, World, charge_untouched, key_of, mount, swap
from tests.meter_pages import KeptPages
from wire.meter.history import judge_history
from wire.meter.judge import judge_record
from wire.meter.keys import public_key_of
from wire.meter.ocmf import sign_ocmf
from wire.meter.session import judge_session
from wire.meter.verdict import RecordVerdict

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
    forger = key_of(world.random.randrange(10**6, 10**9))
    forged = [sign_ocmf(payload, forger) for payload in charge.payloads]
    told = world.tell(charge, forged, claim=public_key_of(forger.public_key()))
    world.find(told.id, "key-claimed", "key-changed")
    return told.id


def an_end_by_another_key(world: World, meter: Meter) -> str:
    charge = world.pair(meter)
    begin, _ = charge.signed()
    forger = key_of(world.random.randrange(10**6, 10**9))
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
    mount(world, meters)
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
                swap(world, number)
            meter, kind = world.meters[number], plan.get((turn, number))
            if kind is not None:
                world.planted.append((kind.name, kind.code, kind.plant(world, meter)))
            else:
                charge_untouched(world, meter, late=turn % 5 == 4 and world.random.random() < 0.2)
    return world


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
