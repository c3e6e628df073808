"""kill -9 in the middle of ingest: what was acknowledged is there afterwards, once, and the rest can be sent again. So
is every countersignature that was given, and the tree is that of the records."""

from __future__ import annotations

import http.client
import random
import sqlite3
import ssl
import threading
from contextlib import closing
from datetime import timedelta

from hub.log_key import load_log_key
from hub.store.connection import open_reader
from hub.store.heads import kept_heads
from hub.store.ledger import Chain
from hub.store.verification import verify_chain
from wire.sync_messages import Ack, Welcome

KILLS = 6
SESSIONS_PER_LIFE = 20


def _drain(hub, chain, acked: int, receipts: dict) -> int:
    """Send the chain from where the hub stands, until it is through or the hub is gone; the last acknowledged seq. What
    was countersigned goes into `receipts`, by size."""
    link = hub.link()
    try:
        welcome = link.send(chain.hello())
        assert isinstance(welcome, Welcome)
        assert welcome.acked_seq >= acked, "an acknowledged record is gone"
        if welcome.acked_seq:
            assert welcome.acked_hash == chain.records[welcome.acked_seq - 1].hash
        acked = welcome.acked_seq
        while acked < len(chain.records):
            answer = link.send(chain.signed_batch(acked + 1, 7))
            assert isinstance(answer, Ack)
            acked = answer.acked_seq
            receipts[acked] = answer.countersignature
    except (ConnectionError, http.client.HTTPException, ssl.SSLError):
        pass
    return acked


def test_no_acknowledged_record_is_lost_and_none_is_doubled(hub, chain, charger, t0):
    ids: list[str] = []
    acked, receipts = 0, {}
    seed = random.Random(20261123)
    for _ in range(KILLS):
        for _ in range(SESSIONS_PER_LIFE):
            number = len(ids)
            start = t0 + timedelta(hours=number)
            ids.append(charger.signed_session(f"T{number}", start, f"{number}.000", f"{number}.500"))
        # The kill falls anywhere between the handshake and well into the stream of batches.
        timer = threading.Timer(seed.uniform(0.0, 0.04), hub.process.kill)
        timer.start()
        acked = _drain(hub, chain, acked, receipts)
        timer.join()
        hub.kill()
        hub.start()
    total = len(chain.records)
    assert _drain(hub, chain, acked, receipts) == total
    held, after = [], 0
    while after is not None:
        _, page = hub.api("GET", f"/api/v1/records?gateway_id=site-1&epoch=e1&after={after}")
        held += [record["hash"] for record in page["records"]]
        after = page["next"]
    assert held == [record.hash for record in chain.records]
    _, cdrs = hub.api("GET", "/api/v1/cdrs")
    assert [cdr["session_id"] for cdr in cdrs["cdrs"]] == ids
    assert {cdr["total_energy"] for cdr in cdrs["cdrs"]} == {0.5}
    assert hub.stop() == 0
    hub_key = load_log_key(hub.folder / "state").public_key
    with closing(open_reader(hub.folder / "state" / "hub.sqlite")) as connection:
        where = Chain("site-1", "e1")
        heads = kept_heads(connection, where, 0, total)
        kept = {head.signed.head.size: head.countersignature for head in heads}
        assert {size: kept[size] for size in receipts} == receipts
        assert verify_chain(connection, where, {hub_key}, lambda count: None).heads == len(heads)
    with closing(sqlite3.connect(hub.folder / "state" / "hub.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
