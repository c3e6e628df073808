"""Grants under any order of messages: one session for each command, none without its token, nothing after a refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, strategies as st

from gateway.grants import Grant, Grants
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


commands = st.tuples(st.sampled_from(CHARGERS), st.sampled_from(TAGS), st.sampled_from((None, 1, 2)))
messages = st.builds(
    TransactionMessage,
    event=st.sampled_from((TransactionEvent.STARTED, TransactionEvent.UPDATED, TransactionEvent.ENDED)),
    at=st.sampled_from((NOON - WINDOW, NOON, NOON + WINDOW / 2, NOON + 2 * WINDOW)),
    evse_id=st.sampled_from((0, 1, 2)),
    transaction_id=st.sampled_from(("t1", "t2", "t3")),
    token=st.builds(TokenRef, uid=st.sampled_from(TAGS), type=st.just(TokenType.RFID)),
    remote_start_id=st.sampled_from((None, None, 0, 1, 2, 9)),
)
steps = st.lists(st.tuples(st.sampled_from(CHARGERS), messages, st.sampled_from((0, 5, 20))), max_size=30)


@given(given_=st.lists(commands, max_size=4), said=steps, refused=st.sets(st.integers(0, 3)))
def test_each_command_is_good_for_one_session(
    given_: list[tuple[str, str, int | None]],
    said: list[tuple[str, TransactionMessage, int]],
    refused: set[int],
) -> None:
    grants = Grants()
    for number, (charger_id, tag, evse_id) in enumerate(given_):
        made = decision(charger_id, tag, number)
        grants.add(Grant(number, made, (tag,), begun_at=NOON, until=NOON + WINDOW, evse_id=evse_id))
    for number in refused & set(range(len(given_))):
        grants.withdraw(given_[number][0], number)
    sessions: dict[str, set[str | None]] = {}
    for charger_id, message, minutes in said:
        found = grants.for_message(charger_id, message, NOON + timedelta(minutes=minutes))
        if found is None:
            continue
        assert message.token is not None
        assert found.charger_id.casefold() == charger_id.casefold()
        assert found.token.uid.casefold() == message.token.uid.casefold()
        number = int((found.command_id or "c-1")[1:])
        assert number not in refused
        if message.remote_start_id is not None:
            assert message.remote_start_id == number, "a station that names a command means that one"
        else:
            sessions.setdefault(found.command_id or "", set()).add(message.transaction_id)
    for names in sessions.values():
        assert len(names) == 1, "without its number a command stands for one session alone"


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
