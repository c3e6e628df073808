"""`pnc-gateway command`: what an operator asks of a station by hand."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta
from pathlib import Path

import click
import msgspec

from gateway.control.mistakes import no_json
from gateway.control.names import parse_instant, parse_setting, parse_variable
from gateway.control.running import EXIT_REFUSED, ask, control, fail, give, order, running, this_instant
from gateway.control.screen import show_report
from gateway.wording import reason
from pki.service.screen import screen
from wire import commands
from wire.commands import CommandReport, CommandToken, ReportKind, ResetKind, ResultCode
from wire.ids import random_id
from wire.records import TokenType

_POLL_S = 0.5
_charger = click.argument("charger")
_evse = click.option("--evse", type=click.IntRange(1), help="the EVSE; in OCPP 1.6 the connector")
_connector = click.option("--connector", type=click.IntRange(1), help="the connector of the EVSE (2.x)")
_token = click.option(
    "--token", required=True, metavar="UID", help="the token's uid: a card's number, an app user's id"
)
_token_type = click.option(
    "--type", "type_", type=click.Choice([type_.value for type_ in TokenType]), default="APP_USER", show_default=True
)


@click.group()
def command() -> None:
    """Ask something of a station.

    Through the running gateway: it is written down, and done once.

    Ends with 0 when the station accepted, 1 when it did not, 2 when the gateway could not be asked.

    \b
    pnc-gateway command start CP-1 --token APP-4711 --evse 1
    pnc-gateway command stop CP-1
    pnc-gateway command get CP-1 OCPPCommCtrlr.HeartbeatInterval
    pnc-gateway command call CP-1 ClearCache
    """


@command.command()
@_charger
@_token
@_token_type
@_evse
@click.option("--reference", help="authorization_reference of the eMSP")
@click.option("--wait", type=click.IntRange(1), metavar="SECONDS", help="wait for the session to start")
@running
def start(
    charger: str,
    token: str,
    type_: str,
    evse: int | None,
    reference: str | None,
    wait: int | None,
    config: Path,
    as_json: bool,
) -> None:
    """Start charging for a token. Who gives this command authorizes the token.

    \b
    pnc-gateway command start CP-1 --token APP-4711 --evse 1 --wait 60
    """
    wanted = commands.StartSession(
        charger_id=charger,
        token=CommandToken(uid=token, type=TokenType(type_)),
        evse_id=evse,
        authorization_reference=reference,
    )
    if wait is None:
        order(config, as_json, lambda: wanted)
        return
    first = msgspec.json.decode(give(config, as_json, lambda: wanted), type=CommandReport)
    _await_start(config, as_json, first, wait)


def _await_start(config: Path, as_json: bool, first: CommandReport, wait: int) -> None:
    """Show the first report, then the second when it comes within `wait` seconds."""
    if not as_json:
        show_report(screen(), first)
    last, until = first, time.monotonic() + wait
    while not last.final and time.monotonic() < until:
        time.sleep(_POLL_S)
        last = _reports(config, first.command_id)[-1]
    if as_json:
        click.echo(msgspec.json.encode(last))
    elif last.number != first.number:
        show_report(screen(), last)
    sys.exit(0 if last.final and last.result is ResultCode.ACCEPTED else EXIT_REFUSED)


class _Reports(msgspec.Struct):
    reports: list[CommandReport]


def _reports(config: Path, command_id: str) -> list[CommandReport]:
    answer = ask(lambda: control(config).get("commands", command_id))
    return msgspec.json.decode(answer, type=_Reports).reports


@command.command()
@click.argument("command_id")
@running
def status(command_id: str, config: Path, as_json: bool) -> None:
    """Show what came of a command, by its id."""
    found = _reports(config, command_id)
    if as_json:
        click.echo(msgspec.json.encode({"reports": found}))
        return
    for report in found:
        show_report(screen(), report)


@command.command()
@_charger
@click.option("--session", help="our session id")
@click.option("--transaction", help="the station's transaction id")
@running
def stop(charger: str, session: str | None, transaction: str | None, config: Path, as_json: bool) -> None:
    """Stop a transaction.

    The only one that runs there, or the one that is named.
    """
    order(
        config,
        as_json,
        lambda: commands.StopSession(charger_id=charger, session_id=session, transaction_id=transaction),
    )


@command.command()
@_charger
@click.argument("evse", type=click.IntRange(1))
@click.argument("connector", type=click.IntRange(1), default=1)
@running
def unlock(charger: str, evse: int, connector: int, config: Path, as_json: bool) -> None:
    """Unlock a connector. In OCPP 1.6 EVSE is the connector."""
    order(
        config,
        as_json,
        lambda: commands.UnlockConnector(charger_id=charger, evse_id=evse, connector_id=connector),
    )


@command.command()
@_charger
@click.option("--now", "kind", flag_value="Immediate", help="end transactions at once (1.6: Hard)")
@click.option("--idle", "kind", flag_value="OnIdle", default="OnIdle", help="in good order (1.6: Soft); the default")
@click.option("--resume", "kind", flag_value="ImmediateAndResume", help="at once, transactions go on after it (2.1)")
@_evse
@running
def reset(charger: str, kind: str, evse: int | None, config: Path, as_json: bool) -> None:
    """Restart a station, or one EVSE of it."""
    order(config, as_json, lambda: commands.Reset(charger_id=charger, kind=ResetKind(kind), evse_id=evse))


@command.command()
@_charger
@click.argument("message")
@_evse
@_connector
@click.option("--custom", is_flag=True, help="MESSAGE is a vendor's own (2.1)")
@running
def trigger(
    charger: str, message: str, evse: int | None, connector: int | None, custom: bool, config: Path, as_json: bool
) -> None:
    """Have a station send a message now.

    MESSAGE: StatusNotification, MeterValues, SignChargingStationCertificate ...
    """
    order(
        config,
        as_json,
        lambda: commands.Trigger(
            charger_id=charger, message=message, evse_id=evse, connector_id=connector, custom=custom
        ),
    )


@command.command()
@_charger
@click.argument("state", type=click.Choice(["operative", "inoperative"]))
@_evse
@_connector
@running
def availability(
    charger: str, state: str, evse: int | None, connector: int | None, config: Path, as_json: bool
) -> None:
    """Take a station in or out of service.

    Or an EVSE, or a connector of it.
    """
    order(
        config,
        as_json,
        lambda: commands.ChangeAvailability(
            charger_id=charger, operative=state == "operative", evse_id=evse, connector_id=connector
        ),
    )


@command.command(name="get")
@_charger
@click.argument("names", nargs=-1)
@running
def get_variables(charger: str, names: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Read variables.

    Component.Variable in 2.x, a key in 1.6, where none means all.

    \b
    pnc-gateway command get CP-1 OCPPCommCtrlr.HeartbeatInterval 'Connector@1:1.AvailabilityState'
    pnc-gateway command get CP-2 HeartbeatInterval
    """
    order(
        config,
        as_json,
        lambda: commands.GetVariables(charger_id=charger, names=tuple(parse_variable(name) for name in names)),
    )


