"""Platforms for the tests of OCPI: hubs in processes of their own, and who asks them as a partner would."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.store.connection import FILE_NAME, open_reader
from tests.hub.conftest import HubProcess, LittleCA, write_config
from tests.processes import free_port

CPO_PARTY = """
[[roaming.party]]
country_code = "DE"
party_id = "CPO"
roles = ["CPO"]
name = "Example Charging"
help_phone = "+49 30 1234567"
[[roaming.location]]
id = "LOC1"
address = "Example Street 1"
city = "Berlin"
country = "DEU"
latitude = "52.52437"
longitude = "13.41053"
time_zone = "Europe/Berlin"
opening = ["Mon-Fri 07:00-20:00"]
[[roaming.location.evse]]
uid = "EVSE-1"
evse_id = "DE*CPO*E1"
gateway_id = "site-1"
charger_id = "CP-1"
capabilities = ["REMOTE_START_STOP_CAPABLE", "RFID_READER"]
[[roaming.location.evse.connector]]
standard = "IEC_62196_T2_COMBO"
format = "CABLE"
power_type = "DC"
max_voltage = 920
max_amperage = 200
capabilities = ["ISO_15118_2_PLUG_AND_CHARGE", "ISO_15118_20_PLUG_AND_CHARGE"]
"""
HUB = 'hub_party = "DE*HUB"'
EMSP_PARTY = """
[[roaming.party]]
country_code = "DE"
party_id = "EMS"
roles = ["EMSP"]
name = "Example Driving"
"""


@dataclass
class Told:
    """An answer: HTTP status, headers, the envelope."""

    http: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def data(self) -> Any:
        return self.body.get("data")

    @property
    def status(self) -> int:
        return int(self.body["status_code"])


@dataclass
class Platform:
    """A hub in its own process that speaks OCPI."""

    name: str
    process: HubProcess
    port: int
    ca: LittleCA
    token_file: Path = field(default_factory=Path)

    @property
    def url(self) -> str:
        """The base of its URLs."""
        return f"https://localhost:{self.port}/ocpi"

    def api(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """What its API for operators answers."""
        return self.process.api(method, path, None if body is None else json.dumps(body).encode())

    def invited(self, id_: str, *hosts: str) -> str:
        """The token for registration of a new partner."""
        status, added = self.api("POST", "/api/v1/partners", {"id": id_, "hosts": hosts or ("localhost:1",)})
        assert status == 201, added
        return str(added["token"])

    def ask(
        self,
        method: str,
        path: str,
        token: str | None,
        document: object = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        header: str | None = None,
    ) -> Told:
        """What it answers to a partner; `path` below its base, or an absolute URL of it."""
        context = ssl.create_default_context(cafile=str(self.ca.path))
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=20)
        sent = dict(headers or {})
        if header is not None:
            sent["Authorization"] = header
        elif token is not None:
            sent["Authorization"] = f"Token {base64.b64encode(token.encode()).decode()}"
        body = raw if raw is not None else None if document is None else json.dumps(document).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, "/ocpi" + path.removeprefix(self.url), body, sent)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        return Told(response.status, {name.lower(): value for name, value in response.getheaders()}, json.loads(text))


class SeveralProcesses(HubProcess):
    """A hub of two workers."""

    def start(self) -> None:
        command = [sys.executable, "-m", "hub", "run", "--config", str(self.config), "--workers", "2"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2):
            self.listen = self.next_line("ready")["listen"]


def start_platform(
    folder: Path, ca: LittleCA, name: str, parties: str, more: str = "", kind: type[HubProcess] = HubProcess
) -> Platform:
    """A hub process that serves OCPI for these parties; `more` stands in [roaming], or in tables of its own."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    here = LittleCA(folder)
    config = write_config(folder, here, ["site-1"])
    certificate, key = ca.issue(f"{name}-ocpi")
    roaming = f"""
[roaming]
listen = "127.0.0.1:{port}"
url = "https://localhost:{port}/ocpi"
certificate = "{certificate}"
key = "{key}"
partner_ca = "{ca.path}"
{more}
"""
    with config.open("a", encoding="utf-8") as file:
        file.write(roaming + parties)
    process = kind(folder, here, config)
    process.start()
    return Platform(name, process, port, ca)


def until(found: Callable[[], Any], within_s: float = 30.0) -> Any:
    """What `found` gives as soon as it is something; what other processes do is seen by asking them only."""
    end = time.monotonic() + within_s
    while True:
        result = found()
        if result or time.monotonic() > end:
            assert result, "it did not come to pass in time"
            return result
        time.sleep(0.05)


def registered(cpo: Platform, emsp: Platform, here: str = "charging", there: str = "driving") -> None:
    """`emsp` registers at `cpo`, which it calls `here`, and is called `there`."""
    token = cpo.invited(there, f"localhost:{emsp.port}")
    wish = {"id": here, "url": f"{cpo.url}/versions", "token": token}
    status, added = emsp.api("POST", "/api/v1/partners", wish)
    assert status == 201, added
    status, done = emsp.api("POST", f"/api/v1/partners/{here}/register", {})
    assert status == 200, done


def rows_at(platform: Platform, sql: str, *values: str) -> list[str]:
    """The first column of what a statement finds in a platform's database."""
    with closing(open_reader(platform.process.folder / "state" / FILE_NAME)) as connection:
        return [row[0] for row in connection.execute(sql, values)]


def objects_at(platform: Platform, module: str) -> list[dict[str, Any]]:
    """What a platform holds of a module."""
    sql = "SELECT document FROM ocpi_objects WHERE module = ? ORDER BY number"
    return [json.loads(text) for text in rows_at(platform, sql, module)]
