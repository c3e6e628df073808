"""What a hub remembers of requests that it sent on: URLs that it put its own in place of, and whose a session is.

Rules
1. A relay is used by the two partners only between whom it stands.
2. A session is found by its owner and id, to know its eMSP, and by its eMSP and id, to know its owner; a reservation by
   its eMSP and id. Nothing else of them is kept.
3. What is older than `KEPT` is let go.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hub.store.engine import Connection
from wire.ocpi.keys import ci_key
from wire.ocpi.types import PartyKey

KEPT = timedelta(days=90)
RESULT, CDR = "result", "cdr"
_PARTY = "party"


@dataclass(frozen=True, slots=True)
class Relay:
    """A URL of ours that stands for `url`. `asker` gave the request, `answerer` is whom it was sent to."""

    uid: str
    kind: str
    asker: str
    answerer: str
    url: str


def note_relay(connection: Connection, relay: Relay, at: datetime) -> None:
    """Keep a relay, and let old ones go. Rule 3."""
    connection.execute("DELETE FROM ocpi_relays WHERE at < ?", (_text(at - KEPT),))
    connection.execute(
        "INSERT INTO ocpi_relays (uid, kind, asker, answerer, url, at) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (uid) DO UPDATE SET url = excluded.url, at = excluded.at",
        (relay.uid, relay.kind, relay.asker, relay.answerer, relay.url, _text(at)),
    )


def relay_of(connection: Connection, uid: str, kind: str) -> Relay | None:
    """The relay with this uid."""
    row = connection.execute(
        "SELECT uid, kind, asker, answerer, url FROM ocpi_relays WHERE uid = ? AND kind = ?", (uid, kind)
    ).fetchone()
    return None if row is None else Relay(*row)


def note_session(connection: Connection, owner: PartyKey, id_: str, emsp: PartyKey, at: datetime) -> None:
    """Keep whose a session is. Rule 2."""
    for name, other in ((_emsp_name(owner, id_), emsp), (_owner_name("session", emsp, id_), owner)):
        if _party(connection, name) != other:
            note_relay(connection, Relay(name, _PARTY, "", "", str(other)), at)


def note_reservation(connection: Connection, owner: PartyKey, id_: str, emsp: PartyKey, at: datetime) -> None:
    """Keep at whose station something is reserved."""
    note_relay(connection, Relay(_owner_name("reservation", emsp, id_), _PARTY, "", "", str(owner)), at)


def emsp_of_session(connection: Connection, owner: PartyKey, id_: str) -> PartyKey | None:
    """The eMSP of a session that went through this hub."""
    return _party(connection, _emsp_name(owner, id_))


def owner_of_session(connection: Connection, emsp: PartyKey, id_: str) -> PartyKey | None:
    """The CPO of a session that went through this hub."""
    return _party(connection, _owner_name("session", emsp, id_))


def owner_of_reservation(connection: Connection, emsp: PartyKey, id_: str) -> PartyKey | None:
    """The CPO of a reservation that went through this hub."""
    return _party(connection, _owner_name("reservation", emsp, id_))


def _emsp_name(owner: PartyKey, id_: str) -> str:
    return f"emsp of session {owner} {ci_key(id_)}"


def _owner_name(what: str, emsp: PartyKey, id_: str) -> str:
    return f"owner of {what} {emsp} {ci_key(id_)}"


def _party(connection: Connection, name: str) -> PartyKey | None:
    row = connection.execute("SELECT url FROM ocpi_relays WHERE uid = ? AND kind = ?", (name, _PARTY)).fetchone()
    return None if row is None else PartyKey.of(*row[0].split("*"))


def _text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")
