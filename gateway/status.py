"""What a stopped or running gateway's store says about it, read without disturbing the daemon."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta

import msgspec

from gateway.alone import read_alone
from gateway.chargers.abilities import StationAlone
from gateway.config import Settings
from gateway.control.client import Control, ControlError
from gateway.control.seen import GatewayView, Vitals
from gateway.enrol.identity import load_identity
from gateway.enrol.renewal import EARLIEST
from gateway.errors import EnrolmentError, StoreError
from gateway.room import Standing, standing
from gateway.store.arrears import Progress, progress
from gateway.store.carrying import EpochBegun, begun, owed
from gateway.store.chargers import versions
from gateway.store.database import open_reader
from gateway.store.evidence import read_sources
from gateway.store.ledger import acked_seq, halted, head, identity, open_ledger_reader
from gateway.store.lost_frames import lost_frames
from gateway.store.ocpi_seen import OCPIStanding, read_standing
from gateway.store.quirks import quirk_counts
from gateway.store.receipts import Trouble, countersigned_seq, troubles
from gateway.store.release import Released, released
from gateway.store.whitelist import read_list
from gateway.store.whitelist_file import ListState
from wire.records import Value

QUARANTINE_SHOWN = 20
_DAY = timedelta(days=1)
_ANSWER_WITHIN_S = 3.0


class Quarantined(Value, frozen=True, kw_only=True):
    """A transaction message whose payload could not be read: stored and acknowledged all the same."""

    seq: int
    charger_id: str
    reason: str


class Quarantine(Value, frozen=True, kw_only=True):
    """How many messages are quarantined, and the newest of them."""

    count: int
    newest: tuple[Quarantined, ...]


class Lost(Value, frozen=True, kw_only=True):
    """Frames of a charger that were too large: nothing of them is stored, and the charger sends them again. `size` and
    `at` are of the latest one."""

    charger_id: str
    count: int
    size: str
    at: datetime


class Tolerated(Value, frozen=True, kw_only=True):
    """How often a charger did what is beyond its schema and was accepted; docs/quirks.md says what each quirk is."""

    charger_id: str
    quirk: str
    count: int
    last_at: datetime
    example: str


class OwnCertificate(Value, frozen=True, kw_only=True):
    """The certificate that was enrolled, judged at the instant of asking. `renew_from`: when the next one is due at the
    earliest."""

    serial: str
    not_before: datetime
    not_after: datetime
    renew_from: datetime
    days_left: float
    life_days: float


class Source(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How the last fetch of a source went; `code` None: well. `until`: how long what it brought lasts."""

    name: str
    good_at: datetime | None
    until: datetime | None
    trouble_at: datetime | None
    code: str | None
    message: str | None


