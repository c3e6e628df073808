"""`pnc-sim meter`: signed records for whoever wants to test a verifier, clean or with a fault, without any charger."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from firmware_sim.errors import SimulatorError
from firmware_sim.lines import alone_in
from firmware_sim.meter import SigningMeter
from firmware_sim.meter_faults import FAULTS, Fault, MeterFault
from firmware_sim.meter_options import kind_of, meter_options
from firmware_sim.meter_sessions import Bench, SetClock, ToldTransaction
from pki.service.screen import screen
from wire.errors import WireError
from wire.meter.record import CurrentType
from wire.records import Value, encode

EXIT_UNUSABLE = 2
_CHARGER = "BENCH-1"


class TransactionTold(msgspec.Struct, frozen=True, kw_only=True):
    """One line: a transaction as `pnc-gateway meter verify --batch` reads it. A record is the signed value as it goes
    into OCPP, `public_key` the one on the meter's housing."""

    id: str
    records: tuple[msgspec.Raw, ...]
    public_key: str


class FaultTold(Value, frozen=True, kw_only=True, omit_defaults=False):
    """A fault, and what a verifier must say of it."""

    name: str
    of: str
    does: str
    signature: str
    unpinned: str
    deviations: tuple[str, ...]
    session: tuple[str, ...]
    history: tuple[str, ...]


class Summary(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What was written."""

    sessions: int
    records: int
    out: str
    faults: tuple[FaultTold, ...]


@click.command()
@meter_options("")
@click.option("--sessions", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="transactions")
@click.option("--readings", type=click.IntRange(0, 400), default=2, show_default=True, help="between begin and end")
@click.option("--ocpp", type=click.Choice(["1.6", "2.0.1", "2.1"]), default="2.1", show_default=True)
@click.option("--swap-after", type=click.IntRange(1), help="swap the meter after so many transactions")
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), help="keep the meter here; it goes on there")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="write to this file, not to the screen")
@click.option("--force", is_flag=True, help="replace the file that --out names")
@click.option("--list", "is_list", is_flag=True, help="list the faults, and what a verifier must say of each")
@click.option("--json", "as_json", is_flag=True, help="what is not a record, as JSON too")
def meter(
    sessions: int,
    readings: int,
    ocpp: str,
    swap_after: int | None,
    state: Path | None,
    out: Path | None,
    force: bool,
    is_list: bool,
    as_json: bool,
    meter_faults: tuple[str, ...],
    **kind: object,
) -> None:
    """Write signed meter values, one transaction a line.

    \b
    pnc-sim meter --curve secp192k1 --fault wrong-key --out records.jsonl
    pnc-gateway meter verify --batch records.jsonl

    A line is {"id", "records", "public_key"}. Ends with 0, or with 2 when there cannot be such a meter.
    """
    faults = tuple(MeterFault(name) for name in meter_faults)
    if is_list:
        _show_list(faults or tuple(MeterFault), as_json)
        return
    try:
        with _opened(out, force) as stream, _folder(state) as folder:
            clock = SetClock(datetime.now(UTC).replace(microsecond=0) - timedelta(hours=sessions))
            signing = SigningMeter(
                folder,
                _CHARGER,
                clock,
                current=CurrentType.AC,
                kind=kind_of(kind),
                faults=frozenset(faults),
                durable=state is not None,
            )
            bench = Bench(meter=signing, clock=clock, ocpp=ocpp, between=readings)
            count = _write(_transactions(bench, sessions, swap_after), ocpp, stream)
    except (SimulatorError, WireError) as error:
        _unusable(str(error))
    except BrokenPipeError:
        raise  # Whoever reads has enough: click ends without a word.
    except OSError as error:
        _unusable(f"{error.filename or out}: {error.strerror}")
    if out is not None:
        _show_summary(
            Summary(sessions=sessions, records=count, out=str(out), faults=tuple(map(_told, faults))), as_json
        )


def _unusable(message: str) -> None:
    click.echo(f"pnc-sim: {message}", err=True)
    sys.exit(EXIT_UNUSABLE)


def _transactions(bench: Bench, sessions: int, swap_after: int | None) -> Iterator[ToldTransaction]:
    for transaction in bench.transactions(sessions):
        yield transaction
        if transaction.number == swap_after:
            bench.meter.swap()


def _write(transactions: Iterable[ToldTransaction], ocpp: str, stream: BinaryIO) -> int:
    """How many records were written."""
    count = 0
    for transaction in transactions:
        values = [encode(value.text if ocpp == "1.6" else value.members) for value in transaction.told]
        line = TransactionTold(
            id=f"{transaction.meter}/{transaction.number}",
            records=tuple(map(msgspec.Raw, values)),
            public_key=transaction.public_key.spki.hex(),
        )
        stream.write(encode(line) + b"\n")
        count += len(values)
    return count


@contextmanager
def _opened(out: Path | None, force: bool) -> Iterator[BinaryIO]:
    if out is None:
        yield sys.stdout.buffer
        return
    try:
        stream = out.open("wb" if force else "xb")
    except FileExistsError:
        _unusable(f"{out}: is there already; --force replaces it")
    with stream:
        is_whole = False
        try:
            yield stream
            is_whole = True
        finally:
            if not is_whole:
                out.unlink(missing_ok=True)  # Half a file would stand in the way of the next try.


@contextmanager
def _folder(state: Path | None) -> Iterator[Path]:
    if state is None:
        with tempfile.TemporaryDirectory(prefix="pncgate-meter-") as name:
            yield Path(name)
        return
    with alone_in(state):
        yield state


# --- what is told of faults -------------------------------------------------------------------------------------------


def _told(name: MeterFault) -> FaultTold:
    fault: Fault = FAULTS[name]
    return FaultTold(
        name=name.value,
        of="the meter" if fault.of_meter else "the telling",
        does=fault.does,
        signature=fault.signature.value,
        unpinned=fault.unpinned.value,
        deviations=tuple(sorted(fault.deviations)),
        session=tuple(sorted(fault.session)),
        history=tuple(sorted(fault.history)),
    )


def _show_summary(summary: Summary, as_json: bool) -> None:
    if as_json:
        click.echo(encode(summary))
        return
    console = screen()
    transactions = "1 transaction" if summary.sessions == 1 else f"{summary.sessions} transactions"
    records = "1 signed record" if summary.records == 1 else f"{summary.records} signed records"
    console.print(Text(f"{transactions} with {records} in {summary.out}"))
    if summary.faults:
        console.print(_table(summary.faults, console))


def _show_list(faults: tuple[MeterFault, ...], as_json: bool) -> None:
    told = tuple(map(_told, faults))
    if as_json:
        click.echo(encode(told))
        return
    console = screen()
    console.print(_table(told, console))


def _table(faults: Iterable[FaultTold], console: Console) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("fault", "of", "what it does", "a verifier says"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "fault")
    for fault in faults:
        said = [] if fault.signature == "valid" else [fault.signature]
        said += dict.fromkeys((*fault.deviations, *fault.session))
        later = [code for code in fault.history if code not in said]
        if later:
            said.append(f"across sessions {', '.join(later)}")
        if fault.unpinned != fault.signature:
            said.append(f"without a registered key {fault.unpinned}")
        words = ", ".join(said) or "valid, nothing found"
        table.add_row(Text(fault.name, "bold"), Text(fault.of), Text(fault.does), Text(words))
    return table
