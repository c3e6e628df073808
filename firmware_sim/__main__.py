"""pnc-sim: plays whole scenarios, or attaches one simulated charger to any gateway."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import NoReturn, TypeVar

import click
import msgspec
from rich.console import Console

from firmware_sim.attach import Visit, attach
from firmware_sim.charger import DIALECTS
from firmware_sim.errors import ScenarioError, SimulatorError
from firmware_sim.local_list import ListLimits
from firmware_sim.meter_command import meter
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_options import kind_of, meter_options
from firmware_sim.misdeeds import Misdeed
from firmware_sim.play import play
from firmware_sim.report import PlayResult
from firmware_sim.scenario import Scenario, load_scenario
from firmware_sim.screen import screen_for
from wire.errors import WireError
from wire.records import encode

T = TypeVar("T")

EXIT_FAILED, EXIT_UNUSABLE, EXIT_SIGNAL = 1, 2, 128
"""EXIT_SIGNAL plus the number of the signal that ended us: 130 for Ctrl-C, 143 for SIGTERM."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pncgate")
def main() -> None:
    """Simulated chargers with signing meters, and whole days at a charging site, played with real processes."""


@main.command()
@click.argument("scenario", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="play in this new folder and keep it")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object at the end, and nothing else")
def run(scenario: Path, keep: Path | None, as_json: bool) -> None:
    """Play a scenario, a whole day at a site.

    Ends with 0 when every expectation held, 1 when one did not, 2 when it cannot be played.
    """
    try:
        found = load_scenario(scenario)
    except ScenarioError as error:
        _unusable(str(error))
    folder = _folder(keep)
    try:
        result = asyncio.run(
            _until_told(play(found, scenario.resolve(), folder, screen_for(Console(), as_json=as_json)))
        )
    except SimulatorError as error:
        _unusable(str(error))
    if isinstance(result, signal.Signals):
        click.echo("interrupted; chargers and daemons are ended", err=True)
        _remove(folder, keep)
        sys.exit(EXIT_SIGNAL + result)
    _report(found, result, folder, keep, as_json)


async def _until_told(work: Coroutine[None, None, T]) -> T | signal.Signals:
    """The result of `work`; or the signal that ended it (Ctrl-C, SIGTERM, SIGHUP), when it has cleaned up behind it."""
    told: list[signal.Signals] = []
    task = asyncio.ensure_future(work)

    def tell(number: signal.Signals) -> None:
        told.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, tell, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not told:
            raise
        return told[0]


def _report(scenario: Scenario, result: PlayResult, folder: Path, keep: Path | None, as_json: bool) -> None:
    """Keeps the folder of a failed play, for its logs; removes that of a good one unless it was asked for."""
    if result.ok:
        _remove(folder, keep)
    kept = str(folder) if folder.exists() else None
    if as_json:
        click.echo(encode(msgspec.structs.replace(result, folder=kept)))
    elif kept is not None:
        click.echo(f"logs, configuration and journals of {scenario.title!r} are kept in {kept}")
    sys.exit(0 if result.ok else EXIT_FAILED)


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="pncgate-sim-"))
    try:
        if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            _unusable(f"--keep {keep}: exists and is no empty folder")
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        _unusable(f"--keep {keep}: {error.strerror}")
    return keep.resolve()


def _remove(folder: Path, keep: Path | None) -> None:
    if keep is None:
        shutil.rmtree(folder, ignore_errors=True)


