"""Where a person stands in the database, and what is over by time: found here, let go in hub.store.erasure. Reads only.

Rules
1. A session is somebody's when its token is theirs. All records of it are found then, named in them or not: they hold
   signed values, times and places of one person.
2. Everything else is found by what it says (hub.subject): decisions, audit entries, other people's sessions in which
   the person appears, their CDRs, offers of a forked gateway, commands with their reports, the token list.
3. By time, a session is over when the hub has heard nothing of it since, and a record when it came before and is of no
   other session. The token list is never over.
4. What was let go already is not found again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from hub.store.engine import Connection
from hub.store.ledger import Chain
from hub.store.readings import RECORD_COLUMNS, record_of
from hub.store.roaming_erasure import count_named
from hub.subject import Subject, is_named_in, subject_of
from wire.chain import Record
from wire.errors import MalformedValue
from wire.records import CdrToken, Decision, Session, SessionStatus, Token, TokenType, decode
from wire.tokens import TokenKey, token_key

AT_A_TIME = 256
ERASED = "erased"
"""The code of the finding that a session and its CDR carry afterwards."""
NOBODY = "#NA"
"""What stands in a CDR where no token was presented (OCPI types)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whose data is to be let go, as an operator names them: by the uid of a token, of one type or of any, or by a
    contract with all its tokens."""

    name: str
    is_contract: bool = False
    type: TokenType | None = None


@dataclass(slots=True)
class Found:
    """What there is to let go, by the keys of its rows. `sessions` are the person's own, `mentioning` those of others
    that name them; `open_sessions` and `young_sessions` are counted among all that lose content. `others` are the
    sessions of others that lose a record or what names the person. `kept` counts records of the first form, which
    cannot be let go (wire.chain rule 4)."""

    subject: Subject | None
    records: list[tuple[Chain, int]] = field(default_factory=list)
    kept: int = 0
    sessions: list[str] = field(default_factory=list)
    open_sessions: int = 0
    young_sessions: int = 0
    mentioning: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    cdrs: int = 0
    decisions: list[tuple[str, str, str]] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    tokens: list[TokenKey] = field(default_factory=list)
    roaming: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to let go of, nor anything that cannot be."""
        lists = (self.records, self.sessions, self.mentioning, self.decisions, self.conflicts, self.commands)
        return not (any(lists) or self.tokens or self.kept or self.roaming)


def find_person(connection: Connection, wanted: Wanted, kept_until: datetime) -> Found:
    """Everything that names the person. A session is young when the hub heard of it after `kept_until`: one of theirs,
    or another's that loses content. Reads every record: less than 0.1 ms each.
    """
    subject = _subject(connection, wanted)
    found, open_, young = Found(subject), set[str](), set[str]()
    for session, text in _sessions(connection):
        if session.status is SessionStatus.ACTIVE:
            open_.add(session.id)
        if session.last_updated >= kept_until:
            young.add(session.id)
        if _is_of(subject, session.cdr_token):
            found.sessions.append(session.id)
        elif subject.is_in_json(text) or _is_in_cdr(connection, subject, session.id):
            found.mentioning.append(session.id)
    own, touched = frozenset(found.sessions), {*found.sessions, *found.mentioning}
    for chain, _, session_id, record in _records(connection):
        if session_id in own or is_named_in(subject, record):
            _take(found, chain, record)
            touched |= set() if session_id is None else {session_id}
    found.open_sessions, found.young_sessions = len(touched & open_), len(touched & young)
    found.others = sorted(touched - own)
    found.cdrs = _count_cdrs(connection, (*found.sessions, *found.mentioning))
    found.decisions = [key for key, text in _decisions(connection) if subject.is_in_json(text)]
    found.conflicts = [number for number, _, text in _conflicts(connection) if _is_offered(subject, text)]
    found.commands = [name for name, _, texts in _commands(connection) if any(map(subject.is_in_json, texts))]
    found.tokens = [token_key(token) for token in _tokens(connection) if _is_listed(subject, wanted, token)]
    found.roaming = count_named(connection, subject)
    return found


def find_over(connection: Connection, until: datetime) -> Found:
    """Everything whose time is over: nothing of it came after `until`. Rule 3."""
    found, alive = Found(None), set[str]()
    for session, _ in _sessions(connection):
        if session.status is SessionStatus.ACTIVE or session.last_updated >= until:
            alive.add(session.id)
        elif not any(text.startswith(f"{ERASED}:") for text in session.findings):
            found.sessions.append(session.id)
    for chain, received_at, session_id, record in _records(connection):
        if received_at < until and session_id not in alive:
            _take(found, chain, record)
    found.cdrs = _count_cdrs(connection, tuple(found.sessions))
    found.decisions = [
        key for key, text in _decisions(connection) if decode(Decision, text, "stored decision").at < until
    ]
    found.conflicts = [number for number, seen_at, _ in _conflicts(connection) if seen_at < until]
    found.commands = [name for name, created_at, _ in _commands(connection) if created_at < until]
    return found


