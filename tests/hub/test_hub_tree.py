"""Signed tree heads at the hub: countersigned when they fit, refused and kept as conflicts when they do not."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import stat
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest
from click.testing import CliRunner

from hub.__main__ import main
from hub.errors import StalePosition
from hub.log_key import LogKeyError, load_log_key, make_log_key
from hub.store.connection import open_reader, open_writer
from hub.store.database import Database
from hub.store.heads import KeptHead, covering_head, kept_heads, newest_head
from hub.store.ledger import Chain, Position
from hub.store.schema import MIGRATIONS
from hub.store.tree import log_of, log_standing
from hub.tree import LogStanding, TreeMismatch, grow, judge_head
from wire.chain import GENESIS_HASH, RecordKind
from wire.merkle import (
    TILE_WIDTH,
    Frontier,
    TiledTree,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from wire.sync_messages import Ack, Refusal, RefusalCode
from wire.tree_head import SigningKey, verify_countersignature

SITE_1 = Chain("site-1", "e1")


def _reader(hub):
    return closing(open_reader(hub.folder / "state" / "hub.sqlite"))


def _filled(chain, count):
    for number in range(count):
        chain.add(RecordKind.AUDIT, f'{{"event":"e","subject":"{number}","message":""}}')
    return chain


def test_a_head_that_fits_is_countersigned_and_the_same_again_when_asked_again(hub, chain):
    _filled(chain, 5)
    link = hub.link()
    first, second = chain.signed_batch(1, 3), chain.signed_batch(4, 2)
    acks = [link.send(batch) for batch in (first, second, first, second)]
    assert [ack.acked_seq for ack in acks] == [3, 5, 5, 5]
    key = load_log_key(hub.folder / "state").public_key
    for batch, ack in zip((first, second), acks, strict=False):
        verify_countersignature(batch.tree_head, ack.countersignature, key)
    assert [ack.countersignature for ack in acks[2:]] == [ack.countersignature for ack in acks[:2]]
    with _reader(hub) as connection:
        assert [head.signed for head in kept_heads(connection, SITE_1, 0, 10)] == [first.tree_head, second.tree_head]
        covering = covering_head(connection, SITE_1, 4)
        assert (covering.signed, covering.countersignature) == (second.tree_head, acks[1].countersignature)
        assert covering_head(connection, SITE_1, 6) is None
        assert newest_head(connection, Chain("site-2", "e1")) is None


def test_the_same_log_signed_again_is_countersigned_and_kept_once(hub, chain, t0):
    _filled(chain, 2)
    link = hub.link()
    link.send(chain.signed_batch(1, 2))
    again = msgspec.structs.replace(chain.signed_batch(1, 2), tree_head=chain.head(2, t0 + timedelta(hours=1)))
    ack = link.send(again)
    verify_countersignature(again.tree_head, ack.countersignature, ack.countersignature.public_key)
    with _reader(hub) as connection:
        assert [head.signed for head in kept_heads(connection, SITE_1, 0, 10)] == [chain.head(2)]


def test_a_batch_that_begins_behind_the_hubs_position_is_proved_from_where_it_begins(hub, chain):
    _filled(chain, 7)
    link = hub.link()
    link.send(chain.signed_batch(1, 5))
    assert link.send(chain.signed_batch(3, 5)).acked_seq == 7
    ack = link.send(chain.signed_batch(2, 2))
    assert (ack.acked_seq, ack.countersignature is None) == (7, False)


def _spoilt(chain, how):
    """A batch of records 3 to 4 whose head or proof does not fit, and the words that say why."""
    batch = chain.signed_batch(3, 2)
    signed = batch.tree_head
    if how == "root":
        head = msgspec.structs.replace(signed.head, root="ab" * 32)
        return msgspec.structs.replace(batch, tree_head=chain.log_key.sign_head(head)), "the tree head says abab"
    if how == "size":
        return msgspec.structs.replace(batch, tree_head=chain.head(3)), "expected this chain and size 4"
    if how == "chain":
        head = msgspec.structs.replace(signed.head, epoch="e2")
        return msgspec.structs.replace(batch, tree_head=chain.log_key.sign_head(head)), "epoch e2"
    if how == "key":
        return msgspec.structs.replace(batch, tree_head=SigningKey(b"k" * 32).sign_head(signed.head)), "tree-head-key"
    if how == "signature":
        tampered = msgspec.structs.replace(signed, signature="00" * 64)
        return msgspec.structs.replace(batch, tree_head=tampered), "tree-head-signature"
    if how == "proof":
        return msgspec.structs.replace(batch, consistency=("cd" * 32,)), "the consistency proof does not hold"
    return msgspec.structs.replace(batch, tree_head=None, consistency=()), "without a tree head"


def test_a_head_that_does_not_fit_is_refused_told_and_kept_as_a_conflict(hub, chain):
    _filled(chain, 4)
    link = hub.link()
    link.send(chain.signed_batch(1, 2))
    for how in ("root", "size", "chain", "key", "signature", "proof", "none"):
        batch, expected = _spoilt(chain, how)
        refusal = link.send(batch)
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.acked_seq, refusal.seq) == (RefusalCode.TREE, 2, 3)
        assert expected in refusal.message
        told = hub.next_line("conflict")
        assert (told["level"], told["kind"], told["seq"]) == ("error", "tree", 4)
        assert expected in told["reason"]
    _, page = hub.api("GET", "/api/v1/conflicts")
    found = [(entry["kind"], entry["seq"], entry["offered_hash"][:4]) for entry in page["conflicts"]]
    roots = [chain.head(size).head.root[:4] for size in (3, 4)]
    assert found == [("tree", 4, "abab"), ("tree", 4, roots[0]), ("tree", 4, roots[1]), ("tree", 4, "")]
    assert "the tree head says abab" in page["conflicts"][0]["reason"]
    with _reader(hub) as connection:
        assert connection.execute("SELECT max(seq) FROM records").fetchone() == (2,)
        assert newest_head(connection, SITE_1).signed.head.size == 2
        offered = [text for (text,) in connection.execute("SELECT offered FROM conflicts ORDER BY number")]
    assert json.loads(offered[0])["head"]["root"] == "ab" * 32
    assert offered[3] is None
    assert link.send(chain.signed_batch(3, 2)).acked_seq == 4


def test_a_log_forked_after_the_hubs_position_shows_in_the_head(hub, chain, new_chain):
    """The records fit the chain; the log that was signed has others after them: its gateway shows two histories."""
    _filled(chain, 4)
    forked = _filled(new_chain(records=list(chain.records[:3])), 2)
    link = hub.link()
    link.send(chain.signed_batch(1, 2))
    batch = msgspec.structs.replace(chain.signed_batch(3, 2), tree_head=forked.head(4))
    assert link.send(batch).code is RefusalCode.TREE


def test_an_earlier_gateway_is_taken_and_not_countersigned_until_it_sends_heads(hub, chain):
    _filled(chain, 4)
    link = hub.link()
    assert link.send(chain.batch(1, 2)).countersignature is None
    assert link.send(chain.batch(3, 1)).countersignature is None
    assert link.send(chain.signed_batch(4, 1)).countersignature is not None
    assert link.send(chain.batch(1, 4)).code is RefusalCode.TREE


def test_a_head_is_judged_again_when_another_key_was_pinned_meanwhile(tmp_path, terms, chain, new_chain, t0):
    _filled(chain, 2)
    other = new_chain(log_key=SigningKey(b"o" * 32))
    other.records = chain.records
    hub_key, start = SigningKey(b"h" * 32), Position(0, GENESIS_HASH)
    heads = [
        KeptHead(signed=one.head(2), countersignature=hub_key.countersign(one.head(2), t0)) for one in (chain, other)
    ]
    grown = grow(LogStanding(roots={}), chain.records)

    async def run() -> None:
        database = Database(tmp_path / "state", terms)
        try:
            await database.append(SITE_1, start, chain.records, grown, None, t0)
            held = (await database.standing(SITE_1, 3)).position
            none = grow((await database.standing(SITE_1, 3)).log, ())
            await database.append(SITE_1, held, (), none, heads[0], t0)
            with pytest.raises(StalePosition, match="the batch was judged with log key"):
                await database.append(SITE_1, held, (), none, heads[1], t0)
            assert (await database.standing(SITE_1, 3)).log.log_key == chain.log_key.public_key
            assert await database.read(lambda connection: kept_heads(connection, SITE_1, 0, 9)) == (heads[0],)
        finally:
            await database.close()

    asyncio.run(run())


def test_a_hub_set_back_takes_the_log_from_where_it_stands(hub, chain):
    _filled(chain, 6)
    path = hub.folder / "state" / "hub.sqlite"
    hub.link().send(chain.signed_batch(1, 2))
    hub.stop()
    image = path.read_bytes()
    hub.start()
    hub.link().send(chain.signed_batch(3, 2))
    hub.stop()
    path.write_bytes(image)
    hub.start()
    link = hub.link()
    assert link.send(chain.hello()).acked_seq == 2
    ack = link.send(chain.signed_batch(3, 4))
    assert isinstance(ack, Ack)
    verify_countersignature(chain.head(6), ack.countersignature, load_log_key(path.parent).public_key)


def test_the_tree_of_records_that_an_earlier_version_stored_is_built_at_the_upgrade(tmp_path, chain):
    """And what was interrupted is taken up again; a second opening builds nothing."""
    path, count = tmp_path / "hub.sqlite", 2 * TILE_WIDTH + 3
    _filled(chain, count)
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript("".join(MIGRATIONS[:4]) + "PRAGMA user_version = 4; BEGIN;")
    old.execute("INSERT INTO gateways VALUES ('site-1', 'e1', ?, ?, 't', 't')", (count, chain.records[-1].hash))
    old.executemany(
        "INSERT INTO records VALUES ('site-1', 'e1', ?, ?, 'audit', 't', 'b', 1, 'trusted', '{}', 't', NULL)",
        [(record.seq, record.hash) for record in chain.records],
    )
    old.execute("COMMIT")
    old.close()
    for _ in range(2):
        connection = open_writer(path)
        tree = TiledTree(log_of(connection, SITE_1))
        log = log_standing(connection, SITE_1, 0, 0)
        assert Frontier(log.size, log.peaks).root() == tree_root(count, chain.subtree)
        assert connection.execute("SELECT level, number FROM tiles").fetchall() == [(1, 0), (1, 1)]
        root, old_root = tree_root(count, tree.subtree), tree_root(300, tree.subtree)
        verify_consistency(300, old_root, count, root, consistency_proof(300, count, tree.subtree))
        proof = inclusion_proof(299, count, tree.subtree)
        verify_inclusion(leaf_hash(bytes.fromhex(chain.records[299].hash)), 299, count, proof, root)
        connection.close()


def test_judging_a_head_needs_what_was_held_and_raises_for_another_root(chain):
    _filled(chain, 3)
    log = LogStanding(roots={})
    batch = chain.signed_batch(1, 3)
    assert judge_head(batch, log, grow(log, batch.records)).signed == batch.tree_head
    with pytest.raises(TreeMismatch, match="the root of 3 records is") as mismatch:
        judge_head(
            batch, log, grow(log, (*batch.records[:2], msgspec.structs.replace(batch.records[2], hash="ab" * 32)))
        )
    assert mismatch.value.code == "tree-head"


# --- the hub's own key


def test_the_hubs_key_is_made_once_private_and_kept(hub, tmp_path):
    path = tmp_path / "state" / "hub-log.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    hub.stop()
    hub.start()
    assert path.read_bytes() == before
    with pytest.raises(LogKeyError, match="is there already"):
        make_log_key(path.parent)


def _refused(config):
    result = CliRunner().invoke(main, ["run", "--config", str(config)])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    return result.stderr


def test_a_key_that_cannot_be_used_is_one_clear_line(hub, chain, ca):
    _filled(chain, 1)
    hub.link().send(chain.signed_batch(1, 1))
    hub.stop()
    path = hub.folder / "state" / "hub-log.key"
    good = path.read_bytes()
    _, other = ca.issue("other")
    path.write_bytes(b"no key")
    assert "cannot be read as the hub's log key" in _refused(hub.config)
    path.write_bytes(other.read_bytes())
    assert "expected an Ed25519 key, found a" in _refused(hub.config)
    path.write_bytes(good)
    path.chmod(0o640)
    assert f"chmod 600 {path}" in _refused(hub.config)
    path.unlink()
    assert "is missing; this hub has countersigned with the key" in _refused(hub.config)
    assert not path.exists()
