"""Letting go of what was found (hub.store.personal), in one transaction with an entry in the erasures. For the writer.

Rules
1. A record keeps its header, hash and commitment: the chain, its tree, every head and every proof stay as they are.
2. In a session and its CDR, uid and contract become pseudonyms; the reference of the eMSP and the signed values go, for
   they hold the identification; findings keep their codes. Energy, times and money stay, and nothing else may change:
   the triggers of the tables see to that.
3. A pseudonym is keyed with random bytes that are forgotten with the act. One person's sessions can still be told to be
   one person's, and nobody can find out whose by trying uids; a later act makes another pseudonym.
4. The hash of a signed value's bytes would give the identification away to whoever tries all of them: it is replaced as
   well, with the verdicts and pages that hold it.
5. A token leaves the list and its history (hub.store.whitelist, rule 5); what makes gateways forget it is handed to the
   caller. A gateway that does not hear it in time gets a snapshot and forgets what is not in it.
6. The erasures say what was let go, when, by whom and how much of it, never whose it was.

What is left is said by the caller: backups, evidence files, and what the eMSP holds are not the database.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from hub.store.asked import forget_answers
from hub.store.engine import Connection
from hub.store.ledger import Chain, instant
from hub.store.personal import ERASED, NOBODY, Found
from hub.store.readings import RECORD_COLUMNS, Cut, Page, page_of, record_of
from hub.store.roaming_erasure import forget_roaming
from hub.store.tariffs import forget_quotes
from hub.store.whitelist import drop_tokens
from hub.subject import Subject
from wire.chain import Record, released
from wire.errors import MalformedValue
from wire.meter.history import Page as PageOfMeter
from wire.records import Cdr, CdrToken, Session, Value, decode, encode
from wire.settling.arrival import LET_GO
from wire.settling.judging import KeptVerdict
from wire.tokens import bearer_key
from wire.whitelist import ListDelta

_INSTEAD = "[erased]"


class ErasureKind(StrEnum):
    """Why something is let go: somebody asked for it, or its time is over."""

    PERSON = "person"
    RETENTION = "retention"


class Counts(Value, frozen=True, kw_only=True, omit_defaults=False):
    """How much there is to let go, or was. `kept_records` are of the first form and keep their content; `mentions` are
    sessions of others that name the person; `open_sessions` and `young_sessions` are counted among all that lose
    content."""

    records: int = 0
    kept_records: int = 0
    sessions: int = 0
    open_sessions: int = 0
    young_sessions: int = 0
    mentions: int = 0
    cdrs: int = 0
    decisions: int = 0
    conflicts: int = 0
    commands: int = 0
    tokens: int = 0
    roaming: int = 0


class ErasureEntry(Value, frozen=True, kw_only=True, omit_defaults=False):
    """An act of letting go, as it is kept."""

    number: int
    at: datetime
    by: str
    kind: ErasureKind
    forced: bool
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who lets go, when and why."""

    at: datetime
    by: str
    kind: ErasureKind
    forced: bool = False


def counts_of(found: Found) -> Counts:
    """How much was found."""
    return Counts(
        records=len(found.records),
        kept_records=found.kept,
        sessions=len(found.sessions),
        open_sessions=found.open_sessions,
        young_sessions=found.young_sessions,
        mentions=len(found.mentioning),
        cdrs=found.cdrs,
        decisions=len(found.decisions),
        conflicts=len(found.conflicts),
        commands=len(found.commands),
        tokens=len(found.tokens),
        roaming=found.roaming,
    )