def _take(found: Found, chain: Chain, record: Record) -> None:
    if record.salt:
        found.records.append((chain, record.seq))
    else:
        found.kept += 1


def _subject(connection: Connection, wanted: Wanted) -> Subject:
    """The person: a contract with the uids of every token that was ever seen with it."""
    if not wanted.is_contract:
        return subject_of([wanted.name], [wanted.name] if wanted.type is TokenType.EMAID else [])
    contract = subject_of([], [wanted.name])
    uids = [token.uid for token in _tokens(connection) if contract.is_named(token.contract_id)]
    for session, _ in _sessions(connection):
        token = session.cdr_token
        if token is not None and token.uid != NOBODY and contract.is_named(token.contract_id):
            uids.append(token.uid)
    return subject_of(uids, [wanted.name])


def _is_of(subject: Subject, token: CdrToken | None) -> bool:
    return token is not None and (subject.is_named(token.uid) or subject.is_named(token.contract_id))


def _is_in_cdr(connection: Connection, subject: Subject, session_id: str) -> bool:
    row = connection.execute("SELECT cdr FROM cdrs WHERE session_id = ?", (session_id,)).fetchone()
    return row is not None and subject.is_in_json(row[0])


def _is_offered(subject: Subject, text: str) -> bool:
    """Whether what a forked gateway offered names the person: a record, or a tree head, which names nobody."""
    try:
        record = decode(Record, text, "offered record")
    except MalformedValue:
        return subject.is_in_json(text)
    return is_named_in(subject, record)


def _is_listed(subject: Subject, wanted: Wanted, token: Token) -> bool:
    if wanted.type not in (None, token.type):
        return False
    return subject.is_named(token.uid) or (wanted.is_contract and subject.is_named(token.contract_id))


def _sessions(connection: Connection) -> Iterator[tuple[Session, str]]:
    after = 0
    while rows := connection.execute(
        "SELECT number, session FROM sessions WHERE number > ? ORDER BY number LIMIT ?", (after, AT_A_TIME)
    ).fetchall():
        for _, text in rows:
            yield decode(Session, text, "stored session"), text
        after = rows[-1][0]


def _records(connection: Connection) -> Iterator[tuple[Chain, datetime, str | None, Record]]:
    """Every record that has its content: chain, when it came, its session."""
    after: tuple[str, str, int] = ("", "", 0)
    while rows := connection.execute(
        f"SELECT {RECORD_COLUMNS}, gateway_id, epoch, received_at, session_id FROM records "
        "WHERE (gateway_id, epoch, seq) > (?, ?, ?) ORDER BY gateway_id, epoch, seq LIMIT ?",
        (*after, AT_A_TIME),
    ).fetchall():
        for row in rows:
            gateway_id, epoch, received_at, session_id = row[10:]
            after = (gateway_id, epoch, row[0])
            if row[9] is None:
                yield Chain(gateway_id, epoch), _instant(received_at), session_id, record_of(row[:10])


def _count_cdrs(connection: Connection, sessions: tuple[str, ...]) -> int:
    held = (connection.execute("SELECT 1 FROM cdrs WHERE session_id = ?", (id_,)).fetchone() for id_ in sessions)
    return sum(row is not None for row in held)


def _decisions(connection: Connection) -> list[tuple[tuple[str, str, str], str]]:
    rows = connection.execute("SELECT gateway_id, charger_key, token_key, decision FROM decisions")
    return [((row[0], row[1], row[2]), row[3]) for row in rows.fetchall()]


def _conflicts(connection: Connection) -> list[tuple[int, datetime, str]]:
    rows = connection.execute("SELECT number, seen_at, offered FROM conflicts WHERE offered IS NOT NULL")
    return [(number, _instant(seen_at), text) for number, seen_at, text in rows.fetchall()]


def _commands(connection: Connection) -> Iterator[tuple[str, datetime, list[str]]]:
    for name, created_at, body in connection.execute("SELECT command_id, created_at, body FROM commands").fetchall():
        reports = connection.execute("SELECT body FROM command_reports WHERE command_id = ?", (name,))
        yield name, _instant(created_at), [body, *(text for (text,) in reports.fetchall())]


def _tokens(connection: Connection) -> Iterator[Token]:
    last = ("", "", "", "")
    while rows := connection.execute(
        "SELECT token, country_code, party_id, type, uid_key FROM tokens "
        "WHERE (country_code, party_id, type, uid_key) > (?, ?, ?, ?) "
        "ORDER BY country_code, party_id, type, uid_key LIMIT ?",
        (*last, AT_A_TIME),
    ).fetchall():
        last = rows[-1][1:]
        for row in rows:
            yield decode(Token, row[0], "stored token")


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
