"""The catalogue of messages says what is done: it is held to the tables that act, and to the schemas of others."""

from __future__ import annotations

from importlib.resources import files

import pytest

from gateway.chargers.connected import MODULES
from gateway.chargers.notifications import BY_VERSION, Care
from tests.gateway.conftest import Bench, send
from wire.ocpp.catalogue import CATALOGUE, VERSIONS, Sender, Support, entries
from wire.ocpp.transaction import is_transaction_action

CARE = {Care.KEPT: Support.KEPT, Care.AUDITED: Support.AUDITED, Care.ACKNOWLEDGED: Support.ACKNOWLEDGED}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_action_of_the_schemas_has_one_row(version: str) -> None:
    folder = files("ocpp") / f"v{version.replace('.', '')}" / "schemas"
    names = {path.name.removesuffix(".json").removesuffix("Request") for path in folder.iterdir()}
    published = {name for name in names if not name.endswith("Response") and not name.startswith("_")}
    rows = [row.action for row in CATALOGUE if version in row.support]
    assert sorted(rows) == sorted(published)


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_supported_is_typed(version: str) -> None:
    for row in CATALOGUE:
        if row.support.get(version, Support.NOT_SUPPORTED) is not Support.NOT_SUPPORTED:
            assert hasattr(MODULES[version], row.action), row.action


@pytest.mark.parametrize("version", VERSIONS)
def test_what_stations_may_ask_is_what_the_table_says(bench: Bench, version: str) -> None:
    known = bench.station(version).known_actions()
    said = {
        name
        for name, row in entries(version, Sender.STATION).items()
        if row.support[version] is not Support.NOT_SUPPORTED and not is_transaction_action(version, name)
    }
    sends = {"NotifyPeriodicEventStream"}
    assert known - sends == said - sends


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_done_with_a_notice_is_what_the_table_says(version: str) -> None:
    for name, told in BY_VERSION[version].items():
        assert entries(version, Sender.STATION)[name].support[version] is CARE[told.care], name


@pytest.mark.parametrize(
    ("version", "action", "code"),
    [
        ("1.6", "Nonsense", "NotImplemented"),
        ("1.6", "TransactionEvent", "NotImplemented"),
        ("2.0.1", "StartTransaction", "NotImplemented"),
        ("2.0.1", "NotifySettlement", "NotImplemented"),
        ("2.1", "VatNumberValidation", "NotSupported"),
        ("2.1", "Reset", "NotSupported"),
        ("1.6", "Reset", "NotSupported"),
        ("2.1", "heartbeat", "NotImplemented"),
    ],
)
def test_an_unknown_action_is_not_implemented_and_one_not_for_us_not_supported(
    bench: Bench, version: str, action: str, code: str
) -> None:
    answer = send(bench.station(version), action, {})
    assert answer[:3] == [4, "m1", code]
    assert action in str(answer[3])
