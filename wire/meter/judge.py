"""Is this record what the meter signed?

The steps of `judge_record`; the first that fails decides:
1. read the record                              undecodable, or unsupported for a format that is only recognised
2. the algorithm named in SA is one we verify   unsupported
3. there is a key                               no-key
4. the key lies on the curve that SA names      bad-key
5. the signature holds over the exact payload   invalid, or valid
The registry's key is asked first; a claimed key only if that one does not verify. Source: OCMF 1.4.1 tables 8 and 22.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wire.errors import MeterRecordError
from wire.meter.carrier import Unwrapped
from wire.meter.formats import READERS
from wire.meter.keys import KeyText, PublicKey, parse_public_key
from wire.meter.record import Deviation, DeviationClass, MeterFormat, MeterRecord
from wire.meter.signature import (
    Algorithm,
    Fallback,
    deviation_of,
    fallbacks_that_hold,
    holds_as_written,
    parse_algorithm,
)
from wire.meter.verdict import KeySource, RecordVerdict, SignatureVerdict

KeyFor = Callable[[MeterRecord], tuple[PublicKey | KeyText, KeySource] | None]
"""The registry's word on a record that was read: the key of its meter at its time, and where that comes from."""

_Key = PublicKey | MeterRecordError
"""A key, or why the text that was given for one is none."""


def judge_record(
    given: bytes | Unwrapped,
    registry_key: PublicKey | KeyText | KeyFor | None,
    claimed_key: PublicKey | KeyText | None = None,
) -> RecordVerdict:
    """The verdict on one record; never raises, whatever the bytes. `bytes` are OCMF without carrier. About 0.1 ms on
    secp256r1; at most 16 signatures are worked out.

    `registry_key` is what is known of the meter, or who knows it. Claims are `claimed_key`, the carrier's key and one
    in the record itself, asked in this order. A key may be given as text: a bare point lies on the curve that SA names.

    Valid with `claimed` means only that the record fits the key that came with it, which whoever wrote the record also
    wrote: keep it, do not bill it. A claimed key other than the registry's is the deviation `key-changed`, one that
    cannot be read `key-unreadable`.
    """
    if isinstance(given, bytes):
        payload, format_, carried = given, MeterFormat.OCMF, None
    else:
        payload, format_, carried = given.payload, given.format, given.public_key_claim
    reader = READERS.get(format_)
    try:
        if reader is None:
            return _unread(format_)
        record = reader(payload)  # 1
    except MeterRecordError as error:
        cut = "; it looks cut off by a length limit" if isinstance(given, Unwrapped) and given.cut else ""
        return _undecodable(format_, f"{error.code}: {error}{cut}")
    try:
        algorithm = parse_algorithm(record.signature.algorithm)  # 2
    except MeterRecordError as error:
        return _verdict(record, SignatureVerdict.UNSUPPORTED, KeySource.NONE, record.deviations, str(error))
    registered, source = _registered(registry_key, record, algorithm)
    deviations = record.deviations + algorithm.deviations
    claims: tuple[_Key, ...] = ()
    if claimed_key or carried or record.embedded_key:
        claims = _claims((claimed_key, carried, record.embedded_key), algorithm)
        deviations += tuple(_of_claims(claims, registered))
    first = None if registered is None else _check(record, algorithm, source, registered, deviations)
    if first is not None and first.signature is SignatureVerdict.VALID:
        return first
    for claim in claims:
        verdict = _check(record, algorithm, KeySource.CLAIMED, claim, deviations)
        if verdict.signature is SignatureVerdict.VALID:
            return verdict
        first = first or verdict
    return first or _without_key(record, deviations)  # 3


def _unread(format_: MeterFormat) -> RecordVerdict:
    """The verdict on a format without a reader; raises for what is no format at all."""
    if format_ is MeterFormat.UNKNOWN:
        raise MeterRecordError("unknown-format", "record", "in no wrapping and no format known here")
    return RecordVerdict(
        format=format_,
        signature=SignatureVerdict.UNSUPPORTED,
        key_source=KeySource.NONE,
        deviations=(),
        record=None,
        detail=f"{format_.value} is kept byte for byte but not verified here: use its maker's software",
    )


def _undecodable(format_: MeterFormat, detail: str) -> RecordVerdict:
    return RecordVerdict(
        format=format_,
        signature=SignatureVerdict.UNDECODABLE,
        key_source=KeySource.NONE,
        deviations=(),
        record=None,
        detail=detail,
    )


