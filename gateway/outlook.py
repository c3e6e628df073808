"""`pnc-gateway status` and `export`: what a store holds, as a person or a program reads it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.alone import alone_lines
from gateway.clock import read_boot_id
from gateway.clock_sources import NoSign
from gateway.clock_watch import open_clock
from gateway.errors import StoreError
from gateway.given import config_option, fail, settings_of
from gateway.room import Standing
from gateway.status import Running, Source, Status, read_status
from gateway.store.arrears import Progress
from gateway.store.budget import MB, Level
from gateway.store.ledger import all_records, identity, open_ledger_reader
from gateway.store.ocpi_seen import OCPIStanding
from gateway.store.segments import dropped
from gateway.wording import counted, instant
from wire.records import encode

EXIT_DEGRADED = 1


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def status(config: Path, as_json: bool) -> None:
    """Show how the gateway is, running or stopped.

    Whether it runs, what its store holds, what waits for the hub. Ends with 1 when the uplink has halted,
    when the hub and the ledger do not agree, or when the enrolled certificate cannot be used.
    """
    try:
        settings = settings_of(config)
        found = read_status(settings, open_clock(settings, read_boot_id(None), sign=NoSign()).now().at)
    except StoreError as error:
        fail(str(error))
    click.echo(encode(found) if as_json else "\n".join(_status_lines(found)))
    if found.halted is not None or found.log_troubles or found.certificate_trouble is not None:
        sys.exit(EXIT_DEGRADED)


def _status_lines(found: Status) -> list[str]:
    waiting = f", oldest from {instant(found.oldest_unsent_at)}" if found.oldest_unsent_at else ""
    connected = None if found.running is None else found.running.connected
    lines = [
        f"running      {_running(found.running)}",
        f"gateway      {found.gateway_id} (epoch {found.epoch})",
        f"records      {found.records}, {_told(found)} up to {found.acked_seq}",
        f"to send      {found.backlog}{waiting}",
        f"ledger       {_ledger_line(found)}",
        f"room         {_room_line(found.room)}",
        f"sessions     {found.sessions}, {found.open_sessions} of them open",
        f"chargers     {found.configured} configured, {found.booted} {'has' if found.booted == 1 else 'have'} booted"
        + ("" if connected is None else f", {connected} connected"),
        f"whitelist    version {found.whitelist_version}, {counted(found.whitelist_tokens, 'entry', 'entries')}",
    ]
    lines += _epoch_lines(found)
    lines += _trouble_lines(found)
    lines += _quirk_lines(found)
    lines += alone_lines(found.alone, found.not_asked)
    lines += _paper_lines(found)
    lines += [] if found.ocpi is None else ocpi_lines(found.ocpi)
    for trouble in found.log_troubles:
        lines.append(f"LEDGER TROUBLE {trouble.kind.value}: {trouble.message}")
    if found.log_troubles:
        lines.append("  what to do: docs/operations.md, The ledger")
    if found.halted is not None:
        lines.append(f"UPLINK HALTED: {found.halted}\n  what to do: docs/operations.md, A halted uplink")
    return lines


def _told(found: Status) -> str:
    """Who has what is said to be told."""
    return "acknowledged by the hub" if found.ocpi is None else "their sessions told to the peer"


def ocpi_lines(found: OCPIStanding) -> list[str]:
    """The peer, its tokens, and the CDRs on their way to it."""
    met = "not met yet" if found.version is None else f"OCPI {found.version}, party {found.party or 'not known'}"
    by = "the token of the file" if found.registered_at is None else f"registered {instant(found.registered_at)}"
    backlog, crawl = found.backlog, found.crawl
    waiting = f"{backlog.queued} new, {backlog.uncertain} uncertain, {backlog.refused} refused"
    oldest = "" if backlog.oldest_at is None else f"; the oldest from {instant(backlog.oldest_at)}"
    read = "not read yet" if crawl is None else f"{counted(crawl.tokens, 'token')}, read {instant(crawl.good_at)}"
    lines = [
        f"peer         {met}{' (hub)' if found.is_hub else ''}; {by}",
        f"tokens       {read}" + ("" if crawl is None else f", all of them {instant(crawl.full_at)}"),
        f"CDRs         {backlog.delivered} with the peer; {waiting}{oldest}",
    ]
    if backlog.held:
        lines.append(f"CDRs HELD    {backlog.held} that cannot be told to anybody")
    lines += [f"  {reason}" for reason in backlog.reasons]
    return lines + [f"  TROUBLE {each.what} since {instant(each.at)}: {each.message}" for each in found.troubles]


def _room_line(room: Standing) -> str:
    """How much of the ledger's budget is used, and what was done for room."""
    told = f"{room.level}, {room.used // MB} of {room.budget // MB} MB used, {room.free // MB} MB free on the disk"
    told += f" ({room.keep_free // MB} are to stay free)" if room.free < 3 * room.keep_free else ""
    told += f", the log is kept behind record {room.dropped}" if room.dropped else ""
    told += f", {counted(room.unkept, 'message')} not kept" if room.unkept else ""
    remedy = "\n  what to do: docs/operations.md, Room on the disk"
    return told + (remedy if room.level in (Level.SCARCE.name.lower(), Level.SPENT.name.lower()) else "")


