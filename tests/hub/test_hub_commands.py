"""Commands at the hub: queued, handed out by long poll, reported; at its desk, and over HTTP with a real process."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from hub.__main__ import main
from hub.asking import HubAPI, OrderFailed
from hub.clock import now
from hub.config import load_config
from hub.desk import CommandDesk
from hub.errors import TooManyCommands
from hub.orders import REPORT_PATIENCE, START_PATIENCE, seconds_left
from hub.store import commands as store
from hub.store.database import FILE_NAME, Database
from hub.store.engine import Engine
from tests.hub.conftest import API_TOKEN, HubProcess
from wire.commands import (
    ClearCache,
    CommandOrder,
    CommandReport,
    CommandState,
    CommandToken,
    OrderState,
    ResultCode,
    StartSession,
)
from wire.records import TokenRef, TokenType, decode, encode
from wire.settling.terms import EnergyPrice, Terms

TERMS = Terms(price=EnergyPrice("EUR", Decimal("0.49"), Decimal(0)))
TOKEN = CommandToken(uid="APP-1", type=TokenType.APP_USER, contract_id="C-1", country_code="DE", party_id="ABC")


def order(command_id: str = "c1", seconds: float = 60, charger_id: str = "CP-1") -> CommandOrder:
    command = ClearCache(charger_id=charger_id)
    return CommandOrder(command_id=command_id, expires_at=now() + timedelta(seconds=seconds), command=command)


def report(command_id: str = "c1", number: int = 1, *, final: bool = True) -> CommandReport:
    return CommandReport(
        command_id=command_id, number=number, at=now(), result=ResultCode.ACCEPTED, message="ClearCache", final=final
    )


def at_desk(folder: Path, engine: Engine, part: Callable[[CommandDesk], Awaitable[None]]) -> None:
    async def run() -> None:
        database = Database(folder, TERMS, engine)
        desk = CommandDesk(database, ("site-1", "site-2"))
        try:
            await part(desk)
        finally:
            desk.close()
            await database.close()

    asyncio.run(asyncio.wait_for(run(), 100))


def test_a_poll_waits_for_what_comes_and_gets_it_until_it_names_it(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: CommandDesk) -> None:
        poll = asyncio.create_task(desk.poll("site-1", 0, 20))
        await asyncio.sleep(0)
        state, new = await desk.submit("site-1", order())
        assert (state.state, new) == (OrderState.QUEUED, True)
        [queued] = (await poll).orders
        assert (await desk.poll("site-1", 0, 20)).orders == (queued,), "an answer that was lost is given again"
        assert (await desk.poll("site-1", queued.number, 0)).orders == ()
        assert (await desk.poll("site-2", 0, 0)).orders == (), "it is site-1's"
        assert not await desk.report("site-2", report())
        assert await desk.report("site-1", report())
        assert (await desk.poll("site-1", 0, 0)).orders == (), "what is reported is not handed out"

    at_desk(tmp_path, engine, part)


def test_the_same_command_is_one_command(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: CommandDesk) -> None:
        first, _ = await desk.submit("site-1", order())
        again, new = await desk.submit("site-1", order(seconds=999))
        assert (again, new) == (first, False)
        with pytest.raises(ValueError, match="another command"):
            await desk.submit("site-1", order(charger_id="CP-2"))
        with pytest.raises(ValueError, match="another command"):
            await desk.submit("site-2", order())

    at_desk(tmp_path, engine, part)


def test_reports_come_any_time_and_the_first_of_a_number_stays(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: CommandDesk) -> None:
        await desk.submit("site-1", order())
        waiting = asyncio.create_task(desk.state("c1", 0, 20))
        await asyncio.sleep(0)
        first = report(final=False)
        await desk.report("site-1", first)
        found = await waiting
        assert found is not None
        assert (found.state, found.reports) == (OrderState.ANSWERED, (first,))
        await desk.report("site-1", report())
        await desk.report("site-1", report(number=2))
        found = await desk.state("c1", 1, 20)
        assert found is not None
        assert (found.state, len(found.reports), found.reports[0]) == (OrderState.DONE, 2, first)
        assert await desk.state("nobody", 0, 20) is None

    at_desk(tmp_path, engine, part)


@pytest.mark.parametrize("number", [-1, 0, store.MAX_REPORTS + 1, 2**70])
def test_a_command_has_only_so_many_reports(tmp_path: Path, engine: Engine, number: int) -> None:
    async def part(desk: CommandDesk) -> None:
        await desk.submit("site-1", order())
        with pytest.raises(ValueError, match="reports number 1 to 2"):
            await desk.report("site-1", report(number=number))
        found = await desk.state("c1")
        assert found is not None
        assert found.reports == ()

    at_desk(tmp_path, engine, part)


def test_old_commands_go_with_their_reports(tmp_path: Path, engine: Engine) -> None:
    async def part() -> None:
        database, at = Database(tmp_path, TERMS, engine), now()
        try:
            for name, when in (("old", at), ("new", at + store.KEPT_FOR), ("newer", at + store.KEPT_FOR * 1.01)):
                given = CommandOrder(
                    command_id=name, expires_at=when + timedelta(minutes=1), command=ClearCache(charger_id="CP-1")
                )
                await database.write(lambda c, given=given, when=when: store.put(c, "site-1", given, when))
                await database.write(lambda c, name=name, when=when: store.add_report(c, "site-1", report(name), when))
            kept, _ = await database.read(lambda c: store.listed(c, None, 0, 10, at))
            assert [each.command_id for each in kept] == ["new", "newer"]
            assert await database.read(lambda c: c.execute("SELECT count(*) FROM command_reports").fetchone()) == (2,)
        finally:
            await database.close()

    asyncio.run(asyncio.wait_for(part(), 100))


def test_what_nobody_fetched_in_time_has_expired(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: CommandDesk) -> None:
        await desk.submit("site-1", order(seconds=0.05))
        found = await desk.state("c1", 0, 20)
        assert found is not None
        assert (found.state, found.reports[0].result) == (OrderState.DONE, ResultCode.EXPIRED)
        assert (await desk.poll("site-1", 0, 0)).orders == ()

    at_desk(tmp_path, engine, part)


def test_a_newer_poll_ends_an_older_one_and_closing_ends_all(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: CommandDesk) -> None:
        old = asyncio.create_task(desk.poll("site-1", 0, 20))
        await asyncio.sleep(0)
        new = asyncio.create_task(desk.poll("site-1", 0, 20))
        assert (await old).orders == ()
        assert not new.done()
        desk.close()
        assert (await new).orders == ()

    at_desk(tmp_path, engine, part)


def test_numbers_grow_and_the_queue_is_bounded(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: CommandDesk) -> None:
        for number in range(store.MAX_WAITING):
            await desk.submit("site-1", order(f"c{number}"))
        with pytest.raises(TooManyCommands, match="site-1"):
            await desk.submit("site-1", order("more"))
        await desk.submit("site-2", order("more"))
        numbers = [one.number for one in (await desk.poll("site-1", 0, 0)).orders]
        assert numbers == sorted(set(numbers))
        assert min(numbers) > 10**15, "microseconds, so that a restored hub is ahead of every gateway"

    at_desk(tmp_path, engine, part)


def test_a_token_that_only_a_command_named_is_known_to_the_books(tmp_path: Path, engine: Engine) -> None:
    async def part(desk: CommandDesk) -> None:
        start = StartSession(charger_id="CP-1", token=TOKEN)
        expires_at = now() + timedelta(seconds=60)
        await desk.submit("site-1", CommandOrder(command_id="c1", expires_at=expires_at, command=start))

    at_desk(tmp_path, engine, part)

    async def look(desk: CommandDesk) -> None:
        presented = TokenRef(uid="app-1", type=TokenType.APP_USER)
        found = await desk._database.read(lambda connection: store.commanded_token(connection, presented))
        assert found is not None
        assert (found.country_code, found.party_id, found.contract_id) == ("DE", "ABC", "C-1")
        card = TokenRef(uid="APP-1", type=TokenType.RFID)
        assert await desk._database.read(lambda connection: store.commanded_token(connection, card)) is None

    at_desk(tmp_path, engine, look)


# --- over HTTP


def wish(**more: Any) -> bytes:
    return json.dumps(
        {"gateway_id": "site-1", "command": {"command": "CLEAR_CACHE", "charger_id": "CP-1"}} | more
    ).encode()


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (wish(gateway_id="site-9"), 404, "site-9"),
        (wish(command={"command": "FLY", "charger_id": "CP-1"}), 400, "FLY"),
        (wish(command={"command": "RESET"}), 400, "charger_id"),
        (wish(command={"command": "RESET", "charger_id": "CP-1", "kind": "Soft"}), 400, "$.kind"),
        (wish(expires_in_s=0), 400, "expires_in_s"),
        (wish(command_id="a b"), 400, "command_id"),
        (wish(surprise=1), 400, "surprise"),
        (b"{", 400, "not JSON"),
        (json.dumps({"command": {"command": "STOP_SESSION", "session_id": "x"}}).encode(), 404, "no session"),
        (json.dumps({"command": {"command": "CLEAR_CACHE", "charger_id": "CP-1"}}).encode(), 400, "gateway_id"),
    ],
)
def test_a_command_that_cannot_be_taken_says_why(hub: HubProcess, body: bytes, status: int, words: str) -> None:
    found, answer = hub.api("POST", "/api/v1/commands", body)
    assert (found, words in answer["detail"]) == (status, True), answer


def test_a_command_over_http_and_through_a_restart(hub: HubProcess) -> None:
    status, state = hub.api("POST", "/api/v1/commands", wish(command_id="c1"))
    assert (status, state["state"]) == (201, "queued")
    assert hub.api("POST", "/api/v1/commands", wish(command_id="c1"))[0] == 200
    changed = wish(command_id="c1", command={"command": "CLEAR_CACHE", "charger_id": "CP-2"})
    assert hub.api("POST", "/api/v1/commands", changed)[0] == 409
    assert hub.api("POST", "/api/v1/commands", wish(), token="wrong")[0] == 401
    hub.kill()
    hub.start()
    link = hub.link()
    status, body = link.request("GET", "/sync/v1/commands?wait=5&after=0")
    queued = json.loads(body)["orders"]
    assert (status, [one["order"]["command_id"] for one in queued]) == (200, ["c1"])
    other = hub.link("site-2")
    assert other.request("POST", "/sync/v1/commands/c1/result", encode(report()))[0] == 404
    assert link.request("POST", "/sync/v1/commands/c2/result", encode(report()))[0] == 400
    for _ in range(2):
        assert link.request("POST", "/sync/v1/commands/c1/result", encode(report()))[0] == 200
    assert link.request("POST", "/sync/v1/commands/c1/result", encode(report(number=2**70)))[0] == 400
    hub.kill()
    hub.start()
    assert hub.api("GET", "/api/v1/commands/c1")[1]["state"] == "done"
    assert [one["command_id"] for one in hub.api("GET", "/api/v1/commands?gateway_id=site-1")[1]["commands"]] == ["c1"]
    assert hub.api("GET", "/api/v1/commands?gateway_id=site-2")[1]["commands"] == []
    assert hub.api("GET", "/api/v1/commands/c9")[0] == 404
    assert hub.api("GET", "/api/v1/commands/c1?wait=26")[0] == 400
    assert hub.link("site-3").request("GET", "/sync/v1/commands")[0] == 403


def test_a_hub_that_ends_lets_a_poll_go(hub: HubProcess) -> None:
    link, answers = hub.link(), []
    asked = threading.Event()

    def poll() -> None:
        link.request("GET", "/healthz")
        asked.set()
        answers.append(link.request("GET", "/sync/v1/commands?wait=25&after=0"))

    waiting = threading.Thread(target=poll)
    waiting.start()
    asked.wait(60)
    hub.api("GET", "/api/v1/commands")
    hub.links.clear()
    assert hub.stop() == 0
    waiting.join(60)
    assert not waiting.is_alive()
    link.close()


def test_the_command_line_says_what_is_wrong(hub: HubProcess, hub_config: Path, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(API_TOKEN)
    config = tmp_path / "live.toml"
    port = hub.listen["api"].rpartition(":")[2]
    text = hub_config.read_text().replace('[api]\nlisten = "127.0.0.1:0"', f'[api]\nlisten = "127.0.0.1:{port}"')
    config.write_text(text)
    more = ["--config", str(config), "--token-file", str(token_file)]
    start = ["command", "start", "--gateway", "site-1", "--charger", "CP-1", "--token", "T"]
    made = CliRunner().invoke(main, [*start, *more])
    assert (made.exit_code, "queued" in made.output) == (0, True), made.output
    id_ = made.output.split()[1]
    for width in ("24", "80", "200"):
        listed = CliRunner().invoke(main, ["command", "list", *more], env={"COLUMNS": width}).output
        assert [line.split()[-1] for line in listed.splitlines() if id_[:8] in line] == [id_]
        assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC  +", listed)
        assert all(word in listed for word in ("START_SESSION", "CP-1", "site-1", "queued"))
    assert json.loads(CliRunner().invoke(main, ["command", "list", "--json", *more]).output)["command_id"] == id_
    for arguments, words in [
        (["command", "stop", "nothing"], "no session"),
        (["command", "show", "nothing"], "no command"),
        (["command", "send", "{", "--gateway", "site-1"], "COMMAND"),
        (["command", "send", "{}", "--gateway", "site-1"], "command"),
    ]:
        failed = CliRunner().invoke(main, [*arguments, *more])
        assert (failed.exit_code, words in failed.output) == (2, True), failed.output
    token_file.write_text("wrong")
    assert "does not know the token" in CliRunner().invoke(main, [*start, *more]).output
    token_file.unlink()
    assert CliRunner().invoke(main, [*start, *more]).exit_code == 2


def test_waiting_for_a_gateway_that_never_reports_comes_to_an_end(
    hub: HubProcess, hub_config: Path, tmp_path: Path
) -> None:
    """The order was handed out, its time is over, and nobody says what came of it."""
    assert hub.api("POST", "/api/v1/commands", wish(command_id="c1"))[0] == 201
    assert b"c1" in hub.link().request("GET", "/sync/v1/commands?wait=5&after=0")[1]
    hub.kill()
    long_ago = encode(now() - timedelta(minutes=3)).decode().strip('"')
    connection = sqlite3.connect(load_config(hub_config).state_dir / FILE_NAME)
    with connection:
        connection.execute(
            "UPDATE commands SET expires_at = ?1, body = json_set(body, '$.expires_at', ?1)", (long_ago,)
        )
    connection.close()
    hub.start()
    token_file, config = tmp_path / "token", tmp_path / "live.toml"
    token_file.write_text(API_TOKEN)
    port = hub.listen["api"].rpartition(":")[2]
    text = hub_config.read_text().replace('[api]\nlisten = "127.0.0.1:0"', f'[api]\nlisten = "127.0.0.1:{port}"')
    config.write_text(text)
    shown = ["command", "show", "c1", "--config", str(config), "--token-file", str(token_file)]
    waited = CliRunner().invoke(main, [*shown, "--wait"])
    assert (waited.exit_code, "site-1 has not reported" in waited.output) == (3, True), waited.output
    assert CliRunner().invoke(main, shown).exit_code == 0
    state = decode(CommandState, encode(hub.api("GET", "/api/v1/commands/c1")[1]), "state")
    assert state.state is OrderState.QUEUED
    left = timedelta(seconds=seconds_left(state, state.expires_at))
    assert left == REPORT_PATIENCE
    answered = msgspec.structs.replace(state, reports=(report(final=False),))
    assert timedelta(seconds=seconds_left(answered, state.expires_at)) == START_PATIENCE


def test_a_hub_with_another_certificate_is_not_ours(hub: HubProcess, hub_config: Path, tmp_path: Path) -> None:
    hub.ca.issue("stranger")
    port = hub.listen["api"].rpartition(":")[2]
    text = hub_config.read_text().replace(
        '[api]\nlisten = "127.0.0.1:0"',
        f'[api]\nlisten = "127.0.0.1:{port}"\ncertificate = "stranger.pem"\nkey = "stranger.key.pem"',
    )
    config = tmp_path / "other.toml"
    config.write_text(text)
    with pytest.raises(OrderFailed, match="CERTIFICATE_VERIFY_FAILED"):
        HubAPI(load_config(config), API_TOKEN).ask("GET", "/api/v1/commands")
    hub.stop()
    with pytest.raises(OrderFailed, match="no hub runs"):
        HubAPI(load_config(config), API_TOKEN).ask("GET", "/api/v1/commands")
