"""`pnc-gateway whitelist`: the list of tokens that drivers are decided by while nobody can be asked."""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

import click

from gateway.clock import read_boot_id
from gateway.clock_watch import open_clock
from gateway.config import Settings
from gateway.control.seen import ListView
from gateway.errors import StoreError
from gateway.given import config_option, fail, settings_of
from gateway.outlook import EXIT_DEGRADED
from gateway.status import read_running
from gateway.store.whitelist import read_list
from gateway.wording import counted, instant
from wire.records import Value, encode


class Listed(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The list as it lies on disk. `fresh`: confirmed by the hub within [policy] list_max_age_h; one that was never
    confirmed counts as fresh. `running`: what the gateway that runs says of it, None when none does."""

    version: int
    chain: str | None
    tokens: int
    confirmed_at: datetime | None
    fresh: bool
    running: ListView | None


def read_listed(settings: Settings, at: datetime) -> Listed:
    """The list at the instant `at`. Raises StoreError."""
    state, running = read_list(settings.whitelist_path), read_running(settings)
    longest = timedelta(hours=settings.table.policy.list_max_age_h)
    return Listed(
        version=state.version,
        chain=state.chain,
        tokens=state.tokens,
        confirmed_at=state.confirmed_at,
        fresh=state.confirmed_at is None or at - state.confirmed_at <= longest,
        running=None if running is None or running.vitals is None else running.vitals.whitelist,
    )


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def whitelist(config: Path, as_json: bool) -> None:
    """Show the list of tokens, its age, and what comes in.

    Ends with 1 when the list is too old for [policy] list_max_age_h, or something of the hub's was refused.
    """
    settings = settings_of(config)
    now = open_clock(settings, read_boot_id(os.environ.get("PNCGW_BOOT_ID"))).now().at
    try:
        found = read_listed(settings, now)
    except StoreError as error:
        fail(str(error))
    click.echo(encode(found) if as_json else "\n".join(_lines(found)))
    if not found.fresh or (found.running is not None and found.running.refused):
        sys.exit(EXIT_DEGRADED)


def _lines(found: Listed) -> list[str]:
    confirmed = "not confirmed by the hub yet" if found.confirmed_at is None else instant(found.confirmed_at)
    lines = [
        f"version      {found.version}, {counted(found.tokens, 'token')}",
        f"confirmed    {confirmed}" + ("" if found.fresh else ": TOO OLD, [policy] stale_list_offline decides"),
        f"chain        {found.chain or 'not known: the whole list is fetched next'}",
    ]
    running = found.running
    if running is None:
        return [*lines, "no gateway runs: nothing is fetched"]
    if running.progress is not None:
        told = running.progress
        there = f"{told.parts_there} of {counted(told.parts, 'part')}, {told.tokens_built:,} of {told.tokens:,} tokens"
        lines.append(f"coming in    version {told.version}: {there} built in")
    for code, count in sorted(running.refused.items()):
        lines.append(f"REFUSED      {code}, {counted(count, 'time')}: docs/operations.md, The token list")
    return lines
