"""One simulated charger at any gateway: boots, presents a token, charges if it may, obeys, and tells what happened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress as Bars, TaskID, TextColumn, TimeRemainingColumn

from firmware_sim.charger import DIALECTS, Charger
from firmware_sim.connection import Address
from firmware_sim.dialect import Medium, Presented
from firmware_sim.errors import ChargerError
from firmware_sim.lines import alone_in
from firmware_sim.local_list import ListLimits
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import MeterKind
from firmware_sim.misdeeds import Misdeed
from firmware_sim.sessions import Charge, Progress
from firmware_sim.spec import ChargerSpec
from firmware_sim.tls import client_context
from wire.ids import is_charger_id
from wire.meter.record import CurrentType


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One session of one charger, as asked for on the command line."""

    url: str
    charger_id: str
    password_file: Path | None
    ocpp: str
    rfid: str | None
    contract: Path | None
    emaid: str | None
    seconds: float
    power_kw: float
    ca: Path | None
    patience_s: float = 10.0
    evse_id: str | None = None
    identity: Path | None = None
    faults: frozenset[Misdeed] = frozenset()
    limits: ListLimits = field(default_factory=ListLimits)
    stay_s: float | None = None
    offline: bool = False
    serial_number: str | None = None
    meter: MeterKind = field(default_factory=MeterKind)
    meter_faults: frozenset[MeterFault] = frozenset()

    @property
    def security_profile(self) -> int:
        """The OCPP security profile that this way of connecting is."""
        if self.url.startswith("wss:"):
            return 2 if self.identity is None else 3
        return 0 if self.password_file is None else 1


async def attach(visit: Visit, folder: Path, console: Console) -> bool:
    """Whether the charger was allowed to charge; everything it had to tell was acknowledged.

    Its meter and journals are in `folder`. What an earlier run left there without an answer is told first.

    Raises:
        ChargerError: an input that cannot be used, no connection, no acceptance, or messages left without an answer.
        StateError: `folder` cannot be used. MalformedValue: what is in it cannot be read.
    """
    presented, address = _presented(visit), _address(visit, folder)
    with alone_in(folder):
        return await _visit(visit, presented, address, folder, console)


async def _visit(visit: Visit, presented: Presented | None, address: Address, folder: Path, console: Console) -> bool:
    spec = ChargerSpec(
        charger_id=visit.charger_id,
        ocpp=visit.ocpp,
        power_w=round(visit.power_kw * 1000),
        current=CurrentType.DC if visit.power_kw > 22 else CurrentType.AC,
        security_profile=visit.security_profile,
        limits=visit.limits,
        faults=visit.faults,
        remote_s=visit.seconds,
        serial_number=visit.serial_number,
        meter=visit.meter,
        meter_faults=visit.meter_faults,
    )
    charger = Charger(spec, address, folder, lambda: datetime.now(UTC), tell=lambda text: console.print(escape(text)))
    try:
        await _boot(charger, visit, console)
        charged = True if presented is None else await _session(charger, presented, visit, console)
        if visit.stay_s is not None:
            await _stay(charger, visit.stay_s, console)
        return charged
    finally:
        await charger.disconnect()


async def _boot(charger: Charger, visit: Visit, console: Console) -> None:
    """Until the boot is accepted and an earlier run is told; with `offline` no longer than the patience lasts."""
    patience_s = max(30.0, visit.patience_s)
    try:
        await charger.connect(visit.patience_s)
    except ChargerError as error:
        if not visit.offline:
            raise
        console.print(f"goes on without the gateway: {escape(str(error))}")
        return
    console.print(f"the gateway accepted the boot of {escape(visit.charger_id)} (OCPP {visit.ocpp})")
    await charger.delivered(patience_s)
    if visit.evse_id is not None:
        chain = await charger.credentials.sign(visit.evse_id, timeout_s=patience_s)
        until = f"{chain[0].not_valid_after_utc:%Y-%m-%d}"
        console.print(f"got a certificate for {escape(visit.evse_id)}, {len(chain)} in its chain, valid until {until}")


