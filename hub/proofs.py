"""`pnc-hub ledger`: the chains as logs that can be proved, and whether all of it still holds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hub.clock import utc
from hub.config import HubConfig, load_config
from hub.log_key import load_log_key, make_log_key
from hub.options import config_option, json_option, or_exit
from hub.orders import WHOLE_LINES
from hub.store.database import state_locked
from hub.store.engine import Connection
from hub.store.heads import LedgerEntry, ledgers
from hub.store.ledger import Chain, position_of
from hub.store.verification import LedgerFlaw, VerifiedChain, chains_held, verify_chain
from pki.service.screen import listing, screen
from wire.records import Value, encode

EXIT_FLAWED = 1
_KEY_HEX = 64
"""Hex digits of an Ed25519 key."""
SHOWN = 16
"""Hex digits of a key or root in a table."""


class _Flaw(Value, frozen=True, kw_only=True):
    """The first thing that is wrong with a chain."""

    gateway_id: str
    epoch: str
    code: str
    where: str
    message: str


class _Verified(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What `verify --json` says."""

    holds: bool
    hub_keys: tuple[str, ...]
    chains: tuple[VerifiedChain, ...]
    flaws: tuple[_Flaw, ...]


T = TypeVar("T")


@click.group(invoke_without_command=True)
@config_option
@json_option
@click.pass_context
def ledger(context: click.Context, config_path: Path, as_json: bool) -> None:
    """Show what each gateway has recorded, and prove it.

    How long its log is, under which root, and up to where this hub has countersigned it.

    Reads only, works while the hub runs.
    """
    if context.invoked_subcommand is None:
        config = or_exit(lambda: load_config(config_path))
        entries = or_exit(lambda: _read(config, ledgers))
        key = or_exit(lambda: load_log_key(config.state_dir))
        hub_key = None if key is None else key.public_key
        if as_json:
            click.echo(b'{"hub_key":' + encode(hub_key) + b',"ledgers":' + encode(entries) + b"}")
        else:
            _show(screen(), entries, hub_key)


def _read(config: HubConfig, reading: Callable[[Connection], T]) -> T:
    with closing(config.engine().open_reader()) as connection:
        return reading(connection)


def _show(console: Console, entries: tuple[LedgerEntry, ...], hub_key: str | None) -> None:
    """A table; where it has no room, some lines each. The hub's key whole: whoever checks a proof compares it."""
    console.print(f"hub key {hub_key or 'none yet: it is made when the hub first runs'}", soft_wrap=True)
    if not entries:
        console.print("no gateway has sent a record yet")
        return
    table = listing("GATEWAY", "EPOCH", "RECORDS", "MISSING", "ROOT", "LOG KEY", "COUNTERSIGNED")
    lines = list[str]()
    for entry in entries:
        log_key = "none" if entry.log_key is None else entry.log_key[:SHOWN]
        at = entry.countersigned_at
        signed = "never" if at is None else f"{entry.countersigned_size} at {utc(at)}"
        root, size, missing = entry.root[:SHOWN], str(entry.size), str(entry.missing)
        table.add_row(entry.gateway_id, entry.epoch, size, missing, root, log_key, signed)
        lines.append(f"{entry.gateway_id}  epoch {entry.epoch}  records {size}  missing {missing}")
        lines.append(f"  root {root}  log key {log_key}")
        lines.append(f"  countersigned {signed}")
    if console.measure(table, options=console.options.update(width=WHOLE_LINES)).maximum <= console.width:
        console.print(table)
    else:
        console.print("\n".join(lines), markup=False, soft_wrap=True)


def _keys_hex(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """The keys as heads name them. A mistyped one would make good countersignatures look like a stranger's."""
    keys = tuple(text.strip().lower() for text in texts)
    for key in keys:
        if len(key) != _KEY_HEX or not set(key) <= set("0123456789abcdef"):
            raise click.BadParameter(f"{key[:_KEY_HEX]!a}: expected {_KEY_HEX} hex digits")
    return keys


@ledger.command()
@config_option
@json_option
@click.option(
    "--hub-key",
    "more_keys",
    metavar="HEX",
    multiple=True,
    callback=_keys_hex,
    help="an earlier key of this hub; may be repeated",
)
def verify(config_path: Path, as_json: bool, more_keys: tuple[str, ...]) -> None:
    """Recompute everything from the records held.

    Hashes, commitments, trees, every head and every signature. Names the first thing wrong in each chain. Reads only,
    works while the hub runs. Ends with 0 when all holds, 1 when not, 2 when it could not be looked at.
    """
    config = or_exit(lambda: load_config(config_path))
    keys = or_exit(lambda: _hub_keys(config, more_keys))
    found = or_exit(lambda: _read(config, lambda connection: _verified(connection, keys)))
    if as_json:
        click.echo(encode(found))
    else:
        _tell(screen(), found)
    sys.exit(0 if found.holds else EXIT_FLAWED)


def _hub_keys(config: HubConfig, more: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that may have countersigned: this hub's own, and those that were named."""
    own = load_log_key(config.state_dir)
    return (*(() if own is None else (own.public_key,)), *more)


def _verified(connection: Connection, hub_keys: Collection[str]) -> _Verified:
    verified, flaws = list[VerifiedChain](), list[_Flaw]()
    chains = chains_held(connection)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        for chain in chains:
            size = position_of(connection, chain).seq
            task = progress.add_task(f"{chain.gateway_id} {chain.epoch}", total=size)
            try:
                verified.append(verify_chain(connection, chain, hub_keys, partial(progress.advance, task)))
            except LedgerFlaw as flaw:
                flaws.append(_told(chain, flaw))
    return _Verified(holds=not flaws, hub_keys=tuple(hub_keys), chains=tuple(verified), flaws=tuple(flaws))


def _told(chain: Chain, flaw: LedgerFlaw) -> _Flaw:
    where = flaw.where
    return _Flaw(gateway_id=chain.gateway_id, epoch=chain.epoch, code=flaw.code, where=where, message=str(flaw))


def _tell(console: Console, found: _Verified) -> None:
    for chain in found.chains:
        console.print(
            f"{chain.gateway_id}  epoch {chain.epoch}  holds: {chain.records} records ({chain.released} let go), "
            f"{chain.heads} heads, root {chain.root[:SHOWN]}",
            markup=False,
            soft_wrap=True,
        )
    for flaw in found.flaws:
        line = f"{flaw.gateway_id}  epoch {flaw.epoch}  DOES NOT HOLD: {flaw.message} ({flaw.code})"
        console.print(line, markup=False, soft_wrap=True, style="bold red")
    if not found.chains and not found.flaws:
        console.print("no gateway has sent a record yet")


@ledger.command(name="new-key")
@config_option
def new_key(config_path: Path) -> None:
    """Make another key to countersign with, when the hub's was lost.

    The hub must not be running and the key's file must be gone. Gateways that pinned the old key report the change.
    """

    def made() -> str:
        config = load_config(config_path)
        with state_locked(config.state_dir):
            return make_log_key(config.state_dir).public_key

    public_key = or_exit(made)
    click.echo(f"the hub countersigns with the key {public_key} from now on")