def let_go(connection: Connection, found: Found, act: Act) -> tuple[int, tuple[ListDelta, ...]]:
    """Let go of what was found and note it; the number of the act, and what the token list has to say of it (rule 5).
    Records that another act let go of meanwhile are passed over."""
    (number,) = connection.execute(
        "INSERT INTO erasures (at, by, kind, forced, counts) VALUES (?, ?, ?, ?, ?) RETURNING number",
        (instant(act.at), act.by, act.kind.value, int(act.forced), encode(counts_of(found)).decode()),
    ).fetchone()
    eraser = _Eraser(connection, number, act.at)
    for chain, seq in found.records:
        eraser.record(chain, seq)
    for id_ in found.sessions:
        eraser.session(id_)
    if found.subject is not None:
        forget_quotes(connection, found.subject.is_named)
        forget_answers(connection, found.subject.is_named)
        for id_ in found.mentioning:
            eraser.mention(id_, found.subject)
    forget_roaming(connection, found.subject, found.sessions, number, eraser.pseudonym)
    for conflict in found.conflicts:
        eraser.offer(conflict)
    connection.executemany(
        "DELETE FROM decisions WHERE gateway_id = ? AND charger_key = ? AND token_key = ?", found.decisions
    )
    names = [(name,) for name in found.commands]
    connection.executemany("DELETE FROM command_reports WHERE command_id = ?", names)
    connection.executemany("DELETE FROM commands WHERE command_id = ?", names)
    return number, drop_tokens(connection, found.tokens, act.at)


def erasures_page(connection: Connection, cut: Cut) -> Page:
    """The acts of letting go, oldest first."""
    rows = connection.execute(
        "SELECT number, at, by, kind, forced, counts FROM erasures WHERE number > ? ORDER BY number LIMIT ?",
        (cut.after, cut.limit + 1),
    ).fetchall()
    return page_of([(row[0], encode(_entry(row)).decode()) for row in rows], cut)


def _entry(row: Sequence[object]) -> ErasureEntry:
    number, at, by, kind, forced, counts = row
    return ErasureEntry(
        number=int(str(number)),
        at=datetime.fromisoformat(str(at)),
        by=str(by),
        kind=ErasureKind(str(kind)),
        forced=bool(forced),
        counts=decode(Counts, str(counts), "stored counts"),
    )