def _epoch_lines(found: Status) -> list[str]:
    """How this epoch began, when it continues another one whose file is kept."""
    begun = found.begun
    if begun is None:
        return []
    lost = sum(each.count for each in begun.lost)
    became = f"{counted(begun.carried, 'record')} carried, {lost} lost; the old file is {begun.kept_as}"
    return [
        f"NEW EPOCH    {begun.reason.value} at {instant(begun.at)}: {begun.message}",
        f"             {became if found.arrears is None else _arrears(found.arrears)}",
        "  what to do: docs/operations.md, A damaged store, an old image: new epochs",
    ]


def _arrears(found: Progress) -> str:
    """How far the records are that the epoch before left."""
    if found.rests:
        return (
            f"its records are for a hub of ours, and this uplink is none: they stay in {found.kept_as}, which must stay"
        )
    if found.total is None:
        return f"its records are being looked through; {found.kept_as} must stay"
    told = f"{found.carried} of {counted(found.total, 'record')} carried, {found.acked} of them at the hub"
    return f"{told}, which gets them first; {found.kept_as} must stay"


def _ledger_line(found: Status) -> str:
    """How far the hub's countersignature reaches, and how much was let go."""
    reached = (
        f"countersigned by the hub up to {found.countersigned_seq}" if found.countersigned_seq else "not countersigned"
    )
    gone = found.released.records
    return reached + (f", {counted(gone, 'record')} without content" if gone else "")


def _trouble_lines(found: Status) -> list[str]:
    """What chargers sent that could not be read, or not be taken."""
    count, newest = found.quarantine.count, found.quarantine.newest
    lines = [f"quarantine   {count}" + (f", the newest {len(newest)}:" if count > len(newest) else "")]
    lines += [f"  record {item.seq} of {item.charger_id!r}: {item.reason}" for item in newest]
    if found.lost_frames:
        lost = counted(sum(each.count for each in found.lost_frames), "was", "were")
        lines.append(f"LOST FRAMES  {lost} too large, see docs/operations.md")
    return lines + [
        f"  {each.charger_id!r}: {counted(each.count, 'time')}, last {instant(each.at)}: {each.size}"
        for each in found.lost_frames
    ]


def _running(found: Running | None) -> str:
    """Whether the gateway runs, since when, and whether its hub answers."""
    if found is None:
        return "no"
    if found.since is None:
        return f"yes, but it cannot be asked: {found.trouble}"
    uplink = {None: "not known", True: "online", False: "offline"}[found.online]
    if found.vitals is not None and not found.vitals.online and found.vitals.uplink_trouble is not None:
        uplink += f" ({found.vitals.uplink_trouble}; `pnc-gateway doctor` says what to do)"
    return f"since {instant(found.since)}, uplink {uplink}"


def _quirk_lines(found: Status) -> list[str]:
    """What chargers do beyond their schemas: nothing to repair here, but something to tell their makers."""
    if not found.quirks:
        return []
    lines = [f"quirks       {sum(each.count for each in found.quirks)} tolerated (docs/quirks.md)"]
    return lines + [
        f"  {each.charger_id!r}: {each.quirk} {counted(each.count, 'time')}, last at {each.example}"
        for each in found.quirks
    ]


def _paper_lines(found: Status) -> list[str]:
    """The own certificate, and how the fetching of lists and answers goes."""
    lines = []
    own = found.certificate
    if found.certificate_trouble is not None:
        lines.append(f"certificate  TROUBLE {found.certificate_trouble}")
    if own is not None:
        days = f"{own.days_left:.1f} of {own.life_days:.1f} days left"
        lines.append(f"certificate  valid until {instant(own.not_after)}, {days}")
        lines.append(f"             next one from {instant(own.renew_from)} on")
    good = [source for source in found.sources if source.code is None]
    if found.sources:
        lines.append(f"sources      {len(good)} of {len(found.sources)} fetched and verified")
    by_code: dict[str, list[Source]] = {}
    for source in found.sources:
        if source.code is not None:
            by_code.setdefault(source.code, []).append(source)
    for code, troubled in by_code.items():
        first, more = troubled[0], len(troubled) - 1
        since = f", last good {instant(first.good_at)}" if first.good_at else ""
        lines.append(f"  TROUBLE {first.name}{f' and {more} more' if more else ''}{since}\n    {code}: {first.message}")
    return lines


@click.command()
@config_option
def export(config: Path) -> None:
    """Print the chain of records as JSON lines.

    First whose chain it is, and behind which record it begins if that is not its first; then every record, byte for
    byte.
    """
    try:
        ledger = open_ledger_reader(settings_of(config).ledger_path)
    except StoreError as error:
        fail(str(error))
    owner = identity(ledger)
    gone = dropped(ledger)
    begins = {"behind": gone} if gone.seq else {}
    click.echo(encode({"gateway_id": owner.gateway_id, "epoch": owner.epoch, **begins}))
    try:
        for record in all_records(ledger):
            click.echo(encode(record))
    except StoreError as error:
        fail(str(error))
    finally:
        ledger.close()
