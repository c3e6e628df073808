"""`pnc-hub erase` and `pnc-hub retention`: personal data that has to go, and what is over.

While a hub runs it is asked to do it, with an operator's token; while none runs, the database is opened under its lock.
"""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
from rich.console import Console

from hub.asking import running_hub
from hub.clock import now
from hub.config import HubConfig, load_config
from hub.config_store import StoreKind
from hub.erasing import Demand, Erasing, ErasureResult
from hub.errors import StoreError
from hub.options import config_option, fail, json_option, or_exit, token_option
from hub.store.connection import FILE_NAME, compact
from hub.store.database import Database, state_locked
from hub.store.erasure import Counts
from hub.web.erasures import ErasureOrder, RetentionOrder
from pki.service.screen import listing, screen
from wire.errors import MalformedValue
from wire.records import TokenType, decode, encode

PATIENCE_S = 1800.0
"""Every record is looked at: 10,000 a second or so."""

_WORDS = {
    "records": "records whose content goes; header, hash and proofs stay",
    "kept_records": "records of the first form, which cannot be let go",
    "sessions": "sessions; energy, times and money stay",
    "open_sessions": "sessions that lose content run",
    "young_sessions": "sessions that lose content are younger than the retention",
    "mentions": "sessions of others in which the name appears",
    "cdrs": "CDRs; energy, times and money stay",
    "decisions": "remembered decisions",
    "conflicts": "refused offers",
    "commands": "commands",
    "tokens": "tokens on the list; gateways forget them with their next one",
}
"""What the counts are, for people."""

_yes = click.option("--yes", is_flag=True, help="do it; without, only show what would go")


@click.command()
@click.option("--token", metavar="UID", help="the uid of a token")
@click.option("--contract", metavar="ID", help="a contract, with all its tokens")
@click.option("--type", "type_", type=click.Choice([one.value for one in TokenType]), help="the token's type")
@_yes
@click.option("--force", is_flag=True, help="also sessions that run or must still be kept")
@token_option
@config_option
@json_option
def erase(
    token: str | None,
    contract: str | None,
    type_: str | None,
    yes: bool,
    force: bool,
    token_file: Path | None,
    config_path: Path,
    as_json: bool,
) -> None:
    """Let everything go that names a customer.

    The content of their records, and who charged in sessions and CDRs; energy, times and money stay, and so do the
    chain and every proof. Shows what would go, and lets it go with --yes: that cannot be undone. Refused while sessions
    run or are younger than the retention.
    """
    if (token is None) == (contract is None):
        fail("say whose data with --token or with --contract, one of them")
    order = ErasureOrder(
        token=token, contract=contract, type=None if type_ is None else TokenType(type_), apply=yes, force=force
    )
    try:
        wanted = order.wanted()
    except MalformedValue as error:
        fail(str(error))

    async def directly(erasing: Erasing, demand: Demand) -> ErasureResult:
        return await erasing.person(wanted, demand)

    result = _done(config_path, token_file, "/api/v1/erasures", order, directly)
    _show(result, as_json, "nothing here names them")


@click.command()
@_yes
@click.option("--compact", "compacting", is_flag=True, help="then write the database anew; no hub may run")
@token_option
@config_option
@json_option
def retention(yes: bool, compacting: bool, token_file: Path | None, config_path: Path, as_json: bool) -> None:
    """Let the content go of what is older than [retention].

    Shows what is over, and lets it go with --yes. --compact is for a database of an earlier version, which may hold
    remains in its free pages.
    """
    order = RetentionOrder(apply=yes)
    result = _done(config_path, token_file, "/api/v1/retention", order, Erasing.over)
    if compacting:
        or_exit(lambda: _compact(load_config(config_path)))
    _show(result, as_json, "nothing is over")


def _done(
    config_path: Path,
    token_file: Path | None,
    path: str,
    order: ErasureOrder | RetentionOrder,
    directly: Callable[[Erasing, Demand], Awaitable[ErasureResult]],
) -> ErasureResult:
    """The result, of the running hub or, while none runs, of the work done here."""

    def work() -> ErasureResult:
        config = load_config(config_path)
        force = isinstance(order, ErasureOrder) and order.force
        demand = Demand(by=getpass.getuser(), at=now(), apply=order.apply, force=force)
        try:
            return asyncio.run(_here(config, demand, directly))
        except StoreError as error:
            if error.code != "already-running":
                raise
        api = running_hub(config, token_file)
        return decode(ErasureResult, api.ask("POST", path, encode(order), PATIENCE_S), "answer of the hub")

    with Console(stderr=True).status("looking at every record"):
        return or_exit(work)


async def _here(
    config: HubConfig, demand: Demand, directly: Callable[[Erasing, Demand], Awaitable[ErasureResult]]
) -> ErasureResult:
    engine = config.engine()
    (await asyncio.to_thread(engine.open_reader)).close()
    database = Database(config.state_dir, config.terms, engine)
    try:
        return await directly(Erasing(database, config.retention_years), demand)
    finally:
        await database.close()


def _compact(config: HubConfig) -> None:
    if config.store.kind is not StoreKind.SQLITE:
        raise StoreError("--compact is for SQLite; PostgreSQL writes tables anew with VACUUM FULL", "not-here")
    with state_locked(config.state_dir):
        compact(config.state_dir / FILE_NAME)


def _show(result: ErasureResult, as_json: bool, nothing: str) -> None:
    if as_json:
        click.echo(encode(result))
        return
    console = screen()
    found = [(name, getattr(result.counts, name)) for name in Counts.__struct_fields__]
    if not any(count for _, count in found):
        console.print(nothing)
        return
    table = listing("COUNT", "WHAT")
    for name, count in found:
        if count:
            table.add_row(str(count), _WORDS[name])
    console.print(table)
    for session_id in result.others:
        console.print(f"loses content: session {session_id} of somebody else, which names them", markup=False)
    for sentence in result.remains:
        console.print(f"remains: {sentence}", markup=False)
    if result.number is not None:
        console.print(f"let go; act number {result.number}")
    elif result.refused is not None:
        console.print(f"would be refused: {result.refused}", markup=False)
    else:
        console.print("nothing was changed; --yes lets it go")
