"""From a simulated charger to an eMSP and back: charger, gateway, the CPO's hub and the eMSP's hub, each a process."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hub.conftest import LittleCA
from tests.hub.ocpi.platforms import CPO_PARTY, Platform, objects_at, until
from tests.hub.ocpi.test_abroad import CARD, put_tokens
from tests.processes import SiteFolder, free_port


@dataclass
class Site:
    """A site of the CPO, whose hub speaks OCPI at `port`."""

    made: SiteFolder
    port: int

    def api(self, method: str, path: str, body: object = None) -> Any:
        """What the operators' API of its hub answers."""
        context = ssl.create_default_context(cafile=str(self.made.lab / "backend" / "ca.pem"))
        context.check_hostname = False
        connection = http.client.HTTPSConnection("127.0.0.1", self.made.api_port, context=context, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {self.made.api_token}"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@pytest.fixture
def site(tmp_path: Path, lab: Path, roaming_ca: LittleCA) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    made, port = SiteFolder(folder, lab), free_port()
    certificate, key = roaming_ca.issue("site-ocpi")
    roaming = f"""
[roaming]
listen = "127.0.0.1:{port}"
url = "https://localhost:{port}/ocpi"
certificate = "{certificate}"
key = "{key}"
partner_ca = "{roaming_ca.path}"
"""
    made.hub_toml.write_text(made.hub_toml.read_text() + roaming + CPO_PARTY)
    text = made.gateway_toml.read_text()
    made.gateway_toml.write_text(text.replace("[uplink]\n", "[uplink]\nauthorize_timeout_s = 20.0\n"))
    made.hub.start()
    made.gateway.start()
    yield Site(made, port)
    made.gateway.stop()
    made.hub.stop()


def charged(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What a simulated charger tells of one session."""
    password = site.made.folder / "CP-1.password"
    password.write_text(site.made.passwords["CP-1"])
    command = [
        sys.executable,
        "-P",
        "-m",
        "firmware_sim",
        "charger",
        "--url",
        f"ws://127.0.0.1:{site.made.charger_port}/ocpp",
    ]
    command += ["--id", "CP-1", "--password-file", str(password), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def test_a_card_that_only_its_emsp_knows_charges_at_a_real_gateway(site: Site, emsp: Platform) -> None:
    added = site.api("POST", "/api/v1/partners", {"id": "driving", "hosts": [f"localhost:{emsp.port}"]})
    wish = {"id": "charging", "url": added["versions_url"], "token": added["token"]}
    assert emsp.api("POST", "/api/v1/partners", wish)[0] == 201
    assert emsp.api("POST", "/api/v1/partners/charging/register", {})[0] == 200
    until(lambda: site.made.gateway.said and any(one["event"] == "uplink-online" for one in site.made.gateway.said))
    refused = charged(site, "--ocpp", "2.0.1", "--rfid", CARD["uid"])
    assert "refused, so nothing was charged" in refused.stdout, "nobody knows the card yet"
    put_tokens(emsp, CARD)
    played = charged(site, "--ocpp", "2.0.1", "--rfid", CARD["uid"], "--seconds", "0.6", "--power-kw", "150")
    assert (played.returncode, played.stderr) == (0, ""), played.stdout
    asked = site.api("GET", "/api/v1/roaming/authorizations")["authorizations"]
    # Once; or again, where its entry, which wants that each time (NEVER), reached the gateway during the session.
    assert [one["outcome"] for one in asked] == ["unknown", *["ALLOWED"] * (len(asked) - 1)]
    (cdr,) = until(lambda: objects_at(emsp, "cdrs"))
    (session,) = until(lambda: [one for one in objects_at(emsp, "sessions") if one["status"] == "COMPLETED"])
    (ours,) = site.api("GET", "/api/v1/sessions")["sessions"]
    assert cdr["session_id"] == session["id"] == ours["id"]
    reference = asked[-1]["authorization_reference"]
    assert reference is not None
    assert cdr["authorization_reference"] == session["authorization_reference"] == reference
    assert cdr["auth_method"] == "AUTH_REQUEST"
    chain = site.api("GET", "/api/v1/gateways")["gateways"][0]["epoch"]
    records = site.api("GET", f"/api/v1/records?gateway_id=site-1&epoch={chain}")["records"]
    decisions = [json.loads(one["body"]) for one in records if one["kind"] == "decision"]
    assert {one["correlation_id"] for one in asked} <= {one["decision_id"] for one in decisions}
    assert len(cdr["signed_data"]["signed_values"]) >= 2
