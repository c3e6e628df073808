"""Erasing one customer among three: every place a uid can stand in, and what must stay as it was."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from click.testing import CliRunner

from hub.__main__ import main
from hub.config import load_config
from hub.erasing import Demand, Erasing, ErasureRefused, ErasureResult, years_before
from hub.errors import ConfigError, StoreError
from hub.store import commands
from hub.store.connection import open_reader
from hub.store.database import Database
from hub.store.heads import KeptHead, proof_of
from hub.store.ledger import Chain, Conflict, Position
from hub.store.personal import Wanted
from hub.store.postgresql import PostgreSQL
from hub.store.verification import verify_chain
from hub.store.whitelist import change_since
from hub.tokens import parse_tokens
from hub.tree import LogStanding, grow
from tests.hub.conftest import in_the_books
from wire.chain import GENESIS_HASH, RecordKind, released
from wire.commands import CommandOrder, CommandToken, StartSession
from wire.ids import session_id
from wire.meter.record import ReadingReason
from wire.records import AuditEntry, Cdr, Session, TokenType, Verdict, decode, encode
from wire.tree_head import SigningKey

SITE_1 = Chain("site-1", "e1")
HUB_KEY = SigningKey(b"h" * 32)
ALICE, BOB, CAROL = "04A1B2C3", "04D4E5F6", "04778899"
CONTRACT = "DE-EMP-C0000000{}"
YEARS = 10
LONG_AGO = datetime(2012, 3, 1, 9, 0, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def _tokens(*uids):
    fields = {"country_code": "DE", "party_id": "EMP", "type": "RFID", "issuer": "emp", "valid": True}
    fields |= {"whitelist": "ALLOWED", "last_updated": "2012-01-01T00:00:00Z"}
    tokens = [fields | {"uid": uid, "contract_id": CONTRACT.format(uid[-1])} for uid in uids]
    return json.dumps(tokens).encode()


def _charge(charger, uid, number, start):
    """A session of one customer: the identification is in its signed values too, and in records without a token."""
    transaction, stop = f"T{number}", start + timedelta(minutes=30)
    charger.meter.id_data = uid
    facts = {"authorization_reference": f"REF-{uid}", "contract_id": CONTRACT.format(uid[-1])}
    decision = charger.decision(uid, start, **facts)
    charger.decide(decision)
    first = charger.meter.sign(ReadingReason.BEGIN, start, f"{number}.000")
    charger.event("Started", transaction, start, f"{number}.000", uid=uid, decision=decision, signed=first)
    charger.event("Updated", transaction, start + timedelta(minutes=5), f"{number}.100", uid=None)
    last = charger.meter.sign(ReadingReason.END, stop, f"{number}.900")
    charger.event("Ended", transaction, stop, f"{number}.900", uid=None, signed=last)


@pytest.fixture
def three(chain, charger):
    """A session of each of three customers; and what else names the first: a refusal in another's session, an audit
    entry, a message that nobody can read."""
    for number, uid in enumerate((ALICE, BOB, CAROL)):
        _charge(charger, uid, number, LONG_AGO + timedelta(days=number))
    start = LONG_AGO + timedelta(days=9)
    charger.event("Started", "T9", start, "9.0", uid=BOB, decision=charger.decision(BOB, start))
    refused = charger.decision(ALICE, start, Verdict.BLOCKED, reason=f"not-listed {ALICE}")
    charger.event("Updated", "T9", start, uid=ALICE, decision=refused)
    charger.event("Ended", "T9", start + timedelta(hours=1), "9.5", uid=None)
    chain.add(RecordKind.AUDIT, encode(AuditEntry(event="e", subject="x", message=f"token {ALICE} is new")).decode())
    chain.add(RecordKind.TRANSACTION, f"no JSON, but {ALICE.lower()} in it")
    return chain


async def _fill(database: Database, chain, at: datetime) -> None:
    """Take the chain in with its head, and tokens, a command and a clone's offer besides."""
    log = LogStanding(roots={})
    signed = chain.head(len(chain.records), at)
    head = KeptHead(signed=signed, countersignature=HUB_KEY.countersign(signed, at))
    await database.append(SITE_1, Position(0, GENESIS_HASH), chain.records, grow(log, chain.records), head, at)
    await database.put_tokens(parse_tokens(_tokens(ALICE, BOB, CAROL)), at)
    start = StartSession(charger_id="CP-1", token=CommandToken(uid=ALICE, type=TokenType.RFID))
    order = CommandOrder(command_id="c1", command=start, expires_at=at + timedelta(minutes=1))
    await database.write(lambda connection: commands.put(connection, "site-1", order, at))
    conflict = Conflict("fork", 2, "held", "offered", chain.records[1])
    await database.note_seen(SITE_1, at, conflict)


