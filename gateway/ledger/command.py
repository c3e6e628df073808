"""`pnc-gateway ledger`: what the ledger is, whether it is whole, and proofs that others can check."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from rich.console import Console
from rich.text import Text

from gateway.config import Settings, load_settings
from gateway.control.running import EXIT_REFUSED, fail, running
from gateway.errors import GatewayError, StoreError
from gateway.ledger.proof import RecordProof, parse_record_proof, prove, verify_record_proof
from gateway.ledger.verify import LedgerReport, verify_ledger
from gateway.store.ledger import acked_seq, head, identity, open_ledger_reader
from gateway.store.receipts import Receipt, Trouble, newest_receipt, pinned_hub_key, troubles
from gateway.store.release import Released, released
from gateway.store.tree import KeptTree, log_key
from gateway.wording import counted, instant
from pki.service.screen import listing, print_listing, screen
from wire.errors import MalformedValue, WireError
from wire.merkle import ProofError, TiledTree, tree_root
from wire.records import Value, encode

_KEY_HEX = 64
"""Hex digits of an Ed25519 key."""
MAX_PROOF_BYTES = 64 * 1024 * 1024
"""A record has the largest frame of a station, each byte of it at most 7 within JSON within JSON."""


class LedgerState(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The log and what the hub knows of it. Keys and root in hex; `damage`: why there is no root."""

    gateway_id: str
    epoch: str
    size: int
    root: str | None
    damage: str | None
    log_key: str
    acked_seq: int
    hub_log_key: str | None
    receipt: Receipt | None
    released: Released
    troubles: tuple[Trouble, ...]


@click.group()
def ledger() -> None:
    """The provable log of everything that was stored.

    A Merkle tree over the chain of records, whose head the hub countersigns.
    """


@ledger.command()
@running
def show(config: Path, as_json: bool) -> None:
    """Show the log.

    Its size, root and keys, what the hub countersigned, and how much was let go. Ends with 1 when it is damaged, or
    when something is wrong between this log and the hub.
    """
    with _reading(config) as (connection, settings):
        found = _state(connection, settings)
    if as_json:
        click.echo(encode(found))
    else:
        _show_state(screen(), found)
    sys.exit(EXIT_REFUSED if found.troubles or found.damage else 0)


def _state(connection: sqlite3.Connection, settings: Settings) -> LedgerState:
    owner, size, damage = identity(connection), head(connection).seq, None
    try:
        root = tree_root(size, TiledTree(KeptTree(connection)).subtree).hex()
    except (ProofError, StoreError) as error:
        root, damage = None, str(error)
    return LedgerState(
        gateway_id=owner.gateway_id,
        epoch=owner.epoch,
        size=size,
        root=root,
        damage=damage,
        log_key=log_key(connection).public_key,
        acked_seq=acked_seq(connection),
        hub_log_key=settings.table.uplink.hub_log_key or pinned_hub_key(connection),
        receipt=newest_receipt(connection),
        released=released(connection),
        troubles=troubles(connection),
    )


def _show_state(console: Console, found: LedgerState) -> None:
    receipt, gone = found.receipt, found.released
    waiting = f", {gone.held_back} wait for the end of their session" if gone.held_back else ""
    rows = [
        ("gateway", f"{found.gateway_id} (epoch {found.epoch})"),
        ("records", f"{found.size}, acknowledged by the hub up to {found.acked_seq}"),
        ("root", found.root or f"none: {found.damage}"),
        ("log key", found.log_key),
        ("hub key", found.hub_log_key or "none yet: the hub has not countersigned anything"),
        ("receipt", _receipt_line(receipt)),
        ("released", f"{counted(gone.records, 'record')} without content, looked at up to {gone.seq}{waiting}"),
    ]
    for name, value in rows:
        console.print(Text(f"{name:<11}{value}"), soft_wrap=True)
    for trouble in found.troubles:
        line = f"TROUBLE {trouble.kind.value} since {instant(trouble.at)}\n  {trouble.message}"
        console.print(Text(line, "bold red"), soft_wrap=True)
        console.print(Text("  what to do: docs/operations.md, The ledger"), soft_wrap=True)