class Running(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The gateway that runs: since when, whether its hub answers, how many stations are connected; each None when it
    cannot be known, and `trouble` says why."""

    since: datetime | None = None
    online: bool | None = None
    connected: int | None = None
    vitals: Vitals | None = None
    trouble: str | None = None


class Status(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The store at a glance. `backlog` counts records the hub has not acknowledged; `oldest_unsent_at` is its age.
    `countersigned_seq`: up to where the hub's countersignature reaches; `log_troubles`: what is wrong with that now.
    `running` None: no gateway runs; `chargers` have booted here at any time, `booted` of those that are `configured`;
    `not_asked` about how they are set yet; `begun`: how this epoch began, while the file of the one before is there;
    `certificate_trouble`: why the enrolled certificate cannot be used; `arrears`: what this epoch owes of the one
    before, which the hub gets first."""

    running: Running | None
    gateway_id: str
    epoch: str
    records: int
    acked_seq: int
    backlog: int
    halted: str | None
    begun: EpochBegun | None
    countersigned_seq: int
    log_troubles: tuple[Trouble, ...]
    released: Released
    room: Standing
    oldest_unsent_at: datetime | None
    sessions: int
    open_sessions: int
    chargers: int
    configured: int
    booted: int
    whitelist_version: int
    whitelist_tokens: int
    quarantine: Quarantine
    lost_frames: tuple[Lost, ...]
    quirks: tuple[Tolerated, ...]
    alone: tuple[StationAlone, ...]
    not_asked: tuple[str, ...]
    certificate: OwnCertificate | None
    certificate_trouble: str | None
    arrears: Progress | None
    sources: tuple[Source, ...]
    ocpi: OCPIStanding | None


def read_status(settings: Settings, at: datetime) -> Status:
    """The status of the configured gateway's store at the instant `at`.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    with closing(open_ledger_reader(settings.ledger_path)) as ledger:  # First: it weighs more than the list.
        whitelist = read_list(settings.whitelist_path)
        try:
            return _status(ledger, whitelist, settings, at)
        except sqlite3.Error as error:
            raise StoreError(f"{settings.state_dir}: a database is damaged: {error}") from error


def read_running(settings: Settings) -> Running | None:
    """What the running gateway says of itself; None when none runs."""
    try:
        found = msgspec.json.decode(Control(settings.state_dir, _ANSWER_WITHIN_S).get("gateway"), type=GatewayView)
    except ControlError as error:
        return None if error.code == "not-running" else Running(trouble=str(error))
    except msgspec.MsgspecError:
        return Running(trouble="it does not say since when")
    return Running(
        since=found.since,
        online=None if found.vitals is None else found.vitals.online,
        connected=found.connected,
        vitals=found.vitals,
    )


def _own_certificate(settings: Settings, at: datetime) -> tuple[OwnCertificate | None, str | None]:
    """The certificate that was enrolled, or why it cannot be used. Its trouble hides nothing of the store."""
    if settings.table.enrol is None:
        return None, None
    try:
        own = load_identity(settings.identity_path)
    except EnrolmentError as error:
        return None, str(error)
    leaf = own.leaf
    found = OwnCertificate(
        serial=f"{leaf.serial:x}",
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        renew_from=own.due_at(EARLIEST),
        days_left=(leaf.not_after - at) / _DAY,
        life_days=(leaf.not_after - leaf.not_before) / _DAY,
    )
    return found, None


def _sources(settings: Settings) -> tuple[Source, ...]:
    """What the evidence store notes; nothing before there is one."""
    if not settings.evidence_path.is_file():
        return ()
    with closing(open_reader(settings.evidence_path)) as connection:
        return tuple(
            Source(
                name=each.name,
                good_at=each.good_at,
                until=each.until,
                trouble_at=each.trouble_at,
                code=each.code,
                message=each.message,
            )
            for each in read_sources(connection)
        )


def _status(ledger: sqlite3.Connection, whitelist: ListState, settings: Settings, at: datetime) -> Status:
    """Raises sqlite3.Error, StoreError."""
    policy = settings.table.offline.under(settings.table.policy)
    names, booted = [one.id for one in settings.table.charger], set(versions(ledger))
    alone = read_alone(ledger, policy)
    asked = {one.charger_id.casefold() for one in alone}
    owner, last, acked = identity(ledger), head(ledger), acked_seq(ledger)
    oldest = ledger.execute("SELECT at FROM records WHERE seq = ?", (acked + 1,)).fetchone()
    certificate, certificate_trouble = _own_certificate(settings, at)
    return Status(
        running=read_running(settings),
        gateway_id=owner.gateway_id,
        epoch=owner.epoch,
        records=last.seq,
        room=standing(settings.room(), ledger),
        acked_seq=acked,
        backlog=last.seq - acked,
        halted=halted(ledger),
        begun=_begun(ledger, settings),
        countersigned_seq=countersigned_seq(ledger),
        log_troubles=troubles(ledger),
        released=released(ledger),
        oldest_unsent_at=datetime.fromisoformat(oldest[0]) if oldest else None,
        sessions=_count(ledger, "sessions"),
        open_sessions=_count(ledger, "sessions WHERE ended_at IS NULL"),
        chargers=_count(ledger, "chargers"),
        configured=len(names),
        booted=sum(name.casefold() in booted for name in names),
        whitelist_version=whitelist.version,
        whitelist_tokens=whitelist.tokens,
        quarantine=_quarantine(ledger),
        lost_frames=tuple(
            Lost(charger_id=each.charger_id, count=each.count, size=each.size, at=each.at)
            for each in lost_frames(ledger)
        ),
        quirks=tuple(
            Tolerated(
                charger_id=each.charger_id,
                quirk=each.quirk,
                count=each.count,
                last_at=each.last_at,
                example=each.example,
            )
            for each in quirk_counts(ledger)
        ),
        alone=alone,
        not_asked=tuple(name for name in names if name.casefold() not in asked) if policy.manage else (),
        certificate=certificate,
        certificate_trouble=certificate_trouble,
        arrears=_arrears(ledger, settings),
        sources=_sources(settings),
        ocpi=read_ocpi_standing(settings),
    )


def read_ocpi_standing(settings: Settings) -> OCPIStanding | None:
    """How an OCPI uplink stands; None for another, and before it ran first. Raises StoreError."""
    if not settings.speaks_ocpi or not settings.ocpi_path.is_file():
        return None
    return read_standing(settings.ocpi_path)


def _arrears(ledger: sqlite3.Connection, settings: Settings) -> Progress | None:
    """What this epoch owes; None when it owes nothing. Raises StoreError."""
    debt = owed(ledger)
    if debt is None:
        return None
    return msgspec.structs.replace(progress(settings.ledger_path, debt), rests=settings.speaks_ocpi)


def _begun(ledger: sqlite3.Connection, settings: Settings) -> EpochBegun | None:
    """How this epoch began, for as long as the file of the one before is kept, or its records are owed."""
    found = begun(ledger)
    if found is None or (owed(ledger) is None and not (settings.state_dir / found.kept_as).exists()):
        return None
    return found


def _quarantine(ledger: sqlite3.Connection) -> Quarantine:
    rows = ledger.execute(
        "SELECT seq, charger_id, reason FROM quarantine ORDER BY seq DESC LIMIT ?", (QUARANTINE_SHOWN,)
    ).fetchall()
    newest = tuple(Quarantined(seq=seq, charger_id=who, reason=why) for seq, who, why in reversed(rows))
    return Quarantine(count=_count(ledger, "quarantine"), newest=newest)


def _count(connection: sqlite3.Connection, what: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0])
