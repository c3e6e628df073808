"""`pnc-hub command`: give commands to stations through the running hub, and see what came of them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

import click
import msgspec
from rich.console import Console

from hub.asking import HubAPI, asking
from hub.clock import now, utc
from hub.config import load_config
from hub.errors import HubError
from hub.options import fail, unreadable
from pki.service.screen import listing, screen
from wire.commands import MAX_WAIT_S, CommandState, CommandToken, OrderState, ResultCode, StartSession
from wire.errors import MalformedValue
from wire.records import TokenType, decode, encode

EXIT_REFUSED, EXIT_UNTOLD = 1, 3
WHOLE_LINES = 1000
"""Columns in which every row of a list has room."""
REPORT_PATIENCE = timedelta(minutes=2)
"""How long after it expired a command may have no report: it is begun before that, and the station takes its time."""
START_PATIENCE = timedelta(hours=1)
"""How long after that a session may be awaited, once the station has answered."""


_wait = click.option("--wait", is_flag=True, help="wait until the command is done")


@click.group()
def command() -> None:
    """Give commands to stations and see what came of them.

    The hub must be running. Ends with 0 when the station accepted (or the command is on its way), 1 when not, 2 when
    the hub could not be asked, 3 when nobody reported in time what came of it (--wait).

    \b
    export PNC_HUB_TOKEN_FILE=token
    pnc-hub command start --gateway site-1 --charger CP-1 --token APP-4711
    pnc-hub command send --gateway site-1 \\
        '{"command": "RESET", "charger_id": "CP-1"}'
    """


@command.command()
@click.option("--gateway", required=True)
@click.option("--charger", required=True)
@click.option("--token", required=True, metavar="UID")
@click.option("--type", "type_", type=click.Choice([one.value for one in TokenType]), default="APP_USER")
@click.option("--country", help="country_code of the token's party")
@click.option("--party", help="party_id of the token's party")
@click.option("--contract", help="contract_id of the token")
@click.option("--evse", type=click.IntRange(1))
@click.option("--reference", help="authorization_reference of the eMSP")
@_wait
@asking
def start(
    gateway: str,
    charger: str,
    token: str,
    type_: str,
    country: str | None,
    party: str | None,
    contract: str | None,
    evse: int | None,
    reference: str | None,
    wait: bool,
    config_path: Path,
    token_file: Path,
    as_json: bool,
) -> None:
    """Start charging for a token that its eMSP has authorized."""
    wanted = StartSession(
        charger_id=charger,
        token=CommandToken(
            uid=token, type=TokenType(type_), country_code=country, party_id=party, contract_id=contract
        ),
        evse_id=evse,
        authorization_reference=reference,
    )
    _submit(_api(config_path, token_file), encode({"gateway_id": gateway, "command": wanted}), wait, as_json)


@command.command()
@click.argument("session_id")
@_wait
@asking
def stop(session_id: str, wait: bool, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Stop a session that runs, by its id."""
    body = encode({"command": {"command": "STOP_SESSION", "session_id": session_id}})
    _submit(_api(config_path, token_file), body, wait, as_json)


@command.command()
@click.argument("wanted", metavar="COMMAND")
@click.option("--gateway", required=True)
@click.option("--expires", type=click.IntRange(1, 86400), default=60, show_default=True, help="seconds")
@_wait
@asking
def send(
    wanted: str, gateway: str, expires: int, wait: bool, config_path: Path, token_file: Path, as_json: bool
) -> None:
    """Give any command; COMMAND is JSON, as in docs/commands.md."""
    try:
        msgspec.json.decode(wanted)
    except msgspec.DecodeError as error:
        fail(f"COMMAND: {error}")
    body = encode({"gateway_id": gateway, "expires_in_s": expires, "command": msgspec.Raw(wanted.encode())})
    _submit(_api(config_path, token_file), body, wait, as_json)


