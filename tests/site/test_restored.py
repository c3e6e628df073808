"""A real gateway whose store is put back to an old image, or damaged: it goes on by itself, in a new epoch, and the hub
has every record once."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.__main__ import main as gateway_main
from gateway.store.carrying import begun
from gateway.store.ledger import all_records, identity, open_ledger_reader
from hub.store.connection import open_reader
from tests.processes import SiteFolder
from wire.carried import mark_of
from wire.chain import Record, RecordKind
from wire.records import ClockState, decode
from wire.tombstone import Tombstone, TombstoneReason


@pytest.fixture
def site(tmp_path: Path, lab: Path) -> Iterator[SiteFolder]:
    made = SiteFolder(tmp_path, lab)
    made.hub.start()
    made.gateway.start()
    made.hub.wait_for("batch")
    yield made
    made.gateway.stop()
    made.hub.stop()


def ledger_path(site: SiteFolder) -> Path:
    (path,) = site.folder.glob("*/ledger.db")
    return path


def hub_rows(site: SiteFolder, query: str) -> list[Any]:
    (path,) = site.folder.glob("*/hub.sqlite")
    with closing(open_reader(path)) as connection:
        return connection.execute(query).fetchall()


def restart(site: SiteFolder) -> None:
    site.gateway.stop()
    site.gateway.start()
    site.hub.wait_for("batch")


def status(site: SiteFolder) -> dict[str, Any]:
    result = CliRunner().invoke(gateway_main, ["status", "--config", str(site.gateway_toml), "--json"])
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def account(site: SiteFolder, epochs: list[str]) -> None:
    """The hub has all that is here, each epoch but the last is closed, and nothing is in conflict but what is meant."""
    path = ledger_path(site)
    with closing(open_ledger_reader(path)) as ledger:
        assert identity(ledger).epoch == epochs[-1]
        kept = [record.hash for record in all_records(ledger)]
    held = hub_rows(site, f"SELECT hash FROM records WHERE epoch = '{epochs[-1]}' ORDER BY seq")
    assert [row[0] for row in held] == kept[: len(held)]
    assert len(held) >= len(kept) - 1
    closed = hub_rows(site, "SELECT epoch, closed_by FROM closed_epochs")
    assert dict(closed) == dict(itertools.pairwise(epochs))


def test_an_old_image_goes_on_in_a_new_epoch(site: SiteFolder, tmp_path_factory: pytest.TempPathFactory) -> None:
    path, image = ledger_path(site), tmp_path_factory.mktemp("kept") / "image"
    site.gateway.stop()
    shutil.copytree(path.parent, image)
    site.gateway.start()
    site.hub.wait_for("batch")
    restart(site)
    first = status(site)["epoch"]
    site.gateway.kill()
    shutil.rmtree(path.parent)
    shutil.copytree(image, path.parent)
    site.gateway.start()
    site.gateway.wait_for("epoch-ordered")
    site.gateway.wait_for("starts-again")
    second = site.gateway.wait_for("ready")["epoch"]
    assert isinstance(second, str)
    site.hub.wait_for("batch")
    restart(site)
    account(site, [first, second])
    found = status(site)
    assert (found["epoch"], found["halted"]) == (second, None)
    with closing(open_ledger_reader(path)) as ledger:
        note = begun(ledger)
        stone = decode(Tombstone, next(all_records(ledger)).body, "tombstone")
    assert note is not None
    assert (note.reason, stone.continues, note.lost) == (TombstoneReason.OLD_IMAGE, note.continues, ())
    assert (path.parent / note.kept_as).is_file()


def test_a_damaged_ledger_goes_on_in_a_new_epoch(site: SiteFolder) -> None:
    path = ledger_path(site)
    first = status(site)["epoch"]
    site.gateway.stop()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE records SET body = '{}' WHERE seq = (SELECT max(seq) FROM records)")
    site.gateway.start()
    site.hub.wait_for("batch")
    restart(site)
    second = status(site)["epoch"]
    account(site, [first, second])
    kinds = hub_rows(site, f"SELECT kind FROM records WHERE epoch = '{second}' ORDER BY seq LIMIT 1")
    assert kinds == [(RecordKind.TOMBSTONE.value,)]


def test_a_hub_that_went_back_behind_an_earlier_epoch_is_brought_what_it_lacks(
    site: SiteFolder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path, backup = ledger_path(site), tmp_path_factory.mktemp("kept") / "backup"
    (database,) = site.folder.glob("*/hub.sqlite")
    site.hub.stop()
    shutil.copytree(database.parent, backup)
    site.hub.start()
    restart(site)
    restart(site)
    first = status(site)["epoch"]
    site.gateway.stop()
    site.hub.stop()
    with closing(open_ledger_reader(path)) as ledger:
        made = [mark_of(record) for record in all_records(ledger)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO notes VALUES ('0', CAST(x'ff00fe' AS TEXT))")
    shutil.rmtree(database.parent)
    shutil.copytree(backup, database.parent)
    site.hub.start()
    site.gateway.start()
    assert site.gateway.wait_for("epoch-ordered")["reason"] == "hub-restored"
    last = site.gateway.wait_for("ready")["epoch"]
    site.hub.wait_for("batch")
    restart(site)
    held = hub_rows(site, "SELECT kind, at, boot_id, mono_ns, clock, body, salt, commitment FROM records")
    kept = [
        mark_of(
            Record(
                seq=1,
                kind=RecordKind(kind),
                at=datetime.fromisoformat(at),
                boot_id=boot_id,
                mono_ns=mono_ns,
                clock=ClockState(clock),
                body=body,
                hash="",
                salt=salt,
                commitment=commitment,
            )
        )
        for kind, at, boot_id, mono_ns, clock, body, salt, commitment in held
    ]
    assert set(made) <= set(kept)
    assert {mark: kept.count(mark) for mark in made} == dict.fromkeys(made, 1), "each once"
    assert dict(hub_rows(site, "SELECT epoch, closed_by FROM closed_epochs")) == {first: last}
    assert hub_rows(site, "SELECT kind FROM conflicts") == []