def _without_key(record: MeterRecord, deviations: tuple[Deviation, ...]) -> RecordVerdict:
    detail = f"no key is known for {_meter(record)}: register the one on its nameplate, or have the station send it"
    return _verdict(record, SignatureVerdict.NO_KEY, KeySource.NONE, deviations, detail)


def _meter(record: MeterRecord) -> str:
    if record.meter_serial is not None:
        return f"meter {record.meter_serial[:60]!a}"
    return "this meter" if record.gateway_serial is None else f"gateway {record.gateway_serial[:60]!a}"


# --- keys -----------------------------------------------------------------------------------------------------------


def _read_key(key: PublicKey | KeyText, algorithm: Algorithm) -> _Key:
    if isinstance(key, PublicKey):
        return key
    try:
        return parse_public_key(key, algorithm.curve.name)
    except MeterRecordError as error:
        return error


def _registered(
    registry_key: PublicKey | KeyText | KeyFor | None, record: MeterRecord, algorithm: Algorithm
) -> tuple[_Key | None, KeySource]:
    source = KeySource.REGISTRY
    if callable(registry_key):
        try:
            found = registry_key(record)
        except MeterRecordError as error:
            return error, source
        if found is None:
            return None, source
        registry_key, source = found
    return (None if registry_key is None else _read_key(registry_key, algorithm)), source


def _claims(given: tuple[PublicKey | KeyText | None, ...], algorithm: Algorithm) -> tuple[_Key, ...]:
    """The keys that came along, each once; an empty text is none."""
    found: list[_Key] = []
    for text in given:
        key = _read_key(text, algorithm) if text else None
        if key is not None and key not in found:
            found.append(key)
    return tuple(found)


def _of_claims(claims: tuple[_Key, ...], registered: _Key | None) -> Iterator[Deviation]:
    """What claims say against the registry, or nothing at all."""
    for claim in claims:
        if isinstance(claim, MeterRecordError):
            yield _of_key("key-unreadable", f"the key that came along cannot be read: {claim}")
        elif isinstance(registered, PublicKey) and claim != registered:
            message = f"registry key {registered.fingerprint}, claimed key {claim.fingerprint}"
            yield _of_key("key-changed", message)


def _of_key(code: str, message: str) -> Deviation:
    return Deviation(code=code, pointer="/publicKey", deviation_class=DeviationClass.ADVISORY, message=message)


# --- the signature --------------------------------------------------------------------------------------------------


def _check(
    record: MeterRecord, algorithm: Algorithm, source: KeySource, key: _Key, deviations: tuple[Deviation, ...]
) -> RecordVerdict:
    if isinstance(key, MeterRecordError):  # 4
        return _verdict(record, SignatureVerdict.BAD_KEY, source, deviations, f"the {source.value} key: {key}")
    if key.curve != algorithm.curve.name:
        detail = (
            f"SA names {algorithm.curve.name}, the {source.value} key {key.fingerprint} lies on {key.curve}: "
            "it is not the key that this meter signs with"
        )
        return _verdict(record, SignatureVerdict.BAD_KEY, source, deviations, detail, key)
    signed, signature = record.payload_bytes, record.signature.value
    if holds_as_written(key, algorithm, signed, signature):  # 5
        return _verdict(record, SignatureVerdict.VALID, source, deviations, "", key)
    reencoded = record.payload_reencoded if record.format is MeterFormat.OCMF else None
    fallbacks = fallbacks_that_hold(key, algorithm, signed, signature, reencoded)
    if fallbacks is None:
        detail = (
            f"the signature does not fit the payload under the {source.value} key {key.fingerprint}: "
            "the record was altered, or signed with another key"
        )
        return _verdict(record, SignatureVerdict.INVALID, source, deviations, detail, key)
    deviations += tuple(map(deviation_of, fallbacks))
    return _verdict(record, SignatureVerdict.VALID, source, deviations, "", key, fallbacks)


def _verdict(
    record: MeterRecord,
    signature: SignatureVerdict,
    source: KeySource,
    deviations: tuple[Deviation, ...],
    detail: str,
    key: PublicKey | None = None,
    fallbacks: tuple[Fallback, ...] = (),
) -> RecordVerdict:
    return RecordVerdict(
        format=record.format,
        signature=signature,
        key_source=source,
        deviations=deviations,
        record=record,
        detail=detail,
        curve=None if key is None else key.curve,
        key_fingerprint=None if key is None else key.fingerprint,
        fallbacks=fallbacks,
    )
