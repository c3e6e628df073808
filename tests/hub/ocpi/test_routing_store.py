"""What forwarding and asking keep in the database, on both engines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hub.store import asked, relays, turns
from hub.store.asked import AskedToken
from hub.store.engine import Engine, OpenConnection
from hub.store.readings import Cut
from hub.store.relays import Relay
from wire.ocpi.types import PartyKey
from wire.records import Token, TokenRef, TokenType, WhitelistType

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
EMS, CPO = PartyKey.of("DE", "EMS"), PartyKey.of("DE", "CPO")
CARD = TokenRef(uid="04A1", type=TokenType.RFID)


@pytest.fixture
def connection(engine: Engine) -> Iterator[OpenConnection]:
    opened = engine.open_writer()
    opened.execute("BEGIN IMMEDIATE")
    yield opened
    opened.close()


def test_relays_are_found_by_their_kind_and_let_go_when_old(connection):
    relay = Relay("u-1", relays.RESULT, "emsp", "cpo", "https://localhost/1")
    relays.note_relay(connection, relay, T0)
    assert relays.relay_of(connection, "u-1", relays.RESULT) == relay
    assert relays.relay_of(connection, "u-1", relays.CDR) is None
    for _ in range(2):
        relays.note_session(connection, CPO, "s-1", EMS, T0)
    assert relays.emsp_of_session(connection, CPO, "S-1") == EMS
    assert relays.owner_of_session(connection, EMS, "S-1") == CPO
    assert relays.owner_of_session(connection, CPO, "S-1") is None
    relays.note_reservation(connection, CPO, "r-1", EMS, T0 + relays.KEPT + timedelta(days=1))
    assert relays.owner_of_reservation(connection, EMS, "R-1") == CPO
    assert relays.relay_of(connection, "u-1", relays.RESULT) is None


def test_the_last_token_that_was_let_in_is_known_until_its_driver_is_forgotten(connection):
    token = Token(
        country_code="DE",
        party_id="EMS",
        uid="04A1",
        type=TokenType.RFID,
        contract_id="C-1",
        issuer="E",
        valid=True,
        whitelist=WhitelistType.NEVER,
        last_updated=T0,
    )
    question = AskedToken(
        at=T0,
        gateway_id="site-1",
        charger_id="CP-1",
        presented=CARD,
        partner="emsp",
        outcome="ALLOWED",
        correlation_id="d-1",
        token=token,
        reference="ref-1",
    )
    asked.note_asked(connection, question)
    assert asked.answered_token(connection, TokenRef(uid="04a1", type=TokenType.RFID)) == token
    assert asked.answered_token(connection, TokenRef(uid="04a1", type=TokenType.EMAID)) is None
    (entry,) = asked.asked_page(connection, Cut()).objects
    assert '"authorization_reference":"ref-1"' in entry
    assert asked.commanded_here(connection, "site-1", "CP-1", CARD, T0) is None
    asked.forget_answers(connection, lambda text: text == "C-2")
    assert asked.answered_token(connection, CARD) == token
    asked.forget_answers(connection, lambda text: text == "C-1")
    assert asked.answered_token(connection, CARD) is None


def test_a_turn_is_taken_by_one(connection):
    hour = timedelta(hours=1)
    assert turns.last_turn(connection, "x") is None
    assert turns.take_turn(connection, "x", hour, T0)
    assert turns.last_turn(connection, "x") == T0
    assert not turns.take_turn(connection, "x", hour, T0 + timedelta(minutes=59))
    assert turns.take_turn(connection, "x", hour, T0 - 2 * hour), "the clock was set back"
    assert turns.take_turn(connection, "x", hour, T0)
    assert not turns.is_due(connection, "x", hour, T0)
