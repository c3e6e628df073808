"""Pushes to partners and pulls from them, with partners that do otherwise than OCPI says."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.hub.conftest import API_TOKEN
from tests.hub.ocpi.partner import Odd, Partner
from tests.hub.ocpi.platforms import Platform, objects_at, rows_at, until
from wire.meter.record import ReadingReason

TOKEN = {
    "country_code": "DE",
    "party_id": "EMS",
    "uid": "04A1",
    "type": "RFID",
    "contract_id": "DE8EMSC1234567",
    "issuer": "Example Driving",
    "valid": True,
    "whitelist": "ALLOWED",
    "last_updated": "2026-11-01T10:00:00Z",
}


def tokens(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [TOKEN | {"uid": f"04B{n}", "last_updated": f"2026-11-0{n}T10:00:00Z"} | more for n in numbers]


def pulled(platform: Platform, id_: str, *options: str) -> tuple[int, list[dict[str, Any]], str]:
    """What `pnc-hub partners pull` ends with, and the lines that it tells."""
    token = platform.process.folder / "api-token"
    token.write_text(API_TOKEN)
    running = platform.process.folder / "running.toml"
    free, taken = '[api]\nlisten = "127.0.0.1:0"', f'[api]\nlisten = "{platform.process.listen["api"]}"'
    running.write_text(platform.process.config.read_text().replace(free, taken))
    command = [sys.executable, "-m", "hub", "partners", "pull", id_, "--module", "tokens", "--json", *options]
    command += ["--config", str(running), "--token-file", str(token)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def valid(platform: Platform) -> dict[str, bool]:
    """The tokens on the hub's list."""
    return {one["uid"]: one["valid"] for one in platform.api("GET", "/api/v1/tokens")[1]["tokens"]}


def asked(partner: Partner) -> dict[str, str]:
    """How the partner's tokens were asked for next."""
    while (found := partner.listed.get(timeout=20))[0] != "tokens":
        pass
    return found[1]


def test_tokens_come_in_pages_and_what_a_complete_crawl_does_not_show_is_no_longer_valid(cpo, new_partner):
    partner = new_partner(odd=Odd(links_elsewhere=True)).register(cpo, quirks="foreign_links,no_request_id_echo")
    assert "date_from" not in asked(partner), "a new partner is asked for everything, at once"
    partner.lists["tokens"] = [*tokens(1, 2, 3), *tokens(4, whitelist="SOMETIMES"), *tokens(5, party_id="XYZ")]
    code, lines, said = pulled(cpo, "partner", "--full")
    assert lines, said
    assert (code, lines[-1]["objects"], lines[-1]["bad"], lines[-1]["complete"]) == (2, 3, 2, False)
    assert "04B4" in lines[-1]["skipped"][0]
    assert "does not speak for DE*XYZ" in lines[-1]["skipped"][1]
    assert "2 objects were skipped" in said
    assert [line["pages"] for line in lines] == [1, 2, 3, 3]
    assert valid(cpo) == {"04B1": True, "04B2": True, "04B3": True}
    partner.lists["tokens"] = tokens(2, 4)
    while not partner.listed.empty():
        partner.listed.get()
    code, lines, _ = pulled(cpo, "partner")
    assert asked(partner)["date_from"] == "2026-11-05T09:55:00Z", "the watermark, less an overlap"
    assert (code, lines[-1]["invalidated"], valid(cpo)["04B1"]) == (0, 0, True), "absence in a delta says nothing"
    code, lines, _ = pulled(cpo, "partner", "--full")
    assert (code, lines[-1]["complete"], lines[-1]["invalidated"]) == (0, True, 2)
    assert valid(cpo) == {"04B1": False, "04B2": True, "04B3": False, "04B4": True}
    partner.odd = Odd(links_nothing=True)
    partner.lists["tokens"] = tokens(1, 2, 3, 4, 5)
    assert pulled(cpo, "partner", "--full")[0] == 0, "the count says that there is more"
    assert all(valid(cpo).values())
    partner.lists["tokens"], partner.odd = [], Odd(bare_errors=True)
    partner.token = "another"
    code, lines, said = pulled(cpo, "partner", "--full")
    assert (code, lines[-1]["objects"], "our token is not known" in said) == (2, 0, True)
    assert all(valid(cpo).values()), "a crawl that failed takes nobody's card away"
    assert "no partner 'nobody'" in pulled(cpo, "nobody")[2]


