"""A new password over OCPP: what is good at each step, whatever the station says, and after a crash at each of them."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse

from gateway.chargers.credentials import PasswordHash
from gateway.chargers.passwords import OPEN_FOR, Passwords
from gateway.chargers.port import Account, Entrance
from gateway.chargers.rotation import MAX_OPEN, RotationOutcome
from gateway.errors import RotationFailed, StoreUnavailable
from gateway.store.credentials import Standing
from tests.gateway.conftest import Bench
from tests.gateway.ports import PLAIN, Ports, account, entrance, play
from tests.gateway.test_ports import events

VERSIONS = ("ocpp1.6", "ocpp2.0.1", "ocpp2.1")
Answer = Callable[[ClientWebSocketResponse, list[Any]], Awaitable[None]]


def told(call: list[Any]) -> str:
    """The password in a CALL of the gateway."""
    if call[2] == "ChangeConfiguration":
        assert call[3]["key"] == "AuthorizationKey"
        return str(call[3]["value"])
    assert call[2] == "SetVariables"
    (data,) = call[3]["setVariableData"]
    assert (data["component"]["name"], data["variable"]["name"]) == ("SecurityCtrlr", "BasicAuthPassword")
    return str(data["attributeValue"])


def saying(status: str) -> Answer:
    """A station that answers with this status."""

    async def answer(station: ClientWebSocketResponse, call: list[Any]) -> None:
        if call[2] == "ChangeConfiguration":
            payload: dict[str, Any] = {"status": status}
        else:
            named = {key: call[3]["setVariableData"][0][key] for key in ("component", "variable")}
            payload = {"setVariableResult": [{"attributeStatus": status, **named}]}
        await station.send_str(json.dumps([3, call[1], payload]))

    return answer


def failing(code: str) -> Answer:
    """A station that answers with a CALLERROR."""

    async def answer(station: ClientWebSocketResponse, call: list[Any]) -> None:
        # Some repeat what they were told.
        await station.send_str(json.dumps([4, call[1], code, told(call), {"told": call}]))

    return answer


async def hanging_up(station: ClientWebSocketResponse, call: list[Any]) -> None:
    await station.close()


async def rotate(
    ports: Ports, answer: Answer, protocol: str = "ocpp1.6", password: str | None = None
) -> tuple[str, RotationOutcome | RotationFailed]:
    """What a station that connects with `password` was told, and what came of it."""
    socket = await ports.connect("CP-1", password=password, protocols=[protocol])
    station = await ports.station()
    rotating = asyncio.create_task(ports.server.rotation.rotate(station))
    call = json.loads(await socket.receive_str(timeout=60))
    listening = asyncio.create_task(socket.receive())
    await answer(socket, call)
    try:
        found: RotationOutcome | RotationFailed = await rotating
    except RotationFailed as error:
        found = error
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
    await socket.close()
    await ports.empty()
    return told(call), found


async def comes(ports: Ports, password: str | None = None) -> bool:
    """Whether CP-1 is let in with a password, its first one when None."""
    found = await ports.status("CP-1", password=password)
    assert found in (101, 401)
    await ports.empty()
    return found == 101


@pytest.mark.parametrize("protocol", VERSIONS)
def test_accepted_password_is_the_only_one_also_after_a_restart(bench: Bench, protocol: str) -> None:
    words = []

    async def part(ports: Ports) -> None:
        word, outcome = await rotate(ports, saying("Accepted"), protocol)
        words.append(word)
        assert outcome is RotationOutcome.CHANGED
        assert len(bytes.fromhex(word)) == 20
        assert not await comes(ports)
        assert await comes(ports, word)

    async def again(ports: Ports) -> None:
        assert not await comes(ports)
        word, outcome = await rotate(ports, saying("Accepted"), protocol, words[0])
        assert outcome is RotationOutcome.CHANGED
        assert [await comes(ports, each) for each in (None, words[0], word)] == [False, False, True]

    play(bench, part)
    bench.restart()
    play(bench, again)
    everything = [record.body for record in bench.records()] + [(bench.folder / "ledger.db").read_bytes().hex()]
    assert all(words[0] not in text and words[0].encode().hex() not in text for text in everything)
    assert {entry.event for entry in events(bench)} == {"charger-password-changed"}


def test_station_of_16_shows_the_bytes_of_the_key(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        word, _ = await rotate(ports, saying("Accepted"))
        header = base64.b64encode(b"CP-1:" + bytes.fromhex(word)).decode()
        url = f"ws://{ports.address}/ocpp/CP-1"
        headers = {"Authorization": f"Basic {header}"}
        socket = await ports.session.ws_connect(url, protocols=["ocpp1.6"], headers=headers)
        await socket.close()

    play(bench, part)


@pytest.mark.parametrize("protocol", VERSIONS)
@pytest.mark.parametrize("answer", [saying("Rejected"), failing("NotImplemented"), failing("NotSupported")])
def test_refused_password_is_gone(bench: Bench, protocol: str, answer: Answer) -> None:
    async def part(ports: Ports) -> None:
        word, outcome = await rotate(ports, answer, protocol)
        assert isinstance(outcome, RotationFailed)
        assert outcome.code == "rotation-refused"
        assert not await comes(ports, word)
        assert await comes(ports)

    play(bench, part)
    assert [entry.event for entry in events(bench)] == ["charger-password-refused"]


@pytest.mark.parametrize("answer", [hanging_up, failing("InternalError"), saying("Nonsense")])
@pytest.mark.parametrize("took_it", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_without_an_answer_a_login_decides(
    bench: Bench, answer: Answer, took_it: bool, restart: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    words = []

    async def part(ports: Ports) -> None:
        word, outcome = await rotate(ports, answer)
        words.append(word)
        assert isinstance(outcome, RotationFailed)
        assert outcome.code == "rotation-open"

    async def decided(ports: Ports) -> None:
        if took_it:
            assert [await comes(ports, word) for word in (words[0], None, words[0])] == [True, False, True]
            return
        bench.clock.move(OPEN_FOR.total_seconds() + 1)
        assert [await comes(ports, word) for word in (None, words[0], None)] == [True, False, True]

    play(bench, part)
    if restart:
        bench.restart()
    play(bench, decided)
    assert all(words[0] not in record.body for record in bench.records())
    assert words[0] not in capfd.readouterr().out
    last = "charger-password-changed" if took_it else "charger-password-kept"
    assert [entry.event for entry in events(bench)] == ["charger-password-open", last]


def test_password_that_counts_after_a_reboot_is_good_until_it_is_shown(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        word, outcome = await rotate(ports, saying("RebootRequired"))
        assert outcome is RotationOutcome.AFTER_REBOOT
        assert await comes(ports), "it may come back before it reboots"
        assert await comes(ports)
        assert await comes(ports, word)
        assert not await comes(ports)

    play(bench, part)


def test_login_with_the_old_password_while_the_question_is_under_way_decides_nothing(bench: Bench) -> None:
    """The station may still be at the message on its first connection."""

    async def part(ports: Ports) -> None:
        async def coming_anew(station: ClientWebSocketResponse, call: list[Any]) -> None:
            assert await ports.status("CP-1") == 101
            # Its answer on the first connection comes to nobody.

        word, outcome = await rotate(ports, coming_anew)
        assert isinstance(outcome, RotationFailed)
        assert outcome.code == "rotation-open"
        assert await comes(ports, word)
        assert not await comes(ports)

    play(bench, part)


def test_one_login_with_the_old_password_does_not_lock_out_who_took_the_new_one(bench: Bench) -> None:
    """Its answer came late, that it uses the new one from its next start on; before that its network fails."""

    async def part(ports: Ports) -> None:
        word, outcome = await rotate(ports, hanging_up)
        assert isinstance(outcome, RotationFailed)
        for _ in range(3):
            bench.clock.move(86400)
            assert await comes(ports)
        assert [await comes(ports, each) for each in (word, None, word)] == [True, False, True]

    play(bench, part)
    assert [entry.event for entry in events(bench)] == ["charger-password-open", "charger-password-changed"]


def test_order_of_passwords_does_not_hang_on_the_clock(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        first, _ = await rotate(ports, saying("Accepted"))
        bench.clock.move(-86400)
        second, _ = await rotate(ports, saying("Accepted"), password=first)
        assert [await comes(ports, each) for each in (None, first, second)] == [False, False, True]

    play(bench, part)


def test_one_station_is_given_one_password_at_a_time(bench: Bench) -> None:
    """Else the answer to one would end the other, which the station has."""

    async def part(ports: Ports) -> None:
        socket = await ports.connect("CP-1")
        station = await ports.station()
        rotating = asyncio.create_task(ports.server.rotation.rotate(station))
        call = json.loads(await socket.receive_str(timeout=60))
        with pytest.raises(RotationFailed) as error:
            await ports.server.rotation.rotate(station)
        assert error.value.code == "rotation-under-way"
        await saying("Accepted")(socket, call)
        assert await rotating is RotationOutcome.CHANGED
        await socket.close()
        await ports.empty()
        assert [await comes(ports, each) for each in (None, told(call))] == [False, True]

    play(bench, part)


def test_only_so_many_questions_may_be_open(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        socket = await ports.connect("CP-1")
        words = []
        station = await ports.station()
        for _ in range(MAX_OPEN):
            rotating = asyncio.create_task(ports.server.rotation.rotate(station))
            call = json.loads(await socket.receive_str(timeout=60))
            words.append(told(call))
            await failing("InternalError")(socket, call)
            with pytest.raises(RotationFailed) as error:
                await rotating
            assert error.value.code == "rotation-open"
        with pytest.raises(RotationFailed) as error:
            await ports.server.rotation.rotate(station)
        assert error.value.code == "too-many-open"
        await socket.close()
        await ports.empty()
        assert await comes(ports, words[2])
        # What was given after it may yet be taken: then it ends this one too.
        assert [await comes(ports, word) for word in (words[1], None, words[-1], words[2])] == [
            False,
            False,
            True,
            False,
        ]

    play(bench, part)


def test_station_without_a_password_has_none_to_change(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        await ports.connect("CP-1", password="")
        station = await ports.station()
        with pytest.raises(RotationFailed) as error:
            await ports.server.rotation.rotate(station)
        assert error.value.code == "no-password"

    lab = replace(PLAIN, profile=type(PLAIN.profile)(0))
    bare = Account(charger_id="CP-1", password=None, client_name="CP-1")
    play(bench, part, Entrance(ports=(lab,), accounts={"cp-1": bare}))


def test_new_hash_in_the_configuration_puts_an_end_to_what_was_given(bench: Bench) -> None:
    words = []

    async def part(ports: Ports) -> None:
        words.append((await rotate(ports, saying("Accepted")))[0])

    async def anew(ports: Ports) -> None:
        assert [await comes(ports, word) for word in (words[0], None, "fresh")] == [False, False, True]

    async def as_before(ports: Ports) -> None:
        assert [await comes(ports, word) for word in (words[0], None)] == [False, True]

    play(bench, part)
    fresh = replace(account("CP-1"), password=PasswordHash.of(b"fresh", b"t" * 16))
    play(bench, anew, Entrance(ports=(PLAIN,), accounts={"cp-1": fresh}))
    play(bench, as_before)


@pytest.mark.parametrize("step", ["offered", "told", "accepted", "settled"])
@pytest.mark.parametrize("took_it", [False, True])
def test_crash_at_each_step_locks_nobody_out(bench: Bench, step: str, took_it: bool) -> None:
    """What is durable at each step, as a process that dies there leaves it."""
    old, new = account("CP-1").password, PasswordHash.of(b"new", b"n" * 16)
    assert old is not None
    possible = {"offered": {False}, "told": {False, True}, "accepted": {True}, "settled": {True}}
    if took_it not in possible[step]:
        return

    async def until_the_crash() -> None:
        passwords = Passwords(bench.site, entrance().accounts)
        await passwords.offer("CP-1", new)
        if step == "settled":
            await passwords.settle("CP-1", new, Standing.PROVEN)

    async def decided(ports: Ports) -> None:
        has = "new" if took_it else None
        assert [await comes(ports, word) for word in (has, has)] == [True, True]
        assert await comes(ports, None) is not took_it

    asyncio.run(until_the_crash())
    bench.restart()
    play(bench, decided)


def test_store_that_fails_changes_nothing(bench: Bench) -> None:
    async def part(ports: Ports) -> None:
        socket = await ports.connect("CP-1")
        station = await ports.station()
        await bench.writer.run(lambda c: c.execute("PRAGMA query_only=ON"))
        with pytest.raises((StoreUnavailable, sqlite3.Error)):
            await ports.server.rotation.rotate(station)
        bench.writer.reopen()
        await socket.close()
        await ports.empty()
        assert await comes(ports)

    play(bench, part)
