"""Records to verdicts: each record by itself, and those that make a session together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from gateway.metering.given import BEGIN, END, GivenRecord
from wire.meter.carrier import join_split
from wire.meter.judge import judge_record
from wire.meter.keys import KeyText
from wire.meter.record import Deviation, DeviationClass, MeterFormat, ReadingReason
from wire.meter.session import judge_session
from wire.meter.verdict import Expected, KeySource, RecordVerdict, SessionVerdict

_PLAIN_DIFFERS = Deviation(
    code="plain-data-differs",
    pointer="/payload",
    deviation_class=DeviationClass.ADVISORY,
    message="plain_data beside it, which people read, says something else than the record that is signed",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedRecord:
    """A record with its verdict."""

    given: GivenRecord
    verdict: RecordVerdict

    @property
    def has_begin(self) -> bool:
        """Whether a reading begins a transaction."""
        record = self.verdict.record
        return record is not None and any(reading.reason is ReadingReason.BEGIN for reading in record.readings)

    @property
    def has_end(self) -> bool:
        """Whether a reading ends a transaction."""
        record = self.verdict.record
        return record is not None and any(
            reading.reason is not None and reading.reason.is_end for reading in record.readings
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedSession:
    """The records of a session, the begin first, with their verdict together."""

    transaction: str | None
    records: tuple[JudgedRecord, ...]
    verdict: SessionVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Everything that a file or a line holds, judged."""

    records: tuple[JudgedRecord, ...]
    sessions: tuple[JudgedSession, ...]


def judge_given(given: GivenRecord, registry_key: KeyText | None) -> JudgedRecord:
    """The verdict on one record; `registry_key` is a key that the asker vouches for. It counts as a registry's, and the
    verdict's words call it the given key: there is no registry here that anybody could look into."""
    verdict = judge_record(given.carried, registry_key)
    if registry_key is not None and verdict.key_source is KeySource.REGISTRY:
        verdict = msgspec.structs.replace(verdict, detail=verdict.detail.replace("the registry key", "the given key"))
    if given.plain_differs:
        verdict = msgspec.structs.replace(verdict, deviations=(*verdict.deviations, _PLAIN_DIFFERS))
    return JudgedRecord(given=given, verdict=verdict)


def judge_all(given: Sequence[GivenRecord], registry_key: KeyText | None) -> Judged:
    """The verdicts on all records and on each session that they make.

    Records of one transaction are a session. Where nothing names transactions, two records are one, or one that holds
    both ends, or any number with one begin and one end among them; others are not put together by guess.
    """
    records = tuple(judge_given(each, registry_key) for each in joined(given))
    named: dict[str | None, list[JudgedRecord]] = {}
    for record in records:
        named.setdefault(record.given.transaction, []).append(record)
    sessions = tuple(
        judge_together(group, transaction, None)
        for transaction, group in named.items()
        if _is_session(group, transaction)
    )
    return Judged(records=records, sessions=sessions)


def joined(given: Sequence[GivenRecord]) -> Sequence[GivenRecord]:
    """The records, or the one record that a station divided over several values, put together."""
    if len(given) < 2 or any(each.carried.format is not MeterFormat.UNKNOWN and not each.carried.cut for each in given):
        return given
    whole = join_split([each.raw for each in given])
    if whole is None:
        return given
    return (replace(given[0], carried=whole),)


def judge_together(
    records: Iterable[JudgedRecord], transaction: str | None, expected: Expected | None
) -> JudgedSession:
    """The verdict on records that are said to make one session; those whose context says so go first or last."""
    ordered = tuple(sorted(records, key=lambda record: {BEGIN: 0, END: 2}.get(record.given.context or "", 1)))
    verdict = judge_session([record.verdict for record in ordered], expected)
    return JudgedSession(transaction=transaction, records=ordered, verdict=verdict)


def _is_session(group: list[JudgedRecord], transaction: str | None) -> bool:
    if len(group) == 1:
        return group[0].has_begin and group[0].has_end
    if transaction is not None or len(group) == 2:
        return True
    return sum(record.has_begin for record in group) == sum(record.has_end for record in group) == 1
