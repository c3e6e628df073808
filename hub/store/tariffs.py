"""Tariffs that sessions were pinned to, and prices that drivers were shown: every function runs inside a transaction.

Rules
1. A snapshot is kept under the hash of its content and never changed.
2. A quote waits for the next session of its token at its charger, DECISION_HOLDS long; the newest counts. The session
   takes it when it is settled, and from then on no token is named. Quotes that nobody took are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from hub.store.chains import instant
from hub.store.engine import Connection
from hub.store.readings import RECORD_COLUMNS, record_of
from wire.ocpp.transaction import TransactionMessage
from wire.records import PriceQuote, Session, TokenRef, decode, encode
from wire.settling.arrival import read_arrival
from wire.settling.tariffs import TariffSnapshot
from wire.tokens import bearer_key

SHOWN_BEFORE, SHOWN_AFTER = timedelta(hours=1), timedelta(minutes=5)
"""How long before a session its price was shown at most; and how far a station's clock may be behind the hub's."""
KEPT_FOR = timedelta(days=30)
"""As long a quote is kept that no session took: a session may come late from a site that was away."""


def keep_snapshot(connection: Connection, snapshot: TariffSnapshot, at: datetime) -> None:
    """Keep a tariff under its hash, once."""
    connection.execute(
        "INSERT INTO tariff_snapshots (hash, tariff_id, kept_at, snapshot) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (hash) DO NOTHING",
        (snapshot.hash, snapshot.tariff.id, instant(at), encode(snapshot).decode()),
    )


def snapshot_kept(connection: Connection, hash_: str) -> TariffSnapshot | None:
    """The tariff under this hash."""
    row = connection.execute("SELECT snapshot FROM tariff_snapshots WHERE hash = ?", (hash_,)).fetchone()
    return None if row is None else decode(TariffSnapshot, row[0], "stored tariff")


def snapshots_kept(connection: Connection) -> tuple[tuple[datetime, TariffSnapshot], ...]:
    """All tariffs that sessions were pinned to, and since when, in the order in which they came."""
    rows = connection.execute("SELECT kept_at, snapshot FROM tariff_snapshots ORDER BY kept_at, hash").fetchall()
    return tuple((datetime.fromisoformat(at), decode(TariffSnapshot, text, "stored tariff")) for at, text in rows)


def messages_of(connection: Connection, session: Session) -> tuple[TransactionMessage, ...]:
    """The messages of a session that were stored, in no order; what cannot be read is left out."""
    rows = connection.execute(
        f"SELECT received_at, {RECORD_COLUMNS} FROM records WHERE session_id = ? AND gateway_id = ?",
        (session.id, session.gateway_id),
    ).fetchall()
    arrivals = (
        read_arrival(session.gateway_id, record_of(tuple(row)), datetime.fromisoformat(at)) for at, *row in rows
    )
    return tuple(arrival.message for arrival in arrivals if arrival.message is not None)


def keep_quote(connection: Connection, place: tuple[str, str], token: TokenRef, quote: PriceQuote) -> None:
    """Keep what a driver was shown; `place` is (gateway id, charger id). Forgets those that nobody took."""
    gateway_id, charger_id = place
    connection.execute("DELETE FROM price_quotes WHERE session_id IS NULL AND at < ?", (instant(quote.at - KEPT_FOR),))
    connection.execute(
        "INSERT INTO price_quotes (quote_id, gateway_id, charger_key, token_key, at, quote) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (quote_id) DO NOTHING",
        (
            quote.quote_id,
            gateway_id,
            charger_id.casefold(),
            bearer_key(token.uid),
            instant(quote.at),
            encode(quote).decode(),
        ),
    )


def quote_for(connection: Connection, session: Session) -> PriceQuote | None:
    """What the driver of a session was shown before it; the newest."""
    if session.cdr_token is None:
        return None
    try:
        since, until = session.start_date_time - SHOWN_BEFORE, session.start_date_time + SHOWN_AFTER
    except OverflowError:  # At an end of the calendar: a station whose clock was never set.
        return None
    row = connection.execute(
        "SELECT quote FROM price_quotes WHERE session_id IS NULL AND gateway_id = ? AND charger_key = ? "
        "AND token_key = ? AND at >= ? AND at <= ? ORDER BY at DESC, number DESC LIMIT 1",
        (
            session.gateway_id,
            session.charger_id.casefold(),
            bearer_key(session.cdr_token.uid),
            instant(since),
            instant(until),
        ),
    ).fetchone()
    return None if row is None else decode(PriceQuote, row[0], "stored quote")


def take_quote(connection: Connection, quote: PriceQuote, session_id: str) -> None:
    """The session takes the quote; from now on it names no token."""
    connection.execute(
        "UPDATE price_quotes SET session_id = ?, token_key = '' WHERE quote_id = ?", (session_id, quote.quote_id)
    )


def forget_quotes(connection: Connection, names: Callable[[str], bool]) -> None:
    """Forget the waiting quotes whose token `names` somebody who is to be forgotten."""
    rows = connection.execute("SELECT number, token_key FROM price_quotes WHERE session_id IS NULL").fetchall()
    found = [(number,) for number, token_key in rows if names(token_key)]
    connection.executemany("DELETE FROM price_quotes WHERE number = ?", found)


def quote_of_session(connection: Connection, session_id: str) -> PriceQuote | None:
    """What the driver of a settled session was shown."""
    row = connection.execute("SELECT quote FROM price_quotes WHERE session_id = ?", (session_id,)).fetchone()
    return None if row is None else decode(PriceQuote, row[0], "stored quote")
