"""Pages of several workers on PostgreSQL: a session begun at one is known to all, and every list is asked of it."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from hub.roles import Role
from hub.store import users
from hub.store.postgresql import PostgreSQL
from tests.hub.conftest import HubProcess, LittleCA, write_config
from tests.hub.pages.site import Browser, hashed
from tests.hub.pages.test_pages import LISTS
from tests.postgresql import Databases


def test_two_workers_serve_the_same_pages(tmp_path: Path, postgresql: Databases) -> None:
    ca, url = LittleCA(tmp_path), postgresql.fresh()
    config = write_config(tmp_path, ca, ["site-1"])
    with config.open("a") as file:
        file.write(f'[pages]\nlisten = "127.0.0.1:0"\n[store]\nkind = "postgresql"\nurl = "{url}"\n')
    with closing(PostgreSQL(url).open_writer()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        users.add_user(connection, "admin", Role.ADMIN, hashed(), datetime.now(UTC))
        connection.execute("COMMIT")
    hub = HubProcess(tmp_path, ca, config)
    command = [sys.executable, "-m", "hub", "run", "--config", str(config), "--workers", "2"]
    hub.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        hub.listen = hub.next_line("supervising")["listen"]
        served = {hub.next_line("ready")["pid"] for _ in range(2)}
        assert len(served) == 2
        browser = Browser(hub.listen["pages"], ca.path)
        assert browser.sign_in("admin").status == 303
        assert [browser.get("/").status for _ in range(8)] == [200] * 8
        for path in LISTS:
            told = re.search("expected one of ([a-z_, ]+), with", browser.get(f"{path}?sort=none").text)
            assert told is not None, path
            for key in told[1].split(", "):
                assert browser.get(f"{path}?sort=-{key}").status == 200, (path, key)
            names = re.findall(r'<input id="f-([a-z]+)"', browser.get(path).text)
            query = "&".join(f"{name}=x" for name in names)
            assert browser.get(f"{path}?{query}&format=csv").status == 200, path
        assert browser.get("/cdrs?findings=without").status == browser.get("/search?q=nothing").status == 200
        assert browser.post("/commands", gateway_id="site-1", charger_id="C", evse_id="1", kind="reset").status == 303
        assert "Every entry follows" in browser.post("/audit/verify").text
    finally:
        assert hub.stop() == 0
