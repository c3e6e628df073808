"""What was fetched for gateways of revocation lists, OCSP answers and lists of roots, and when each source is due.

Rules
1. A newer one is never replaced by an older one; the comparison and the write are one transaction.
2. Sources and octets are bounded. A gateway that names too many lets go of its own, never of another's.
3. Of several processes one has a source's turn: whoever moved `due_at` on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.errors import HubError
from hub.store.engine import Connection
from wire.records import Value
from wire.revocation import EvidenceKind, EvidenceSource

MAX_OF_ONE = 1024
"""Sources that one gateway was the first to ask for: it asks about 256 lists and 256 other certificates at most, and
about those of its own chains."""
KEPT_UNASKED = timedelta(days=7)
_CONFIGURED = ""
_SOURCE = "kind, url, request"


class NotKept(HubError):
    """Raised when something fetched, or asked for, is not kept: `older`, `full`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Octets with what they say of themselves; `number` tells those of one instant apart, the higher is newer."""

    der: bytes
    sha256: str
    this_update: datetime
    next_update: datetime | None
    number: int


@dataclass(frozen=True, slots=True)
class Due:
    """A source whose turn it is, and how often in a row it failed."""

    source: EvidenceSource
    failures: int


class HeldEvidence(Value, frozen=True, kw_only=True):
    """A source, as it stands: `asked_by` is the gateway that asked first, empty where the configuration lists it.
    `octets` is 0 and the instants are None while nothing is held; `error` is that of the last try, None if it went
    well."""

    kind: EvidenceKind
    url: str
    asked_by: str
    asked_at: datetime
    due_at: datetime
    tried_at: datetime | None
    fetched_at: datetime | None
    this_update: datetime | None
    next_update: datetime | None
    number: str | None
    octets: int
    sha256: str | None
    error_code: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What is held of a source: the SHA-256 of its octets (None: nothing) and how many
    they are, and why the last try failed."""

    sha256: str | None
    octets: int
    error_code: str | None
    error: str | None
    tried: bool


def configure(connection: Connection, sources: Collection[EvidenceSource], at: datetime) -> None:
    """Know the sources that the configuration lists, those not known before due at once. What it lists no more is let
    go of, and learnt again from the first gateway that asks."""
    rows = connection.execute("SELECT name FROM revocation_sources WHERE asked_by = ?", (_CONFIGURED,)).fetchall()
    names = {source.name for source in sources}
    for (name,) in rows:
        if name not in names:
            _forget(connection, name)
    for source in sources:
        if not connection.execute(
            "UPDATE revocation_sources SET asked_by = ? WHERE name = ?", (_CONFIGURED, source.name)
        ).rowcount:
            _insert(connection, source, _CONFIGURED, at)


def note_asked(
    connection: Connection, source: EvidenceSource, gateway_id: str, at: datetime, max_sources: int
) -> Standing:
    """What is held of a source that a gateway asks for; it is known from now on.

    Raises:
        NotKept: `full`: as many sources are known as may be.
    """
    found = standing(connection, source)
    if found is not None:
        # A write for each question would be one for nothing: who asks is known to the day.
        connection.execute(
            "UPDATE revocation_sources SET asked_at = ? WHERE name = ? AND asked_at < ?",
            (_text(at), source.name, _text(at - timedelta(days=1))),
        )
        return found
    own = connection.execute(
        "SELECT name FROM revocation_sources WHERE asked_by = ? ORDER BY asked_at", (gateway_id,)
    ).fetchall()
    if len(own) >= MAX_OF_ONE:
        _forget(connection, own[0][0])
    elif connection.execute("SELECT count(*) FROM revocation_sources").fetchone()[0] >= max_sources:
        raise NotKept("full", f"{max_sources} sources are known already; [revocation] max_sources")
    _insert(connection, source, gateway_id, at)
    return Standing(None, 0, None, None, tried=False)


def standing(connection: Connection, source: EvidenceSource) -> Standing | None:
    """What is held of a source; None when it is not known."""
    row = connection.execute(
        "SELECT sha256, octets, error_code, error, tried_at FROM revocation_sources WHERE name = ?", (source.name,)
    ).fetchone()
    return None if row is None else Standing(row[0], row[1], row[2], row[3], row[4] is not None)


def was_asked_lately(connection: Connection, source: EvidenceSource, at: datetime) -> bool:
    """Whether a question need not be noted."""
    row = connection.execute("SELECT asked_at FROM revocation_sources WHERE name = ?", (source.name,)).fetchone()
    return row is not None and row[0] >= _text(at - timedelta(days=1))


def octets_of(connection: Connection, source: EvidenceSource) -> bytes | None:
    """What is held of a source; None when nothing is."""
    row = connection.execute("SELECT der FROM revocation_held WHERE name = ?", (source.name,)).fetchone()
    return None if row is None else bytes(row[0])


def take_due(connection: Connection, at: datetime, lease: timedelta, limit: int) -> tuple[Due, ...]:
    """At most `limit` sources whose turn it is, longest due first. They are nobody else's for `lease`."""
    rows = connection.execute(
        f"SELECT name, failures, {_SOURCE} FROM revocation_sources WHERE due_at <= ? ORDER BY due_at LIMIT ?",
        (_text(at), limit),
    ).fetchall()
    for row in rows:
        _move_due(connection, row[0], at + lease)
    return tuple(Due(_source(row[2:]), row[1]) for row in rows)


