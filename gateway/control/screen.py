"""Stations and reports as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.control.seen import ChargerView, ConnectorView
from pki.service.screen import listing
from wire.commands import CommandReport, ResultCode, StationAnswer

_GOOD, _BAD, _QUIET = "bold green", "bold red", "dim"
_STATUS_STYLES = {
    "Available": "green",
    "Charging": "bold cyan",
    "Occupied": "cyan",
    "Preparing": "cyan",
    "Finishing": "cyan",
    "Reserved": "yellow",
    "Unavailable": "yellow",
    "Faulted": "bold red",
}
_LINES_OF_ANSWER = 400


def chargers_table(found: tuple[ChargerView, ...], at: datetime) -> Table:
    """A row for each station."""
    table = listing("CHARGER", "OCPP", "DEVICE", "FIRMWARE", "CONNECTED", "HEARD", "SESSIONS", "CONNECTORS")
    for one in found:
        device = " ".join(part for part in (one.vendor, one.model) if part)
        since = Text(f"for {_span(one.connected_since, at)}", "green") if one.connected else Text("no", _BAD)
        if one.pending:
            since = Text("not booted", "yellow") if one.connected else Text("never", _QUIET)
        table.add_row(
            one.charger_id,
            one.ocpp or "",
            device,
            one.firmware or "",
            since,
            f"{_span(one.last_heard, at)} ago" if one.last_heard else "",
            str(len(one.sessions)) if one.sessions else "",
            _connectors(one.connectors),
        )
    return table


def _connectors(found: tuple[ConnectorView, ...]) -> Text:
    """`1 Charging, 2 Available`; with EVSE and connector where they are two numbers."""
    text = Text()
    for index, one in enumerate(found):
        place = str(one.evse_id) if one.evse_id == one.connector_id or one.connector_id in (0, 1) else ""
        place = place or f"{one.evse_id}/{one.connector_id}"
        if index:
            text.append(", ")
        text.append(f"{place} ")
        text.append(one.status, _STATUS_STYLES.get(one.status, ""))
        if one.error:
            text.append(f" ({one.error})", "red")
    return text


def show_charger(console: Console, one: ChargerView, at: datetime) -> None:
    """All that is known of one station."""
    state = f"connected for {_span(one.connected_since, at)}" if one.connected else "not connected"
    pairs = [
        ("charger", one.charger_id),
        ("state", state + (", never booted here" if one.pending else "")),
        ("OCPP", one.ocpp),
        ("device", " ".join(part for part in (one.vendor, one.model) if part)),
        ("serial number", one.serial_number),
        ("firmware", one.firmware),
        ("booted at", _instant(one.booted_at)),
        ("last heard", f"{_span(one.last_heard, at)} ago" if one.last_heard else None),
    ]
    for name, value in pairs:
        if value:
            console.print(Text(f"{name:<14} ", _QUIET) + Text(str(value)))
    for session in one.sessions:
        what = f"transaction {session.transaction_id} at EVSE {session.evse_id} since {_instant(session.started_at)}"
        console.print(Text(f"{'session':<14} ", _QUIET) + Text(f"{session.session_id}  {what}"))
    for connector in one.connectors:
        place = f"{connector.evse_id}/{connector.connector_id}"
        line = Text(f"{'connector':<14} ", _QUIET) + Text(f"{place:<6}")
        line.append(connector.status, _STATUS_STYLES.get(connector.status, ""))
        line.append(f" ({connector.error})" if connector.error else "", "red")
        console.print(line + Text(f"  {connector.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", _QUIET))
    for told in one.notices:
        if told.action != "StatusNotification":
            line = Text(f"{'told':<14} ", _QUIET) + Text(f"{told.action} {told.subject} ")
            console.print(line + Text(bytes(told.payload).decode(), _QUIET))


def show_report(console: Console, report: CommandReport) -> None:
    """The result in one line, then what the station answered."""
    style = _GOOD if report.result is ResultCode.ACCEPTED else _BAD
    console.print(Text(report.result.value, style) + Text(f"  {report.message}"))
    if report.session_id is not None:
        console.print(Text("session   ", _QUIET) + Text(report.session_id))
    for answer in report.answers:
        _show_answer(console, answer)
    if not report.final:
        console.print(Text(f"command {report.command_id}: waiting for its session to start", _QUIET))


def _show_answer(console: Console, answer: StationAnswer) -> None:
    if not bytes(answer.answer):
        return
    fields = msgspec.json.decode(answer.answer)
    if not isinstance(fields, dict):
        console.print(Text(str(fields)))
        return
    variables = _variables(fields)
    if variables is not None:
        console.print(variables)
    elif set(fields) - {"status"}:
        lines = msgspec.json.format(bytes(answer.answer), indent=2).decode().splitlines()
        console.print(Text("\n".join(lines[:_LINES_OF_ANSWER])))


def _variables(fields: dict[str, object]) -> Table | None:
    """The answers of GetConfiguration and GetVariables as a table."""
    results = fields.get("getVariableResult")
    if isinstance(results, list):
        table = listing("VARIABLE", "VALUE", "STATUS")
        for one in results:
            component, variable = one.get("component", {}), one.get("variable", {})
            name = f"{_named(component)}.{_named(variable)}"
            table.add_row(name, str(one.get("attributeValue", "")), str(one.get("attributeStatus", "")))
        return table
    keys, unknown = fields.get("configurationKey"), fields.get("unknownKey")
    if not isinstance(keys, list) and not isinstance(unknown, list):
        return None
    table = listing("KEY", "VALUE", "ACCESS")
    for one in keys if isinstance(keys, list) else ():
        table.add_row(str(one.get("key")), str(one.get("value", "")), "read only" if one.get("readonly") else "")
    for name in unknown if isinstance(unknown, list) else ():
        table.add_row(str(name), "", Text("unknown", "yellow"))
    return table


def _named(part: dict[str, object]) -> str:
    instance, evse = part.get("instance"), part.get("evse")
    place = f"@{evse['id']}" if isinstance(evse, dict) and "id" in evse else ""
    return f"{part.get('name', '?')}{f'[{instance}]' if instance else ''}{place}"


def _instant(text: str | None) -> str | None:
    """An instant as it is stored, for people."""
    return None if text is None else f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(since: datetime | None, at: datetime) -> str:
    """How long ago: the two largest units."""
    seconds = 0 if since is None else max(0, int((at - since).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
