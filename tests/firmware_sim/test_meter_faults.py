"""Every fault of the menu goes through our verifier as it would come: it is found, and named as the table says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from firmware_sim.meter import SigningMeter, load_meter_journal
from firmware_sim.meter_faults import FAULTS, MeterFault, fault_names
from firmware_sim.meter_kind import MeterKind
from firmware_sim.meter_sessions import DRIVER, Bench, SetClock, ToldTransaction
from firmware_sim.meter_state import MeterLine
from tests.meter_pages import KeptPages
from wire.meter.carrier import Layer, unwrap
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey
from wire.meter.record import CurrentType
from wire.meter.session import judge_session
from wire.meter.verdict import Expected, RecordVerdict, SignatureVerdict

EXPECTED = Expected(identifications=frozenset({DRIVER.data}))


@dataclass(frozen=True, slots=True)
class Played:
    """Transactions as they are told, and what the meter wrote down."""

    told: tuple[ToldTransaction, ...]
    journal: tuple[MeterLine, ...]


def played(kind: MeterKind, *faults: MeterFault, ocpp: str = "2.1", transactions: int = 2) -> Played:
    with TemporaryDirectory() as name:
        clock = SetClock(datetime(2026, 11, 23, 8, tzinfo=UTC))
        meter = SigningMeter(
            Path(name), "CP-1", clock, current=CurrentType.AC, kind=kind, faults=frozenset(faults), durable=False
        )
        told = tuple(Bench(meter=meter, clock=clock, ocpp=ocpp).transactions(transactions))
        return Played(told, load_meter_journal(Path(name) / "meter.jsonl"))


@cache
def shown(fault: MeterFault) -> Played:
    return played(FAULTS[fault].kind, fault)


def judged(transaction: ToldTransaction, key: PublicKey | None, ocpp: str = "2.1") -> list[RecordVerdict]:
    texts = [(value.text if ocpp == "1.6" else value.data, value.public_key) for value in transaction.told]
    return [judge_record(unwrap(text), key, claim) for text, claim in texts]


def worst(verdicts: list[RecordVerdict]) -> set[SignatureVerdict]:
    return {verdict.signature for verdict in verdicts} - {SignatureVerdict.VALID} or {SignatureVerdict.VALID}


@pytest.mark.parametrize("fault", MeterFault)
def test_a_fault_is_found_and_named_as_the_table_says(fault: MeterFault) -> None:
    expected, pages = FAULTS[fault], KeptPages()
    pinned: list[RecordVerdict] = []
    unpinned: list[RecordVerdict] = []
    session: set[str] = set()
    history: set[str] = set()
    for transaction in shown(fault).told:
        verdicts = judged(transaction, transaction.public_key)
        pinned += verdicts
        unpinned += judged(transaction, None)
        session |= {finding.code for finding in judge_session(verdicts, EXPECTED).findings}
        for verdict in verdicts:
            history |= {finding.code for finding in pages.take(verdict, f"session-{transaction.number}", "CP-1")}
    assert worst(pinned) == {expected.signature}
    assert worst(unpinned) == {expected.unpinned}
    assert {deviation.code for verdict in pinned for deviation in verdict.deviations} == expected.deviations
    assert session == expected.session
    assert history == expected.history


@pytest.mark.parametrize("fault", MeterFault)
def test_the_journal_holds_what_was_signed_and_names_the_meters_own_faults(fault: MeterFault) -> None:
    """A fault of the telling leaves the journal as a clean meter's, but for what makes the fault visible at all."""
    for line in shown(fault).journal:
        assert line.faults == fault_names({fault}, of_meter=True)
        told = {unwrap(value.data).payload for each in shown(fault).told for value in each.told}
        if FAULTS[fault].of_meter:
            assert line.record in told or FAULTS[fault].signature is SignatureVerdict.UNDECODABLE


def test_the_table_has_every_fault_in_its_order() -> None:
    assert list(FAULTS) == list(MeterFault)


@pytest.mark.parametrize(
    ("fault", "layers"),
    [
        (MeterFault.BARE, ()),
        (MeterFault.BASE64_TWICE, (Layer.BASE64, Layer.BASE64)),
        (MeterFault.BASE64_OF_HEX, (Layer.BASE64, Layer.HEX)),
        (MeterFault.ENVELOPE, (Layer.JSON, Layer.BASE64)),
    ],
)
def test_an_odd_carrier_is_taken_off_layer_by_layer(fault: MeterFault, layers: tuple[Layer, ...]) -> None:
    assert unwrap(shown(fault).told[0].told[0].data).layers == layers


@pytest.mark.parametrize(
    ("fault", "fallback"),
    [
        (MeterFault.BARE_SIGNATURE, "bare-r-s"),
        (MeterFault.UNPADDED, "unsigned-integers"),
        (MeterFault.LOOSE_DER, "loose-der"),
        (MeterFault.TRAILING_BYTES, "loose-der"),
        (MeterFault.LATIN_1_AS_UTF_8, "payload-latin-1"),
    ],
)
def test_what_a_signature_had_to_be_read_as_is_said(fault: MeterFault, fallback: str) -> None:
    transaction = shown(fault).told[0]
    assert {verdict.fallbacks for verdict in judged(transaction, transaction.public_key)} == {(fallback,)}


@pytest.mark.parametrize("fault", [MeterFault.CUT_255, MeterFault.CUT_500, MeterFault.CUT_512, MeterFault.CUT_2500])
def test_a_cut_record_is_known_as_cut(fault: MeterFault) -> None:
    assert all(unwrap(value.data).cut for each in shown(fault).told for value in each.told)


@pytest.mark.parametrize("curve", ["secp192k1", "secp192r1", "brainpool384r1", "secp521r1"])
@pytest.mark.parametrize(
    "fault", [MeterFault.HIGH_S, MeterFault.BARE_SIGNATURE, MeterFault.UNPADDED, MeterFault.LOOSE_DER]
)
def test_the_forms_of_a_signature_hold_on_other_curves(curve: str, fault: MeterFault) -> None:
    (transaction,) = played(MeterKind(curve=curve), fault, transactions=1).told
    assert worst(judged(transaction, transaction.public_key)) == {SignatureVerdict.VALID}
