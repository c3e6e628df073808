"""The ledger as it is shown, proved and verified: `pnc-hub ledger`, the API's proofs, and every kind of damage."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import msgspec
import pytest
from click.testing import CliRunner

from hub.__main__ import main
from hub.errors import StoreError
from hub.log_key import load_log_key
from hub.store.connection import open_writer
from hub.store.heads import KeptHead, LedgerEntry, RecordProof, ledgers, save_head
from hub.store.ledger import Chain, Position, append
from hub.store.tree import log_standing, pin_log_key, save_growth
from hub.store.verification import LedgerFlaw, verify_chain
from hub.tree import LogStanding, grow
from wire.chain import GENESIS_HASH, RecordKind, released
from wire.merkle import leaf_hash, verify_consistency, verify_inclusion
from wire.tree_head import SigningKey, verify_countersignature, verify_tree_head

SITE_1 = Chain("site-1", "e1")
HUB_KEY = SigningKey(b"h" * 32)


def _filled(chain, count):
    for number in range(count):
        chain.add(RecordKind.AUDIT, f'{{"event":"e","subject":"{number}","message":""}}')
    return chain


def _run(*arguments):
    return CliRunner().invoke(main, ["ledger", *arguments])


def test_proofs_hold_for_somebody_who_has_only_the_keys(hub, chain):
    _filled(chain, 9)
    link = hub.link()
    for first, count in ((1, 4), (5, 2), (7, 3)):
        link.send(chain.signed_batch(first, count))
    hub_key = load_log_key(hub.folder / "state").public_key
    for seq, covering in ((1, 4), (4, 4), (5, 6), (9, 9)):
        status, body = hub.api("GET", f"/api/v1/proofs?gateway_id=site-1&epoch=e1&seq={seq}")
        assert status == 200
        proof = msgspec.convert(body, RecordProof)
        head, newest = (verify_tree_head(kept.signed, chain.log_key.public_key) for kept in (proof.head, proof.newest))
        assert (head.size, newest.size) == (covering, 9)
        for kept in (proof.head, proof.newest):
            verify_countersignature(kept.signed, kept.countersignature, hub_key)
        leaf, root = leaf_hash(bytes.fromhex(chain.records[seq - 1].hash)), bytes.fromhex(head.root)
        verify_inclusion(leaf, seq - 1, head.size, [bytes.fromhex(text) for text in proof.inclusion], root)
        consistency = [bytes.fromhex(text) for text in proof.consistency]
        verify_consistency(head.size, root, newest.size, bytes.fromhex(newest.root), consistency)
    _, page = hub.api("GET", "/api/v1/tree-heads?gateway_id=site-1&limit=2")
    _, rest = hub.api("GET", f"/api/v1/tree-heads?after={page['next']}")
    heads = [msgspec.convert(entry, KeptHead) for entry in (*page["tree_heads"], *rest["tree_heads"])]
    assert [kept.signed for kept in heads] == [chain.head(size) for size in (4, 6, 9)]
    assert rest["next"] is None


def test_what_cannot_be_proved_is_told(hub, chain):
    _filled(chain, 3)
    link = hub.link()
    link.send(chain.signed_batch(1, 1))
    for query, status, named in (
        ("epoch=e1&seq=1", 400, "gateway_id"),
        ("gateway_id=site-1&epoch=e1", 404, "no record 0"),
        ("gateway_id=site-1&epoch=e1&seq=2", 404, "no record 2"),
        ("gateway_id=site-1&epoch=e1&seq=-1", 400, "seq"),
    ):
        found, problem = hub.api("GET", f"/api/v1/proofs?{query}")
        assert (found, named in problem["detail"]) == (status, True), problem
    other = msgspec.structs.replace(chain.batch(1, 1), epoch="e2")
    assert link.send(other).code == "chain-broken"


def test_a_record_that_no_head_covers_is_told_so(hub, chain):
    _filled(chain, 1)
    hub.link().send(chain.batch(1, 1))
    status, problem = hub.api("GET", "/api/v1/proofs?gateway_id=site-1&epoch=e1&seq=1")
    assert (status, problem["type"]) == (409, "urn:pncgate:problem:no-tree-head")


def test_the_ledgers_are_shown_and_verified_beside_a_running_hub(hub, chain):
    config = ["--config", str(hub.config)]
    empty = [_run(*config), _run("verify", *config)]
    key = load_log_key(hub.folder / "state").public_key
    nothing = "no gateway has sent a record yet\n"
    assert [(result.exit_code, result.stdout) for result in empty] == [(0, f"hub key {key}\n{nothing}"), (0, nothing)]
    _filled(chain, 5)
    link = hub.link()
    link.send(chain.hello())
    link.send(chain.signed_batch(1, 3))
    said = json.loads(_run(*config, "--json").stdout)
    assert said["hub_key"] == key
    entries = said["ledgers"]
    entry = msgspec.convert(entries[0], LedgerEntry)
    assert (entry.size, entry.missing, entry.countersigned_size) == (3, 2, 3)
    assert (entry.root, entry.log_key) == (chain.head(3).head.root, chain.log_key.public_key)
    shown = _run(*config).stdout
    assert entry.root[:16] in shown
    assert "UTC" in shown
    verified = _run("verify", *config)
    assert verified.exit_code == 0
    assert "site-1  epoch e1  holds: 3 records (0 let go), 1 heads" in verified.stdout
    told = json.loads(_run("verify", *config, "--json").stdout)
    assert (told["holds"], told["flaws"], told["chains"][0]["root"]) == (True, [], entry.root)


def test_a_new_key_is_made_only_where_the_old_one_is_gone_and_no_hub_runs(hub, chain):
    config = ["--config", str(hub.config)]
    _filled(chain, 2)
    hub.link().send(chain.signed_batch(1, 1))
    assert "another hub runs" in _run("new-key", *config).stderr
    hub.stop()
    assert "is there already" in _run("new-key", *config).stderr
    path = hub.folder / "state" / "hub-log.key"
    old = load_log_key(path.parent).public_key
    path.unlink()
    made = _run("new-key", *config)
    assert made.exit_code == 0
    assert load_log_key(path.parent).public_key in made.stdout
    flawed = _run("verify", *config)
    assert (flawed.exit_code, "which is none of this hub's" in flawed.stdout) == (1, True)
    assert _run("verify", *config, "--hub-key", old).exit_code == 0
    mistyped = _run("verify", *config, "--hub-key", old[:-1])
    assert (mistyped.exit_code, "expected 64 hex digits" in mistyped.stderr) == (2, True)
    hub.start()
    assert hub.link().send(chain.signed_batch(2, 1)).countersignature.public_key in made.stdout


# --- damage


@pytest.fixture
def held(tmp_path, chain, terms, t0):
    """A database with 300 records of one chain, some let go, and two heads."""
    _filled(chain, 300)
    connection = open_writer(tmp_path / "hub.sqlite")
    log = LogStanding(roots={})
    chain.records[6:9] = [released(record) for record in chain.records[6:9]]
    append(connection, SITE_1, Position(0, GENESIS_HASH), chain.records, t0, terms)
    save_growth(connection, SITE_1, grow(log, chain.records))
    pin_log_key(connection, SITE_1, chain.log_key.public_key)
    for size in (200, 300):
        signed = chain.head(size)
        save_head(connection, KeptHead(signed=signed, countersignature=HUB_KEY.countersign(signed, t0)))
    for table in ("records", "tree_heads"):
        for trigger in ("are_final", "stay"):
            connection.execute(f"DROP TRIGGER {table}_{trigger}")
    yield connection
    connection.close()


def _verify(connection):
    return verify_chain(connection, SITE_1, {HUB_KEY.public_key}, lambda count: None)


def test_a_whole_chain_is_verified(held, chain):
    found = _verify(held)
    assert (found.records, found.released, found.heads, found.root) == (300, 3, 2, chain.head(300).head.root)


DAMAGES = (
    ("UPDATE records SET body = replace(body, '41', '42') WHERE seq = 42", "record", "record 42"),
    ("UPDATE records SET salt = '00' || substr(salt, 3) WHERE seq = 42", "record", "record 42"),
    ("UPDATE records SET commitment = '00' || substr(commitment, 3) WHERE seq = 8", "record", "record 8"),
    ("UPDATE records SET body = '{}' WHERE seq = 8", "record", "record 8"),
    ("UPDATE records SET kind = 'decision' WHERE seq = 9", "record", "record 9"),
    ("UPDATE records SET kind = 'other' WHERE seq = 9", "record", "record 9"),
    ("UPDATE records SET at = replace(at, '2026', '2025') WHERE seq = 1", "record", "record 1"),
    ("DELETE FROM records WHERE seq = 50", "missing", "record 50"),
    ("DELETE FROM records WHERE seq > 290", "missing", "record 291"),
    ("UPDATE gateways SET acked_seq = 299", "position", "record 300"),
    ("DELETE FROM gateways", "position", "record 1"),
    ("UPDATE gateways SET acked_hash = replace(acked_hash, '0', '1')", "position", "record 300"),
    ("UPDATE gateways SET frontier = zeroblob(128)", "frontier", "frontier"),
    ("UPDATE gateways SET log_key = NULL", "tree-head-key", "head 200"),
    ("UPDATE tiles SET root = zeroblob(32)", "tile", "tile 0 of level 1"),
    ("DELETE FROM tiles", "tile", "tiles"),
    ("UPDATE tree_heads SET root = zeroblob(32) WHERE size = 300", "tree-head-signature", "head 300"),
    ("UPDATE tree_heads SET size = 201 WHERE size = 200", "tree-head-signature", "head 201"),
    ("UPDATE tree_heads SET size = 301 WHERE size = 300", "position", "head 301"),
    ("UPDATE tree_heads SET countersignature = zeroblob(64)", "tree-head-signature", "head 200"),
    ("UPDATE tree_heads SET hub_key = zeroblob(32)", "countersignature", "head 200"),
)


def test_the_first_thing_wrong_is_named(held):
    for damage, code, where in DAMAGES:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
            held.backup(copy)
            copy.execute(damage)
            with pytest.raises(LedgerFlaw) as flaw:
                _verify(copy)
            assert (flaw.value.code, flaw.value.where) == (code, where), damage


def test_a_damaged_tree_is_an_error_and_no_crash(held):
    held.execute("UPDATE gateways SET frontier = zeroblob(64)")
    for reading in (ledgers, lambda connection: log_standing(connection, SITE_1, 301, 301)):
        with pytest.raises(StoreError, match="the tree over a chain is damaged: 300 entries have 4 full subtrees"):
            reading(held)


def test_a_head_that_its_own_log_signed_over_other_records_is_found(held, chain, t0):
    head = msgspec.structs.replace(chain.head(250).head, root="ab" * 32)
    signed = chain.log_key.sign_head(head)
    save_head(held, KeptHead(signed=signed, countersignature=HUB_KEY.countersign(signed, t0)))
    with pytest.raises(LedgerFlaw, match="head 250: its root is abab") as flaw:
        _verify(held)
    assert flaw.value.code == "root"


def test_evidence_cannot_be_changed_or_deleted_even_by_mistake(tmp_path, chain, terms, t0):
    connection = open_writer(tmp_path / "hub.sqlite")
    _filled(chain, 2)
    append(connection, SITE_1, Position(0, GENESIS_HASH), chain.records, t0, terms)
    signed = chain.head(2)
    save_head(connection, KeptHead(signed=signed, countersignature=HUB_KEY.countersign(signed, t0)))
    commitment = released(chain.records[0]).commitment
    for act in (
        "DELETE FROM records",
        "DELETE FROM tree_heads",
        "UPDATE tree_heads SET size = 3",
        "UPDATE records SET hash = 'x'",
        "UPDATE records SET body = ''",
        f"UPDATE records SET body = '', salt = '', commitment = '{commitment}', at = 'x'",
        f"UPDATE records SET body = '', commitment = '{commitment}'",
        f"UPDATE records SET salt = '', commitment = '{commitment}'",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="is never"):
            connection.execute(act)
    connection.execute(f"UPDATE records SET body = '', salt = '', commitment = '{commitment}' WHERE seq = 1")
    connection.close()
