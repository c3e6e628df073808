"""What is made of one signed value: a verdict, with the key that the registry has for its meter. Pure.

Rules
1. A verdict annotates: it decides nothing about what is stored, and nothing here raises for a value's content.
2. The registry is asked with what the record says of itself and with the place its message came from.
3. A key that came with the value is a claim. It is offered to the registry only when the value verifies with it.
4. What is kept of a verdict holds nothing of the user: no identification, no text of the record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from wire.errors import WireError
from wire.meter.carrier import Unwrapped, join_split, unwrap
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, parse_public_key
from wire.meter.record import DeviationClass, MeterFormat, MeterRecord, PaginationContext
from wire.meter.registry import KeyPlace, KeyRegistry
from wire.meter.verdict import KeySource, RecordVerdict, SignatureVerdict
from wire.records import Value
from wire.settling.carried import CarriedValue

MAX_DEVIATIONS = 20
"""Kept of one verdict."""

RegistryFor = Callable[[MeterRecord, KeyPlace | None], KeyRegistry]
"""The rows of the registry that may speak for a record from a place."""


class KeptDeviation(Value, frozen=True, kw_only=True):
    """A deviation without its words, which may quote the record."""

    code: str
    pointer: str
    deviation_class: DeviationClass


class KeptVerdict(Value, frozen=True, kw_only=True):
    """What is kept of the verdict on one signed value. `meter` is how the record names its meter, else its place.

    `pagination` is PG as written, `T17`; `payload_sha256` is the record's `content_sha256`, or that of all bytes where
    none could be read. `detail` says why it is not valid.
    """

    meter: str
    format: MeterFormat
    signature: SignatureVerdict
    key_source: KeySource
    payload_sha256: str
    detail: str = ""
    curve: str | None = None
    key_fingerprint: str | None = None
    fallbacks: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    cut: bool = False
    deviations: tuple[KeptDeviation, ...] = ()
    meter_serial: str | None = None
    gateway_serial: str | None = None
    pagination: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgedValue:
    """A signed value as it was carried, and the verdict on it. `known` is the registry's key for its meter and time.
    `offered` is a claimed key that it verifies with or that differs from the registry's; None where there is none.
    """

    carried: CarriedValue = field(repr=False)
    unwrapped: Unwrapped = field(repr=False)
    verdict: RecordVerdict = field(repr=False)
    place: KeyPlace | None
    known: PublicKey | None
    offered: PublicKey | None

    @property
    def payload_sha256(self) -> str:
        """What names the record, whatever its signature section says."""
        record = self.verdict.record
        return hashlib.sha256(self.unwrapped.payload).hexdigest() if record is None else record.content_sha256

    @property
    def number(self) -> int | None:
        """The transaction counter's number; None without one."""
        pagination = None if self.verdict.record is None else self.verdict.record.pagination
        if pagination is None or pagination.context is not PaginationContext.TRANSACTION:
            return None
        return pagination.number


def judge_values(
    carried: Sequence[CarriedValue], place: KeyPlace | None, registry_for: RegistryFor
) -> tuple[JudgedValue, ...]:
    """The verdicts on the signed values of one message that came from `place`; about 0.15 ms each. A record that the
    station divided over several values is one, under the number of its first part."""
    unwrapped = [unwrap(value.signed.raw) for value in carried]
    values = _joined(carried, unwrapped)
    return tuple(_judge(value, found, place, registry_for) for value, found in values)


def _joined(
    carried: Sequence[CarriedValue], unwrapped: Sequence[Unwrapped]
) -> Iterator[tuple[CarriedValue, Unwrapped]]:
    pairs = zip(carried, unwrapped, strict=True)
    for (is_part, _), group in groupby(pairs, lambda pair: (_is_part(pair[1]), pair[0].context)):
        run = list(group)
        whole = join_split([value.signed.raw for value, _ in run]) if is_part and len(run) > 1 else None
        if whole is not None:
            yield run[0][0], whole
        else:
            yield from run


def _is_part(found: Unwrapped) -> bool:
    return found.cut or found.format is MeterFormat.UNKNOWN


def _judge(
    carried: CarriedValue, unwrapped: Unwrapped, place: KeyPlace | None, registry_for: RegistryFor
) -> JudgedValue:
    known: PublicKey | None = None

    def key_for(record: MeterRecord) -> tuple[PublicKey, KeySource] | None:
        nonlocal known
        found = registry_for(record, place).key_for(record, place)
        known = None if found is None else found[0]
        return found

    claimed = carried.signed.public_key or None
    verdict = judge_record(unwrapped, key_for, claimed)
    return JudgedValue(
        carried=carried,
        unwrapped=unwrapped,
        verdict=verdict,
        place=place,
        known=known,
        offered=_offered(verdict, (claimed, unwrapped.public_key_claim)),
    )


def _offered(verdict: RecordVerdict, texts: tuple[str | None, ...]) -> PublicKey | None:
    """Rule 3. Beside a value that the registry's key verifies, another claimed key is worth keeping too."""
    record = verdict.record
    if record is None or verdict.signature is not SignatureVerdict.VALID:
        return None
    changed = any(deviation.code == "key-changed" for deviation in verdict.deviations)
    if verdict.key_source is not KeySource.CLAIMED and not changed:
        return None
    for text in (*texts, record.embedded_key):
        if not text:
            continue
        try:
            key = parse_public_key(text, verdict.curve)
        except WireError:
            continue
        is_signer = key.fingerprint == verdict.key_fingerprint
        if is_signer if verdict.key_source is KeySource.CLAIMED else not is_signer:
            return key
    return None


def kept(judged: JudgedValue) -> KeptVerdict:
    """What is kept of a verdict. Rule 4."""
    verdict, record = judged.verdict, judged.verdict.record
    deviations = verdict.deviations[:MAX_DEVIATIONS]
    return KeptVerdict(
        meter=meter_name(record, judged.place),
        format=verdict.format,
        signature=verdict.signature,
        key_source=verdict.key_source,
        payload_sha256=judged.payload_sha256,
        detail=verdict.detail if record is not None else verdict.detail.partition(":")[0],
        curve=verdict.curve,
        key_fingerprint=verdict.key_fingerprint,
        fallbacks=verdict.fallbacks,
        layers=tuple(layer.value for layer in judged.unwrapped.layers),
        cut=judged.unwrapped.cut,
        deviations=tuple(
            KeptDeviation(code=found.code, pointer=found.pointer, deviation_class=found.deviation_class)
            for found in deviations
        ),
        meter_serial=None if record is None else record.meter_serial,
        gateway_serial=None if record is None else record.gateway_serial,
        pagination=None if record is None or record.pagination is None else page_name(record),
    )


def meter_name(record: MeterRecord | None, place: KeyPlace | None) -> str:
    """How a record names its meter; one that names none is known by its place."""
    named = None if record is None else record.meter_serial or record.gateway_serial or record.charge_point_id
    return named or f"at {place or 'no place'}"


def page_name(record: MeterRecord) -> str:
    """PG as the record says it."""
    page = record.pagination
    return "" if page is None else f"{page.context.value}{page.number}"
