"""The records of one session put in order: which begin it, which end it, and what each register says at both.

Rules of this file
1. The caller gives the begin first and the end last; what stands between is put in the order of its pages. One record
   may be both ends (MR), alone or given twice.
2. Copies of one signed content are one record: the copy that verifies best speaks for it.
3. A record of the fiscal counter between the ends is evidence, but no part of the transaction: its readings do not
   count.
4. A format without a reason for its readings has its begin in the first record and its end in the last.
5. Readings of another unit than energy are left aside where there are readings of energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from wire.meter.obis import OBIS, parse_obis, register_name
from wire.meter.record import EXACT, MeterFormat, MeterRecord, PaginationContext, Reading, ReadingReason
from wire.meter.verdict import RecordVerdict, RegisterPair, SignatureVerdict

_PREFERENCE = (0xB3, 0xB1, 0x98, 0xB2, 0xB0, 0x01, 0x9E)
"""C of the register that is billed: what reached the vehicle before what left the mains, as the SAFE software counts;
then the transaction's own register before the one that never restarts."""


class _Side(NamedTuple):
    """Where a register counts."""

    medium: int
    channel: int
    is_import: bool
    is_device_side: bool


_ENERGY_UNITS = frozenset({"Wh", "kWh"})


@dataclass(frozen=True, slots=True)
class SignedSession:
    """The records of a session, `begin` to `end` (one and the same for MR), and its readings in order.

    `runs` are the readings that are energies with their value in Wh, by the register's normalised name, in order.
    `pairs` are the registers with exactly one begin and one end reading, by the same name. `billed` is the one that
    energy is taken from, None when none is or several are equally good.
    """

    records: tuple[MeterRecord, ...]
    readings: tuple[Reading, ...]
    begins: tuple[Reading, ...]
    ends: tuple[Reading, ...]
    runs: dict[str | None, list[tuple[Reading, Decimal]]]
    pairs: dict[str | None, RegisterPair]
    billed: RegisterPair | None

    @property
    def begin(self) -> MeterRecord:
        """The record that is given as the begin."""
        return self.records[0]

    @property
    def end(self) -> MeterRecord:
        """The record that is given as the end."""
        return self.records[-1]

    @property
    def is_foreign(self) -> bool:
        """Whether the format is another than OCMF, which says less."""
        return self.begin.format is not MeterFormat.OCMF


def name_of(reading: Reading) -> str | None:
    """The register's normalised name, None when it has none."""
    return None if reading.register is None else register_name(reading.register)


def difference_wh(pair: RegisterPair) -> Decimal | None:
    """The exact difference of a register's ends in Wh, negative when it fell; None unless both are energies."""
    first, last = pair.begin.energy_wh, pair.end.energy_wh
    return None if first is None or last is None else EXACT.subtract(last, first)


def resolution_wh(pair: RegisterPair) -> Decimal:
    """How much the difference of the ends may be off for the digits they were written with, in Wh, 0 at least."""
    total = Decimal(0)
    for reading in (pair.begin, pair.end):
        energy = reading.energy_wh
        exponent = energy.as_tuple().exponent if energy is not None else 0
        # A value of 1E+60 must not excuse every difference.
        total += Decimal(1).scaleb(min(exponent, 3)) if isinstance(exponent, int) else 0
    return total


def best_of_copies(verdicts: Sequence[RecordVerdict]) -> tuple[tuple[RecordVerdict, ...], tuple[RecordVerdict, ...]]:
    """The verdicts with one for each content, where its first copy stood, and the copies that were left out."""
    kept: dict[object, RecordVerdict] = {}
    left = []
    for number, verdict in enumerate(verdicts):
        record = verdict.record
        content: object = number if record is None else (record.format, record.content)
        held = kept.setdefault(content, verdict)
        if held is verdict:
            continue
        if _rank(verdict) > _rank(held):
            kept[content], verdict = verdict, held
        left.append(verdict)
    return tuple(kept.values()), tuple(left)


def _rank(verdict: RecordVerdict) -> tuple[bool, bool]:
    return verdict.is_trusted, verdict.signature is SignatureVerdict.VALID


def in_order(verdicts: Sequence[RecordVerdict]) -> tuple[RecordVerdict, ...]:
    """The verdicts with those between the first and the last in the order of their pages. Rule 1."""
    middle = sorted(verdicts[1:-1], key=_number)
    return (*verdicts[:1], *middle, *verdicts[1:][-1:])


def without_fiscal(verdicts: Sequence[RecordVerdict]) -> tuple[RecordVerdict, ...]:
    """The one record that holds both ends, if only records of the fiscal counter stand beside it, in whatever order;
    else all. Rules 1 and 3."""
    others = [verdict for verdict in verdicts if verdict.record is None or not _is_fiscal(verdict.record)]
    alone = others[0].record if len(others) == 1 else None
    if alone is None:
        return tuple(verdicts)
    reasons = {reading.reason for reading in alone.readings}
    is_whole = ReadingReason.BEGIN in reasons and any(reason is not None and reason.is_end for reason in reasons)
    return tuple(others) if is_whole else tuple(verdicts)


