"""OCPI by a hub of several processes on PostgreSQL: who asks does not see which of them answers, and nothing is derived
twice or passed over."""

from __future__ import annotations

import pytest

from tests.hub.ocpi.platforms import CPO_PARTY, SeveralProcesses, start_platform, until
from tests.hub.ocpi.test_cpo_platform import RECENTLY, TOKEN


@pytest.fixture
def several(tmp_path, roaming_ca, postgresql):
    url = postgresql.fresh()
    store = f'\n[store]\nkind = "postgresql"\nurl = "{url}"\n'
    platform = start_platform(tmp_path / "several", roaming_ca, "several", CPO_PARTY, store, SeveralProcesses)
    yield platform
    assert platform.process.stop() == 0
    postgresql.drop(url)


def test_sessions_of_many_transactions_are_all_published_once(several, new_partner, chain, charger, t0):
    partner = new_partner().register(several)
    assert partner.ask("PUT", "/receiver/tokens/DE/EMS/04A1", TOKEN).http == 201
    ids = {charger.signed_session(f"t-{number}", t0, f"{number}.000", f"{number}.500") for number in range(10)}
    link = several.process.link()
    link.send(chain.hello())
    for first in range(1, len(chain.records), 7):
        link.send(chain.signed_batch(first, min(7, len(chain.records) - first + 1)))
    cdrs = until(lambda: len(found := partner.ask("GET", "/sender/cdrs?limit=100").data) == len(ids) and found)
    assert {cdr["id"] for cdr in cdrs} == ids
    sessions = partner.ask("GET", f"/sender/sessions{RECENTLY}").data
    assert {session["id"] for session in sessions} == ids
    assert {session["status"] for session in sessions} == {"COMPLETED"}
    pushed = [partner.got.get(timeout=20) for _ in range(len(ids))]
    posted = [one.body["id"] for one in pushed if one.path.endswith("/receiver/cdrs")]
    while len(posted) < len(ids):
        one = partner.got.get(timeout=20)
        posted += [one.body["id"]] if one.path.endswith("/receiver/cdrs") else []
    assert sorted(posted) == sorted(ids), "each CDR once"


def test_a_registration_holds_at_every_process(several, new_partner):
    partner = new_partner().register(several)
    for _ in range(8):
        assert partner.ask("GET", "/credentials").data["token"] == partner.theirs
        renewed = partner.ask("PUT", "/credentials", partner.credentials())
        assert renewed.status == 1000
        partner.theirs = renewed.data["token"]
