"""Disputes in the database: their acts, only appended, and where each stands by them.

Rules
1. A dispute is what its acts make of it (hub.disputes); the row beside them is for finding it.
2. While a dispute is open its CDR is not settled. A CDR has one open dispute at most.
3. A credit CDR that is accepted ends the open dispute about the CDR that it takes back, whoever sent it.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from hub.disputes import (
    OPEN,
    Act,
    Dispute,
    DisputeAct,
    Disputed,
    DisputeRefused,
    DisputeState,
    after,
    opened,
    replayed,
)
from hub.store import findings
from hub.store.engine import Connection, Value as Stored
from hub.store.findings import instant
from wire.ocpi.keys import ci_key
from wire.records import decode, encode

_ID_BYTES = 6


def open_dispute(connection: Connection, seller: str, cdr: str, reason: str, act: DisputeAct) -> Dispute:
    """A new dispute about a CDR that is kept here.

    Raises:
        DisputeRefused: `no-such-cdr`, `already-disputed`, `already-credited`, `not-yours`, `bad-dispute`.
    """
    standing = findings.standing_of(connection, seller, cdr)
    if standing is None:
        raise DisputeRefused("no-such-cdr", f"no CDR {cdr[:64]!r} of {seller[:20]} is kept here")
    if standing.credits is not None or standing.credited:
        raise DisputeRefused("already-credited", f"CDR {standing.id} is credited, or a credit itself")
    if standing.disputed:
        raise DisputeRefused("already-disputed", f"a dispute about CDR {standing.id} is open already")
    about = Disputed(
        id=f"D-{secrets.token_hex(_ID_BYTES)}",
        seller=standing.owner,
        buyer=standing.emsp,
        cdr=standing.id,
        session=standing.session,
        reason=reason,
    )
    dispute = opened(about, act)
    connection.execute(
        "INSERT INTO disputes (id, owner, cdr_key, state, opened_at, dispute) VALUES (?, ?, ?, ?, ?, ?)",
        (
            about.id,
            about.seller,
            ci_key(about.cdr),
            dispute.state.value,
            instant(act.at),
            encode(about).decode(),
        ),
    )
    _append(connection, about.id, act)
    findings.set_disputed(connection, about.seller, ci_key(about.cdr), disputed=True)
    return dispute


def act_in(connection: Connection, id_: str, act: DisputeAct) -> Dispute:
    """The dispute after one more act. Raises DisputeRefused."""
    dispute = after(dispute_of(connection, id_), act)
    _append(connection, id_, act)
    connection.execute("UPDATE disputes SET state = ? WHERE id = ?", (dispute.state.value, id_))
    if dispute.state not in OPEN:
        findings.set_disputed(connection, dispute.seller, ci_key(dispute.cdr), disputed=False)
    return dispute


def note_credited(connection: Connection, seller: str, cdr: str, credit: str, at: datetime) -> None:
    """End the open dispute about a CDR that is credited now, if there is one. Rule 3."""
    row = connection.execute(
        "SELECT id FROM disputes WHERE owner = ? AND cdr_key = ? AND state IN (?, ?)",
        (seller, ci_key(cdr), *sorted(state.value for state in OPEN)),
    ).fetchone()
    if row is not None:
        act_in(connection, row[0], DisputeAct(act=Act.CREDIT, party=seller, at=at, by_whom="rules", credit=credit))


def dispute_of(connection: Connection, id_: str) -> Dispute:
    """The dispute with this id. Raises DisputeRefused (`no-such-dispute`)."""
    row = connection.execute("SELECT dispute FROM disputes WHERE id = ?", (id_,)).fetchone()
    if row is None:
        raise DisputeRefused("no-such-dispute", f"no dispute {id_[:64]!r} here; `pnc-hub disputes list` names them")
    acts = connection.execute("SELECT act FROM dispute_acts WHERE dispute = ? ORDER BY number", (id_,)).fetchall()
    about = decode(Disputed, row[0], "stored dispute")
    return replayed(about, (decode(DisputeAct, text, "stored act") for (text,) in acts))


def disputes(
    connection: Connection, state: DisputeState | None, after_number: int, limit: int, cdr: str | None = None
) -> tuple[tuple[int, Dispute], ...]:
    """Disputes with their numbers, beyond `after_number`, in the order in which they were opened."""
    conditions, values = ["number > ?"], list[Stored]([after_number])
    if state is not None:
        conditions.append("state = ?")
        values.append(state.value)
    if cdr is not None:
        conditions.append("cdr_key = ?")
        values.append(ci_key(cdr))
    rows: list[Any] = connection.execute(
        f"SELECT number, id FROM disputes WHERE {' AND '.join(conditions)} ORDER BY number LIMIT ?", (*values, limit)
    ).fetchall()
    return tuple((number, dispute_of(connection, id_)) for number, id_ in rows)


def _append(connection: Connection, id_: str, act: DisputeAct) -> None:
    connection.execute(
        "INSERT INTO dispute_acts (dispute, at, by_whom, act) VALUES (?, ?, ?, ?)",
        (id_, instant(act.at), act.by_whom, encode(act).decode()),
    )