def take_turn(connection: Connection, source: EvidenceSource, at: datetime, lease: timedelta) -> Due | None:
    """The turn of one source, if it is due."""
    row = connection.execute(
        "SELECT failures FROM revocation_sources WHERE name = ? AND due_at <= ?", (source.name, _text(at))
    ).fetchone()
    if row is None:
        return None
    _move_due(connection, source.name, at + lease)
    return Due(source, row[0])


def next_due(connection: Connection) -> datetime | None:
    """When the next source is due; None when there is none."""
    (due,) = connection.execute("SELECT min(due_at) FROM revocation_sources").fetchone()
    return None if due is None else datetime.fromisoformat(due)


def keep_fetched(
    connection: Connection, source: EvidenceSource, new: Fetched, at: datetime, due: datetime, max_bytes: int
) -> None:
    """Hold it in the place of what was held, its source due again at `due`. A source that was let go of meanwhile
    stays so.

    Raises:
        NotKept: `older` than what is held; `full`: everything together would be more than `max_bytes`.
    """
    row = connection.execute(
        "SELECT this_update, number, octets FROM revocation_sources WHERE name = ?", (source.name,)
    ).fetchone()
    if row is None:
        return
    if row[0] is not None and (new.this_update, new.number) < (datetime.fromisoformat(row[0]), int(row[1])):
        message = f"of {new.this_update}, number {new.number}; what is held is of {row[0]}, number {row[1]}"
        raise NotKept("older", f"what was fetched is older: {message}")
    (octets,) = connection.execute("SELECT coalesce(sum(octets), 0) FROM revocation_sources").fetchone()
    if octets - row[2] + len(new.der) > max_bytes:
        raise NotKept("full", f"{octets} bytes are held, {len(new.der)} more do not fit; [revocation] max_mb")
    connection.execute(
        "UPDATE revocation_sources SET tried_at = ?1, fetched_at = ?1, due_at = ?2, failures = 0, this_update = ?3,"
        " next_update = ?4, number = ?5, octets = ?6, sha256 = ?7, error_code = NULL, error = NULL WHERE name = ?8",
        (
            _text(at),
            _text(due),
            _text(new.this_update),
            None if new.next_update is None else _text(new.next_update),
            str(new.number),
            len(new.der),
            new.sha256,
            source.name,
        ),
    )
    connection.execute(
        "INSERT INTO revocation_held (name, der) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET der = excluded.der",
        (source.name, new.der),
    )


def note_failed(
    connection: Connection, source: EvidenceSource, at: datetime, due: datetime, code: str, message: str
) -> bool:
    """Note why a source was not fetched; what is held stays. Says whether the last try ended otherwise."""
    row = connection.execute("SELECT error_code FROM revocation_sources WHERE name = ?", (source.name,)).fetchone()
    connection.execute(
        "UPDATE revocation_sources SET tried_at = ?, due_at = ?, failures = failures + 1, error_code = ?, error = ?"
        " WHERE name = ?",
        (_text(at), _text(due), code, message[:500], source.name),
    )
    return row is not None and row[0] != code


def forget_unasked(connection: Connection, at: datetime) -> int:
    """Let go of what no gateway has asked for so long, and the configuration does not list; how many."""
    rows = connection.execute(
        "SELECT name FROM revocation_sources WHERE asked_by <> ? AND asked_at < ?",
        (_CONFIGURED, _text(at - KEPT_UNASKED)),
    ).fetchall()
    for (name,) in rows:
        _forget(connection, name)
    return len(rows)


def held_evidence(connection: Connection) -> tuple[HeldEvidence, ...]:
    """Every source, by kind and URL."""
    rows = connection.execute(
        "SELECT kind, url, asked_by, asked_at, due_at, tried_at, fetched_at, this_update, next_update, number, octets,"
        " sha256, error_code, error FROM revocation_sources ORDER BY kind, url, name"
    ).fetchall()
    return tuple(
        HeldEvidence(
            kind=EvidenceKind(row[0]),
            url=row[1],
            asked_by=row[2],
            asked_at=datetime.fromisoformat(row[3]),
            due_at=datetime.fromisoformat(row[4]),
            tried_at=_instant(row[5]),
            fetched_at=_instant(row[6]),
            this_update=_instant(row[7]),
            next_update=_instant(row[8]),
            number=row[9],
            octets=row[10],
            sha256=row[11],
            error_code=row[12],
            error=row[13],
        )
        for row in rows
    )


def _insert(connection: Connection, source: EvidenceSource, asked_by: str, at: datetime) -> None:
    connection.execute(
        "INSERT INTO revocation_sources (name, kind, url, request, asked_by, asked_at, due_at, failures, octets)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0, 0)",
        (source.name, source.kind.value, source.url, source.request, asked_by, _text(at)),
    )


def _forget(connection: Connection, name: str) -> None:
    connection.execute("DELETE FROM revocation_held WHERE name = ?", (name,))
    connection.execute("DELETE FROM revocation_sources WHERE name = ?", (name,))


def _move_due(connection: Connection, name: str, due: datetime) -> None:
    connection.execute("UPDATE revocation_sources SET due_at = ? WHERE name = ?", (_text(due), name))


def _source(row: tuple[Any, ...]) -> EvidenceSource:
    return EvidenceSource(EvidenceKind(row[0]), row[1], bytes(row[2]))


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
