"""Stations and reports as a person reads them."""

from __future__ import annotations

from datetime import datetime

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.alone import is_unasked
from gateway.chargers.abilities import StationAlone
from gateway.control.answers import (
    certificates_table,
    is_listing,
    listed_certificates,
    settings_table,
    variables_table,
)
from gateway.control.seen import ChargerView, ConnectorView
from gateway.wording import counted, instant
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
_DEVICE, _CONNECTORS = "DEVICE", "CONNECTORS"
_LEAST_DEVICE, _LEAST_CONNECTORS, _GAP = 8, 18, 2
_PROFILES = ("nothing is proven", "password", "password over TLS", "TLS client certificate")


def chargers_table(found: tuple[ChargerView, ...], at: datetime, width: int) -> Table:
    """A row for each station, each one line of `width`. Where there is no room, device and connectors are cut and
    columns left out: all of it stands in `charger ID` and in --json."""
    columns = {
        "CHARGER": [Text(one.charger_id) for one in found],
        "OCPP": [Text(one.ocpp or "") for one in found],
        _DEVICE: [Text(" ".join(part for part in (one.vendor, one.model) if part)) for one in found],
        "CONNECTED": [_connection(one, at) for one in found],
        "HEARD": [Text(f"{_span(one.last_heard, at)} ago" if one.last_heard else "") for one in found],
        "SESSIONS": [Text(str(len(one.sessions) or "")) for one in found],
        _CONNECTORS: [_connectors(one.connectors) for one in found],
    }
    needs = {name: max(len(name), *(cell.cell_len for cell in cells)) for name, cells in columns.items()}
    for name in ("", _DEVICE, "SESSIONS", "OCPP", "HEARD"):
        columns.pop(name, None)
        least = {_DEVICE: _LEAST_DEVICE, _CONNECTORS: _LEAST_CONNECTORS}
        taken = sum(min(needs[each], least.get(each, needs[each])) + _GAP for each in columns) - _GAP
        if taken <= width:
            break
    spare = max(0, width - taken)
    table = listing()
    for name in columns:
        asked = min(needs[name], least.get(name, needs[name]))
        given = min(needs[name] - asked, spare if name == _CONNECTORS else spare // 2)
        spare -= given
        table.add_column(name, no_wrap=True, overflow="ellipsis", width=asked + given)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _connection(one: ChargerView, at: datetime) -> Text:
    """Since when it is connected, or is not."""
    if one.pending:
        return Text("not booted", "yellow") if one.connected else Text("never", _QUIET)
    if one.connected:
        return Text(f"for {_span(one.connected_since, at)}", "green")
    return Text(f"no, {_span(one.disconnected_since, at)}" if one.disconnected_since else "no", _BAD)


def _connectors(found: tuple[ConnectorView, ...]) -> Text:
    """`1 Charging, 2-4 Available`; with EVSE and connector where they are two numbers."""
    alike: list[tuple[list[str], ConnectorView]] = []
    for one in found:
        place = str(one.evse_id) if one.evse_id == one.connector_id or one.connector_id in (0, 1) else ""
        place = place or f"{one.evse_id}/{one.connector_id}"
        if alike and _follows(alike[-1], one, place):
            alike[-1][0].append(place)
        else:
            alike.append(([place], one))
    text = Text()
    for index, (places, one) in enumerate(alike):
        text.append(", " if index else "")
        text.append(f"{places[0]}-{places[-1]} " if len(places) > 1 else f"{places[0]} ")
        text.append(one.status, _STATUS_STYLES.get(one.status, ""))
        if one.error:
            text.append(f" ({one.error})", "red")
    return text


def _follows(last: tuple[list[str], ConnectorView], one: ConnectorView, place: str) -> bool:
    """Whether it is the next one in a row of those that are in the same state."""
    places, first = last
    in_row = place.isdecimal() and places[-1].isdecimal() and places[-1] != "0" and int(place) == int(places[-1]) + 1
    return in_row and (first.status, first.error) == (one.status, one.error)


def show_charger(console: Console, one: ChargerView, at: datetime) -> None:
    """All that is known of one station."""
    since = f" since {instant(one.disconnected_since)}" if one.disconnected_since else ""
    state = f"connected for {_span(one.connected_since, at)}" if one.connected else f"not connected{since}"
    heard = f"{instant(one.last_heard)} ({_span(one.last_heard, at)} ago)" if one.last_heard else None
    profile = None if one.security_profile is None else f"{one.security_profile} ({_PROFILES[one.security_profile]})"
    pairs = [
        ("charger", one.charger_id),
        ("state", state + (", never booted here" if one.pending else "")),
        ("OCPP", one.ocpp),
        ("profile", profile),
        ("device", " ".join(part for part in (one.vendor, one.model) if part)),
        ("serial number", one.serial_number),
        ("firmware", one.firmware),
        ("booted at", _instant(one.booted_at)),
        ("last heard", heard),
        *_alone(one.alone),
        *(("quirk", f"{each.quirk} {counted(each.count, 'time')}, last at {each.example}") for each in one.quirks),
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
        console.print(line + Text(f"  {instant(connector.at)}", _QUIET))
    for told in one.notices:
        if told.action != "StatusNotification":
            line = Text(f"{'told':<14} ", _QUIET) + Text(f"{told.action} {told.subject} ")
            console.print(line + Text(bytes(told.payload).decode(), _QUIET))


def _alone(alone: StationAlone | None) -> list[tuple[str, str]]:
    """How its list stands, and what it cannot do."""
    if alone is None or is_unasked(alone):
        return [("list", "not asked yet")]
    standing = alone.list
    room = "" if alone.limit is None else f", room for {alone.limit}"
    pairs = [("list", f"{standing.state.value}, {alone.held} of {standing.wanted} wanted tokens held{room}")]
    remarks = [remark for remark in (standing.problem, *alone.remarks) if remark]
    return pairs + [("alone", remark) for remark in dict.fromkeys(remarks)]


def show_report(console: Console, report: CommandReport) -> None:
    """The result in one line, then what the station answered."""
    style = _GOOD if report.result is ResultCode.ACCEPTED else _BAD
    console.print(Text(report.result.value, style) + Text(f"  {report.message}"))
    if report.session_id is not None:
        console.print(Text("session   ", _QUIET) + Text(report.session_id))
    table = settings_table(report.answers)
    if is_listing(report.answers):
        found = listed_certificates(report.answers)
        table = certificates_table(found) if found else None
    if table is not None:
        console.print(table)
    elif not is_listing(report.answers):
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
    variables = variables_table(fields)
    if variables is not None:
        console.print(variables)
    elif set(fields) - {"status"}:
        lines = msgspec.json.format(bytes(answer.answer), indent=2).decode().splitlines()
        console.print(Text("\n".join(lines[:_LINES_OF_ANSWER])))


def _instant(text: str | None) -> str | None:
    """An instant as it is stored, for people."""
    return None if text is None else instant(datetime.fromisoformat(text))


def _span(since: datetime | None, at: datetime) -> str:
    """How long ago: the two largest units."""
    seconds = 0 if since is None else max(0, int((at - since).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
