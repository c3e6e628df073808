"""What the hub makes of signed meter values: verdicts, keys, pages, and what operators do about them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from hub.errors import HubError
from hub.store import meter_acts, meter_keys, meters
from hub.store.ledger import Chain
from hub.store.meter_keys import Act, NoSuchKey
from hub.store.meter_pages import NoSuchGap
from hub.store.readings import Cut
from wire.chain import RecordKind
from wire.errors import MalformedValue, MeterRecordError
from wire.meter.key_list import parse_key_list
from wire.meter.keys import parse_public_key
from wire.meter.record import ReadingReason
from wire.meter.registry import KeyOrigin, KeyState
from wire.ocpp.frames import encode_call
from wire.records import TransactionEntry, TransactionEvent, decode, encode
from wire.settling.terms import MeterPlace, Terms

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SITE = Chain("site-1", "e1")


def codes(findings: tuple[str, ...]) -> set[str]:
    return {finding.partition(":")[0] for finding in findings}


def act(books, name: str = "done") -> Act:
    return Act(name=name, at=books.received_at, by_whom="operator", why="because")


def states(books) -> list[KeyState]:
    return [kept.key.state for kept in meter_keys.all_keys(books.connection, None, 0, 100)]


def pin(books, charger) -> None:
    """The meter's key, as an operator imports it."""
    columns = "meter_serial,gateway_serial,public_key,source"
    text = f"{columns}\n{charger.meter.serial},GS-1,{charger.meter.public_text},nameplate\n"
    meter_acts.import_keys(books.connection, parse_key_list(text), act(books))


def reverify(books) -> meter_acts.Reverified:
    total, after = meter_acts.Reverified(judged=0, changed=0, reviewed=0, next=""), ""
    while True:
        step = meter_acts.reverify(books.connection, books.terms, after, books.received_at + HOUR, 2)
        total = meter_acts.Reverified(
            judged=total.judged + step.judged,
            changed=total.changed + step.changed,
            reviewed=total.reviewed + step.reviewed,
            next=None,
        )
        if step.next is None:
            return total
        after = step.next


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_every_signed_value_has_a_verdict_with_its_meter_key_and_page(books, chain, charger, t0):
    pin(books, charger)
    session = charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    (begin,), none, (end,) = (meters.record_verdicts(books.connection, SITE, seq) for seq in (1, 2, 3))
    assert none == ()
    assert (begin.verdict.meter, begin.verdict.pagination, end.verdict.pagination) == ("MS-1", "T1", "T2")
    assert {one.verdict.signature for one in (begin, end)} == {"valid"}
    assert {one.verdict.key_source for one in (begin, end)} == {"registry"}
    key = parse_public_key(charger.meter.public_text)
    assert (begin.verdict.key_fingerprint, begin.verdict.curve) == (key.fingerprint, "secp256r1")
    assert begin.verdict.layers == ("base64",)
    assert (begin.session_id, begin.judged_at) == (session, books.received_at)
    page = meters.verdicts(books.connection, session, Cut(limit=1))
    assert (len(page.objects), page.next) == (1, begin.number)
    (cdr,) = books.cdrs()
    assert cdr.findings == ()


def test_values_of_messages_nobody_can_use_are_judged_and_count_for_their_session(books, chain, charger, t0):
    """The begin comes in a message that the gateway could not read, cut off in the middle."""
    pin(books, charger)
    started = charger.event("Started", "T1", t0, "1.000")
    first = charger.event("Updated", "T1", t0, "1.000", signed=charger.meter.sign(ReadingReason.BEGIN, t0, "1.000"))
    entry = decode(TransactionEntry, first.body, "entry")
    broken = {"event": TransactionEvent.UNREADABLE, "frame": entry.frame[:-9], "quarantine": "no JSON"}
    chain.records[:] = [started]
    chain.add(RecordKind.TRANSACTION, encode(msgspec.structs.replace(entry, **broken)).decode())
    charger.event("Ended", "T1", t0 + HOUR, "3.000", signed=charger.meter.sign(ReadingReason.END, t0 + HOUR, "3.000"))
    books.take(chain)
    (verdict,) = meters.record_verdicts(books.connection, SITE, 2)
    assert (verdict.verdict.signature, verdict.verdict.pagination) == ("valid", "T1")
    assert books.reasons() == ["no JSON"]
    (cdr,) = books.cdrs()
    assert (cdr.total_energy, "unsigned-energy" in codes(cdr.findings)) == (Decimal(2), False)