@command.command(name="set")
@_charger
@click.argument("settings", nargs=-1, required=True, metavar="NAME=VALUE...")
@running
def set_variables(charger: str, settings: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Write variables.

    Passwords are changed by `rotate`, which keeps no copy of them.

    \b
    pnc-gateway command set CP-1 OCPPCommCtrlr.HeartbeatInterval=300
    """
    order(
        config,
        as_json,
        lambda: commands.SetVariables(charger_id=charger, settings=tuple(parse_setting(text) for text in settings)),
    )


class _Rotated(msgspec.Struct):
    outcome: str


@command.command()
@_charger
@running
def rotate(charger: str, config: Path, as_json: bool) -> None:
    """Give a station a new password.

    It alone gets to know it.
    """
    answer = ask(lambda: control(config).post(b"", "chargers", charger, "rotate"))
    if as_json:
        click.echo(answer)
        return
    after = msgspec.json.decode(answer, type=_Rotated).outcome == "after-reboot"
    click.echo(f"{charger} has a new password" + ("; it takes it at its next restart" if after else ""))


@command.command()
@_charger
@click.argument("components", nargs=-1)
@click.option("--kind", type=click.Choice([kind.value for kind in ReportKind]), default="FullInventory")
@running
def report(charger: str, components: tuple[str, ...], kind: str, config: Path, as_json: bool) -> None:
    """Have a station report its device model.

    Or some components of it; it comes by NotifyReport.
    """
    order(
        config,
        as_json,
        lambda: commands.GetReport(charger_id=charger, kind=ReportKind(kind), components=components),
    )


@command.command()
@_charger
@_token
@_token_type
@_evse
@click.option("--until", help="instant; or --minutes")
@click.option("--minutes", type=click.IntRange(1, 1440), default=15, show_default=True)
@click.option("--id", "reservation_id", help="to change or cancel it later; made when left out")
@running
def reserve(
    charger: str,
    token: str,
    type_: str,
    evse: int | None,
    until: str | None,
    minutes: int,
    reservation_id: str | None,
    config: Path,
    as_json: bool,
) -> None:
    """Keep a place free for a token."""
    name = reservation_id or random_id(os.urandom(16))

    def wanted() -> commands.ReserveNow:
        expiry_date = parse_instant(until) if until else this_instant() + timedelta(minutes=minutes)
        if not as_json:
            click.echo(f"reservation {name}")
        return commands.ReserveNow(
            charger_id=charger,
            token=CommandToken(uid=token, type=TokenType(type_)),
            expiry_date=expiry_date,
            reservation_id=name,
            evse_id=evse,
        )

    order(config, as_json, wanted)


@command.command(name="cancel-reservation")
@_charger
@click.argument("reservation_id")
@running
def cancel_reservation(charger: str, reservation_id: str, config: Path, as_json: bool) -> None:
    """Give up a reservation."""
    order(
        config,
        as_json,
        lambda: commands.CancelReservation(charger_id=charger, reservation_id=reservation_id),
    )


@command.command()
@_charger
@click.argument("action")
@click.argument("payload", default="{}")
@running
def call(charger: str, action: str, payload: str, config: Path, as_json: bool) -> None:
    """Send any action of its version.

    PAYLOAD is JSON, or @FILE, or - for standard input. It is checked against the version's types before it is sent.

    \b
    pnc-gateway command call CP-1 TriggerMessage '{"requestedMessage": "Heartbeat"}'
    """
    try:
        text = sys.stdin.read() if payload == "-" else payload
        text = Path(payload[1:]).read_text("utf-8") if payload.startswith("@") else text
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        fail(f"PAYLOAD {no_json(error)}")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"PAYLOAD {payload}: {reason(error)}")
    order(
        config,
        as_json,
        lambda: commands.Call(charger_id=charger, action=action, payload=msgspec.Raw(text.encode())),
    )
