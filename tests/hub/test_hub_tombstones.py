"""Tombstones at the hub: kept as they were said, and what they explain leaves quarantine, no more than that."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hub.store.readings import Cut, KeptTombstone, tombstones_page
from wire.chain import RecordKind, released
from wire.records import decode, encode
from wire.settling.arrival import LET_GO
from wire.tombstone import NotKept, SeqRange, Tombstone, TombstoneReason


def fill(chain, count, gone):
    """So many records, of which the numbers in `gone` have lost their content."""
    for _ in range(count):
        chain.add(RecordKind.AUDIT, '{"event":"e","subject":"s","message":"m"}')
    chain.records[:] = [released(each) if each.seq in gone else each for each in chain.records]


def bury(chain, **said):
    chain.add(RecordKind.TOMBSTONE, encode(Tombstone(reason=TombstoneReason.BUDGET, **said)).decode())


def kept(books, gateway_id=None):
    page = tombstones_page(books.connection, gateway_id, Cut())
    return [decode(KeptTombstone, text, "tombstone") for text in page.objects]


def test_what_was_shed_is_explained_and_leaves_quarantine(books, chain):
    fill(chain, 6, {2, 3, 5})
    books.take(chain)
    assert books.reasons() == [LET_GO] * 3
    bury(chain, shed=(SeqRange(first_seq=2, last_seq=4, count=2),))
    books.take(chain, 7)
    assert books.reasons() == [LET_GO], "nobody has said why record 5 is without content"
    (found,) = kept(books)
    assert (found.gateway_id, found.epoch, found.seq) == ("site-1", "e1", 7)
    assert found.tombstone.shed[0].count == 2


def test_in_one_batch_too(books, chain):
    fill(chain, 4, {1, 2})
    bury(chain, shed=(SeqRange(first_seq=1, last_seq=2, count=2),))
    books.take(chain)
    assert books.reasons() == []


def test_more_without_content_than_it_says_is_not_explained(books, chain):
    fill(chain, 6, {2, 3, 5})
    bury(chain, shed=(SeqRange(first_seq=1, last_seq=6, count=2),))
    books.take(chain)
    assert books.reasons() == [LET_GO] * 3
    assert len(kept(books)) == 1


def test_it_speaks_of_what_was_before_it_alone(books, chain):
    fill(chain, 2, set())
    bury(chain, shed=(SeqRange(first_seq=1, last_seq=9, count=9),))
    fill(chain, 2, {4, 5})
    books.take(chain)
    assert books.reasons() == [LET_GO] * 2


def test_other_troubles_stay(books, chain):
    chain.add(RecordKind.TRANSACTION, "no JSON")
    bury(chain, shed=(SeqRange(first_seq=1, last_seq=1, count=1),))
    books.take(chain)
    assert len(books.reasons()) == 1
    assert "not JSON" in books.reasons()[0]


def test_of_another_gateway_nothing_is_explained(books, chain, new_chain):
    fill(chain, 2, {1})
    other = new_chain(gateway_id="site-2")
    bury(other, shed=(SeqRange(first_seq=1, last_seq=1, count=1),))
    books.take(chain)
    books.take(other)
    assert books.reasons() == [LET_GO]
    assert [each.gateway_id for each in kept(books)] == ["site-2"]
    assert kept(books, "site-1") == []


@pytest.mark.parametrize("body", ["{}", '{"reason":"boredom"}', '{"reason":"budget","shed":[{"first_seq":-1}]}', "no"])
def test_one_that_cannot_be_read_is_held_like_any_record(books, chain, body):
    chain.add(RecordKind.TOMBSTONE, body)
    books.take(chain)
    assert len(books.reasons()) == 1
    assert kept(books) == []


def test_counts_are_told_to_operators_in_pages(hub, chain, t0):
    counted = NotKept(charger_id="CP-1", action="MeterValues", count=7, first_at=t0, last_at=t0 + timedelta(minutes=1))
    for _ in range(3):
        bury(chain, not_kept=(counted,))
    assert hub.link().send(chain.batch(1, 3)).acked_seq == 3
    status, page = hub.api("GET", "/api/v1/tombstones?limit=2")
    assert status == 200
    assert [each["seq"] for each in page["tombstones"]] == [1, 2]
    assert page["tombstones"][0]["tombstone"]["not_kept"][0]["count"] == 7
    _, rest = hub.api("GET", f"/api/v1/tombstones?after={page['next']}")
    assert [each["seq"] for each in rest["tombstones"]] == [3]
    assert rest["next"] is None
