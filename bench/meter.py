"""What verifying a signed meter value costs: `python -m bench.meter`. Prints Markdown, writes nothing, a minute.

Ours is the whole way from the wire: the base64 of a 2.x signedMeterData is unwrapped, read, its key is looked up as
text, and the signature is checked. The limit is the signature alone, by `cryptography` with a key object that is kept
(on secp192k1, which it lacks, by our own arithmetic). pyocmf, an independent implementation, is given the bare record
and the key in hex, the only forms that it takes; for both no record comes twice in a round. All are measured in turns,
in CPU seconds, best of five.
"""

from __future__ import annotations

import base64
import platform
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import cycle
from typing import TypeVar

import cryptography
import pyocmf

from bench.timing import Job, best_of, each
from wire.meter.carrier import unwrap
from wire.meter.curves import CURVES, Curve
from wire.meter.draft import OCMFPayload, ReadingDraft, derive_private_key, sign_ocmf
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, public_key_of
from wire.meter.ocmf import parse_ocmf
from wire.meter.record import CurrentType, MeterRecord, Pagination, PaginationContext, ReadingReason
from wire.meter.signature import holds_as_written, parse_algorithm
from wire.meter.told import told_record
from wire.records import encode

T = TypeVar("T")

RECORDS, TIMES = 200, 600
MUST = 0.6
_MUST_CURVE = "secp256r1"
_BEGAN = datetime(2026, 11, 23, 8, 30, 15, 250_000, UTC)
_FOREIGN_SPELLING = {"brainpool256r1": "brainpoolP256r1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """The records of one meter: bare, read, and as they are on the wire."""

    curve: Curve
    key: PublicKey
    bare: tuple[bytes, ...]
    read: tuple[MeterRecord, ...]

    @property
    def wire(self) -> tuple[str, ...]:
        """signedMeterData of OCPP 2.x."""
        return tuple(base64.b64encode(raw).decode() for raw in self.bare)


def main() -> None:
    """Print both tables."""
    print(f"# {platform.machine()}, Python {platform.python_version()}, cryptography {cryptography.__version__}")
    print("\n| curve | signature, us | verified from the wire, us | ratio | must | pyocmf, us | ratio |")
    print("|---|---|---|---|---|---|---|")
    for curve in CURVES:
        _watch(curve.name)
        print(_row(_material(curve)), flush=True)
    print("\n| step, secp256r1, a record of 540 octets | microseconds |\n|---|---|")
    _watch("the steps")
    for row in _steps(_material(next(curve for curve in CURVES if curve.name == _MUST_CURVE))):
        print(row, flush=True)
    _watch("")


def _watch(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{what:<40}", end="\r", file=sys.stderr, flush=True)


def _material(curve: Curve) -> Material:
    private = derive_private_key(curve.name, 0xC0FFEE)
    algorithm = f"ECDSA-{_FOREIGN_SPELLING.get(curve.name, curve.name)}-SHA256"
    bare = tuple(sign_ocmf(_draft(number), private, algorithm=algorithm) for number in range(100, 100 + RECORDS))
    read = tuple(map(parse_ocmf, bare))
    return Material(curve=curve, key=public_key_of(private.public_key()), bare=bare, read=read)


def _draft(number: int) -> OCMFPayload:
    """A record as stations send them: the median of the field has 520 octets."""
    return OCMFPayload(
        pagination=Pagination(context=PaginationContext.TRANSACTION, number=number),
        gateway_id="SIM",
        gateway_serial="GS-1",
        gateway_version="1.0",
        meter_vendor="V",
        meter_model="M",
        meter_serial="MS-1",
        meter_firmware="1",
        id_assigned=True,
        id_level="SECURE",
        id_flags=("ISO15118_PNC",),
        id_type="EMAID",
        id_data="DE8AAC12345678",
        charge_point_type="EVSEID",
        charge_point_id="DE*8AA*E1*1",
        readings=(
            ReadingDraft(
                at=_BEGAN + timedelta(minutes=number),
                reason=ReadingReason.BEGIN,
                value=Decimal("2935.600") + number,
                register="01-00:B2.08.00*FF",
                unit="kWh",
                current=CurrentType.AC,
                error_flags="",
            ),
        ),
    )


def _row(material: Material) -> str:
    jobs = [_signature(material), _ours(material)]
    foreign = _pyocmf(material)
    raw, ours, *others = best_of(jobs if foreign is None else [*jobs, foreign])
    name = material.curve.name
    must = f"{MUST}" if name == _MUST_CURVE else ""
    told = f"{others[0] * 1e6:.0f} | {raw / others[0]:.2f}" if others else " | "
    return f"| {name} | {raw * 1e6:.1f} | {ours * 1e6:.1f} | {raw / ours:.2f} | {must} | {told} |"


def _signature(material: Material) -> Job:
    algorithm = parse_algorithm(material.read[0].signature.algorithm)
    records = cycle(material.read)

    def work() -> None:
        record = next(records)
        assert holds_as_written(material.key, algorithm, record.payload_bytes, record.signature.value)

    return each(work, TIMES)


def _ours(material: Material) -> Job:
    texts, key = cycle(material.wire), material.key.spki.hex()

    def work() -> None:
        assert judge_record(unwrap(next(texts)), key).is_trusted

    return each(work, TIMES)


def _pyocmf(material: Material) -> Job | None:
    """None for a curve on which it does not verify (secp192k1: without the package `ecdsa`)."""
    texts, key = cycle([raw.decode() for raw in material.bare]), material.key.spki.hex()

    def work() -> None:
        assert pyocmf.OCMF.from_string(next(texts)).verify_signature(key)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work()
    except (pyocmf.exceptions.PyOCMFError, ImportError):
        return None
    return each(work, TIMES)


def _steps(material: Material) -> Iterator[str]:
    """What of it takes how long, alone."""
    carried = [unwrap(text) for text in material.wire]
    verdicts = [judge_record(each_, material.key) for each_ in carried]
    works: dict[str, Callable[[], object]] = {
        "unwrap": _over(unwrap, material.wire),
        "read, all fields checked": _over(parse_ocmf, material.bare),
        "what SAFE would say, on demand": _over(lambda verdict: verdict.safe, verdicts),
        "the verdict as JSON, with that": _over(lambda verdict: encode(told_record(verdict)), verdicts),
        "pyocmf: read only": _over(pyocmf.OCMF.from_string, [raw.decode() for raw in material.bare]),
    }
    for name, spent in zip(works, best_of([each(work, TIMES) for work in works.values()]), strict=True):
        yield f"| {name} | {spent * 1e6:.1f} |"


def _over(work: Callable[[T], object], things: Iterable[T]) -> Callable[[], object]:
    turn = cycle(things)
    return lambda: work(next(turn))


if __name__ == "__main__":
    main()
