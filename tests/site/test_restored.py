"""A real gateway whose store is put back to an old image, or damaged: it goes on by itself, in a new epoch, and the hub
has every record once."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.__main__ import main as gateway_main
from gateway.store.carrying import begun
from gateway.store.ledger import all_records, identity, open_ledger_reader
from hub.store.connection import open_reader
from tests.processes import SiteFolder
from wire.chain import RecordKind
from wire.records import decode
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
    assert dict(closed) == dict(zip(epochs, epochs[1:], strict=False))


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