class _Eraser:
    """One act: its pseudonyms' key lives as long as this object. Rule 3."""

    def __init__(self, connection: Connection, number: int, at: datetime) -> None:
        self._connection, self._number = connection, number
        self._key = secrets.token_bytes(32)
        day = f"{at.astimezone(UTC):%Y-%m-%d}"
        self._finding = f"{ERASED}: who charged was let go on {day}"
        self._in_part = f"{ERASED}-in-part: what named somebody else was let go on {day}"

    def record(self, chain: Chain, seq: int) -> None:
        """Rules 1 and 4."""
        key = (chain.gateway_id, chain.epoch, seq)
        row = self._connection.execute(
            f"SELECT {RECORD_COLUMNS} FROM records WHERE gateway_id = ? AND epoch = ? AND seq = ?", key
        ).fetchone()
        record = record_of(row)
        if record.is_released:
            return
        self._connection.execute(
            "UPDATE records SET body = '', salt = '', commitment = ? WHERE gateway_id = ? AND epoch = ? AND seq = ?",
            (released(record).commitment, *key),
        )
        self._connection.execute(
            "UPDATE quarantine SET reason = ? WHERE gateway_id = ? AND epoch = ? AND seq = ?", (LET_GO, *key)
        )
        self._verdicts(key)

    def _verdicts(self, key: tuple[str, str, int]) -> None:
        rows = self._connection.execute(
            "SELECT number, verdict FROM verdicts WHERE gateway_id = ? AND epoch = ? AND seq = ?", key
        ).fetchall()
        for number, text in rows:
            verdict = decode(KeptVerdict, text, "stored verdict")
            payload, hidden = verdict.payload_sha256, self._hidden(verdict.payload_sha256)
            verdict = msgspec.structs.replace(verdict, payload_sha256=hidden)
            # A verdict is never changed: it is said again, and the first saying goes.
            self._connection.execute(
                "INSERT INTO verdicts (gateway_id, epoch, seq, part, session_id, judged_at, version, verdict) "
                "SELECT gateway_id, epoch, seq, part, session_id, judged_at, version, ? FROM verdicts WHERE number = ?",
                (encode(verdict).decode(), number),
            )
            self._connection.execute("DELETE FROM verdicts WHERE number = ?", (number,))
            self._pages(payload, hidden)

    def _pages(self, payload: str, hidden: str) -> None:
        rows = self._connection.execute("SELECT number, body FROM meter_pages WHERE payload_sha256 = ?", (payload,))
        for number, text in rows.fetchall():
            page = msgspec.structs.replace(decode(PageOfMeter, text, "stored page"), payload_sha256=hidden)
            self._connection.execute(
                "UPDATE meter_pages SET payload_sha256 = ?, body = ? WHERE number = ?",
                (hidden, encode(page).decode(), number),
            )

    def session(self, id_: str) -> None:
        """Rule 2, for a session of the person."""
        text = self._text("SELECT session FROM sessions WHERE id = ?", id_)
        session = decode(Session, text, "stored session")
        token = None if session.cdr_token is None else self._pseudonym(session.cdr_token)
        session = msgspec.structs.replace(
            session, cdr_token=token, authorization_reference=None, findings=self._codes(session.findings)
        )
        self._save_session(session)
        cdr = self._cdr(id_)
        if cdr is not None:
            self._save_cdr(
                msgspec.structs.replace(
                    cdr,
                    cdr_token=self._pseudonym(cdr.cdr_token),
                    authorization_reference=None,
                    signed_data=None,
                    findings=self._codes(cdr.findings),
                )
            )

    def mention(self, id_: str, subject: Subject) -> None:
        """Rule 2, for a session of somebody else: only what names the person goes."""
        session = decode(Session, self._text("SELECT session FROM sessions WHERE id = ?", id_), "stored session")
        self._save_session(msgspec.structs.replace(session, findings=self._without(session.findings, subject)))
        cdr = self._cdr(id_)
        if cdr is not None:
            signed = cdr.signed_data
            if signed is not None and subject.is_in_json(encode(signed).decode()):
                signed = None
            findings = self._without(cdr.findings, subject)
            self._save_cdr(msgspec.structs.replace(cdr, signed_data=signed, findings=findings))

    def offer(self, number: int) -> None:
        """What was offered against the books: the record without its content, if it can be without."""
        text = self._text("SELECT offered FROM conflicts WHERE number = ?", number)
        try:
            offered: str | None = encode(released(decode(Record, text, "offered record"))).decode()
        except (MalformedValue, ValueError):
            offered = None
        self._connection.execute("UPDATE conflicts SET offered = ? WHERE number = ?", (offered, number))

    def _text(self, query: str, key: str | int) -> str:
        return str(self._connection.execute(query, (key,)).fetchone()[0])

    def _cdr(self, session_id: str) -> Cdr | None:
        row = self._connection.execute("SELECT cdr FROM cdrs WHERE session_id = ?", (session_id,)).fetchone()
        return None if row is None else decode(Cdr, row[0], "stored CDR")

    def _save_session(self, session: Session) -> None:
        """The key of the message that ended a session is a hash of that message: rule 4 holds for it too. An earlier
        version kept the signed values of the ends there."""
        text = self._text("SELECT meter FROM sessions WHERE id = ?", session.id)
        meter = {
            name: value
            for name, value in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()
            if name not in ("begin_signed", "end_signed")
        }
        if "ended_by" in meter:
            meter["ended_by"] = msgspec.Raw(encode(LET_GO))
        self._connection.execute(
            "UPDATE sessions SET session = ?, meter = ? WHERE id = ?",
            (encode(session).decode(), encode(meter).decode(), session.id),
        )

    def _save_cdr(self, cdr: Cdr) -> None:
        self._connection.execute(
            "UPDATE cdrs SET cdr = ?, erasure = ? WHERE id = ?", (encode(cdr).decode(), self._number, cdr.id)
        )

    def pseudonym(self, text: str) -> str:
        """What stands in the place of a uid or a contract. Rule 3."""
        return text if text == NOBODY else f"ERASED-{self._hidden(bearer_key(text))[:24]}"

    def _pseudonym(self, token: CdrToken) -> CdrToken:
        uid, contract_id = self.pseudonym(token.uid), self.pseudonym(token.contract_id)
        return msgspec.structs.replace(token, uid=uid, contract_id=contract_id)

    def _hidden(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), "sha256").hex()

    def _codes(self, findings: Iterable[str]) -> tuple[str, ...]:
        codes = (text.partition(":")[0] for text in findings)
        return (*dict.fromkeys(code for code in codes if code != ERASED), self._finding)

    def _without(self, findings: Iterable[str], subject: Subject) -> tuple[str, ...]:
        return (*dict.fromkeys(subject.without(text, _INSTEAD) for text in findings), self._in_part)