def test_a_page_number_that_no_meter_reaches_stops_nothing(books, chain, charger, t0):
    pin(books, charger)
    charger.meter.page = 2**63
    charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    verdicts = [meters.record_verdicts(books.connection, SITE, seq)[0].verdict for seq in (1, 3)]
    assert [verdict.signature for verdict in verdicts] == ["valid", "valid"]
    (cdr,) = books.cdrs()
    assert "pagination-missing" in codes(cdr.findings)


def test_values_outside_of_transactions_are_judged_too(books, chain, charger, t0):
    record = charger.meter.sign(ReadingReason.CHARGING, t0, "1.000")
    values = {"value": record, "format": "SignedData", "context": "Sample.Clock"}
    payload = {"connectorId": 1, "meterValue": [{"timestamp": t0, "sampledValue": [values]}]}
    entry = TransactionEntry(
        charger_id="CP-1",
        ocpp="1.6",
        action="MeterValues",
        message_id="m",
        frame=encode_call("m", "MeterValues", payload),
        event=TransactionEvent.METER_VALUES,
        reply="",
    )
    chain.add(RecordKind.TRANSACTION, encode(entry).decode())
    books.take(chain)
    (verdict,) = meters.record_verdicts(books.connection, SITE, 1)
    assert (verdict.verdict.signature, verdict.session_id) == ("no-key", None)
    assert verdict.verdict.detail


def test_what_is_no_record_has_a_verdict_and_is_known_by_its_place(books, chain, charger, t0):
    charger.event("Started", "T1", t0, "1.000", signed="nothing that a meter ever signed, in any format known")
    books.take(chain)
    (verdict,) = meters.record_verdicts(books.connection, SITE, 1)
    assert (verdict.verdict.signature, verdict.verdict.meter) == ("undecodable", "at site-1/cp-1/1")
    (summary,) = meters.meters(books.connection, Cut())[0]
    assert (summary.verdicts, summary.pages) == ({"undecodable": 1}, ())
    assert meters.attention(books.connection, t0).bad_values == 1
    assert meters.attention(books.connection, books.received_at).bad_values == 0


def test_a_verdict_and_an_outcome_are_never_changed(books, chain, charger, t0):
    charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    for table in ("verdicts", "outcomes"):
        with pytest.raises(Exception, match="never changed"):
            books.connection.execute(f"UPDATE {table} SET version = ''")


# --- keys -------------------------------------------------------------------------------------------------------------


def test_the_first_key_of_a_meter_is_learned_and_the_session_held_until_it_is_confirmed(books, chain, charger, t0):
    id_ = charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    (kept,) = meter_keys.keys_of(books.connection, "ms-1")
    assert (kept.key.state, kept.key.source) == (KeyState.LEARNED, KeyOrigin.OCPP_FIELD)
    assert kept.by_whom == "station site-1/cp-1/1"
    (cdr,) = books.cdrs()
    assert codes(cdr.findings) == {"key-learned"}
    assert cdr.total_energy == Decimal(1)
    assert meters.attention(books.connection, t0).learned_keys == 1
    (held,) = meters.held_sessions(books.connection, Cut()).objects
    assert id_ in held
    changed = meter_acts.confirm_key(books.connection, str(kept.number), act(books, "confirmed"), None)
    assert [one.key.state for one in changed] == [KeyState.PINNED]
    assert (changed[0].by_whom, changed[0].why) == ("operator", "because")
    assert reverify(books) == meter_acts.Reverified(judged=2, changed=2, reviewed=1, next=None)
    assert books.cdrs() == [cdr]
    (session,) = books.sessions()
    assert session.findings[-1] == "reviewed: settled: key-learned; may be billed"
    assert session.last_updated == books.received_at + HOUR
    assert meters.held_sessions(books.connection, Cut()).objects == ()
    assert reverify(books) == meter_acts.Reverified(judged=2, changed=0, reviewed=0, next=None)
    with pytest.raises(NoSuchKey, match="is pinned"):
        meter_acts.confirm_key(books.connection, str(kept.number), act(books), None)


def test_a_meter_has_the_keys_of_its_place_too(books, chain, charger, t0):
    key = charger.meter.public_text
    rows = f"site-1,CP-1,1,{key},nameplate\nsite-1,CP-2,1,{key},bnetza\n"
    keys = parse_key_list(f"gateway_id,charger_id,evse_id,public_key,source\n{rows}")
    meter_acts.import_keys(books.connection, keys, act(books))
    charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    (summary,) = meters.meters(books.connection, Cut())[0]
    assert [kept.key.source for kept in summary.keys] == [KeyOrigin.NAMEPLATE]


