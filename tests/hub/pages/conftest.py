"""One hub with pages for the tests of a module, with a session that is settled and one that runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.roles import Role
from tests.hub.conftest import ChainWriter, ChargerDouble, HubProcess, MeterDouble
from tests.hub.pages.site import Browser, PageSite, make_site

HOSTILE = "<script>alert(1)</script>\"'&"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageSite]:
    hub = make_site(Path(tmp_path_factory.mktemp("pages")))
    hub.start()
    try:
        _charge(hub)
        yield PageSite(hub)
    finally:
        assert hub.stop() == 0


def _charge(hub: HubProcess) -> None:
    chain = ChainWriter()
    charger, at = ChargerDouble(chain, meter=MeterDouble()), datetime.now(UTC) - timedelta(hours=2)
    charger.signed_session("T1", at, "1.000", "8.250")
    charger.event("Started", "T2", at + timedelta(hours=1), "8.250", decision=charger.decision("04A1", at))
    hostile = ChargerDouble(chain, charger_id=HOSTILE, meter=MeterDouble())
    hostile.signed_session(HOSTILE[:30], at, "1.000", "2.000")
    link = hub.link("site-1")
    link.send(chain.hello())
    link.send(chain.signed_batch(1, len(chain.records)))


@pytest.fixture(scope="module")
def browsers(site: PageSite) -> dict[Role, Browser]:
    """A browser for each role, signed in."""
    return {role: site.signed_in(role) for role in Role}