def _receipt_line(receipt: Receipt | None) -> str:
    if receipt is None:
        return "none"
    return f"the hub countersigned {receipt.signed.head.size} records at {instant(receipt.countersignature.at)}"


@ledger.command()
@running
def verify(config: Path, as_json: bool) -> None:
    """Check the whole ledger.

    Recomputes every hash, every tile and every root, and names what was altered or removed. Reads only; the gateway may
    run. Ends with 0 when all fits, 1 when not, 2 when it cannot be read.
    """
    with _reading(config) as (connection, settings):
        report = verify_ledger(connection, settings.table.uplink.hub_log_key, _progress())
    if as_json:
        click.echo(encode(report))
    else:
        _show_report(screen(), report)
    sys.exit(EXIT_REFUSED if report.findings else 0)


def _progress() -> Callable[[int, int], None]:
    """Says on a terminal how far it is; a log file is spared."""
    if not sys.stderr.isatty():
        return lambda done, total: None
    return lambda done, total: click.echo(f"\r{done:,} of {total:,} records", err=True, nl=done + 5000 > total)


def _show_report(console: Console, report: LedgerReport) -> None:
    reached = f"{counted(report.receipts, 'receipt')}, countersigned up to record {report.countersigned}"
    lines = [
        f"records    {report.records}, {report.released} of them without content",
        f"root       {report.root or 'none: records are missing'}",
        f"receipts   {reached}",
    ]
    if report.dropped:
        lines.append(f"           the rows up to {report.dropped} are not kept here any more; their tiles are")
    if report.unsalted:
        lines.append(f"           {report.unsalted} are of an earlier version and keep their content")
    if report.countersigned < report.records:
        lines.append(f"           nobody but this box vouches for the {report.records - report.countersigned} after it")
    for line in lines:
        console.print(Text(line), soft_wrap=True)
    if not report.findings:
        console.print(Text("whole: every hash, tile and receipt fits", "bold green"))
        return
    table = listing("RECORD", "FAULT", "WHAT")
    for found in report.findings:
        place = str(found.first) if found.first == found.last else f"{found.first} to {found.last}"
        table.add_row(Text("" if not found.last else place), Text(found.fault.value, "bold red"), Text(found.message))
    print_listing(console, table)
    console.print(Text("NOT WHOLE: see docs/operations.md, The ledger", "bold red"))


@ledger.command(name="prove")
@click.argument("seq", type=click.IntRange(1))
@click.option("--without-content", is_flag=True, help="the commitment in the place of what the record says")
@running
def prove_record(seq: int, without_content: bool, config: Path, as_json: bool) -> None:
    """Prove that record SEQ is in the log.

    Prints JSON that `ledger check` checks without any database: the record, the way to the root, and the newest head
    that the hub countersigned; with --json in one line. Ends with 1 when there is no such record, or when it is not
    countersigned yet.
    """
    with _reading(config) as (connection, _settings):
        found = prove(connection, seq, with_content=not without_content)
        size, newest = head(connection).seq, newest_receipt(connection)
    if found is None:
        reached = 0 if newest is None else newest.signed.head.size
        why = (
            f"there are {size} records" if seq > size else f"the hub countersigned {counted(reached, 'record')} so far"
        )
        click.echo(f"pnc-gateway: record {seq} cannot be proven: {why}", err=True)
        sys.exit(EXIT_REFUSED)
    click.echo(encode(found) if as_json else msgspec.json.format(encode(found), indent=2))


def _key_hex(context: click.Context, option: click.Parameter, text: str | None) -> str | None:
    """The key as proofs write it. A mistyped one must not look like a forged proof."""
    key = None if text is None else text.strip().lower()
    if key is not None and (len(key) != _KEY_HEX or not set(key) <= set("0123456789abcdef")):
        raise click.BadParameter(f"{key[:_KEY_HEX]!a}: expected {_KEY_HEX} hex digits, as `ledger show` prints them")
    return key


