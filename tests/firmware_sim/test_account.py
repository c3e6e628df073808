"""The account finds what was planted: loss, doubling, alteration, broken chains, sessions and CDRs that do not fit."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

import msgspec
import pytest

from firmware_sim.account import Account, Row, balance
from firmware_sim.books import ChainBook, ChargeBook, ChargerBook, HubBook, Proof, ProofBook
from firmware_sim.dialect import Measurement, Medium, Presented, Transaction
from firmware_sim.journal import MessageJournal, load_message_journal
from firmware_sim.meter import SigningMeter, load_meter_journal
from firmware_sim.meter_telling import Teller
from firmware_sim.ocpp16 import OCPP16
from firmware_sim.ocpp201 import OCPP201
from firmware_sim.outbox import Outbox
from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash
from wire.meter.record import CurrentType, ReadingReason
from wire.ocpp.frames import Call, CallResult, parse_frame
from wire.records import (
    AuthMethod,
    Cdr,
    CdrToken,
    ClockState,
    Price,
    Session,
    SessionStatus,
    TokenType,
    TransactionEntry,
    TransactionEvent,
    decode,
    encode,
)

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
CARD = Presented(Medium.RFID, "04A2B3C4D5E680")


@dataclass(frozen=True)
class World:
    """A whole story that balances."""

    chargers: tuple[ChargerBook, ...]
    gateway: ChainBook
    hub: HubBook
    charges: tuple[ChargeBook, ...]
    proofs: ProofBook | None = None

    def account(self) -> Account:
        return balance(self.chargers, self.gateway, self.hub, self.charges, self.proofs)

    def codes(self) -> set[str]:
        return {finding.code for finding in self.account().findings}


def _charge(folder: Path, charger_id: str, dialect: OCPP16 | OCPP201) -> tuple[ChargerBook, ChargeBook, list[str]]:
    """One charge told without a network: the books, and the frames as they went out."""
    meter = SigningMeter(folder, charger_id, lambda: AT, current=CurrentType.AC)
    tell, name = Teller(meter, dialect.version, ()), f"tx-{charger_id}"
    tx = Transaction(name, CARD, 1, 1, dialect.id_from_start(name) or "7")
    ids = (f"{charger_id}-{n}" for n in count(1))
    outbox, journal = Outbox(lambda: next(ids), lambda name: 7), MessageJournal(folder / "messages.jsonl", charger_id)

    def measure(reason: ReadingReason, context: str) -> Measurement:
        meter.count(11_000, 60_000)
        taken = meter.take(reason, CARD.identification())
        return Measurement(AT, taken.register_kwh, 11_000, context, taken.signed)

    begin = measure(ReadingReason.BEGIN, "Transaction.Begin")
    drafts = list(dialect.started(tx, begin, tell, False))
    drafts.append(dialect.updated(tx, measure(ReadingReason.CHARGING, "Sample.Periodic"), tell, False))
    end = measure(ReadingReason.END, "Transaction.End")
    drafts += dialect.ended(tx, begin, end, tell, False)
    frames = []
    for draft in drafts:
        pending = outbox.put(draft)
        frame = outbox.next_frame(0)
        assert frame is not None
        frames.append(frame)
        outbox.receive(CallResult(message_id=pending.message_ids[-1], payload=b"{}"), 0)
        journal.note(pending)
    books = ChargerBook(
        charger_id,
        meter.public_key,
        load_meter_journal(folder / "meter.jsonl"),
        load_message_journal(folder / "messages.jsonl"),
    )
    return books, ChargeBook(charger_id, tx.wire_id or "", end.register_wh - begin.register_wh), frames


def _chain(entries: list[tuple[str, str, str]]) -> tuple[Record, ...]:
    """Records of (charger, OCPP version, frame), numbered and linked."""
    records, previous = [], GENESIS_HASH
    for seq, (charger_id, ocpp, frame) in enumerate(entries, start=1):
        call = parse_frame(frame)
        assert isinstance(call, Call)
        body = TransactionEntry(
            charger_id=charger_id,
            ocpp=ocpp,
            action=call.action,
            message_id=call.message_id,
            frame=frame,
            event=TransactionEvent.UPDATED,
            session_id=f"s-{charger_id}",
            reply="{}",
        )
        draft = Record(
            seq=seq,
            kind=RecordKind.TRANSACTION,
            at=AT + timedelta(seconds=seq),
            boot_id="b",
            mono_ns=seq,
            clock=ClockState.TRUSTED,
            body=encode(body).decode(),
            hash="",
        )
        record = msgspec.structs.replace(draft, hash=chain_hash("site-1", "e1", previous, draft))
        records.append(record)
        previous = record.hash
    return tuple(records)


def _relinked(records: tuple[Record, ...]) -> tuple[Record, ...]:
    """The same bodies as a chain that fits, as somebody would forge it who can compute hashes."""
    entries = [decode(TransactionEntry, record.body, "body") for record in records]
    return _chain([(entry.charger_id, entry.ocpp, entry.frame) for entry in entries])


def _continued(records: tuple[Record, ...], epoch: str) -> ChainBook:
    """The same records as another epoch carries them over: with new numbers and links."""
    carried, previous = [], GENESIS_HASH
    for seq, record in enumerate(records, start=1):
        draft = msgspec.structs.replace(record, seq=seq)
        carried.append(msgspec.structs.replace(draft, hash=chain_hash("site-1", epoch, previous, draft)))
        previous = carried[-1].hash
    return ChainBook("site-1", epoch, tuple(carried))


def _over_two_epochs(world: World, at_gateway: tuple[Record, ...]) -> World:
    """The hub has the first epoch but for its last two records; the gateway goes on with another one."""
    first = replace(world.gateway, records=world.gateway.records[:-2])
    second = _continued(at_gateway, "e2")
    return replace(world, gateway=second, hub=replace(world.hub, chain=second, earlier=(first,)))


def _settled(charge: ChargeBook) -> tuple[Session, Cdr]:
    token = CdrToken(uid=CARD.uid, type=TokenType.RFID, contract_id="DE-LAB-C1")
    kwh = charge.energy_wh / 1000
    session = Session(
        id=f"s-{charge.charger_id}",
        gateway_id="site-1",
        charger_id=charge.charger_id,
        evse_id=1,
        transaction_id=charge.transaction_id,
        status=SessionStatus.COMPLETED,
        start_date_time=AT,
        last_updated=AT,
        kwh=kwh,
    )
    cdr = Cdr(
        id=session.id,
        session_id=session.id,
        gateway_id="site-1",
        charger_id=charge.charger_id,
        evse_id=1,
        start_date_time=AT,
        end_date_time=AT,
        cdr_token=token,
        auth_method=AuthMethod.WHITELIST,
        currency="EUR",
        total_cost=Price(before_taxes=Decimal("0.49") * kwh),
        total_energy=kwh,
        total_time=Decimal("0.1"),
        last_updated=AT,
    )
    return session, cdr


@pytest.fixture
def world(tmp_path: Path) -> World:
    one = _charge(tmp_path / "1", "CP-1", OCPP201())
    two = _charge(tmp_path / "2", "CP-2", OCPP16())
    entries = [("CP-1", "2.0.1", frame) for frame in one[2]] + [("CP-2", "1.6", frame) for frame in two[2]]
    records = _chain(entries)
    settled = [_settled(one[1]), _settled(two[1])]
    chain = ChainBook("site-1", "e1", records)
    hub = HubBook(chain, tuple(session for session, _ in settled), tuple(cdr for _, cdr in settled))
    return World((one[0], two[0]), chain, hub, (one[1], two[1]))


def _at_hub(world: World, records: tuple[Record, ...]) -> World:
    return replace(world, hub=replace(world.hub, chain=replace(world.hub.chain, records=records)))


def _at_gateway(world: World, records: tuple[Record, ...]) -> World:
    return replace(world, gateway=replace(world.gateway, records=records))


def _rewritten(record: Record, change: Callable[[str], str]) -> Record:
    entry = decode(TransactionEntry, record.body, "body")
    return msgspec.structs.replace(
        record, body=encode(msgspec.structs.replace(entry, frame=change(entry.frame))).decode()
    )


def test_a_story_that_balances_has_no_finding(world: World) -> None:
    account = world.account()
    assert account.findings == ()
    assert account.balances
    assert all(row.balances for row in account.rows)
    assert account.signatures == 6
    assert account.energy_kwh == sum((charge.energy_wh for charge in world.charges), Decimal(0)) / 1000
    first = account.rows[0]
    assert (first.what, first.charger_id, first.written, first.at_hub) == ("signed records", "CP-1", 3, 3)


@pytest.mark.parametrize("place", [_at_hub, _at_gateway])
def test_a_lost_record_is_found_even_in_a_chain_that_fits(
    world: World, place: Callable[[World, tuple[Record, ...]], World]
) -> None:
    shorter = _relinked(world.gateway.records[:1] + world.gateway.records[2:])
    planted = place(world, shorter)
    assert {"signed-lost", "message-lost"} <= planted.codes()
    lost = {(row.charger_id, row.what): row.lost for row in planted.account().rows}
    assert lost["CP-1", "signed records"] == 1
    assert lost["CP-1", "messages"] == 1
    assert lost["CP-2", "messages"] == 0


def test_the_loss_of_the_last_record_is_found(world: World) -> None:
    assert {"record-lost", "message-lost", "signed-lost"} <= _at_hub(world, world.gateway.records[:-1]).codes()


def test_a_doubled_message_is_found_at_both_levels(world: World) -> None:
    records = _relinked((*world.gateway.records, world.gateway.records[0]))
    planted = _at_gateway(_at_hub(world, records), records)
    assert planted.codes() == {"message-doubled", "signed-doubled"}
    assert [row.doubled for row in planted.account().rows[:2]] == [1, 1]


def test_what_a_later_epoch_carries_over_counts_once(world: World) -> None:
    planted = _over_two_epochs(world, world.gateway.records[-4:])
    assert planted.codes() == set()
    assert planted.account().signatures == 6


def test_what_no_epoch_has_is_lost_and_what_one_has_twice_is_doubled(world: World) -> None:
    last = world.gateway.records[-1]
    assert {"message-lost"} <= _over_two_epochs(world, world.gateway.records[-4:-1]).codes()
    assert {"message-doubled"} <= _over_two_epochs(world, (*world.gateway.records[-4:], last)).codes()


def test_a_broken_link_of_an_earlier_epoch_is_found(world: World) -> None:
    planted = _over_two_epochs(world, world.gateway.records[-4:])
    (first,) = planted.hub.earlier
    shorter = replace(first, records=first.records[1:])
    assert "chain-broken" in replace(planted, hub=replace(planted.hub, earlier=(shorter,))).codes()


def test_one_altered_digit_of_a_plain_value_is_found(world: World) -> None:
    first = _rewritten(world.gateway.records[0], lambda frame: frame.replace('"value":1042', '"value":1043', 1))
    records = _relinked((first, *world.gateway.records[1:]))
    assert "message-altered" in _at_gateway(_at_hub(world, records), records).codes()


def test_an_altered_signed_text_is_named_with_its_number(world: World) -> None:
    record = world.gateway.records[0]
    ocmf = world.chargers[0].signed[0].ocmf
    forged = ocmf.replace('"RV":1042', '"RV":2042')

    def swap(frame: str) -> str:
        return frame.replace(base64.b64encode(ocmf.encode()).decode(), base64.b64encode(forged.encode()).decode())

    planted = _at_hub(world, _relinked((_rewritten(record, swap), *world.gateway.records[1:])))
    messages = {finding.code: finding.message for finding in planted.account().findings}
    assert {"signed-altered", "signed-lost", "message-altered", "record-altered"} <= messages.keys()
    assert "signed record T1 in record 1 at the hub" in messages["signed-altered"]


def test_a_broken_link_is_found_where_it_is(world: World) -> None:
    records = list(world.gateway.records)
    records[3] = msgspec.structs.replace(records[3], at=AT)
    findings = _at_hub(world, tuple(records)).account().findings
    broken = [finding.message for finding in findings if finding.code == "chain-broken"]
    assert broken == ["record 4 at the hub does not continue the chain at place 4"]


def test_records_out_of_order_break_the_chain(world: World) -> None:
    first, second, *rest = world.gateway.records
    assert "chain-broken" in _at_gateway(world, (second, first, *rest)).codes()


def test_a_record_of_another_epoch_is_found(world: World) -> None:
    other = replace(world.hub, chain=replace(world.hub.chain, epoch="e2"))
    assert {"chain-other", "chain-broken"} <= replace(world, hub=other).codes()


def test_a_message_nobody_sent_is_found(world: World) -> None:
    extra = _rewritten(world.gateway.records[0], lambda frame: frame.replace("CP-1-1", "CP-1-9"))
    entry = msgspec.structs.replace(decode(TransactionEntry, extra.body, "body"), message_id="CP-1-9")
    records = _relinked((*world.gateway.records, msgspec.structs.replace(extra, body=encode(entry).decode())))
    assert "message-altered" in _at_hub(_at_gateway(world, records), records).codes()


def test_what_was_never_acknowledged_is_found(world: World) -> None:
    book = world.chargers[0]
    messages = (*book.messages[:-1], msgspec.structs.replace(book.messages[-1], acked=False))
    planted = replace(world, chargers=(replace(book, messages=messages), world.chargers[1]))
    assert planted.codes() == {"message-unacknowledged", "signed-unacknowledged"}


def test_a_signed_record_that_no_message_carried_is_found(world: World) -> None:
    book = world.chargers[0]
    ocmf = "OCMF|{}|{}"
    silent = msgspec.structs.replace(
        book.signed[0], pagination=9, ocmf=ocmf, sha256=hashlib.sha256(ocmf.encode()).hexdigest()
    )
    planted = replace(world, chargers=(replace(book, signed=(*book.signed, silent)), world.chargers[1]))
    assert {"signed-unacknowledged", "signed-lost"} == planted.codes()


def test_a_signature_under_another_key_is_found(world: World) -> None:
    planted = replace(world, chargers=(replace(world.chargers[0], key=world.chargers[1].key), world.chargers[1]))
    assert planted.codes() == {"signature"}


def test_the_records_of_a_meter_that_was_swapped_out_need_its_own_key(world: World) -> None:
    book, other = world.chargers
    swapped = replace(book, key=other.key, earlier={book.signed[0].meter: book.key})
    assert replace(world, chargers=(swapped, other)).codes() == set()
    assert swapped.fingerprints == {book.key.fingerprint, other.key.fingerprint}


def test_what_the_hub_was_to_find_is_no_finding_and_its_absence_is(world: World) -> None:
    first, second = world.charges
    foreseen = replace(world, charges=(replace(first, foreseen=frozenset({"meter-swapped"})), second))
    assert foreseen.codes() == {"hub-finding-missing"}
    found = ("meter-swapped: another meter [note]",)
    session, cdr = (msgspec.structs.replace(each[0], findings=found) for each in (world.hub.sessions, world.hub.cdrs))
    hub = replace(world.hub, sessions=(session, world.hub.sessions[1]), cdrs=(cdr, world.hub.cdrs[1]))
    assert replace(foreseen, hub=hub).codes() == set()
    assert replace(world, hub=hub).codes() == {"hub-finding"}


Change = Callable[[HubBook], HubBook]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda hub: replace(hub, sessions=hub.sessions[1:]), "session-incomplete"),
        (lambda hub: replace(hub, sessions=(hub.sessions[0], *hub.sessions)), "session-extra"),
        (lambda hub: replace(hub, cdrs=hub.cdrs[1:]), "cdr-count"),
        (lambda hub: replace(hub, cdrs=(*hub.cdrs, hub.cdrs[0])), "cdr-count"),
        (
            lambda hub: replace(
                hub, sessions=(msgspec.structs.replace(hub.sessions[0], status=SessionStatus.ACTIVE), hub.sessions[1])
            ),
            "session-incomplete",
        ),
        (
            lambda hub: replace(
                hub,
                cdrs=(msgspec.structs.replace(hub.cdrs[0], total_energy=Decimal("0.3668")), *hub.cdrs[1:]),
            ),
            "energy",
        ),
        (
            lambda hub: replace(
                hub, cdrs=(msgspec.structs.replace(hub.cdrs[0], findings=("unsigned-energy: x",)), hub.cdrs[1])
            ),
            "hub-finding",
        ),
    ],
)
def test_sessions_and_cdrs_that_do_not_fit_are_found(world: World, change: Change, code: str) -> None:
    assert code in replace(world, hub=change(world.hub)).codes()


def test_a_record_that_cannot_be_read_is_a_finding_not_an_end(world: World) -> None:
    records = (msgspec.structs.replace(world.gateway.records[0], body="{}"), *world.gateway.records[1:])
    assert {"record-unreadable", "chain-broken", "message-lost"} <= _at_hub(world, records).codes()


# --- proofs by an outsider --------------------------------------------------------------------------------------------


def _proven(world: World) -> World:
    """The story with an evidence file that holds for each session, of its own charger's records."""
    proofs = []
    for session, book in zip(world.hub.sessions, world.chargers, strict=True):
        entries = [(record.seq, decode(TransactionEntry, record.body, "body")) for record in world.gateway.records]
        own = frozenset(("e1", seq) for seq, entry in entries if entry.charger_id == session.charger_id)
        key = frozenset({book.key.fingerprint})
        proofs.append(Proof(session_id=session.id, flaws=(), meter_keys=key, records=own))
    return replace(world, proofs=ProofBook(proofs=tuple(proofs)))


