"""What roaming costs: `python -m bench.roaming`. Prints Markdown and leaves nothing behind; about a minute.

1. *authorize*: a CPO asks about a token in real time, over TLS on loopback with a connection that is kept: an eMSP's
   hub directly, and the same eMSP through a hub between them, in turns, one question after the other. Both are
   `pnc-hub run` in processes of their own; the eMSP keeps each answer on disk before it gives it. What counts is what
   the hub adds.
2. *page*: CDRS CDRs with PERIODS charging periods each as one page, to a partner of 2.3.0: CPU of the hub for the whole
   request, TLS included, beside bare msgspec encoding of the same documents, which were parsed before.
"""

from __future__ import annotations

import base64
import copy
import http.client
import json
import os
import platform
import ssl
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any

from hub.store.connection import FILE_NAME, open_writer
from hub.store.objects import keep_object
from tests.hub.conftest import LittleCA
from tests.hub.ocpi.partner import Partner
from tests.hub.ocpi.platforms import CPO_PARTY, EMSP_PARTY, HUB, Platform, objects_at, registered, start_platform, until
from tests.hub.ocpi.test_abroad import CARD
from tests.hub.ocpi.test_emsp_platform import CDR
from wire.ocpi.document import encode_document, parse_document
from wire.ocpi.types import Module

QUESTIONS, WARM_UP = 400, 40
CDRS, PERIODS, ROUNDS = 1000, 200, 5
ADDED_MUST_MS, PAGE_MUST = 5.0, 2.0


class _Asker:
    """One connection to a platform, kept."""

    def __init__(self, partner: Partner, to: str) -> None:
        self._partner, self._port = partner, partner.platform.port
        context = ssl.create_default_context(cafile=str(partner.ca.path))
        self._connection = http.client.HTTPSConnection("localhost", self._port, context=context, timeout=60)
        token = f"Token {base64.b64encode(partner.theirs.encode()).decode()}"
        country, _, party = to.partition("*")
        self._headers = {"Authorization": token, "OCPI-to-country-code": country, "OCPI-to-party-id": party}
        self._headers |= {"OCPI-from-country-code": partner.country_code, "OCPI-from-party-id": partner.party_id}

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The answer's body. Raises AssertionError for a bad one."""
        headers = self._headers | ({"Content-Type": "application/json"} if body is not None else {})
        self._connection.request(method, f"/ocpi/2.3.0{path}", body, headers)
        response = self._connection.getresponse()
        content = response.read()
        assert response.status == 200, content[:300]
        return content


def main() -> None:
    """Print the tables."""
    load = os.getloadavg()[0]
    print(f"# {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-roaming-") as name:
        folder = Path(name)
        ca = LittleCA(folder, "roaming root")
        _authorize(folder, ca)
        _page(folder, ca)


def _started(*platforms: Platform) -> None:
    """Read away what the hubs log, so that none waits for somebody to read it."""
    for running in platforms:
        assert running.process.process is not None
        threading.Thread(target=deque, args=(running.process.process.stdout, 0), daemon=True).start()


def _authorize(folder: Path, ca: LittleCA) -> None:
    emsp = start_platform(folder / "emsp", ca, "emsp", EMSP_PARTY)
    middle = start_platform(folder / "middle", ca, "middle", "", HUB)
    _started(emsp, middle)
    partners = [
        Partner(ca, role="CPO", country_code="BE", party_id=party).start().register(at, party.lower())
        for party, at in (("DIR", emsp), ("BEC", middle))
    ]
    registered(middle, emsp, "hub", "provider")
    assert emsp.api("PUT", "/api/v1/tokens", [CARD])[0] == 200
    until(lambda: objects_at(emsp, "tokens"))
    askers = [_Asker(partner, "DE*EMS") for partner in partners]
    body = json.dumps({"location_id": "LOC1", "evse_uids": ["3256"]}).encode()
    spent: tuple[list[float], list[float]] = ([], [])
    for number in range(WARM_UP + QUESTIONS):
        for asker, times in zip(askers, spent, strict=True):
            begun = time.perf_counter()
            answer = asker.ask("POST", "/sender/tokens/04A1/authorize?type=RFID", body)
            if number >= WARM_UP:
                times.append((time.perf_counter() - begun) * 1e3)
            assert b'"ALLOWED"' in answer
    print("\n| authorize | p50, ms | p99, ms |\n|---|---|---|")
    cuts = [quantiles(times, n=100) for times in spent]
    for what, cut in zip(("directly", "through a hub"), cuts, strict=True):
        print(f"| {what} | {cut[49]:.2f} | {cut[98]:.2f} |")
    print(f"| *added by the hub* (must: {ADDED_MUST_MS}) | {cuts[1][49] - cuts[0][49]:.2f} | |")
    for running in (emsp, middle):
        running.process.stop()
    for partner in partners:
        partner.stop()


def _page(folder: Path, ca: LittleCA) -> None:
    cpo = start_platform(folder / "cpo", ca, "cpo", CPO_PARTY)
    cpo.process.stop()
    documents = [parse_document(json.dumps(_cdr(number)), "CDR") for number in range(CDRS)]
    with closing(open_writer(cpo.process.folder / "state" / FILE_NAME)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for document in documents:
            keep_object(connection, Module.CDRS, document, None, datetime.now(UTC))
        connection.execute("COMMIT")
    cpo.process.start()
    _started(cpo)
    partner = Partner(ca).start().register(cpo)
    asker = _Asker(partner, "DE*CPO")
    size = len(asker.ask("GET", f"/sender/cdrs?limit={CDRS}"))
    pages, bare = list[float](), list[float]()
    for _ in range(ROUNDS):
        pages.append(_cpu_of(cpo, lambda: asker.ask("GET", f"/sender/cdrs?limit={CDRS}")))
        begun = time.process_time()
        encode_document(documents)
        bare.append(time.process_time() - begun)
    ratio = min(pages) / min(bare)
    print(f"\n| page of {CDRS} CDRs with {PERIODS} periods, {size / 1e6:.1f} MB | CPU, ms | times bare | must |")
    print("|---|---|---|---|")
    print(f"| *bare msgspec encoding* | {min(bare) * 1e3:.0f} | 1.00 | |")
    print(f"| the hub, whole request | {min(pages) * 1e3:.0f} | {ratio:.2f} | {PAGE_MUST} |")
    cpo.process.stop()
    partner.stop()


def _cdr(number: int) -> dict[str, Any]:
    period = {
        "start_date_time": "2026-11-01T10:00:00Z",
        "dimensions": [{"type": kind, "volume": 0.0123} for kind in ("ENERGY", "TIME", "MAX_POWER")],
        "tariff_id": "standard",
    }
    made = copy.deepcopy(CDR) | {"country_code": "DE", "party_id": "CPO", "id": f"C-{number}"}
    return made | {"charging_periods": [period] * PERIODS}


def _cpu_of(running: Platform, work: Callable[[], object]) -> float:
    """CPU seconds of a hub's process while `work` is done."""
    assert running.process.process is not None
    pid = running.process.process.pid
    before = _cpu_s(pid)
    work()
    return _cpu_s(pid) - before


def _cpu_s(pid: int) -> float:
    nanoseconds = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        nanoseconds += int((task / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


if __name__ == "__main__":
    main()
