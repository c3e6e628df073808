"""What goes over the wire of a charger whose meter is of a kind, or wrong: as told, in each OCPP version."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from firmware_sim.meter import load_meter_journal
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import Between, Carrier, KeySending, MeterKind, Records
from tests.firmware_sim.test_calls import VERSIONS
from tests.firmware_sim.test_misdeeds import ACTIONS, played
from wire.meter.carrier import unwrap
from wire.meter.judge import judge_record
from wire.meter.keys import PublicKey, parse_public_key
from wire.meter.session import judge_session
from wire.ocpp.transaction import TransactionMessage, read_transaction
from wire.records import TransactionEvent


def told(folder: Path, ocpp: str, kind: MeterKind, *faults: MeterFault) -> list[TransactionMessage]:
    """The transaction messages of one charge, as the server understood them."""
    server = played(folder, ocpp, seconds=0.25, meter=kind, meter_faults=frozenset(faults))
    return [read_transaction(ocpp, call.action, call.payload) for call in server.kept_of(*ACTIONS)]


def signed_in(messages: list[TransactionMessage]) -> list[tuple[str, Any]]:
    return [
        (sample.context, sample.signed) for each in messages for sample in each.samples if sample.signed is not None
    ]


def housing(folder: Path) -> PublicKey:
    return parse_public_key((folder / "meter.pub").read_text("ascii").strip())


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_one_record_for_the_transaction_is_told_at_its_end_alone(tmp_path: Path, ocpp: str) -> None:
    messages = told(tmp_path, ocpp, MeterKind(records=Records.MULTIPLE))
    ((context, signed),) = signed_in(messages)
    assert context == "Transaction.End"
    verdict = judge_session([judge_record(unwrap(signed.raw), housing(tmp_path))])
    assert verdict.findings == ()
    plain = [sample.energy_wh for each in messages for sample in each.samples if sample.energy_wh is not None]
    assert verdict.energy_wh == max(plain) - min(plain)


@pytest.mark.parametrize(
    ("ocpp", "carrier"), [("1.6", Carrier.BARE), ("1.6", Carrier.HEX), ("2.1", Carrier.BASE64_OF_HEX)]
)
def test_a_record_travels_in_its_carrier(tmp_path: Path, ocpp: str, carrier: Carrier) -> None:
    found = signed_in(told(tmp_path, ocpp, MeterKind(carrier=carrier, between=Between.NOTHING)))
    digests = {hashlib.sha256(unwrap(signed.raw).payload).hexdigest() for _, signed in found}
    assert digests == {line.sha256 for line in load_meter_journal(tmp_path / "meter.jsonl")}
    assert all((signed.raw[:5] == "OCMF|") == (carrier is Carrier.BARE) for _, signed in found)


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_the_key_goes_along_once(tmp_path: Path, ocpp: str) -> None:
    found = signed_in(told(tmp_path, ocpp, MeterKind(key_sending=KeySending.ONCE)))
    keys = [signed.public_key or unwrap(signed.raw).public_key_claim for _, signed in found]
    assert [bool(key) for key in keys] == [True, *[False] * (len(found) - 1)]


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_what_is_told_wrongly_stays_as_it_was_signed_in_the_journal(tmp_path: Path, ocpp: str) -> None:
    messages = told(tmp_path, ocpp, MeterKind(), MeterFault.PAYLOAD_BIT_FLIP, MeterFault.BETWEEN_LOST)
    found = signed_in(messages)
    assert {context for context, _ in found} == {"Transaction.Begin", "Transaction.End"}
    assert {judge_record(unwrap(signed.raw), housing(tmp_path)).signature for _, signed in found} == {"invalid"}
    lines = load_meter_journal(tmp_path / "meter.jsonl")
    assert len(lines) > 2
    assert {judge_record(line.record, housing(tmp_path)).signature for line in lines} == {"valid"}
    assert {line.faults for line in lines} == {()}


@pytest.mark.parametrize("ocpp", list(VERSIONS))
def test_begin_and_end_change_places(tmp_path: Path, ocpp: str) -> None:
    ended = [
        each for each in told(tmp_path, ocpp, MeterKind(), MeterFault.REORDERED) if each.event is TransactionEvent.ENDED
    ]
    verdicts = [judge_record(unwrap(signed.raw), housing(tmp_path)) for _, signed in signed_in(ended)]
    assert "pagination-order" in {finding.code for finding in judge_session(verdicts).findings}


def test_what_the_meter_does_wrong_stands_in_its_journal(tmp_path: Path) -> None:
    told(tmp_path, "2.0.1", MeterKind(), MeterFault.FLAG_ENERGY, MeterFault.DUPLICATE)
    lines = load_meter_journal(tmp_path / "meter.jsonl")
    assert {line.faults for line in lines} == {("flag-energy",)}
    assert json.loads(lines[-1].ocmf.split("|")[1])["RD"][0]["EF"] == "E"