@ledger.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--log-key",
    metavar="HEX",
    callback=_key_hex,
    help="the key of the gateway's log; what the proof claims when left out",
)
@click.option(
    "--hub-key",
    metavar="HEX",
    callback=_key_hex,
    help="the key that the hub countersigns with; what the proof claims when left out",
)
@click.option("--json", "as_json", is_flag=True, help="JSON for machines")
def check(file: BinaryIO, log_key: str | None, hub_key: str | None, as_json: bool) -> None:
    """Check a proof of `ledger prove`: FILE, or - for standard input.

    Needs no configuration and no database. Ends with 0 when it holds, 1 when not, 2 when it is no proof.
    """
    try:
        proof = parse_record_proof(file.read(MAX_PROOF_BYTES))
    except MalformedValue as error:
        fail(str(error))
    fault: WireError | None = None
    try:
        verify_record_proof(proof, log_key, hub_key)
    except WireError as error:
        fault = error
    if as_json:
        click.echo(encode(_checked(proof, log_key, hub_key, fault)))
    else:
        _show_checked(screen(), _checked(proof, log_key, hub_key, fault))
    sys.exit(0 if fault is None else EXIT_REFUSED)


class Checked(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What came of checking a proof. `*_claimed`: the key was the proof's own word."""

    holds: bool
    code: str | None
    message: str | None
    gateway_id: str
    epoch: str
    seq: int
    size: int
    has_content: bool
    log_key: str
    log_key_claimed: bool
    hub_log_key: str
    hub_log_key_claimed: bool
    countersigned_at: datetime


def _checked(proof: RecordProof, log_key: str | None, hub_key: str | None, fault: WireError | None) -> Checked:
    tree_head = proof.head.head
    return Checked(
        holds=fault is None,
        code=None if fault is None else fault.code,
        message=None if fault is None else str(fault),
        gateway_id=tree_head.gateway_id,
        epoch=tree_head.epoch,
        seq=proof.record.seq,
        size=tree_head.size,
        has_content=not proof.record.is_released,
        log_key=log_key or proof.head.public_key,
        log_key_claimed=log_key is None,
        hub_log_key=hub_key or proof.countersignature.public_key,
        hub_log_key_claimed=hub_key is None,
        countersigned_at=proof.countersignature.at,
    )


def _show_checked(console: Console, found: Checked) -> None:
    if not found.holds:
        console.print(Text(f"DOES NOT HOLD: {found.message} ({found.code})", "bold red"), soft_wrap=True)
        return
    what = "" if found.has_content else ", without its content"
    where = f"in the log of gateway {found.gateway_id}, epoch {found.epoch}"
    console.print(Text(f"holds: record {found.seq} of {found.size} {where}{what}", "bold green"), soft_wrap=True)
    console.print(Text(f"countersigned {instant(found.countersigned_at)}"), soft_wrap=True)
    for name, key, claimed in (
        ("log key", found.log_key, found.log_key_claimed),
        ("hub key", found.hub_log_key, found.hub_log_key_claimed),
    ):
        remark = "  CLAIMED by the proof: compare it with what you know" if claimed else "  as given"
        console.print(Text(f"{name}  {key}{remark}"), soft_wrap=True)


@contextmanager
def _reading(config: Path) -> Iterator[tuple[sqlite3.Connection, Settings]]:
    """The configured gateway's ledger, for reading; ends the process with one line when it cannot be read."""
    try:
        settings = load_settings(config)
        with closing(open_ledger_reader(settings.ledger_path)) as connection:
            yield connection, settings
    except (GatewayError, WireError) as error:
        fail(str(error))
    except sqlite3.Error as error:
        fail(f"the ledger cannot be read: {error}")
