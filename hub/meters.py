"""`pnc-hub meters`: meters, their keys, what is missing, and what to do about it.

What only reads asks the database, whether the hub runs or not. What changes something asks the running hub, for the
database belongs to one writer; while none runs it takes the hub's lock and writes itself.
"""

from __future__ import annotations

import getpass
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from hub.asking import HubAPI, running_hub
from hub.clock import now
from hub.config import HubConfig, load_config
from hub.errors import HubError, StoreError
from hub.meter_screens import print_gaps, print_held, print_imported, print_keys, print_meters, print_reverified
from hub.options import config_option, fail, token_option
from hub.store import meter_acts, meter_keys, meter_pages, meters as reading
from hub.store.database import lock_state
from hub.store.engine import Connection
from hub.store.meter_acts import Imported, Reverified
from hub.store.meter_keys import Act, KeptKey
from hub.store.meter_pages import GapTicket
from hub.store.meters import HeldSession, MeterSummary
from hub.store.readings import MAX_PAGE, Cut
from hub.web.meters import Closing, Confirmation, Retirement
from pki.service.screen import screen
from wire.errors import WireError
from wire.meter.key_list import parse_key_list
from wire.meter.registry import KeyState
from wire.records import Value, decode, encode

T = TypeVar("T")
RECENT = timedelta(days=30)
"""How long a value that does not verify is told of in the status."""


class _Keys(Value, frozen=True, kw_only=True):
    keys: tuple[KeptKey, ...]


_json = click.option(
    "--json", "as_json", is_flag=True, help="JSON for machines, one object a line; [] where there is none."
)
_why = click.option("--why", default="", help="The reason, for whoever asks later.")


def _instant(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """A date (midnight UTC) or an instant with an offset."""
    if value is None:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value[:40]!r}: expected 2026-05-01 or 2026-05-01T08:00:00+02:00") from None
    if at.tzinfo is None and len(value) > 10:
        raise click.BadParameter(f"{value[:40]!r} has no offset; write {value[:40]}Z for UTC")
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


@click.group()
def meters() -> None:
    """Look after meters: their keys, their verdicts, what is missing.

    \b
    pnc-hub meters list
    pnc-hub meters import keys.csv
    pnc-hub meters keys --state quarantined
    pnc-hub meters confirm 3 --why "meter replaced on 3 May"
    pnc-hub meters reverify
    """


@meters.command(name="list")
@config_option
@_json
def list_meters(config_path: Path, as_json: bool) -> None:
    """List the meters that signed values came of."""

    def all_of_them(connection: Connection) -> list[MeterSummary]:
        found, after = list[MeterSummary](), 0
        while True:
            page, next_ = reading.meters(connection, Cut(after))
            found += page
            if next_ is None:
                return found
            after = next_

    found = _read(config_path, all_of_them)
    _show(found, as_json, lambda: print_meters(screen(), found))


@meters.command()
@click.option("--state", type=click.Choice([state.value for state in KeyState]), help="Only keys of this state.")
@config_option
@_json
def keys(state: str | None, config_path: Path, as_json: bool) -> None:
    """List the registry of keys."""
    wanted = None if state is None else KeyState(state)
    found = _read(
        config_path,
        lambda connection: _pages(lambda after: meter_keys.all_keys(connection, wanted, after, MAX_PAGE)),
    )
    _show(found, as_json, lambda: print_keys(screen(), found))


@meters.command()
@click.option("--all", "all_", is_flag=True, help="The closed tickets too.")
@config_option
@_json
def gaps(all_: bool, config_path: Path, as_json: bool) -> None:
    """List the numbers of signed records that never came.

    A ticket closes by itself when they come. `pnc-hub meters close` closes one that will stay open.
    """
    found = _read(
        config_path,
        lambda connection: _pages(lambda after: meter_pages.gap_tickets(connection, after, MAX_PAGE, closed_too=all_)),
    )
    _show(found, as_json, lambda: print_gaps(screen(), found))


@meters.command()
@config_option
@_json
def held(config_path: Path, as_json: bool) -> None:
    """List the sessions that may not be billed yet, and why."""

    def all_of_them(connection: Connection) -> list[HeldSession]:
        found, after = list[HeldSession](), 0
        while True:
            page = reading.held_sessions(connection, Cut(after))
            found += [decode(HeldSession, text, "held session") for text in page.objects]
            if page.next is None:
                return found
            after = page.next

    found = _read(config_path, all_of_them)
    _show(found, as_json, lambda: print_held(screen(), found))


@meters.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@config_option
@token_option
@_json
def import_keys(file: Path, config_path: Path, token_file: Path | None, as_json: bool) -> None:
    """Pin the meter keys of FILE, CSV or JSON; all of them or none.

    \b
    meter_serial,public_key,source,not_before
    1EMH0012345678,3059301306072A8648CE3D...,nameplate,2026-01-01

    Further columns: gateway_serial, charge_point_id, curve, not_after, and
    gateway_id, charger_id, evse_id together for the key of a place.
    """
    try:
        text = file.read_text("utf-8")
        rows = parse_key_list(text)
    except UnicodeDecodeError as error:
        fail(f"{file}: not UTF-8 text, at byte {error.start + 1}; save the list as CSV or JSON in UTF-8")
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    except WireError as error:
        fail(f"{file}: {error}")
    act = _act("imported", "")
    done = _change(
        config_path,
        token_file,
        lambda connection, config: meter_acts.import_keys(connection, rows, act),
        lambda api: decode(Imported, api.ask("POST", "/api/v1/meters/keys", text.encode()), "answer"),
    )
    _show([done], as_json, lambda: print_imported(screen(), done))