def _with(folder, terms, chain, at: datetime, use: Callable[[Erasing, Database], Awaitable[None]]) -> None:
    async def run() -> None:
        database = Database(folder / "state", terms)
        try:
            await _fill(database, chain, at)
            await use(Erasing(database, YEARS), database)
        finally:
            await database.close()

    asyncio.run(run())


def _stored(folder) -> bytes:
    """Every byte of the database as it lies on the disk, in small letters."""
    return b"".join(path.read_bytes() for path in sorted((folder / "state").glob("hub.sqlite*"))).lower()


def _traces(uid: str) -> list[bytes]:
    """How a uid can lie there: as text, and within base64 at each of its three alignments."""
    found = [uid.encode().lower()]
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + uid.encode())
        found.append(text[(4 * shift + 2) // 3 : len(text) - 4].lower())
    return found


def _read(folder, reading):
    with closing(open_reader(folder / "state" / "hub.sqlite")) as connection:
        return reading(connection)


def _verified(folder):
    return _read(folder, lambda held: verify_chain(held, SITE_1, {HUB_KEY.public_key}, lambda count: None))


def _cdrs(folder):
    rows = _read(folder, lambda held: held.execute("SELECT cdr FROM cdrs ORDER BY number").fetchall())
    return [decode(Cdr, text, "CDR") for (text,) in rows]


APPLY = Demand(by="desk", at=NOW, apply=True)


def test_one_customer_is_erased_from_every_place_and_the_others_are_not(tmp_path, terms, three):
    results = list[ErasureResult]()

    async def use(erasing: Erasing, database: Database) -> None:
        before = _cdrs(tmp_path)
        root = _verified(tmp_path).root
        assert all(any(trace in _stored(tmp_path) for trace in _traces(uid)[:1]) for uid in (ALICE, BOB, CAROL))
        shown = await erasing.person(Wanted(name=ALICE), Demand(by="desk", at=NOW))
        assert _cdrs(tmp_path) == before
        results.extend([shown, await erasing.person(Wanted(name=ALICE.lower()), APPLY)])
        stored = _stored(tmp_path)
        assert [trace for trace in _traces(ALICE) if trace in stored] == []
        assert b"ref-04a1b2c3" not in stored
        for uid in (BOB, CAROL):
            assert all(trace in stored for trace in _traces(uid)[:1])
        after = _cdrs(tmp_path)
        assert [was == now for was, now in zip(before, after, strict=True)] == [False, True, True, False]
        let_go, was = after[0], before[0]
        assert (let_go.cdr_token.uid[:7], let_go.cdr_token.contract_id[:7]) == ("ERASED-", "ERASED-")
        personal = {name: getattr(was, name) for name in ("cdr_token", "authorization_reference", "signed_data")}
        assert msgspec.structs.replace(let_go, **personal, findings=was.findings) == was
        assert (let_go.signed_data, let_go.authorization_reference) == (None, None)
        assert "erased: who charged was let go on 2026-11-23" in let_go.findings
        found = _verified(tmp_path)
        assert (found.root, found.released, found.heads) == (root, 7, 1)
        again = await erasing.person(Wanted(name=ALICE), Demand(by="desk", at=NOW))
        assert set(msgspec.structs.astuple(again.counts)) == {0}

    _with(tmp_path, terms, three, LONG_AGO + timedelta(days=30), use)
    shown, done = results
    assert (shown.number, done.number) == (None, 1)
    assert shown.counts == done.counts
    counts = {name: count for name, count in msgspec.structs.asdict(done.counts).items() if count}
    assert counts == {"records": 7, "sessions": 1, "mentions": 1, "cdrs": 2, "decisions": 1, "conflicts": 1} | {
        "commands": 1,
        "tokens": 1,
    }
    session = _read(tmp_path, lambda held: held.execute("SELECT session FROM sessions ORDER BY number").fetchall())[0][
        0
    ]
    assert decode(Session, session, "session").cdr_token == _cdrs(tmp_path)[0].cdr_token
    proof = _read(tmp_path, lambda held: proof_of(held, SITE_1, 2))
    assert (proof.hash, proof.head.signed) == (
        three.records[1].hash,
        three.head(len(three.records), proof.head.signed.head.at),
    )


def _all_text(connection) -> str:
    """Everything that the tables on PostgreSQL hold."""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return "".join(str(connection.execute(f"SELECT t::text FROM {table} t").fetchall()).lower() for (table,) in tables)


def test_one_customer_is_erased_on_postgresql_and_cdrs_take_nothing_else(tmp_path, terms, three, postgresql):
    url = postgresql.fresh()

    async def run() -> None:
        database = Database(tmp_path / "state", terms, PostgreSQL(url))
        try:
            await _fill(database, three, LONG_AGO + timedelta(days=30))
            await in_the_books(database)
            before = await database.read(_all_text)
            assert all(uid.lower() in before for uid in (ALICE, BOB, CAROL))
            done = await Erasing(database, YEARS).person(Wanted(name=ALICE), APPLY)
            counts = {name: count for name, count in msgspec.structs.asdict(done.counts).items() if count}
            assert counts == {"records": 7, "sessions": 1, "mentions": 1, "cdrs": 2, "decisions": 1} | {
                "conflicts": 1,
                "commands": 1,
                "tokens": 1,
            }
            after = await database.read(_all_text)
            assert [trace for trace in _traces(ALICE) if trace.decode() in after] == []
            assert all(uid.lower() in after for uid in (BOB, CAROL))
            verified = await database.read(
                lambda held: verify_chain(held, SITE_1, {HUB_KEY.public_key}, lambda count: None)
            )
            assert (verified.released, verified.heads) == (7, 1)
            for change in (
                "cdr = replace(cdr, 'EUR', 'USD'), erasure = 1",
                "cdr = (cdr::jsonb - 'signed_data')::text, erasure = NULL",
                "cdr = (cdr::jsonb - 'signed_data')::text, erasure = 77",
                "gateway_id = 'site-2', erasure = 1",
                "erasure = NULL",
            ):
                with pytest.raises(StoreError, match=r"a CDR is never changed|foreign key"):
                    await database.write(
                        lambda held, sql=change: held.execute(f"UPDATE cdrs SET {sql} WHERE number > 1")
                    )
        finally:
            await database.close()

    asyncio.run(run())
    postgresql.drop(url)


def test_a_cdr_takes_nothing_but_letting_go_of_who_charged(tmp_path, terms, three):
    """And that only with an act that is noted."""

    async def use(erasing: Erasing, database: Database) -> None:
        await erasing.person(Wanted(name=ALICE), APPLY)
        for change in (
            "cdr = json_set(cdr, '$.total_energy', 1), erasure = 1",
            "cdr = json_set(cdr, '$.currency', 'USD'), erasure = 1",
            "cdr = json_remove(cdr, '$.signed_data'), erasure = NULL",
            "cdr = json_remove(cdr, '$.signed_data'), erasure = 77",
            "gateway_id = 'site-2', erasure = 1",
            "erasure = NULL",
        ):
            with pytest.raises(StoreError, match=r"a CDR is never changed|FOREIGN KEY"):
                await database.write(lambda held, sql=change: held.execute(f"UPDATE cdrs SET {sql} WHERE number > 1"))

    _with(tmp_path, terms, three, LONG_AGO + timedelta(days=30), use)


def test_gateways_are_sent_the_whole_list_without_the_token(tmp_path, terms, three):
    async def use(erasing: Erasing, database: Database) -> None:
        since = (await database.read(lambda held: change_since(held, 0))).version
        await erasing.person(Wanted(name=ALICE, type=TokenType.RFID), APPLY)
        change = await database.read(lambda held: change_since(held, since))
        assert (change.full, change.version > since) == (True, True)
        assert [token.uid for token in change.tokens] == [CAROL, BOB]

    _with(tmp_path, terms, three, LONG_AGO + timedelta(days=30), use)


def test_a_contract_is_erased_with_all_its_tokens_however_it_is_spelt(tmp_path, terms, three):
    async def use(erasing: Erasing, database: Database) -> None:
        result = await erasing.person(Wanted(name="deempc00000006", is_contract=True), APPLY)
        assert (result.counts.sessions, result.counts.tokens, result.counts.cdrs) == (2, 1, 2)
        stored = _stored(tmp_path)
        assert [trace for trace in _traces(BOB) if trace in stored] == []

    _with(tmp_path, terms, three, LONG_AGO + timedelta(days=30), use)


def test_what_runs_or_must_still_be_kept_is_refused_unless_forced(tmp_path, terms, three):
    async def use(erasing: Erasing, database: Database) -> None:
        with pytest.raises(
            ErasureRefused,
            match=r"sessions run \(1\) and sessions are younger than the retention of 10 years \(2\); --force",
        ):
            await erasing.person(Wanted(name=ALICE), APPLY)
        result = await erasing.person(Wanted(name=BOB), Demand(by="desk", at=NOW))
        assert result.refused == "sessions run (1) and sessions are younger than the retention of 10 years (2)"
        forced = await erasing.person(Wanted(name=ALICE), Demand(by="desk", at=NOW, apply=True, force=True))
        assert forced.number == 1

    three.records.pop()
    three.records.pop()
    three.records.pop()  # the end of the session T9
    _with(tmp_path, terms, three, NOW - timedelta(days=5), use)


def test_what_is_over_goes_and_what_is_not_stays(tmp_path, terms, three, new_charger):
    old = len(three.records)
    _charge(new_charger(three, charger_id="CP-2"), CAROL, 77, NOW)

    async def run() -> None:
        database = Database(tmp_path / "state", terms)
        try:
            for records, at in ((three.records[:old], LONG_AGO), (three.records[old:], NOW)):
                standing = await database.standing(SITE_1, records[0].seq, len(records))
                grown = grow(standing.log, records)
                await database.append(SITE_1, standing.position, records, grown, None, at)
            erasing = Erasing(database, YEARS)
            shown = await erasing.over(Demand(by="desk", at=NOW))
            done = await erasing.over(APPLY)
            again = await erasing.over(APPLY)
        finally:
            await database.close()
        assert (shown.counts, shown.number, done.number) == (done.counts, None, 1)
        assert (done.counts.records, done.counts.sessions, done.counts.cdrs, done.counts.decisions) == (old, 4, 4, 3)
        assert again.counts.records == again.counts.sessions == 0

    asyncio.run(run())
    tokens = [cdr.cdr_token.uid for cdr in _cdrs(tmp_path)]
    assert [uid.startswith("ERASED-") for uid in tokens] == [True, True, True, True, False]
    assert (tokens[1] == tokens[3], len(set(tokens))) == (True, 4), "one person's sessions stay one person's"
    assert _verified(tmp_path).released == old


def test_records_of_the_first_form_stay_and_that_is_said(tmp_path, terms, three):
    bare = list(three.records)
    three.records.clear()
    for record in bare[:3]:
        three.add(record.kind, record.body, record.at, salted=False)

    async def use(erasing: Erasing, database: Database) -> None:
        result = await erasing.person(Wanted(name=ALICE), Demand(by="desk", at=NOW, apply=True, force=True))
        assert (result.counts.records, result.counts.kept_records) == (0, 3)
        assert result.remains[0].startswith("3 records of the first form")
        assert _verified(tmp_path).released == 0

    _with(tmp_path, terms, three, LONG_AGO + timedelta(days=30), use)


def _run(hub, *arguments):
    """A command with the address that the hub has taken."""
    config = hub.config.with_name("asking.toml")
    listen = f'[api]\nlisten = "{hub.listen["api"]}"'
    config.write_text(hub.config.read_text().replace('[api]\nlisten = "127.0.0.1:0"', listen))
    return CliRunner().invoke(main, [*arguments, "--config", str(config)])


def test_by_command_beside_a_running_hub_and_without_one(hub, three, tmp_path):
    link = hub.link()
    link.send(three.signed_batch(1, 6))
    link.send(three.signed_batch(7, len(three.records) - 6))
    asked = ("erase", "--token", ALICE)
    assert "give an API token with --token-file" in _run(hub, *asked).stderr
    token_file = tmp_path / "token"
    token_file.write_text("token-for-tests")
    with_token = (*asked, "--token-file", str(token_file))
    shown = _run(hub, *with_token)
    assert "CDRs; energy, times and money stay" in shown.stdout
    assert "would be refused: sessions are younger than the retention of 10 years (2)" in shown.stdout
    refused = _run(hub, *with_token, "--yes")
    assert (refused.exit_code, "--force lets it go all the same" in refused.stderr) == (2, True)
    done = _run(hub, *with_token, "--yes", "--force")
    assert (done.exit_code, "let go; act number 1" in done.stdout) == (0, True)
    _, page = hub.api("GET", "/api/v1/erasures")
    act = page["erasures"][0]
    assert (act["by"], act["kind"], act["forced"], act["counts"]["records"]) == ("operator", "person", True, 7)
    assert ALICE not in json.dumps(page)
    over = _run(hub, "retention", "--token-file", str(token_file)).stdout
    assert "2      remembered decisions\nnothing was changed; --yes lets it go" in over
    assert "another hub runs" in _run(hub, "retention", "--compact", "--token-file", str(token_file)).stderr
    for body in (b"{}", b'{"token":"a","contract":"b"}', b'{"token":" "}', b'{"token":"#NA"}', b'{"tokn":"a"}'):
        assert hub.api("POST", "/api/v1/erasures", body)[0] == 400
    assert hub.api("POST", "/api/v1/erasures", json.dumps({"token": BOB, "apply": True}).encode())[0] == 409
    assert hub.api("GET", "/api/v1/proofs?gateway_id=site-1&epoch=e1&seq=2")[0] == 200
    assert hub.stop() == 0
    assert "let go; act number 2" in _run(hub, "erase", "--token", BOB, "--yes", "--force").stdout
    assert "let go; act number 3" in _run(hub, "retention", "--yes", "--compact").stdout
    for flags in ((), ("--yes",)):
        assert _run(hub, "retention", *flags).stdout.endswith("nothing is over\n")
    verified = _run(hub, "ledger", "verify")
    assert (verified.exit_code, "2 heads" in verified.stdout) == (0, True)
    stored = _stored(tmp_path)
    assert [trace for uid in (ALICE, BOB) for trace in _traces(uid) if trace in stored] == []
    assert CAROL.encode() in stored


def test_without_a_database_or_a_name_nothing_is_made(hub_config, tmp_path):
    told = CliRunner().invoke(main, ["erase", "--token", ALICE, "--config", str(hub_config)])
    assert (told.exit_code, "no database there yet" in told.stderr) == (2, True)
    assert not (tmp_path / "state").exists()
    told = CliRunner().invoke(main, ["erase", "--config", str(hub_config)])
    assert (told.exit_code, "with --token or with --contract" in told.stderr) == (2, True)


def test_a_record_that_its_gateway_had_let_go_is_held_and_told_of(hub, three):
    three.records[2:5] = [released(record) for record in three.records[2:5]]
    count = len(three.records)
    assert hub.link().send(three.signed_batch(1, count)).countersignature is not None
    _, page = hub.api("GET", "/api/v1/quarantine")
    told = {entry["seq"]: entry["reason"] for entry in page["quarantine"]}
    assert [told[seq] for seq in (3, 4, 5)] == ["its content was let go"] * 3
    verified = _run(hub, "ledger", "verify")
    assert f"holds: {count} records (3 let go)" in verified.stdout


def test_the_sessions_of_others_that_lose_content_are_listed(tmp_path, terms, three):
    async def use(erasing: Erasing, database: Database) -> None:
        shown = await erasing.person(Wanted(name=ALICE), Demand(by="desk", at=NOW))
        assert shown.others == (session_id("site-1", "CP-1", "T9"),)
        assert (await erasing.person(Wanted(name=CAROL), Demand(by="desk", at=NOW))).others == ()

    _with(tmp_path, terms, three, LONG_AGO, use)


def test_the_retention_is_configured_in_years(hub_config):
    assert load_config(hub_config).retention_years == 10
    hub_config.write_text(hub_config.read_text() + "[retention]\nyears = 0\n")
    with pytest.raises(ConfigError, match=r"line 20: retention.years: expected 1 to 100, found 0"):
        load_config(hub_config)
    assert years_before(datetime(2028, 2, 29, tzinfo=UTC), 10) == datetime(2018, 2, 28, tzinfo=UTC)
