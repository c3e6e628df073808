"""The catalogue of messages says what is done: it is held to the tables that act, and to the schemas of others."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

import msgspec
import pytest

from gateway.chargers.commands.asked import Facts
from gateway.chargers.commands.table import translate
from gateway.chargers.connected import MODULES
from gateway.chargers.notifications import BY_VERSION, Care
from gateway.errors import CommandRefused
from tests.gateway.conftest import Bench, send
from wire.commands import Call
from wire.ocpp.catalogue import CATALOGUE, VERSIONS, WRAPPED, Sender, Support, entries
from wire.ocpp.pnc16 import VENDOR_ID
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


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_not_supported_is_not_sent_by_a_call_either(version: str) -> None:
    for name, row in entries(version, Sender.GATEWAY).items():
        call = Call(charger_id="CP-1", action=name, payload=msgspec.Raw(b'{"nonsense":1}'))
        with pytest.raises(CommandRefused) as refused:
            translate(version, call, Facts(number=1, at=datetime.now(UTC)))
        known = row.support[version] is not Support.NOT_SUPPORTED
        assert ("nonsense" in str(refused.value) or "missing" in str(refused.value)) is known, str(refused.value)


def test_what_is_wrapped_over_16_is_what_the_table_says(bench: Bench) -> None:
    station = bench.station("1.6")
    send(station, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    taken = set()
    for name in {*WRAPPED, "TriggerMessages", "authorize", "Reset"}:
        wrapped = {"vendorId": VENDOR_ID, "messageId": name, "data": "{}"}
        answer = send(station, "DataTransfer", wrapped)
        if answer[2] != {"status": "UnknownMessageId"}:
            taken.add(name)
    assert taken == {name for name, (sender, _, _) in WRAPPED.items() if sender is Sender.STATION}


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