@meters.command()
@click.argument("key")
@click.option("--not-before", callback=_instant, metavar="DATE", help="It counts for what was signed from then on.")
@_why
@config_option
@token_option
@_json
def confirm(
    key: str, not_before: datetime | None, why: str, config_path: Path, token_file: Path | None, as_json: bool
) -> None:
    """Vouch for a learned or quarantined KEY.

    By its number or fingerprint; compare it with the meter's nameplate first.
    """
    act, said = _act("confirmed", why), Confirmation(not_before=not_before, why=why)
    found = _change(
        config_path,
        token_file,
        lambda connection, config: meter_acts.confirm_key(connection, key, act, not_before),
        lambda api: _keys_in(api.ask("POST", f"/api/v1/meters/keys/{quote(key, safe='')}/confirm", encode(said))),
    )
    _show(found, as_json, lambda: _show_changed(found))


@meters.command()
@click.argument("key")
@click.option(
    "--not-after",
    callback=_instant,
    metavar="DATE",
    help="It counts for what was signed before; left out: now, or the end it has.",
)
@_why
@config_option
@token_option
@_json
def retire(
    key: str, not_after: datetime | None, why: str, config_path: Path, token_file: Path | None, as_json: bool
) -> None:
    """Close the time of KEY.

    What was signed before is still judged with it.
    """
    act, said = _act("retired", why), Retirement(not_after=not_after, why=why)
    found = _change(
        config_path,
        token_file,
        lambda connection, config: (meter_acts.retire_key(connection, key, act, not_after),),
        lambda api: _keys_in(api.ask("POST", f"/api/v1/meters/keys/{quote(key, safe='')}/retire", encode(said))),
    )
    _show(found, as_json, lambda: _show_changed(found))


@meters.command()
@click.argument("ticket", type=click.IntRange(1))
@click.option("--why", required=True, help="What became of the records.")
@config_option
@token_option
@_json
def close(ticket: int, why: str, config_path: Path, token_file: Path | None, as_json: bool) -> None:
    """Close a TICKET of `pnc-hub meters gaps` that nothing will fill."""
    closed = _change(
        config_path,
        token_file,
        lambda connection, config: meter_pages.close_gap(connection, ticket, now(), getpass.getuser(), why),
        lambda api: decode(
            GapTicket, api.ask("POST", f"/api/v1/meters/gaps/{ticket}/close", encode(Closing(why=why))), "answer"
        ),
    )
    _show([closed], as_json, lambda: print_gaps(screen(), [closed]))


@meters.command()
@config_option
@token_option
@_json
def reverify(config_path: Path, token_file: Path | None, as_json: bool) -> None:
    """Judge all signed values again, after a key or a version was added.

    Verdicts are added, never changed. A CDR stays as it is: what its session
    comes to now is a finding on the session.
    """
    total = Reverified(judged=0, changed=0, reviewed=0, next="")
    while total.next is not None:
        step = _reverify_from(total.next, config_path, token_file)
        total = Reverified(
            judged=total.judged + step.judged,
            changed=total.changed + step.changed,
            reviewed=total.reviewed + step.reviewed,
            next=step.next,
        )
    _show([total], as_json, lambda: print_reverified(screen(), total))


def _reverify_from(after: str, config_path: Path, token_file: Path | None) -> Reverified:
    path = f"/api/v1/meters/reverify?after={quote(after, safe='')}"
    return _change(
        config_path,
        token_file,
        lambda connection, config: meter_acts.reverify(connection, config.terms, after, now()),
        lambda api: decode(Reverified, api.ask("POST", path), "answer"),
    )


# --- reading, and changing by whoever may ---------------------------------------------------------------------------


def _read(config_path: Path, work: Callable[[Connection], T]) -> T:
    try:
        connection = load_config(config_path).engine().open_reader()
        try:
            return work(connection)
        finally:
            connection.close()
    except (HubError, WireError) as error:
        fail(str(error))
    except sqlite3.Error as error:
        fail(f"the database cannot be read: {error}")


def _change(
    config_path: Path,
    token_file: Path | None,
    directly: Callable[[Connection, HubConfig], T],
    asking: Callable[[HubAPI], T],
) -> T:
    """The result of the change, made by the running hub or, while none runs, here."""
    try:
        config = load_config(config_path)
        try:
            lock = lock_state(config.state_dir)
        except StoreError as error:
            if error.code != "already-running":
                raise
            return asking(running_hub(config, token_file))
        try:
            return _committed(config, directly)
        finally:
            os.close(lock)
    except (HubError, WireError) as error:
        fail(str(error))


def _committed(config: HubConfig, work: Callable[[Connection, HubConfig], T]) -> T:
    connection = config.engine().open_writer()
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = work(connection, config)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"nothing was stored: {error}") from error
    finally:
        connection.close()
    return result


def _keys_in(answer: bytes) -> tuple[KeptKey, ...]:
    return decode(_Keys, answer, "answer").keys


def _act(name: str, why: str) -> Act:
    return Act(name=name, at=now(), by_whom=getpass.getuser(), why=why)


def _pages(read: Callable[[int], tuple[Any, ...]]) -> list[Any]:
    found, after = list[Any](), 0
    while page := read(after):
        found += page
        after = page[-1].number
    return found


def _show(found: Any, as_json: bool, on_screen: Callable[[], None]) -> None:
    if not as_json:
        on_screen()
        return
    if not found:
        click.echo("[]")
    for one in found:
        click.echo(encode(one).decode())


def _show_changed(found: Any) -> None:
    print_keys(screen(), found)
    click.echo("`pnc-hub meters reverify` judges with it what came before.")