def test_another_key_for_a_known_meter_goes_into_quarantine_and_does_not_count(books, chain, charger, new_charger, t0):
    pin(books, charger)
    charger.signed_session("T1", t0, "1.000", "2.000")
    stranger = new_charger(chain, sent=10)
    stranger.meter.page = 2
    stranger.signed_session("T2", t0 + HOUR, "2.000", "3.000")
    books.take(chain)
    assert states(books) == [KeyState.PINNED, KeyState.QUARANTINED]
    good, bad = books.cdrs()
    assert good.findings == ()
    assert {"key-changed", "key-quarantined", "unsigned-energy"} <= codes(bad.findings)
    assert "does not fit the registered key" in " ".join(bad.findings)
    assert meters.attention(books.connection, t0).quarantined_keys == 1
    (swap,) = meter_keys.all_keys(books.connection, KeyState.QUARANTINED, 0, 9)
    # It was a new meter after all: its key counts from its first record on, the old one until then.
    meter_acts.confirm_key(books.connection, swap.fingerprint[:12], act(books), None)
    before, after = meter_keys.all_keys(books.connection, None, 0, 9)
    assert (before.key.state, before.key.not_after, after.key.not_before) == (KeyState.RETIRED, t0 + HOUR, t0 + HOUR)
    assert reverify(books).reviewed == 1
    assert "reviewed: settled: key-claimed" in books.sessions()[1].findings[-1]
    assert "may be billed" in books.sessions()[1].findings[-1]


def test_a_station_cannot_fill_the_registry(books, chain, charger, new_charger, t0):
    pin(books, charger)
    for number in range(meter_keys.MAX_QUARANTINED + 3):
        stranger = new_charger(chain)
        signed = stranger.meter.sign(ReadingReason.BEGIN, t0, "1.000")
        stranger.event("Started", f"T{number}", t0, "1.000", signed=signed)
    books.take(chain)
    assert len(states(books)) == meter_keys.MAX_QUARANTINED + 1


def test_a_key_of_two_meters_is_found(books, chain, charger, new_charger, t0):
    charger.signed_session("T1", t0, "1.000", "2.000")
    twin = new_charger(chain, charger_id="CP-2")
    twin.meter.key, twin.meter.serial = charger.meter.key, "MS-2"
    text = f"meter_serial,public_key\nMS-2,{twin.meter.public_text}\n"
    meter_acts.import_keys(books.connection, parse_key_list(text), act(books))
    twin.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    assert "key-shared" in codes(books.cdrs()[1].findings)


def test_a_list_is_imported_as_a_whole_and_says_what_gives_way(books, chain, charger, new_charger, t0):
    charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    (learned,) = meter_keys.all_keys(books.connection, None, 0, 9)
    other = new_charger(chain).meter.public_text
    columns = "meter_serial,gateway_serial,public_key,not_before"
    rows = parse_key_list(f"{columns}\nMS-1,GS-1,{other},\nMS-9,,{other},2026-01-01\n")
    done = meter_acts.import_keys(books.connection, rows, act(books))
    assert (done.pinned, done.known) == (2, 0)
    assert [(kept.number, kept.key.state) for kept in done.displaced] == [(learned.number, KeyState.QUARANTINED)]
    assert meter_acts.import_keys(books.connection, rows, act(books)).known == 2
    clash = parse_key_list(f"{columns}\nMS-1,GS-1,{charger.meter.public_text},\n")
    with pytest.raises(MeterRecordError, match="pinned for the same time"):
        meter_acts.import_keys(books.connection, clash, act(books))


def test_a_retired_key_still_judges_what_was_signed_before(books, chain, charger, t0):
    pin(books, charger)
    charger.signed_session("T1", t0, "1.000", "2.000")
    retired = meter_acts.retire_key(books.connection, "1", act(books), t0 + 2 * HOUR)
    assert (retired.key.state, retired.key.not_after) == (KeyState.RETIRED, t0 + 2 * HOUR)
    charger.signed_session("T2", t0 + 3 * HOUR, "2.000", "3.000")
    books.take(chain)
    before, after = books.cdrs()
    assert before.findings == ()
    assert {"key-not-valid-then", "key-claimed"} <= codes(after.findings)


