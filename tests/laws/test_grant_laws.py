"""Grants under any order of messages and restarts, asked as stations ask: through the authorizer over a real ledger.

One session for each command, at its station and its place, in its time, none without its token, nothing after a
refusal; and a message that names a command by its number is no exception."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gateway.authorizer import Authorizer
from gateway.decide.contract import Trust
from gateway.decide.policy import SitePolicy
from gateway.grants import Grant, Grants, grant_of
from gateway.store import commands as store
from gateway.store.ledger import open_ledger
from gateway.store.whitelist import Whitelist
from pki.service.files import load_trust
from pki.verify.revocation import RevocationEvidence
from tests.parts import ScriptedHub, SetClock
from wire.commands import CommandOrder, CommandToken, StartSession
from wire.ocpp.transaction import TransactionMessage
from wire.records import AuthMethod, Basis, ClockState, Decision, TokenRef, TokenType, TransactionEvent, Verdict

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=15)
TAGS = ("APP-1", "app-1", "APP-2")
CHARGERS = ("CP-1", "cp-1", "CP-2")


def decision(charger_id: str, tag: str, number: int) -> Decision:
    return Decision(
        decision_id=f"d{number}",
        at=NOON,
        charger_id=charger_id,
        token=TokenRef(uid=tag, type=TokenType.APP_USER),
        verdict=Verdict.ACCEPTED,
        reason="remote-start",
        basis=Basis.COMMAND,
        auth_method=AuthMethod.COMMAND,
        online=True,
        clock=ClockState.TRUSTED,
        command_id=f"c{number}",
    )


@dataclass
class Ledger:
    """A ledger that is emptied for each example."""

    connection: sqlite3.Connection
    whitelist: Whitelist
    trust: Trust

    def begun(self, given_: list[tuple[str, str, int | None]], refused: set[int]) -> list[store.Kept]:
        """The commands as they are kept once their stations were asked; those refused are withdrawn."""
        with self.transaction() as connection:
            connection.execute("DELETE FROM commands")
            for number, (charger_id, tag, evse_id) in enumerate(given_):
                token = CommandToken(uid=tag, type=TokenType.APP_USER)
                wanted = StartSession(charger_id=charger_id, token=token, evse_id=evse_id)
                order = CommandOrder(command_id=f"c{number}", expires_at=NOON + WINDOW, command=wanted)
                [kept] = store.receive(connection, [order], NOON)
                made = decision(charger_id, tag, number)
                store.begin(connection, kept, NOON, grant=made, start_until=NOON + WINDOW)
                if number in refused:
                    store.withdraw_grant(connection, charger_id, kept.number)
        return [kept for n in range(len(given_)) if (kept := store.find(self.connection, f"c{n}")) is not None]

    def note(self, command_id: str, transaction_id: str) -> None:
        with self.transaction() as connection:
            store.note_session(connection, command_id, f"session {transaction_id}", transaction_id)

    def transaction(self) -> sqlite3.Connection:
        self.connection.execute("BEGIN IMMEDIATE")
        return self.connection  # As a context manager it commits.


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory, lab: Path) -> Iterator[Ledger]:
    folder = tmp_path_factory.mktemp("grants")
    connection = open_ledger(folder / "ledger.db", "site-1", "epoch-1", NOON)
    whitelist = Whitelist(folder / "whitelist.db")
    yield Ledger(connection, whitelist, Trust(anchors=load_trust(lab / "trust"), revocation=RevocationEvidence()))
    whitelist.close()
    connection.close()


@dataclass
class Site:
    """What a start of the gateway makes of the ledger. `forgetful`: only the ledger has the grants, from a day ago."""

    ledger: Ledger
    forgetful: bool
    commands: list[store.Kept]
    clock: SetClock = field(default_factory=lambda: SetClock(at=NOON))

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        ledger = self.ledger
        made = Authorizer(
            self.clock, SitePolicy(), ledger.trust, ledger.whitelist, ScriptedHub(), self.ledger.connection
        )
        for kept in () if self.forgetful else store.granting(ledger.connection, NOON):
            made.grants.add(grant_of(kept))
        self.authorizer = made

    def decided(self, charger_id: str, message: TransactionMessage) -> Decision | None:
        if message.token is None:
            return asyncio.run(self.authorizer.for_remote_start(charger_id, message))
        return asyncio.run(self.authorizer.for_transaction(charger_id, message.token, message))


@dataclass(frozen=True)
class Restart:
    """A kill and a new start."""


commands = st.tuples(st.sampled_from(CHARGERS), st.sampled_from(TAGS), st.sampled_from((None, 1, 2)))
tokens = st.builds(TokenRef, uid=st.sampled_from(TAGS), type=st.just(TokenType.RFID))
messages = st.builds(
    TransactionMessage,
    event=st.sampled_from((TransactionEvent.STARTED, TransactionEvent.UPDATED, TransactionEvent.ENDED)),
    at=st.sampled_from((NOON - WINDOW, NOON, NOON + WINDOW / 2, NOON + 2 * WINDOW)),
    evse_id=st.sampled_from((0, 1, 2)),
    transaction_id=st.sampled_from(("t1", "t2", "t3")),
    seq_no=st.just(0),
    token=st.one_of(tokens, tokens, st.none()),
    remote_start_id=st.sampled_from((None, None, 0, 1, 2, 9)),
)
"""`remote_start_id` counts the commands."""
steps = st.lists(
    st.one_of(st.just(Restart()), *[st.tuples(st.sampled_from(CHARGERS), messages, st.sampled_from((0, 5, 20)))] * 5),
    max_size=30,
)


@given(given_=st.lists(commands, max_size=4), said=steps, refused=st.sets(st.integers(0, 3)), forgetful=st.booleans())
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_each_command_is_good_for_one_session(
    ledger: Ledger,
    given_: list[tuple[str, str, int | None]],
    said: list[Restart | tuple[str, TransactionMessage, int]],
    refused: set[int],
    forgetful: bool,
) -> None:
    site = Site(ledger, forgetful, ledger.begun(given_, refused))
    numbers = [kept.number for kept in site.commands]
    sessions: dict[int, str] = {}
    for step in said:
        if isinstance(step, Restart):
            site.start()
            continue
        charger_id, message, minutes = step
        named = message.remote_start_id
        if named is not None:
            # Of no command that was given: one that comes yet.
            told = numbers[named] if named < len(numbers) else 2**31 - 1
            message = msgspec.structs.replace(message, remote_start_id=told)
        site.clock.at = NOON + timedelta(minutes=minutes)
        found = site.decided(charger_id, message)
        if found is None or found.command_id is None:
            assert found is None or found.verdict is not Verdict.ACCEPTED, "nobody but a command vouches here"
            continue
        number = int(found.command_id[1:])
        of, tag, evse_id = given_[number]
        assert found.verdict is Verdict.ACCEPTED
        assert number not in refused
        assert named in (None, number), "a station that names a command means that one"
        assert of.casefold() == charger_id.casefold()
        assert message.token is not None or named is not None, "somebody must be named"
        assert message.token is None or message.token.uid.casefold() == tag.casefold()
        first = number not in sessions
        if first:
            assert message.evse_id in (0, evse_id) or evse_id is None
            assert any(NOON <= at <= NOON + WINDOW for at in (message.at, site.clock.at)), "in its time"
        assert message.transaction_id is not None
        held = sessions.setdefault(number, message.transaction_id)
        assert held == message.transaction_id, "a command stands for one session alone"
        ledger.note(found.command_id, message.transaction_id)


@given(given_=st.lists(commands, min_size=1, max_size=4), minutes=st.integers(0, 40), tag=st.sampled_from(TAGS))
def test_authorize_is_granted_within_the_time_and_to_the_token_alone(
    given_: list[tuple[str, str, int | None]], minutes: int, tag: str
) -> None:
    grants = Grants()
    for number, (charger_id, own, evse_id) in enumerate(given_):
        made = decision(charger_id, own, number)
        grants.add(Grant(number, made, (own,), begun_at=NOON, until=NOON + WINDOW, evse_id=evse_id))
    found = grants.for_authorize("CP-1", tag, NOON + timedelta(minutes=minutes))
    fitting = [
        one for one in given_ if one[0].casefold() == "cp-1" and one[1].casefold() == tag.casefold() and minutes <= 15
    ]
    assert (found is not None) == bool(fitting)
