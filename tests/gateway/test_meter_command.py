"""`pnc-gateway meter verify` as a user meets it: every kind of file, the page, JSON, batches, and every mistake."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings, strategies as st
from rich.console import Console

from gateway.__main__ import main
from gateway.metering.given import records_in
from gateway.metering.judged import judge_all
from gateway.metering.page import show
from wire.meter.draft import OCMFPayload, ReadingDraft, derive_private_key, sign_ocmf, sign_payload
from wire.meter.keys import encode_public_key_oca, public_key_of
from wire.meter.record import MeterClock, Pagination, PaginationContext, ReadingReason
from wire.records import TransactionEntry, TransactionEvent, encode

PRIVATE = derive_private_key("secp256r1", 0xC0FFEE)
KEY = public_key_of(PRIVATE.public_key())
OTHER = public_key_of(derive_private_key("secp256r1", 0xBEEF).public_key())
FIRST = ReadingDraft(
    at=datetime(2026, 11, 23, 8, 30, tzinfo=UTC),
    clock=MeterClock.SYNCHRONISED,
    reason=ReadingReason.BEGIN,
    value=Decimal("2935.600"),
    register="01-00:B2.08.00*FF",
    unit="kWh",
)
LAST = replace(
    FIRST, at=datetime(2026, 11, 23, 9, 30, tzinfo=UTC), reason=ReadingReason.END, value=Decimal("2942.7251")
)
DRAFT = OCMFPayload(
    pagination=Pagination(context=PaginationContext.TRANSACTION, number=7),
    gateway_serial="GS-1",
    meter_serial="MS-1",
    id_assigned=True,
    id_level="VERIFIED",
    id_flags=(),
    id_type="CENTRAL",
    id_data="APP-4711",
    readings=(FIRST,),
)
BEGIN = sign_ocmf(DRAFT, PRIVATE)
END = sign_ocmf(
    replace(DRAFT, pagination=Pagination(context=PaginationContext.TRANSACTION, number=8), readings=(LAST,)), PRIVATE
)
BOTH = sign_ocmf(replace(DRAFT, readings=(FIRST, LAST)), PRIVATE)
ALTERED = BEGIN.replace(b"2935.600", b"2935.601")
HEX = KEY.spki.hex()
CLAIM = encode_public_key_oca(KEY)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def verify(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    found = CliRunner().invoke(main, ["meter", "verify", *map(str, arguments)], input=stdin, env={"COLUMNS": "120"})
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def judged(data: bytes, *arguments: str) -> dict[str, Any]:
    found = verify("-", "--json", *arguments, stdin=data)
    told = json.loads(found.stdout)
    valid = all(record["signature"] == "valid" for record in told["records"])
    fatal = any(one["severity"] == "fatal" for session in told["sessions"] for one in session["findings"])
    assert found.exit_code == (0 if valid and not fatal else 1)
    return told


def answers(*lines: object, arguments: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    found = verify("-", "--batch", *arguments, stdin=text.encode("utf-8", "surrogatepass"))
    told = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.exit_code in (0, 1)
    assert found.stderr == ""
    return told


def assert_refused(result: Result, *named: str) -> None:
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("pnc-gateway: ")
    assert result.stderr.count("\n") == 1
    for text in named:
        assert text in result.stderr


# --- the page


def test_the_page_says_what_was_signed_by_whom_and_whose_word_the_key_is(tmp_path: Path) -> None:
    file = tmp_path / "begin.ocmf"
    file.write_bytes(BEGIN)
    page = verify(file, "--public-key", HEX)
    assert page.exit_code == 0
    for text in ("valid", "page T7", "MS-1", "CENTRAL APP-4711", "2935.600 kWh", "B2.08.00", KEY.fingerprint):
        assert text in page.stdout
    altered = tmp_path / "altered.ocmf"
    altered.write_bytes(ALTERED)
    page = verify(altered, "--public-key", HEX)
    assert page.exit_code == 1
    assert page.stdout.startswith("invalid")
    assert "was altered, or signed with another key" in " ".join(page.stdout.split())


def test_without_a_key_the_page_says_that_the_claim_proves_nothing() -> None:
    envelope = json.dumps({"signedMeterData": b64(BEGIN), "publicKey": CLAIM})
    page = verify("-", stdin=envelope.encode())
    assert (page.exit_code, page.stdout.startswith("valid")) == (0, True)
    assert "which proves nothing" in page.stdout
    page = verify("-", stdin=BEGIN)
    assert (page.exit_code, page.stdout.startswith("no-key")) == (1, True)
    assert "--public-key" in page.stdout


def test_the_explanation_has_every_step_up_to_the_one_that_failed() -> None:
    def steps(data: bytes, *more: str) -> list[str]:
        page = verify("-", "--explain", *more, stdin=data)
        return [line[4:16].strip() for line in page.stdout.splitlines() if re.match("  [1-6] ", line)]

    assert steps(BEGIN, "--public-key", HEX) == ["passed"] * 6
    assert steps(ALTERED, "--public-key", HEX) == ["passed"] * 5 + ["failed"]
    assert steps(BEGIN) == ["passed"] * 3 + ["failed", "not reached", "not reached"]
    assert steps(b"garbage") == ["failed"] + ["not reached"] * 5
    assert steps(BEGIN[:100]) == ["odd", "failed"] + ["not reached"] * 4
    odd = sign_ocmf(DRAFT, PRIVATE, algorithm="ECDSA-prime256v1-SHA256")
    assert steps(odd, "--public-key", HEX) == ["passed", "passed", "odd", "passed", "passed", "passed"]
    assert steps(odd.replace(b"prime256v1", b"secp224r1")) == ["passed", "passed", "failed"] + ["not reached"] * 3
    p384 = public_key_of(derive_private_key("secp384r1", 5).public_key()).spki.hex()
    assert steps(BEGIN, "--public-key", p384) == ["passed"] * 4 + ["failed", "not reached"]


def test_nothing_that_a_record_says_reaches_the_terminal_as_a_control() -> None:
    hostile = "\x1b[2J\x07\u202e[red]\n"
    raw = sign_ocmf(replace(DRAFT, meter_serial=hostile, id_data=hostile, meter_model=hostile), PRIVATE)
    page = verify("-", "--explain", stdin=raw).stdout
    assert not set(page) & set("\x1b\x07\u202e")
    assert "[red]" in page


def test_a_session_is_shown_with_its_energy_and_findings() -> None:
    page = verify("-", "--public-key", HEX, stdin=BEGIN + b"\n" + END).stdout
    assert "billable  session: 7125.1 Wh in 1 h 00 min" in page
    swapped = sign_ocmf(replace(DRAFT, meter_serial="MS-2", readings=(LAST,)), PRIVATE)
    page = verify("-", "--public-key", HEX, stdin=BEGIN + b"\n" + swapped)
    assert page.exit_code == 1
    assert "fatal" in page.stdout
    assert "meter-serial" in page.stdout


# --- what a file may hold


def signed_data(*values: tuple[str, bytes], key: str | None = None) -> dict[str, object]:
    return {
        "encoding_method": "OCMF",
        "public_key": key,
        "signed_values": [
            {"nature": nature, "plain_data": raw.decode(), "signed_data": b64(raw)} for nature, raw in values
        ],
    }


def sampled_201(raw: bytes, context: str) -> dict[str, object]:
    signed = {"signedMeterData": b64(raw), "signingMethod": "", "encodingMethod": "OCMF", "publicKey": CLAIM}
    return {"value": 1, "context": context, "signedMeterValue": signed}


def safe_xml(*values: tuple[str, str, bytes]) -> bytes:
    rows = "".join(
        f'<value transactionId="{name}" context="Transaction.{context}"><signedData format="OCMF" encoding="plain">'
        f'{raw.decode()}</signedData><publicKey encoding="hex">{HEX}</publicKey></value>'
        for name, context, raw in values
    )
    return f"<?xml version='1.0'?><values>{rows}</values>".encode()


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


PAIRS = {
    "two texts": BEGIN + END,
    "two lines of hex": BEGIN.hex().encode() + b"\n" + END.hex().encode(),
    "signed_data": as_json(signed_data(("Start", BEGIN), ("End", END), key=CLAIM)),
    "a CDR, the end first": as_json({"id": "1", "signed_data": signed_data(("End", END), ("Start", BEGIN), key=CLAIM)}),
    "an OCPI answer": as_json(
        {"status_code": 1000, "data": [{"signed_data": signed_data(("Start", BEGIN), ("End", END))}]}
    ),
    "a TransactionEvent": as_json(
        [
            2,
            "1",
            "TransactionEvent",
            {
                "meterValue": [
                    {"sampledValue": [sampled_201(END, "Transaction.End"), sampled_201(BEGIN, "Transaction.Begin")]}
                ]
            },
        ]
    ),
    "a StopTransaction": as_json(
        {
            "transactionData": [
                {
                    "sampledValue": [
                        {"value": raw.decode(), "format": "SignedData", "context": f"Transaction.{context}"},
                        {"value": "12", "format": "Raw"},
                    ]
                }
                for context, raw in (("Begin", BEGIN), ("End", END))
            ]
        }
    ),
    "SAFE XML": safe_xml(("1", "End", END), ("1", "Begin", BEGIN)),
}


@pytest.mark.parametrize("what", PAIRS)
def test_every_file_with_a_begin_and_an_end_is_a_session(what: str) -> None:
    told = judged(PAIRS[what], "--public-key", HEX)
    assert [record["signature"] for record in told["records"]] == ["valid", "valid"]
    (session,) = told["sessions"]
    assert (session["energy_wh"], session["duration_s"], session["billable"]) == (7125.1, 3600, True)


def test_an_ocpi_value_is_read_however_its_sender_filled_it_and_another_plain_text_is_told() -> None:
    _, payload, signature = BEGIN.split(b"|")
    for plain, signed, differs in ((payload, signature, False), (BEGIN, b"", False), (END, BEGIN, True)):
        value = {"nature": "Start", "plain_data": plain.decode(), "signed_data": b64(signed)}
        data = {"encoding_method": "OCMF", "signed_values": [value]}
        (record,) = judged(as_json(data), "--public-key", HEX)["records"]
        assert record["signature"] == "valid"
        assert ("plain-data-differs" in [found["code"] for found in record["deviations"]]) is differs


def test_sessions_of_one_document_are_judged_apart() -> None:
    told = judged(
        safe_xml(("1", "Begin", BEGIN), ("2", "Begin", ALTERED), ("1", "End", END), ("2", "End", END)),
        "--public-key",
        HEX,
    )
    assert [(session["transaction"], session["billable"]) for session in told["sessions"]] == [
        ("1", True),
        ("2", False),
    ]


def test_a_record_with_both_ends_is_a_session_alone_and_one_with_one_end_is_none() -> None:
    assert len(judged(BOTH, "--public-key", HEX)["sessions"]) == 1
    assert judged(BEGIN, "--public-key", HEX)["sessions"] == []
    assert judged(b"\n".join([BEGIN, END, BEGIN]), "--public-key", HEX)["sessions"] == []


def test_a_record_that_was_divided_is_put_together() -> None:
    text = b64(BEGIN)
    parts = [{"value": text[:400], "format": "SignedData"}, {"value": text[400:], "format": "SignedData"}]
    told = judged(as_json(parts), "--public-key", HEX)
    assert [record["signature"] for record in told["records"]] == ["valid"]
    assert told["records"][0]["layers"] == ["split", "base64"]


@pytest.mark.parametrize("spelling", ["PEM", "DER", "hex", "point"])
def test_the_key_may_be_a_file_in_any_spelling(spelling: str, tmp_path: Path) -> None:
    pem = f"-----BEGIN PUBLIC KEY-----\n{b64(KEY.spki)}\n-----END PUBLIC KEY-----\n".encode()
    content = {"PEM": pem, "DER": KEY.spki, "hex": HEX.encode() + b"\n", "point": KEY.spki[-65:].hex().encode()}
    path = tmp_path / "key"
    path.write_bytes(content[spelling])
    assert judged(BEGIN, "--public-key", str(path))["records"][0]["key_source"] == "registry"


@pytest.mark.parametrize("curve", ["secp192k1", "secp256k1", "brainpool384r1"])
def test_a_bare_point_is_on_the_curve_that_the_record_names(curve: str) -> None:
    private = derive_private_key(curve, 0xC0FFEE)
    point = public_key_of(private.public_key()).spki
    x = {"secp192k1": 24, "secp256k1": 32, "brainpool384r1": 48}[curve]
    compressed = bytes([2 + point[-1] % 2]) + point[-2 * x : -x]
    told = judged(sign_ocmf(DRAFT, private), "--public-key", compressed.hex())
    assert (told["records"][0]["signature"], told["records"][0]["curve"]) == ("valid", curve)


# --- JSON


def test_the_json_has_every_axis_and_the_meters_own_digits() -> None:
    (record,) = judged(BEGIN, "--public-key", HEX)["records"]
    assert record["deviations"] == []
    assert (record["format"], record["signature"], record["key_source"]) == ("OCMF", "valid", "registry")
    assert (record["curve"], record["key_fingerprint"]) == ("secp256r1", KEY.fingerprint)
    assert (record["fallbacks"], record["layers"], record["cut"], record["detail"]) == ([], [], False, "")
    assert record["safe"] == {"accepts": True, "reasons": []}
    assert record["record"]["pagination"] == "T7"
    assert record["record"]["readings"] == [
        {
            "time": "2026-11-23T08:30:00.000+00:00",
            "clock": "S",
            "reason": "B",
            "value": "2935.600",
            "unit": "kWh",
            "register": "01-00:B2.08.00*FF",
            "energy_wh": "2935600",
            "status": "G",
        }
    ]


def test_a_deviation_has_its_class() -> None:
    (record,) = judged(sign_ocmf(DRAFT, PRIVATE, algorithm="ECDSA-prime256v1-SHA256"), "--public-key", HEX)["records"]
    (deviation,) = record["deviations"]
    assert (deviation["code"], deviation["class"]) == ("algorithm-spelling", "safe-reject")
    assert record["safe"]["accepts"] is False


# --- batches


CARRIED: dict[str, object] = {
    "bare": BEGIN.decode(),
    "hex": BEGIN.hex(),
    "base64": b64(BEGIN),
    "base64 twice": b64(b64(BEGIN).encode()),
    "JSON text": json.dumps({"signedMeterData": b64(BEGIN), "publicKey": CLAIM}),
    "SignedMeterValueType": {"signedMeterData": b64(BEGIN), "encodingMethod": "OCMF"},
    "2.x sampled value": sampled_201(BEGIN, "Transaction.Begin"),
    "1.6 sampled value": {"value": BEGIN.decode(), "format": "SignedData", "context": "Transaction.Begin"},
    "1.6 sampled value as text": json.dumps({"value": BEGIN.decode(), "format": "SignedData"}),
}


def test_a_record_is_taken_as_it_was_met_in_the_order_of_the_lines() -> None:
    lines = [{"id": name, "record": record, "public_key": HEX} for name, record in CARRIED.items()]
    told = answers(*lines)
    assert [answer["id"] for answer in told] == list(CARRIED)
    assert {answer["signature"] for answer in told} == {"valid"}
    assert {answer["key_source"] for answer in told} == {"registry"}


def test_a_key_in_the_carrier_is_a_claim_and_one_in_the_line_is_the_askers_word() -> None:
    record = CARRIED["JSON text"]
    claimed, against, empty = answers(
        {"id": 1, "record": record},
        {"id": 2, "record": record, "public_key": OTHER.spki.hex()},
        {"id": 3, "record": record, "public_key": ""},
    )
    assert (claimed["signature"], claimed["key_source"]) == ("valid", "claimed")
    assert {deviation["code"] for deviation in against["deviations"]} == {"key-changed"}
    assert against["key_source"] == "claimed"
    assert empty["key_source"] == "claimed"


def test_the_key_of_the_command_counts_for_lines_without_one() -> None:
    own, none = answers(
        {"id": 1, "record": BEGIN.decode(), "public_key": OTHER.spki.hex()},
        {"id": 2, "record": BEGIN.decode()},
        arguments=("--public-key", HEX),
    )
    assert (own["signature"], none["signature"], none["key_source"]) == ("invalid", "valid", "registry")


def test_records_of_a_line_are_a_session_with_what_is_known_of_it() -> None:
    clean, other, split = answers(
        {
            "id": "clean",
            "records": [
                {"record": END.decode(), "context": "Transaction.End"},
                {"record": b64(BEGIN), "context": "Transaction.Begin", "public_key": HEX},
            ],
            "public_key": HEX,
            "expected": {"identifications": ["APP-4711"], "max_power_w": 11000, "received_at": "2026-11-23T09:31:00Z"},
        },
        {
            "id": "other",
            "records": [BEGIN.decode(), END.decode()],
            "public_key": HEX,
            "expected": {"identifications": ["SOMEBODY"]},
        },
        {"id": "split", "records": [BOTH[:300].decode(), BOTH[300:].decode()], "public_key": HEX},
    )
    assert (clean["signature"], clean["key_source"], len(clean["records"])) == ("valid", "registry", 2)
    assert (clean["session"]["energy_wh"], clean["session"]["billable"]) == (7125.1, True)
    assert not other["session"]["billable"]
    assert (split["signature"], len(split["records"])) == ("valid", 1)
    assert split["session"]["energy_wh"] == 7125.1


def test_the_weakest_record_speaks_for_a_session() -> None:
    line = {"id": 1, "records": [BEGIN.decode(), ALTERED.decode()], "public_key": HEX}
    assert [answer["signature"] for answer in answers(line)] == ["invalid"]
    claimed = {"id": 2, "records": [{"record": BEGIN.decode(), "public_key": HEX}, CARRIED["JSON text"]]}
    assert [answer["key_source"] for answer in answers(claimed)] == ["claimed"]


BROKEN: dict[str, str] = {
    "no JSON": "{",
    "an array": "[]",
    "no object": '"text"',
    "cut": '{"id": "cut", "record": "OCMF|',
    "no record": '{"id": 1}',
    "null": '{"id": 1, "record": null}',
    "a number": '{"id": 1, "record": 5}',
    "an empty string": '{"id": 1, "record": ""}',
    "an empty object": '{"id": 1, "record": {}}',
    "a wrong key": '{"id": 1, "record": "x", "public_key": 5}',
    "half a surrogate": '{"id": "\\ud800", "record": "\\ud800"}',
    "no UTF-8": '{"id": 1, "record": "\udcff"}',
    "no records": '{"id": 1, "records": []}',
    "records of nothing": '{"id": 1, "records": [null, 5, {}]}',
    "too many records": json.dumps({"id": 1, "records": ["x"] * 257}),
    "an instant without offset": '{"id": 1, "records": ["x"], "expected": {"began_at": "2026-11-23T08:00:00"}}',
    "two in one": json.dumps({"id": 1, "record": [CARRIED["2.x sampled value"]] * 2}),
    "deep": '{"id": 1, "record": ' + "[" * 100_000,
    "deep text": json.dumps({"id": 1, "record": '{"a":' * 20_000}),
    "a long number": '{"id": ' + "9" * 5000 + ', "record": "x"}',
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_line_is_answered_and_the_next_one_is_read(what: str) -> None:
    good = json.dumps({"id": "good", "record": BEGIN.decode(), "public_key": HEX})
    broken, after = answers(BROKEN[what], good)
    kinds = {"undecodable"} if what != "records of nothing" else {"undecodable", "no-key"}
    assert broken["signature"] in kinds
    assert broken.get("detail") or broken["records"][0]["detail"]
    assert (after["id"], after["signature"]) == ("good", "valid")


def test_an_id_is_echoed_even_from_a_line_that_is_cut() -> None:
    (told,) = answers('{"id": "cut off", "record": "OCMF|')
    assert told["id"] == "cut off"


def test_blank_lines_are_none_and_a_long_one_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    long = b'{"id": 1, "record": "' + b"x" * 9_000_000 + b'"}'
    good = json.dumps({"id": "good", "record": BEGIN.decode(), "public_key": HEX}).encode()
    path.write_bytes(b"\n \n" + long + b"\n" + good)
    found = verify(path, "--batch")
    told = [json.loads(line) for line in found.stdout.splitlines()]
    assert [(answer["id"], answer["signature"]) for answer in told] == [(None, "undecodable"), ("good", "valid")]
    assert found.exit_code == 1


def test_a_batch_of_valid_records_ends_with_0() -> None:
    line = json.dumps({"id": 1, "record": BEGIN.decode(), "public_key": HEX}) + "\n"
    assert verify("-", "--batch", stdin=line.encode() * 3).exit_code == 0
    assert verify("-", "--batch", stdin=b"").exit_code == 0


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(BEGIN)))
def test_no_octets_whatever_end_without_an_answer(noise: bytes, place: int) -> None:
    data = BEGIN[:place] + noise + BEGIN[place:]
    assert verify("-", "--explain", stdin=data).exit_code in ((1, 2) if noise.strip() else (1,))
    line = json.dumps({"id": 1, "record": data.decode("latin-1"), "public_key": HEX}).encode()
    assert verify("-", "--batch", stdin=line + b"\n" + noise.replace(b"\n", b"") + b"\n").exit_code in (0, 1)


# --- mistakes


def test_every_mistake_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    assert_refused(verify(tmp_path / "missing"), "missing", "No such file")
    assert_refused(verify(tmp_path), "directory")
    assert_refused(verify("-", stdin=b" \n"), "nothing in it")
    assert_refused(verify("-", "--public-key", "no key", stdin=BEGIN), "'no key'", "neither a key nor a file")
    assert_refused(verify("-", "--public-key", "", stdin=BEGIN), "neither a key nor a file")
    assert_refused(verify("-", stdin=BEGIN * 1001), "--batch")
    assert_refused(verify("-", stdin=b"x\n" * (2 * 1024 * 1024) + b"x"), "more than 4 MiB", "--batch")
    assert_refused(verify("\0"), "null")
    for flag in ("--json", "--explain"):
        assert verify("-", "--batch", flag, stdin=b"").exit_code == 2


def test_a_pem_of_another_kind_is_told_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    for kind, remedy in (("CERTIFICATE", "openssl x509"), ("EC PRIVATE KEY", "-pubout"), ("X509 CRL", "nameplate")):
        file.write_text(f"-----BEGIN {kind}-----\nMIIB\n-----END {kind}-----\n")
        assert_refused(verify("-", "--public-key", file, stdin=BEGIN), f"holds a {kind}", remedy)


def test_a_given_key_is_not_called_a_registrys() -> None:
    (told,) = judged(BEGIN, "--public-key", OTHER.spki.hex())["records"]
    assert "under the given key" in told["detail"]


def test_a_slip_of_the_pen_in_a_line_is_named() -> None:
    lines = [{"id": 1, "recrod": b64(BEGIN)}, {"id": 2, "record": b64(BEGIN), "public_Key": HEX}]
    found = verify("-", "--batch", stdin="\n".join(map(json.dumps, [*lines, lines[1]])).encode())
    told = [json.loads(line) for line in found.stdout.splitlines()]
    assert "'recrod'" in told[0]["detail"]
    assert told[1]["signature"] == "no-key"
    assert "'public_Key'" in told[1]["detail"]
    assert found.stderr.count("means nothing here") == 2


def test_a_payload_in_latin_1_is_read_and_told() -> None:
    payload = '{"PG":"T1","MS":"M","RD":[{"RV":1}],"TT":"Gebühr"}'.encode("latin-1")
    raw = sign_payload(payload, PRIVATE, algorithm="ECDSA-secp256r1-SHA256")
    (as_it_came,) = judged(raw, "--public-key", HEX)["records"]
    (re_encoded,) = judged(raw.decode("latin-1").encode(), "--public-key", HEX)["records"]
    assert (as_it_came["signature"], as_it_came["fallbacks"]) == ("valid", [])
    assert (re_encoded["signature"], re_encoded["fallbacks"]) == ("valid", ["payload-latin-1"])


def test_lines_that_are_a_batch_are_not_just_unknown(tmp_path: Path) -> None:
    line = json.dumps({"id": 1, "record": b64(BEGIN)})
    told = run_text(tmp_path, f"{line}\n{line}\n")
    assert (told.exit_code, "give --batch" in told.stdout) == (1, True)
    assert "give --batch" not in run_text(tmp_path, "{\nno json\n}\n").stdout


def test_a_person_is_told_what_the_letters_mean() -> None:
    for is_terminal in (True, False):
        out = io.StringIO()
        show(
            Console(file=out, force_terminal=is_terminal, width=120), judge_all(records_in(BOTH), HEX), with_steps=False
        )
        assert ("CLOCK: S synchronised; WHY: B begin, E end" in out.getvalue()) == is_terminal


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        (FIRST.at + timedelta(seconds=3, milliseconds=8), "3 s"),
        (FIRST.at + timedelta(minutes=4, seconds=5), "4 min 05 s"),
    ],
)
def test_how_long_a_session_was_is_told_for_people(end: datetime, shown: str) -> None:
    both = sign_ocmf(replace(DRAFT, readings=(FIRST, replace(LAST, at=end))), PRIVATE)
    assert f"Wh in {shown}\n" in verify("-", "--public-key", HEX, stdin=both).stdout


def test_the_lines_of_an_export_are_read_session_by_session() -> None:
    def line(seq: int, signed: bytes | None, session: str) -> bytes:
        value = {"value": "1", "context": "Transaction.Begin"}
        if signed is not None:
            value = {"value": signed.decode(), "format": "SignedData"}
        payload = {"transactionId": 1, "meterValue": [{"timestamp": "x", "sampledValue": [value]}]}
        entry = TransactionEntry(
            charger_id="CP-1",
            ocpp="1.6",
            action="MeterValues",
            message_id="m",
            frame=json.dumps([2, "m", "MeterValues", payload]),
            event=TransactionEvent.UPDATED,
            reply="{}",
            session_id=session,
        )
        return json.dumps({"seq": seq, "kind": "transaction", "body": encode(entry).decode()}).encode()

    owner = b'{"gateway_id":"site-1","epoch":"e"}'
    other = b'{"seq":9,"kind":"audit","body":"{}"}'
    export = b"\n".join([owner, line(1, BEGIN, "a"), other, line(2, BOTH, "b"), line(3, END, "a"), line(4, None, "a")])
    told = judged(export, "--public-key", HEX)
    assert [record["signature"] for record in told["records"]] == ["valid"] * 3
    assert {session["transaction"] for session in told["sessions"]} == {"a", "b"}
    assert_refused(verify("-", stdin=b"\n".join([owner, line(1, None, "a")])), "no message in them")
    assert_refused(verify("-", stdin=b"\n".join([owner, *[line(1, BEGIN, "a")] * 1001])), "fewer of its lines")


def run_text(folder: Path, text: str) -> Result:
    file = folder / "file"
    file.write_text(text)
    return CliRunner().invoke(main, ["meter", "verify", str(file)])