def test_a_key_that_is_retired_keeps_its_end_unless_another_is_said(books, chain, charger, t0):
    pin(books, charger)
    meter_acts.retire_key(books.connection, "1", act(books), t0)
    again = meter_acts.retire_key(books.connection, "1", act(books), None)
    assert again.key.not_after == t0
    assert meter_acts.retire_key(books.connection, "1", act(books), t0 + HOUR).key.not_after == t0 + HOUR


@pytest.mark.parametrize(
    ("name", "message"), [("99", "no key '99'"), ("abcdef", "no key"), ("zz" * 8, "no key"), ("00" * 8, "no key")]
)
def test_a_key_that_is_not_there_is_named(books, name, message):
    with pytest.raises(NoSuchKey, match=message):
        meter_acts.retire_key(books.connection, name, act(books), books.received_at)


def test_a_fingerprint_that_two_rows_have_needs_a_number(books, charger):
    key = charger.meter.public_text
    rows = parse_key_list(f"meter_serial,public_key\nMS-1,{key}\nMS-2,{key}\n")
    meter_acts.import_keys(books.connection, rows, act(books))
    with pytest.raises(NoSuchKey, match="keys 1, 2; give the number"):
        meter_keys.named_key(books.connection, parse_public_key(key).fingerprint)


def test_the_keys_of_hub_toml_follow_the_file(books, chain, charger, new_charger, t0):
    place, other = MeterPlace("site-1", "cp-1", 1), MeterPlace("site-1", "cp-2", 1)
    key, stranger = charger.meter.public_text, new_charger(chain).meter.public_text
    meter_keys.pin_all_configured(books.connection, {place: stranger, other: stranger}, t0)
    meter_keys.pin_all_configured(books.connection, {place: key}, t0 + HOUR)
    rows = [kept.key for kept in meter_keys.all_keys(books.connection, None, 0, 9)]
    assert [row.state for row in rows] == [KeyState.RETIRED, KeyState.RETIRED, KeyState.PINNED]
    books.terms = Terms(price=books.terms.price, meter_keys={place: key})
    charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    assert books.cdrs()[0].findings == ()
    (pinned,) = meter_keys.keys_of(books.connection, "at site-1/CP-1/1")[-1:]
    with pytest.raises(NoSuchKey, match=r"stands in hub\.toml"):
        meter_acts.retire_key(books.connection, str(pinned.number), act(books), t0)


# --- judging again ----------------------------------------------------------------------------------------------------


def test_a_signed_value_that_comes_late_is_judged_and_told_on_the_session(books, chain, charger, t0):
    pin(books, charger)
    begin = charger.meter.sign(ReadingReason.BEGIN, t0, "1.000")
    end = charger.meter.sign(ReadingReason.END, t0 + HOUR, "3.000")
    charger.event("Started", "T1", t0, "1.000", signed=begin)
    charger.event("Ended", "T1", t0 + HOUR, "3.000")
    books.take(chain)
    (cdr,) = books.cdrs()
    assert "unsigned-energy: no signed value came at the end" in cdr.findings
    charger.event("Updated", "T1", t0 + HOUR, "3.000", signed=end)
    books.take(chain, 3)
    (session,) = books.sessions()
    assert codes(session.findings[-2:]) == {"late-record", "reviewed"}
    assert "2000 Wh are signed, the CDR stays as it is" in session.findings[-1]
    assert books.cdrs() == [cdr]


def test_records_from_before_verdicts_were_kept_are_judged_when_asked(books, chain, charger, t0):
    charger.signed_session("T1", t0, "1.000", "2.000")
    books.take(chain)
    before = meters.meters(books.connection, Cut())
    for table in ("verdicts", "outcomes", "meter_pages", "meter_sightings", "meter_key_acts", "meter_keys"):
        books.connection.execute(f"DELETE FROM {table}")
    assert reverify(books).judged == 2
    found = meters.meters(books.connection, Cut())
    assert (found[0][0].pages, found[0][0].verdicts) == (before[0][0].pages, before[0][0].verdicts)
    assert [kept.key.state for kept in found[0][0].keys] == [KeyState.LEARNED]


@pytest.mark.parametrize("place", ["x", "a/b", "a/b/c", "a/b/-1"])
def test_a_place_to_go_on_from_is_checked(books, place):
    with pytest.raises(MalformedValue, match="as it was answered"):
        meter_acts.reverify(books.connection, books.terms, place, books.received_at)


def test_every_error_here_is_the_hubs() -> None:
    assert issubclass(NoSuchKey, HubError)
    assert issubclass(NoSuchGap, HubError)