def _number(verdict: RecordVerdict) -> int:
    record = verdict.record
    return -1 if record is None or record.pagination is None else record.pagination.number


def assemble(records: Sequence[MeterRecord]) -> SignedSession:
    """The session that `records` make, at least one, each payload once and in order."""
    counted = [
        record for number, record in enumerate(records) if number in (0, len(records) - 1) or not _is_fiscal(record)
    ]
    readings = tuple(reading for record in counted for reading in record.readings)
    begins, ends = _ends(records, readings)
    pairs = _pairs(begins, ends)
    return SignedSession(
        records=tuple(records),
        readings=readings,
        begins=begins,
        ends=ends,
        runs=_runs(readings),
        pairs=pairs,
        billed=_billed(pairs),
    )


def _is_fiscal(record: MeterRecord) -> bool:
    return record.pagination is not None and record.pagination.context is PaginationContext.FISCAL


def _runs(readings: Sequence[Reading]) -> dict[str | None, list[tuple[Reading, Decimal]]]:
    by_register: dict[str | None, list[tuple[Reading, Decimal]]] = {}
    for reading in readings:
        energy = reading.energy_wh
        if energy is not None:
            by_register.setdefault(name_of(reading), []).append((reading, energy))
    return by_register


def _ends(
    records: Sequence[MeterRecord], readings: tuple[Reading, ...]
) -> tuple[tuple[Reading, ...], tuple[Reading, ...]]:
    if records[0].format is not MeterFormat.OCMF and all(reading.reason is None for reading in readings):
        if len(records) > 1:
            return records[0].readings, records[-1].readings
        return readings[:1], readings[1:][-1:]
    begins = [reading for reading in readings if reading.reason is ReadingReason.BEGIN]
    ends = [reading for reading in readings if reading.reason is not None and reading.reason.is_end]
    return _energies(begins), _energies(ends)


def _energies(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    energies = tuple(reading for reading in readings if reading.unit is None or reading.unit in _ENERGY_UNITS)
    return energies or tuple(readings)


def _pairs(begins: Sequence[Reading], ends: Sequence[Reading]) -> dict[str | None, RegisterPair]:
    by_register: dict[str | None, tuple[list[Reading], list[Reading]]] = {}
    for side, readings in enumerate((begins, ends)):
        for reading in readings:
            by_register.setdefault(name_of(reading), ([], []))[side].append(reading)
    return {
        name: RegisterPair(begin=first[0], end=last[0])
        for name, (first, last) in by_register.items()
        if len(first) == len(last) == 1
    }


def _billed(pairs: dict[str | None, RegisterPair]) -> RegisterPair | None:
    ranked = sorted((_preference(name), number) for number, name in enumerate(pairs) if not _is_export(name))
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return list(pairs.values())[ranked[0][1]]


def _preference(name: str | None) -> tuple[bool, int]:
    """Lower is better; a partial register of a tariff (E other than 0) is no total."""
    code = None if name is None else parse_obis(name)
    if code is None or code.quantity not in _PREFERENCE:
        return True, len(_PREFERENCE)
    return code.tariff != 0, _PREFERENCE.index(code.quantity)


def _is_export(name: str | None) -> bool:
    code = None if name is None else parse_obis(name)
    return code is not None and code.is_export


def disagreeing(session: SignedSession) -> list[tuple[str, str]]:
    """Registers whose differences do not agree, names, two at a time. Of one side, one that counts a meter's life and
    one that counts the transaction must say the same energy; and no more reaches the vehicle than left the mains."""
    sides: dict[_Side, list[tuple[str, RegisterPair]]] = {}
    for name, pair in session.pairs.items():
        code = None if name is None else parse_obis(name)
        if name is not None and code is not None and code.tariff == 0 and (code.is_import or code.is_export):
            sides.setdefault(_side(code), []).append((name, pair))
    found = []
    for registers in sides.values():
        for (first, one), (second, other) in pairwise(registers):
            energies = difference_wh(one), difference_wh(other)
            if energies[0] is None or energies[1] is None:
                continue
            if abs(EXACT.subtract(energies[0], energies[1])) > resolution_wh(one) + resolution_wh(other):
                found.append((first, second))
    return [*found, *_gained(sides)]


def _gained(sides: Mapping[_Side, Sequence[tuple[str, RegisterPair]]]) -> Iterator[tuple[str, str]]:
    """Mains and device, where the device counts more energy drawn than the mains."""
    for side, registers in sides.items():
        if not side.is_import or not side.is_device_side:
            continue
        # One of the mains' registers speaks for all: that they agree was compared.
        for other, mains in sides.get(side._replace(is_device_side=False), ())[:1]:
            for name, device in registers:
                energies = difference_wh(mains), difference_wh(device)
                if energies[0] is None or energies[1] is None:
                    continue
                if EXACT.subtract(energies[1], energies[0]) > resolution_wh(mains) + resolution_wh(device):
                    yield other, name


def _side(code: OBIS) -> _Side:
    return _Side(code.medium, code.channel, code.is_import, code.is_device_side)
