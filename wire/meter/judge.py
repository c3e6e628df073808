"""Is this record what the meter signed?

The steps of `judge_record`; the first that fails decides:
1. read the record                              undecodable
2. the algorithm named in SA is one we verify   unsupported
3. there is a key                               no-key
4. the key lies on the curve that SA names      bad-key
5. the signature holds over the exact payload   invalid, or valid
The registry's key is asked first; a claimed key only if that one does not verify. Source: OCMF 1.4.1 tables 8 and 22.
"""

from __future__ import annotations

import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from wire.errors import MeterRecordError
from wire.meter.keys import PublicKey
from wire.meter.ocmf import parse_ocmf
from wire.meter.record import Deviation, DeviationClass, MeterRecord
from wire.meter.verdict import KeySource, RecordVerdict, SignatureVerdict

_ALGORITHM = re.compile(r"ECDSA-([A-Za-z0-9]+)-SHA256", re.IGNORECASE)
_CURVES = {"secp256r1": "secp256r1", "prime256v1": "secp256r1"}
_COORDINATE_BYTES = {"secp256r1": 32}


def judge_record(raw: bytes, registry_key: PublicKey | None, claimed_key: PublicKey | None) -> RecordVerdict:
    """The verdict on the OCMF record `raw` (without carrier); never raises, whatever the bytes. About 0.2 ms.

    Valid with `claimed` means only that the record fits the key that came with it, which whoever wrote the record also
    wrote: keep it, do not bill it. A claimed key other than the registry's is the deviation `key-changed`.
    """
    try:
        record = parse_ocmf(raw)  # 1
    except MeterRecordError as error:
        return RecordVerdict(
            signature=SignatureVerdict.UNDECODABLE,
            key_source=KeySource.NONE,
            deviations=(),
            record=None,
            detail=f"{error.code}: {error}",
        )
    match = _ALGORITHM.fullmatch(record.signature.algorithm)
    curve = _CURVES.get(match[1].lower()) if match else None
    if curve is None:  # 2
        detail = f"no verifier for SA {record.signature.algorithm[:60]!a}"
        return _verdict(record, SignatureVerdict.UNSUPPORTED, KeySource.NONE, detail)
    candidates = [(KeySource.REGISTRY, registry_key), (KeySource.CLAIMED, claimed_key)]
    changed = _key_change(registry_key, claimed_key)
    first: RecordVerdict | None = None
    for source, key in candidates:
        if key is None:
            continue
        verdict = _check(record, curve, source, key, changed)
        if verdict.signature is SignatureVerdict.VALID:
            return verdict
        first = first or verdict
    if first is None:  # 3
        return _verdict(record, SignatureVerdict.NO_KEY, KeySource.NONE, "no key is known for this meter")
    return first


def _verdict(
    record: MeterRecord,
    signature: SignatureVerdict,
    source: KeySource,
    detail: str,
    further: tuple[Deviation, ...] = (),
) -> RecordVerdict:
    return RecordVerdict(
        signature=signature,
        key_source=source,
        deviations=record.deviations + further,
        record=record,
        detail=detail,
    )


def _key_change(registry_key: PublicKey | None, claimed_key: PublicKey | None) -> tuple[Deviation, ...]:
    if registry_key is None or claimed_key is None or registry_key == claimed_key:
        return ()
    message = f"registry key {registry_key.fingerprint}, claimed key {claimed_key.fingerprint}"
    return (
        Deviation(code="key-changed", pointer="/publicKey", deviation_class=DeviationClass.ADVISORY, message=message),
    )


def _check(
    record: MeterRecord, curve: str, source: KeySource, key: PublicKey, further: tuple[Deviation, ...]
) -> RecordVerdict:
    if key.curve != curve:  # 4
        detail = f"SA names {curve}, the {source.value} key {key.fingerprint} lies on {key.curve}"
        return _verdict(record, SignatureVerdict.BAD_KEY, source, detail, further)
    signed, signature = record.payload_bytes, record.signature.value
    if _holds(key, signature, signed):  # 5
        return _verdict(record, SignatureVerdict.VALID, source, "", further)
    bare = _from_bare(signature, _COORDINATE_BYTES[curve])
    if bare is not None and _holds(key, bare, signed):
        deviation = Deviation(
            code="signature-encoding",
            pointer="/signature/SD",
            deviation_class=DeviationClass.SAFE_REJECT,
            message="r and s stand bare, one behind the other, instead of in DER",
        )
        return _verdict(record, SignatureVerdict.VALID, source, "", (*further, deviation))
    detail = f"the signature does not fit the payload under the {source.value} key {key.fingerprint}"
    return _verdict(record, SignatureVerdict.INVALID, source, detail, further)


def _holds(key: PublicKey, signature: bytes, signed: bytes) -> bool:
    """Whether `signature`, strict DER, was made over exactly `signed`."""
    try:
        key.key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _from_bare(signature: bytes, size: int) -> bytes | None:
    """r||s of `size` bytes each as DER; None for another length."""
    if len(signature) != 2 * size:
        return None
    return encode_dss_signature(int.from_bytes(signature[:size]), int.from_bytes(signature[size:]))
