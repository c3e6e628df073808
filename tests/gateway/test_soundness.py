"""Records that can be found by no key are damage, although each that is found fits the one before."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.store.ledger import SCHEMA
from gateway.store.soundness import find_damage, inspect
from tests.gateway.test_epochs import ACKED, COUNT, Store

PAGE, LEAF_HEADER = 4096, 8


def move_away(store: Store, seq: int) -> None:
    """The first record of the page in which `seq` is gets a number beyond all others there: SQLite finds none of that
    page behind it any more, and says nothing."""
    with store.path.open("r+b") as file:
        page = store.page_of(seq) * PAGE
        file.seek(page + LEAF_HEADER)
        cell = page + int.from_bytes(file.read(2), "big")
        file.seek(cell)
        octets = file.read(4)
        assert octets[0] & octets[2] & 0x80, "length and number take two octets each"
        file.seek(cell + 2)
        file.write(b"\xff\x7f")


@pytest.mark.parametrize("seq", [ACKED - 50, COUNT - 50])
def test_records_that_cannot_be_found_are_damage(tmp_path: Path, seq: int) -> None:
    store = Store(tmp_path)
    assert find_damage(store.path, SCHEMA.application_id) is None
    assert list(filter(None, inspect(store.path))) == []
    move_away(store, seq)
    found = find_damage(store.path, SCHEMA.application_id)
    assert found is not None
    assert "cannot be found" in found or "malformed" in found
    assert any(fault.ends_epoch for fault in inspect(store.path) if fault is not None)


def test_an_epoch_goes_on_from_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    move_away(store, COUNT - 50)
    ((event, message),) = store.prepare()
    assert (event, "damage" in message) == ("epoch-begun", True)
    assert find_damage(store.path, SCHEMA.application_id) is None