async def _session(charger: Charger, presented: Presented, visit: Visit, console: Console) -> bool:
    """Whether the token may charge, and charged as its driver wanted."""
    permit = await charger.permit(presented)
    console.print(f"{presented.medium.value} {escape(presented.uid)}: {permit}")
    if not permit.answer.accepted:
        console.print("refused, so nothing was charged")
        return False
    with Bars(
        TextColumn("charging"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
        console=console,
    ) as bars:
        bar = bars.add_task("", total=visit.seconds)
        group_id = permit.answer.group_id
        charge = await charger.charge(presented, visit.seconds, lambda now: _show(bars, bar, now), group_id=group_id)
    if charger.online or not visit.offline:
        await charger.delivered(max(30.0, visit.patience_s))
    return _told(charge, charger.waiting, console)


async def _stay(charger: Charger, seconds: float, console: Console) -> None:
    """Does what the gateway asks for so long, and tells of each charge that took place."""
    console.print(f"stays for {seconds:g} s and does what the gateway asks")
    told = len(charger.sessions.charges)
    try:
        async with asyncio.timeout(seconds):
            while True:
                charger.sessions.changed.clear()
                await charger.sessions.changed.wait()
                for charge in charger.sessions.charges[told:]:
                    if charger.online:
                        await charger.delivered(30.0)
                    _told(charge, charger.waiting, console)
                    told += 1
    except TimeoutError:
        pass
    if charger.online:
        await charger.delivered(30.0)
    for charge in charger.sessions.charges[told:]:
        _told(charge, charger.waiting, console)


def _told(charge: Charge, waiting: int, console: Console) -> bool:
    """Whether the charge ended as the driver wanted; says how it went."""
    kwh = charge.energy_wh / Decimal(1000)
    acknowledged = f"messages that wait for the gateway: {waiting}" if waiting else "all acknowledged"
    registers = f"register {charge.begin.register_kwh} to {charge.end.register_kwh} kWh"
    console.print(
        f"charged {kwh} kWh in transaction {charge.tx.wire_id or '(no id yet)'}: {registers}, "
        f"{charge.signed_records} signed records, {acknowledged}"
    )
    if charge.tx.stop is not None:
        console.print(f"it was stopped: {charge.tx.stop.value}")
    if charge.tx.stop_asked is not None:
        console.print(f"the gateway ended the charge: {charge.tx.stop_asked}")
    return charge.tx.stop_asked is None


def _show(bars: Bars, bar: TaskID, now: Progress) -> None:
    text = f"{now.power_w / 1000:.1f} kW, {now.energy_wh} Wh" + ("" if now.online else ", no connection")
    bars.update(bar, completed=now.elapsed_s, description=text)


def _presented(visit: Visit) -> Presented | None:
    if visit.rfid is None and visit.contract is None and visit.stay_s is not None:
        return None
    if (visit.rfid is None) == (visit.contract is None):
        raise ChargerError("bad-input", visit.charger_id, "give either --rfid or --contract, or --stay")
    if visit.rfid is not None:
        return Presented(Medium.RFID, visit.rfid)
    path = visit.contract or Path()
    chain = _read(visit, path, "--contract")
    try:
        leaf = x509.load_pem_x509_certificate(chain)
        names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except ValueError as error:
        raise ChargerError("bad-input", visit.charger_id, f"--contract {path}: no certificate: {error}") from error
    if visit.emaid is None and not names:
        raise ChargerError(
            "bad-input", visit.charger_id, f"--contract {path}: the leaf has no common name; give --emaid"
        )
    return Presented(Medium.CONTRACT, visit.emaid or str(names[0].value), chain.decode("ascii", "replace"))


def _address(visit: Visit, folder: Path) -> Address:
    if not is_charger_id(visit.charger_id):
        raise ChargerError("bad-input", visit.charger_id, "cannot be a charging station's identity")
    if not _is_charger_url(visit.url):
        raise ChargerError("bad-input", visit.charger_id, f"--url {visit.url}: expected ws://HOST:PORT/ocpp or wss://")
    if visit.identity is not None and not visit.url.startswith("wss:"):
        raise ChargerError("bad-input", visit.charger_id, "--identity needs a wss:// address")
    password = None
    if visit.password_file is not None:
        password = _read(visit, visit.password_file, "--password-file").rstrip(b"\r\n")
    tls = None
    if visit.url.startswith("wss:") or visit.ca is not None:
        tls = client_context(visit.charger_id, visit.ca, visit.identity, folder)
    return Address(visit.url, visit.charger_id, password, DIALECTS[visit.ocpp]().subprotocol, tls)


def _is_charger_url(url: str) -> bool:
    """Whether an identity can be appended to `url` and the result be connected to."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna"), parts.port
    except ValueError:
        return False
    return parts.scheme in ("ws", "wss") and bool(host) and port != 0 and not (parts.query or parts.fragment)


def _read(visit: Visit, path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ChargerError("bad-input", visit.charger_id, f"{option} {path}: {error.strerror}") from error
