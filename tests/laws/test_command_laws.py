"""Whatever orders the hub's queue holds: each is read or named, none stands in another's way, and each that is read can
be put into every version or is refused in words. Nothing else comes out, and what is kept of it can be read back."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from gateway.chargers.commands.asked import Facts
from gateway.chargers.commands.table import TABLE, translate
from gateway.errors import CommandRefused
from gateway.store import commands as store
from gateway.store.ledger import open_ledger
from wire.commands import CommandOrder, QueuedOrder, UnreadOrder, parse_batch
from wire.ocpp import v16, v21, v201
from wire.records import decode, encode

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Text(str):
    """JSON as it stands."""


HOSTILE = (
    Text("1E400"),
    Text("-1E400"),
    Text("1e-400"),
    Text("9" * 400),
    Text('"NaN"'),
    Text('"sNaN"'),
    Text('"-Infinity"'),
    Text("[" * 400 + "]" * 400),
    Text("true"),
    Text("null"),
    Text("0.1234567890123456789"),
    Text('"9999-12-31T23:59:59.999999-14:00"'),
    Text('"0001-01-01T00:00:00+14:00"'),
    Text('"\\u00b2"'),
    Text('"\\u0663"'),
    Text('""'),
)
COMMANDS = tuple(row[0] for row in TABLE)
FINE = {
    "charger_id": '"CP-1"',
    "token": '{"uid": "APP-1", "type": "APP_USER"}',
    "expiry_date": '"2026-11-29T13:00:00Z"',
    "reservation_id": '"R1"',
    "evse_id": "1",
    "message_id": "1",
    "text": '"t"',
    "transaction_id": '"1"',
    "total_cost": "1.5",
    "tariff": '{"tariff_id": "t", "currency": "EUR", "per_kwh": 0.4}',
    "operative": "true",
    "message": '"Heartbeat"',
    "settings": '[{"name": {"variable": "HeartbeatInterval", "component": "OCPPCommCtrlr"}, "value": "1"}]',
    "names": '[{"variable": "HeartbeatInterval", "component": "OCPPCommCtrlr"}]',
    "slot": "1",
    "url": '"wss://csms.example"',
    "security_profile": "2",
    "location": '"https://fw.example/1"',
    "retrieve_at": '"2026-11-29T13:00:00Z"',
    "report": "true",
    "clear": "false",
    "vendor_id": '"v"',
    "action": '"Reset"',
    "payload": '{"type": "Soft"}',
    "use": '"CSMSRootCertificate"',
    "certificate": '"PEM"',
}


@st.composite
def orders(draw: st.DrawFn) -> str:
    """An order that would be fine but for some of its fields."""
    command = draw(st.sampled_from(COMMANDS))
    names = command.__struct_fields__
    fields = {name: FINE[name] for name in names if name in FINE and not (name == "message_id" and "data" in names)}
    if command.__name__ == "DeleteCertificate":
        hashes = {"hash_algorithm": "SHA256", "issuer_name_hash": "0", "issuer_key_hash": "0", "serial_number": "1"}
        fields["certificate"] = json.dumps(hashes)
    spoilt = draw(st.lists(st.sampled_from(names), max_size=2))
    for name in spoilt:
        fields[name] = draw(st.sampled_from(HOSTILE))
    if "tariff" in names and draw(st.booleans()):
        price = draw(st.sampled_from(HOSTILE))
        fields["tariff"] = f'{{"tariff_id": "t", "currency": "EUR", "fee": {price}}}'
    told = "".join(f', "{name}": {value}' for name, value in fields.items())
    id_ = draw(st.sampled_from(('"a"', '"b"', '"c"', '"not an id"', "5")))
    body = f'{{"command": "{command.__struct_config__.tag}"{told}}}'
    return f'{{"command_id": {id_}, "expires_at": "2026-11-29T13:00:00Z", "command": {body}}}'


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    return open_ledger(tmp_path_factory.mktemp("orders") / "ledger.db", "site-1", "epoch-1", NOON)


SHOW_COST = (
    '{"command_id": "a", "expires_at": "2026-11-29T13:00:00Z", "command":'
    ' {"command": "SHOW_COST", "charger_id": "CP-1", "transaction_id": "1", "total_cost": %s}}'
)


@given(sent=st.lists(orders(), max_size=6))
@example(sent=[SHOW_COST % '"NaN"', SHOW_COST % "1E400", SHOW_COST % "1"])
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_every_order_of_a_queue_is_read_or_named(ledger: sqlite3.Connection, sent: list[str]) -> None:
    numbered = ", ".join(f'{{"number": {number}, "order": {order}}}' for number, order in enumerate(sent, 1))
    queued = parse_batch(f'{{"orders": [{numbered}]}}'.encode()).orders
    assert [one.number for one in queued] == list(range(1, len(sent) + 1)), "none is passed over"
    ledger.execute("BEGIN IMMEDIATE")
    for table in ("commands", "command_reports", "command_refusals"):
        ledger.execute(f"DELETE FROM {table}")
    taken = store.receive_queued(ledger, queued, NOON)
    ledger.execute("COMMIT")
    if queued:
        assert store.cursor_of(ledger) == len(queued), "the queue goes on"
    ids = {one.command_id if isinstance(one, UnreadOrder) else one.order.command_id for one in queued} - {None}
    known = {kept.order.command_id for kept in taken} | {report.command_id for report in store.untold(ledger, 100)}
    assert known == ids, "each is executed or reported"
    for one in queued:
        if isinstance(one, QueuedOrder):
            assert decode(CommandOrder, encode(one.order), "again") == one.order
            for ocpp in (v16.VERSION, v201.VERSION, v21.VERSION):
                require_said_or_refused(ocpp, one.order.command)


def require_said_or_refused(ocpp: str, command: Any) -> None:
    facts = Facts(number=7, at=NOON + timedelta(hours=1), transaction_id="1", reservation_number=3)
    try:
        asked = translate(ocpp, command, facts)
    except CommandRefused:
        return
    assert asked
    for one in asked:
        json.loads(one.payload)