@command.command()
@click.argument("command_id")
@_wait
@asking
def show(command_id: str, wait: bool, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Show what came of a command."""
    api = _api(config_path, token_file)
    _show(api, _or_fail(lambda: api.ask("GET", f"/api/v1/commands/{quote(command_id, safe='')}")), wait, as_json)


class _Commands(msgspec.Struct):
    commands: list[CommandState]
    next: int | None = None


@command.command(name="list")
@click.option("--gateway")
@asking
def list_commands(gateway: str | None, config_path: Path, token_file: Path, as_json: bool) -> None:
    """List the commands, oldest first."""
    api, found, after = _api(config_path, token_file), list[CommandState](), 0
    chosen = f"&gateway_id={quote(gateway)}" if gateway else ""
    while True:
        path = f"/api/v1/commands?after={after}{chosen}"
        page = decode(_Commands, _got(api, path), "commands")
        found += page.commands
        if page.next is None:
            break
        after = page.next
    if not as_json:
        _print_list(screen(), found)
    for one in found if as_json else ():
        click.echo(encode(one))


def _print_list(console: Console, commands: list[CommandState]) -> None:
    """A table; where it has no room, two lines each. Either way an id stands in one line, to be copied."""
    table = listing("CREATED", "GATEWAY", "CHARGER", "COMMAND", "RESULT", "ID")
    lines = list[str]()
    for one in commands:
        result = one.reports[-1].result.value if one.reports else one.state.value
        name, charger = str(one.command.__struct_config__.tag), one.command.charger_id
        table.add_row(utc(one.created_at), one.gateway_id, charger, name, result, one.command_id)
        lines.append(f"{utc(one.created_at)}  {name}  {charger} at {one.gateway_id}  {result}\n  {one.command_id}")
    if console.measure(table, options=console.options.update(width=WHOLE_LINES)).maximum <= console.width:
        console.print(table)
    else:
        console.print("\n".join(lines), markup=False, soft_wrap=True)


def _api(config_path: Path, token_file: Path) -> HubAPI:
    try:
        return HubAPI(load_config(config_path), token_file.read_text("ascii").strip())
    except (OSError, UnicodeError) as error:
        fail(f"--token-file {token_file}: {unreadable(error)}")
    except HubError as error:
        fail(str(error))


def _submit(api: HubAPI, body: bytes, wait: bool, as_json: bool) -> NoReturn:
    _show(api, _or_fail(lambda: api.ask("POST", "/api/v1/commands", body)), wait, as_json)


def _show(api: HubAPI, body: bytes, wait: bool, as_json: bool) -> NoReturn:
    """Show the state, after the command is done with `wait`, and end by what it says."""
    state = decode(CommandState, body, "command")
    while wait and state.state is not OrderState.DONE and (left := seconds_left(state, now())) > 0:
        wait_s = min(MAX_WAIT_S, math.ceil(left))
        path = f"/api/v1/commands/{quote(state.command_id, safe='')}?wait={wait_s}&seen={len(state.reports)}"
        body = _got(api, path)
        state = decode(CommandState, body, "command")
    if as_json:
        click.echo(body)
    else:
        click.echo(f"command {state.command_id}  {state.state.value}")
        for report in state.reports:
            click.echo(f"{report.result.value}  {report.message}")
            if report.session_id is not None:
                click.echo(f"session {report.session_id}")
    if wait and state.state is not OrderState.DONE:
        fail(f"gateway {state.gateway_id} has not reported in time; `pnc-hub command show` tells later", EXIT_UNTOLD)
    good = not state.reports or state.reports[-1].result is ResultCode.ACCEPTED
    sys.exit(0 if good else EXIT_REFUSED)


def seconds_left(state: CommandState, at: datetime) -> float:
    """How much longer a report is worth waiting for; not above 0 when it is not: the gateway has the order and is
    silent. A report that comes later is kept all the same."""
    patience = START_PATIENCE if state.reports else REPORT_PATIENCE
    return (state.expires_at + patience - at).total_seconds()


def _got(api: HubAPI, path: str) -> bytes:
    return _or_fail(lambda: api.ask("GET", path))


def _or_fail(asking: Callable[[], bytes]) -> bytes:
    try:
        return asking()
    except (HubError, MalformedValue) as error:
        fail(str(error))
