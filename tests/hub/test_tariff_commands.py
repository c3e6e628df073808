"""`[[tariff]]` in hub.toml, and `pnc-hub tariffs` as somebody types it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub.__main__ import main
from hub.clock import now
from hub.config import load_config
from hub.desk import CommandDesk
from hub.errors import ConfigError
from hub.store.database import Database
from hub.store.tariffs import quote_for
from tests.wire.tariff_book import ENERGY, component, element, tariff
from wire.commands import CommandOrder, CommandToken, StartSession
from wire.ocpi.document import encode_document
from wire.records import CdrToken, PriceQuote, Session, SessionStatus, TokenType

NIGHT = """
[[tariff]]
id = "night"
currency = "EUR"
owner = "DE*ABC"
time_zone = "Europe/Berlin"
gateways = ["site-1"]
chargers = ["CP-1"]
evses = [1]
parties = ["de*emp"]
valid_from = 2026-01-01T00:00:00Z
text = { en = "Leave when done." }
max_price = { before_taxes = "40", after_taxes = "47.6" }
[[tariff.elements]]
price_components = [{ type = "ENERGY", price = "0.29", vat = "19" }]
restrictions = { start_time = "22:00", end_time = "06:00", day_of_week = ["MONDAY"], min_kwh = "0" }
[[tariff.elements]]
price_components = [{ type = "ENERGY", price = "0.39", vat = "19" }, { type = "FLAT", price = "1" }]
"""


def written(config: Path, text: str) -> Path:
    config.write_text(config.read_text() + text)
    return config


def run(config: Path, *arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(main, ["tariffs", *arguments, "--config", str(config)])


def test_a_tariff_is_read_with_where_and_when_it_holds(hub_config: Path) -> None:
    (one,) = load_config(written(hub_config, NIGHT)).terms.tariffs
    given = one.snapshot.tariff
    assert (given.owner.country_code, given.owner.party_id, given.id) == ("DE", "ABC", "night")
    assert (given.start_date_time, one.snapshot.time_zone) == (datetime(2026, 1, 1, tzinfo=UTC), "Europe/Berlin")
    assert (one.gateways, one.chargers, one.evses) == (frozenset({"site-1"}), frozenset({"cp-1"}), frozenset({1}))
    assert [str(party) for party in one.parties] == ["DE*EMP"]
    assert given.elements[0].restrictions is not None
    assert given.elements[0].restrictions.end_time == "06:00"


def test_the_page_about_prices_says_what_can_be_typed(hub_config: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tariffs.md").read_text("utf-8")
    (hub_config.parent / "tariffs").mkdir()
    written_in = hub_config.parent / "tariffs" / "12.json"
    written_in.write_bytes(encode_document(tariff(element(component(ENERGY, "0.25", "10")))))
    written(hub_config, page.split("```toml\n")[1].partition("```")[0])
    lines = page.split("```sh\n")[1].partition("```")[0].splitlines()
    assert len(lines) == 4
    for line in lines:
        arguments = line.partition("#")[0].replace("12.json", str(written_in)).split()
        assert arguments[:2] == ["pnc-hub", "tariffs"]
        done = run(hub_config, *arguments[2:])
        assert done.exit_code == 0, done.output


def test_a_tariff_may_lie_in_a_file_as_ocpi_has_it(hub_config: Path) -> None:
    (hub_config.parent / "t.json").write_bytes(encode_document(tariff(element(component(ENERGY, "0.25", "10")))))
    (one,) = load_config(written(hub_config, '[[tariff]]\nfile = "t.json"\n')).terms.tariffs
    assert one.snapshot.tariff.id == "12"
    shown = run(hub_config, "show", "12", "--json")
    assert json.loads(shown.output)["elements"][0]["price_components"][0]["price"] == 0.25


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("22:00", "24:00", "'24:00' is no time of day"),
        ('"ENERGY", price = "0.29"', '"POWER", price = "0.29"', "Invalid enum value 'POWER'"),
        ("Europe/Berlin", "Europe/Bielefeld", "no time zone 'Europe/Bielefeld'"),
        ('"DE*ABC"', '"DEABC"', "expected a party like DE*ABC"),
        ('id = "night"\n', "", "expected `id` and `currency`"),
        ('id = "night"', 'file = "x.json"', "either `elements` or `file`"),
        ("restrictions = { start_time", "restrictions = { begin_time", "unknown key `begin_time`"),
        ('before_taxes = "40"', 'before_taxes = "50"', "less after taxes than before them"),
    ],
)
def test_a_tariff_that_cannot_be_meant_is_one_clear_line(hub_config: Path, old: str, new: str, expected: str) -> None:
    assert old in NIGHT
    written(hub_config, NIGHT.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(hub_config)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "cannot be read"), (b"{", "not JSON"), (b'{"id": "1"}', "missing required field"), (b"[]", "Expected")],
)
def test_a_file_that_is_no_tariff_is_one_clear_line(hub_config: Path, content: bytes | None, expected: str) -> None:
    if content is not None:
        (hub_config.parent / "t.json").write_bytes(content)
    with pytest.raises(ConfigError, match=expected):
        load_config(written(hub_config, '[[tariff]]\nfile = "t.json"\n'))


def test_the_list_says_where_each_holds(hub_config: Path) -> None:
    listed = run(written(hub_config, NIGHT), "list")
    assert listed.exit_code == 0
    assert "gateways site-1; chargers cp-1" in listed.output
    assert "wherever no other is" in listed.output
    told = json.loads(run(hub_config, "list", "--json").output)
    assert [one["id"] for one in told] == ["night", "price"]
    assert told[0]["where"] == "gateways site-1; chargers cp-1; EVSEs 1; drivers of DE*EMP"


def test_a_tariff_is_shown_element_by_element(hub_config: Path) -> None:
    shown = run(written(hub_config, NIGHT), "show", "night").output
    assert "0.29 EUR per kWh, 19 % VAT" in shown
    assert "from 22:00 until 06:00, from 0 kWh, Monday" in shown
    assert "at most 40 EUR before taxes, 47.6 with them" in shown
    nothing = run(hub_config, "show", "noon")
    assert nothing.exit_code == 2
    assert nothing.output == "pnc-hub: no tariff 'noon' is known here; there are: night, price\n"


def test_a_what_if_says_each_component_and_why(hub_config: Path) -> None:
    written(hub_config, NIGHT)
    asked = ("price", "--tariff", "night", "--start", "2026-06-15T21:30", "--minutes", "60", "--energy", "10")
    shown = run(hub_config, *asked)
    assert shown.exit_code == 0
    assert "element 0 (from 22:00 until 06:00, from 0 kWh, Monday)" in shown.output
    told = json.loads(run(hub_config, *asked, "--json").output, parse_float=Decimal)
    assert told["before_taxes"] == 5 * Decimal("0.39") + 5 * Decimal("0.29") + 1
    assert [period["start_date_time"] for period in told["priced"]["periods"]] == [
        "2026-06-15T19:30:00Z",
        "2026-06-15T20:00:00Z",
    ]


def test_a_what_if_tells_steps_parking_and_reservations(hub_config: Path) -> None:
    written(
        hub_config,
        '[[tariff]]\nid = "t"\ncurrency = "EUR"\n[[tariff.elements]]\n'
        'price_components = [{ type = "TIME", price = "3", step_size = 600 }]\n'
        'restrictions = { reservation = "RESERVATION" }\n[[tariff.elements]]\n'
        'price_components = [{ type = "PARKING_TIME", price = "6", step_size = 900 }]\n',
    )
    asked = ("price", "--tariff", "t", "--start", "2026-06-15T12:00:00Z", "--end", "2026-06-15T13:00:00Z")
    shown = run(hub_config, *asked, "--energy", "5", "--parking", "20", "--reserved", "15")
    assert "steps of 900 s: 1200 s in all count as 1800 s" in shown.output
    assert "Reservation time" in shown.output
    expired = run(hub_config, *asked, "--energy", "0", "--reserved", "15", "--expired", "--places", "2")
    assert "1.00 EUR with taxes" in expired.output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--energy", "1", "--start", "noon", "--minutes", "1"), "--start: 'noon' is no time"),
        (("--energy", "much", "--start", "2026-06-15T12:00", "--minutes", "1"), "--energy: 'much' is no number"),
        (("--energy", "1e99", "--start", "2026-06-15T12:00", "--minutes", "1"), "out of all proportion"),
        (("--energy", "1", "--start", "2026-06-15T12:00"), "either --end or --minutes"),
        (
            ("--energy", "1", "--start", "2026-06-15T12:00", "--minutes", "1", "--parking", "5"),
            "it ends before it begins",
        ),
        (
            ("--energy", "1", "--start", "2026-06-15T12:00", "--minutes", "1", "--time-zone", "Mars"),
            "no time zone 'Mars'",
        ),
        (("--energy", "1", "--start", "9999-12-31T12:00", "--minutes", "527040"), "at the end of the calendar"),
    ],
)
def test_a_what_if_that_cannot_be_is_one_clear_line(
    hub_config: Path, arguments: tuple[str, ...], expected: str
) -> None:
    failed = run(hub_config, "price", *arguments)
    assert failed.exit_code == 2
    assert expected in failed.output
    assert failed.output.count("\n") == 1


def test_what_was_shown_is_kept_with_the_command_to_start(tmp_path: Path, hub_config: Path) -> None:
    token = CommandToken(uid="APP-1", type=TokenType.APP_USER, country_code="DE", party_id="EMP")
    terms = load_config(written(hub_config, NIGHT)).terms
    at = now()
    order = CommandOrder(
        command_id="c1",
        expires_at=at + timedelta(minutes=1),
        command=StartSession(charger_id="CP-1", evse_id=1, token=token),
    )
    session = Session(
        id="s",
        gateway_id="site-1",
        charger_id="cp-1",
        evse_id=1,
        transaction_id="1",
        status=SessionStatus.ACTIVE,
        start_date_time=at,
        last_updated=at,
        kwh=Decimal(0),
        cdr_token=CdrToken(uid="APP-1", type=TokenType.APP_USER, contract_id="APP-1"),
    )

    async def asked() -> PriceQuote | None:
        database = Database(tmp_path / "state", terms)
        desk = CommandDesk(database, ("site-1",))
        try:
            await desk.submit("site-1", order)
            await desk.submit("site-1", order)
            return await database.read(lambda connection: quote_for(connection, session))
        finally:
            desk.close()
            await database.close()

    quote = asyncio.run(asyncio.wait_for(asked(), 30))
    assert quote is not None
    assert (quote.quote_id, quote.tariff_id, quote.shown_by) == ("c1", "night", "command")
    assert quote.tariff_hash == terms.tariffs[0].snapshot.hash