def begun(cpo: Platform, charger: Any, chain: Any, t0: Any) -> Callable[[], str]:
    """A session of 04A1 has begun; the function that is returned ends it, and gives its id."""
    link = cpo.process.link()
    first = charger.meter.sign(ReadingReason.BEGIN, t0, "10.000")
    charger.event("Started", "t-1", t0, "10.000", decision=charger.decision("04A1", t0), signed=first)
    link.send(chain.hello())
    link.send(chain.signed_batch(1, 1))

    def end() -> str:
        stop = t0 + timedelta(minutes=30)
        last = charger.meter.sign(ReadingReason.END, stop, "22.500")
        charger.event("Ended", "t-1", stop, "22.500", signed=last)
        cpo.process.link().send(chain.signed_batch(2, 1))
        (session,) = cpo.api("GET", "/api/v1/sessions")[1]["sessions"]
        return str(session["id"])

    return end


def test_a_session_is_put_patched_and_its_cdr_posted_once_more_when_nobody_knows(cpo, new_partner, charger, chain, t0):
    partner = new_partner().register(cpo, quirks="status_in_http,no_request_id_echo")
    assert partner.ask("PUT", "/receiver/tokens/DE/EMS/04A1", TOKEN).http == 201
    end = begun(cpo, charger, chain, t0)
    put = partner.next("PUT", "/sessions/")
    id_ = put.path.rpartition("/")[2]
    assert (put.path, put.body["status"]) == (f"/2.3.0/receiver/sessions/DE/CPO/{id_}", "ACTIVE")
    assert (put.headers["OCPI-to-party-id"], put.headers["OCPI-from-party-id"]) == ("EMS", "CPO")

    def no_patch(request: Any, posted: Any) -> None:
        if posted.method == "PUT":
            partner.tell(request, None)
        else:
            partner.reply(request, 405 if posted.method == "PATCH" else 404, b"<html>", {"Content-Type": "text/html"})

    lost = iter([partner.hang_up])

    def first_is_lost(request: Any, posted: Any) -> None:
        next(lost, lambda request: partner.tell(request, None, {"Location": "somewhere, no URL"}))(request)

    partner.answers[id_], partner.answers["cdrs"] = no_patch, first_is_lost
    assert end() == id_
    session, cdrs = [], list[Any]()
    while len(session) < 3 or len(cdrs) < 2:
        found = partner.next()
        session += [found] if "/sessions/" in found.path else []
        cdrs += [found] if found.path.endswith("/cdrs") else []
    assert [one.method for one in session] == ["PATCH", "GET", "PUT"]
    assert set(session[0].body) == {"status", "end_date_time", "kwh", "last_updated"}
    assert (session[2].body["status"], session[2].body["id"]) == ("COMPLETED", id_)
    assert cdrs[0].body == cdrs[1].body
    assert {one.headers["X-Correlation-ID"] for one in (*session, *cdrs)} == {put.headers["X-Correlation-ID"]}
    assert until(lambda: outcomes(cpo)) == {"done"}


def outcomes(platform: Platform) -> set[str]:
    """What became of all pushes, once none is being tried."""
    found = set(rows_at(platform, "SELECT coalesce(outcome, 'waiting') FROM ocpi_pushes"))
    return found if not found & {"waiting", "trying"} else set()


def test_whatever_is_killed_is_there_to_be_pulled_and_is_not_pushed_twice(cpo, new_partner, charger, chain, t0):
    partner = new_partner().register(cpo)
    assert partner.ask("PUT", "/receiver/tokens/DE/EMS/04A1", TOKEN).http == 201
    stuck = threading.Event()
    end = begun(cpo, charger, chain, t0)
    id_ = partner.next("PUT", "/sessions/").path.rpartition("/")[2]
    partner.answers[id_] = partner.answers["cdrs"] = lambda request, posted: (stuck.wait(), partner.hang_up(request))
    assert end() == id_
    until(lambda: {"PATCH", "POST"} <= {one.method for one in partner.got.queue})
    while not partner.got.empty():
        partner.got.get()
    cpo.process.kill()
    stuck.set()
    cpo.process.start()
    (cdr,) = partner.ask("GET", "/sender/cdrs").data
    (session,) = partner.ask("GET", "/sender/sessions?date_from=2026-01-01T00:00:00Z").data
    assert (cdr["session_id"], session["id"], session["status"]) == (id_, id_, "COMPLETED")
    assert until(lambda: outcomes(cpo)) == {"done", "interrupted"}
    assert [one.path for one in partner.got.queue if id_ in one.path or "cdrs" in one.path] == []


def test_a_partner_that_is_away_is_sent_nothing_and_asked_when_it_is_back(cpo, new_partner, charger, chain, t0):
    partner = new_partner().register(cpo)
    assert partner.ask("PUT", "/receiver/tokens/DE/EMS/04A1", TOKEN).http == 201
    partner.stop()
    end = begun(cpo, charger, chain, t0)
    until(lambda: cpo.api("GET", "/api/v1/partners/partner")[1]["status"] == "OFFLINE")
    end()
    until(lambda: objects_at(cpo, "cdrs"))
    assert until(lambda: outcomes(cpo)) <= {"unreachable", "offline"}, "one attempt; then nothing was even noted"