@main.command()
@click.option("--url", required=True, help="where the gateway listens, without the charger's id: ws://HOST:PORT/ocpp")
@click.option("--id", "charger_id", required=True, help="the charger's identity (and HTTP Basic user name)")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="its password, one line; a newer one that came through OCPP is in the --state folder and wins",
)
@click.option("--ocpp", type=click.Choice(sorted(DIALECTS)), default="2.0.1", show_default=True)
@click.option("--rfid", help="present this card (uid in hex)")
@click.option(
    "--contract", type=click.Path(path_type=Path, dir_okay=False), help="present this contract chain (PEM, leaf first)"
)
@click.option("--evse-id", help="first ask for an ISO 15118 certificate of this name, and wait for it")
@click.option("--emaid", help="claim this eMAID instead of the contract's own")
@click.option(
    "--seconds", type=click.FloatRange(0.1, 86400), default=10.0, show_default=True, help="how long to charge"
)
@click.option("--power-kw", type=click.FloatRange(0.1, 1000), default=22.0, show_default=True)
@click.option(
    "--patience", type=click.FloatRange(0.1, 86400), default=10.0, show_default=True, help="seconds to try to connect"
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="keep meter and journals here: the next run ends an interrupted charge and resends what was not acknowledged",
)
@click.option(
    "--ca", type=click.Path(path_type=Path, dir_okay=False), help="CA certificates (PEM) for a wss:// address"
)
@click.option(
    "--identity",
    type=click.Path(path_type=Path, dir_okay=False),
    help="its own key and certificate (PEM) for a wss:// address; one that came through OCPP wins",
)
@click.option("--serial", "serial_number", help="its serial number, where that is not its id")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice([misdeed.value for misdeed in Misdeed]),
    metavar="NAME",
    help="misbehave as docs/simulator.md tells under this name; may be given several times",
)
@meter_options("meter-")
@click.option("--list-entries", type=click.IntRange(0, 100_000), default=100, show_default=True, help="its list's room")
@click.option("--list-items", type=click.IntRange(1, 10_000), default=20, show_default=True, help="entries per message")
@click.option(
    "--stay", type=click.FloatRange(0.1, 86400), help="stay connected so many seconds and do what the gateway asks"
)
@click.option("--offline", is_flag=True, help="without a gateway decide by list, cache and settings, and charge")
def charger(
    url: str,
    charger_id: str,
    password_file: Path | None,
    ocpp: str,
    rfid: str | None,
    contract: Path | None,
    emaid: str | None,
    evse_id: str | None,
    seconds: float,
    power_kw: float,
    patience: float,
    state: Path | None,
    ca: Path | None,
    identity: Path | None,
    serial_number: str | None,
    faults: tuple[str, ...],
    list_entries: int,
    list_items: int,
    stay: float | None,
    offline: bool,
    meter_faults: tuple[str, ...],
    **meter_kind: object,
) -> None:
    """Attach one simulated charger to a gateway.

    It plays one session with a card or a contract. With --stay it needs neither: it waits for what the gateway asks,
    remote starts included. Ends with 0 when it charged, 1 when it was refused, 2 when it could not be tried.
    """
    try:
        kind = kind_of(meter_kind)
    except SimulatorError as error:
        _unusable(str(error))
    visit = Visit(
        url=url,
        charger_id=charger_id,
        password_file=password_file,
        ocpp=ocpp,
        rfid=rfid,
        contract=contract,
        emaid=emaid,
        seconds=seconds,
        power_kw=power_kw,
        ca=ca,
        patience_s=patience,
        evse_id=evse_id,
        identity=identity,
        faults=frozenset(Misdeed(fault) for fault in faults),
        limits=ListLimits(entries=list_entries, items=list_items),
        stay_s=stay,
        offline=offline,
        serial_number=serial_number,
        meter=kind,
        meter_faults=frozenset(MeterFault(fault) for fault in meter_faults),
    )
    try:
        charged = asyncio.run(_until_told(_attached(visit, state)))
    except (SimulatorError, WireError) as error:
        _unusable(str(error))
    if isinstance(charged, signal.Signals):
        end = "the next run with this --state ends it" if state else "without --state no later run can end it"
        click.echo(f"interrupted; if a charge was going on, {end}", err=True)
        sys.exit(EXIT_SIGNAL + charged)
    sys.exit(0 if charged else EXIT_FAILED)


async def _attached(visit: Visit, state: Path | None) -> bool:
    """As `attach`; a folder that nobody named is made now, when signals are heard already, and removed in the end."""
    console = Console(highlight=False)
    if state is not None:
        return await attach(visit, state, console)
    with tempfile.TemporaryDirectory(prefix="pncgate-charger-", ignore_cleanup_errors=True) as folder:
        return await attach(visit, Path(folder), console)


def _unusable(message: str) -> NoReturn:
    """End with one clear line and exit code 2."""
    click.echo(f"pnc-sim: {message}", err=True)
    sys.exit(EXIT_UNUSABLE)


main.add_command(meter)

if __name__ == "__main__":
    main()