def test_proofs_of_every_session_have_their_rows(world: World) -> None:
    account = _proven(world).account()
    assert account.balances
    assert account.proven_sessions == 2
    files, records = account.rows[-2:]
    assert (files.what, files.written, files.at_hub, files.lost, files.altered) == ("evidence files", 2, 2, 0, 0)
    assert (records.what, records.at_gateway, records.at_hub, records.lost) == ("records proved", 7, 7, 0)
    assert world.account().proven_sessions is None


def test_a_proof_that_does_not_hold_or_is_not_there_is_found(world: World) -> None:
    proven = _proven(world)
    assert proven.proofs is not None
    first, second = proven.proofs.proofs

    def planted(*proofs: Proof) -> tuple[set[str], Row]:
        account = replace(world, proofs=ProofBook(proofs=proofs)).account()
        return {finding.code for finding in account.findings}, account.rows[-2]

    codes, files = planted(replace(first, flaws=("bill: the bill says 9.99 EUR",)), second)
    assert codes == {"evidence", "record-unproven"}
    assert (files.lost, files.altered) == (0, 1)
    assert planted(replace(first, meter_keys=second.meter_keys), second)[0] == {"evidence-key", "record-unproven"}
    codes, files = planted(second)
    assert codes == {"evidence-missing", "record-unproven"}
    assert (files.lost, files.altered) == (1, 0)
    assert planted(replace(first, records=frozenset(list(first.records)[1:])), second)[0] == {"record-unproven"}
