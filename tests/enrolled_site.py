"""A site whose gateway gets its certificate, its trust and its chargers' certificates from the PKI service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from firmware_sim.charger import Charger, ChargerSpec
from firmware_sim.connection import Address
from tests.pki_service import PKIService
from tests.processes import SiteFolder, free_port
from wire.meter.record import CurrentType

EVSE = "DE*PNC*E000001"


@dataclass
class Enrolled:
    """A site whose gateway gets everything from the PKI service."""

    site: SiteFolder
    service: PKIService
    local: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`pnc-gateway` as a person calls it."""
        command = [sys.executable, "-m", "gateway", *arguments, "--config", str(self.site.gateway_toml)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def enrol(self, code: str) -> subprocess.CompletedProcess[str]:
        path = self.site.folder / "code"
        path.write_text(f"{code}\n")
        return self.run("enrol", "--code-file", str(path))

    def ask(self, path: str) -> Any:
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "10", f"http://{self.local}{path}"], capture_output=True, check=True
        )
        return json.loads(done.stdout)

    def charger(self, ocpp: str) -> Charger:
        spec = ChargerSpec(charger_id="CP-1", ocpp=ocpp, power_w=11_000, current=CurrentType.AC)
        word = self.site.passwords["CP-1"].encode()
        folder = self.site.folder / f"charger-{ocpp}"
        folder.mkdir()
        address = Address(f"ws://127.0.0.1:{self.site.charger_port}/ocpp", "CP-1", word, f"ocpp{ocpp}")
        return Charger(spec, address, folder, lambda: datetime.now(UTC))


def configured_site(service: PKIService, lab: Path, folder: Path) -> Enrolled:
    """A site that is configured, not enrolled yet."""
    site, local = SiteFolder(folder, lab), f"127.0.0.1:{free_port()}"
    https, http = service.addresses["https"], service.addresses["http"]
    text = site.gateway_toml.read_text()
    text = re.sub(r"certificate = .*\nkey = .*\n", "", text)
    text = re.sub(r'anchors = ".*"\ncrls = .*\n', f'anchors = "{service.folder / "trust"}"\n', text)
    text = text.replace('id = "CP-1"', f'id = "CP-1"\nevse_ids = ["{EVSE}"]')
    lists = ", ".join(f'"http://{http}/crls/{name}.crl"' for name in ("mo-sub2", "mo-sub1", "cpo-sub2", "cpo-sub1"))
    text += (
        f'[trust.refresh]\nhosts = ["{https}", "{http}"]\ncrls = [{lists}]\nocsp = ["http://{http}/ocsp"]\n'
        f'trust_list = "https://{https}/v1/root/ctl"\ninterval_s = 1.0\nretry_min_s = 0.2\nretry_max_s = 0.5\n'
        f'[enrol]\nest = "https://{https}"\nca = "{service.folder / "trust" / "backend" / "backend.pem"}"\n'
        f'retry_min_s = 0.05\nretry_max_s = 0.2\n[local]\nlisten = "{local}"\n'
    )
    site.gateway_toml.write_text(text)
    return Enrolled(site, service, local)
