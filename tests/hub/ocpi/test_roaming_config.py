"""[roaming] of hub.toml: what it becomes, and what is wrong with it, by line."""

from __future__ import annotations

import pytest

from hub.config import load_config
from hub.errors import ConfigError
from hub.roaming.opening import hours_of
from tests.hub.ocpi.platforms import CPO_PARTY
from wire.ocpi.types import PartyKey, Role

ROAMING = """
[roaming]
listen = "127.0.0.1:8445"
url = "https://ocpi.example.com/ocpi/"
"""
CPO = PartyKey.of("DE", "CPO")


@pytest.fixture
def roaming_config(hub_config):
    hub_config.write_text(hub_config.read_text() + ROAMING + CPO_PARTY)
    return hub_config


def test_a_location_is_a_place_that_gateways_know(roaming_config):
    roaming = load_config(roaming_config).roaming
    assert roaming is not None
    assert (roaming.url, roaming.hub_party) == ("https://ocpi.example.com/ocpi", None)
    assert roaming.owns(CPO, Role.CPO)
    assert not roaming.owns(CPO, Role.EMSP)
    found = roaming.evse_at("site-1", "cp-1", 1)
    assert found is not None
    assert (found.evse.uid, found.location.id, found.connectors) == ("EVSE-1", "LOC1", {1: "1"})
    assert roaming.evse_at("site-1", "CP-1", 2) is None
    assert [one.evse.uid for one in roaming.evses_of(CPO, "loc1")] == ["EVSE-1"]
    assert roaming.evses_of(PartyKey.of("DE", "OTH"), "LOC1") == ()


def test_without_the_table_no_ocpi_is_spoken(hub_config):
    assert load_config(hub_config).roaming is None


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('url = "https', 'url = "http', "roaming.url: expected https://HOST/PATH"),
        ('listen = "127.0.0.1:8445"', 'listen = "8445"', "roaming.listen: expected HOST:PORT"),
        ("[[roaming.party]]", "partner_ca = 'none.pem'\n[[roaming.party]]", "none.pem is no file"),
        ("[[roaming.party]]", "certificate = 'a.pem'\n[[roaming.party]]", "given together or not at all"),
        ("[[roaming.party]]", "hub_party = 'HUB'\n[[roaming.party]]", "expected a party such as DE*ABC, found 'HUB'"),
        ('roles = ["CPO"]', 'roles = ["HUB"]', "roaming.party.roles: HUB is none"),
        ('roles = ["CPO"]', 'roles = ["EMSP"]', "0 of [[roaming.party]] are CPOs"),
        ('roles = ["CPO"]', "roles = []", "`roaming.party[0].roles`"),
        ('party_id = "CPO"', 'party_id = "CPO1"', "`roaming.party[0].party_id`"),
        ('id = "LOC1"', 'id = "LOC1"\nparty = "DE*OTH"', "DE*OTH is no CPO among [[roaming.party]]"),
        ('latitude = "52.52437"', 'latitude = "52.5"', "roaming.location.latitude: expected degrees"),
        ('latitude = "52.52437"', 'latitude = "91.00000"', "roaming.location.latitude: expected degrees"),
        ('country = "DEU"', 'country = "DE"', "`roaming.location[0].country`"),
        ('time_zone = "Europe/Berlin"', 'time_zone = "Berlin"', "expected a time zone such as Europe/Berlin"),
        ("Mon-Fri 07:00-20:00", "weekdays", "spans such as 'Mon-Fri 07:00-20:00', found 'weekdays'"),
        (
            'gateway_id = "site-1"',
            'gateway_id = "site-9"',
            "roaming.location.evse.gateway_id: 'site-9' is none of sync",
        ),
        ('format = "CABLE"', 'format = "PLUG"', "`roaming.location[0].evse[0].connector[0].format`"),
        ('power_type = "DC"', 'power_typ = "DC"', "did you mean `power_type`?"),
    ],
)
def test_a_mistake_is_named_with_its_line(roaming_config, old, new, expected):
    text = roaming_config.read_text()
    assert old in text
    head, roaming = text.split("[roaming]")
    roaming_config.write_text(f"{head}[roaming]{roaming.replace(old, new, 1)}")
    with pytest.raises(ConfigError) as error:
        load_config(roaming_config)
    assert expected in str(error.value)
    assert ", line " in str(error.value)


EVSE = CPO_PARTY[CPO_PARTY.index("[[roaming.location.evse]]") :]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (EVSE, "roaming.location.evse.uid: 'EVSE-1' is listed twice"),
        (EVSE.replace("EVSE-1", "EVSE-2"), "EVSE 1 of 'CP-1' at 'site-1' is 'EVSE-1' already"),
        (EVSE[EVSE.index("[[roaming.location.evse.connector]]") :], "two connectors have one id"),
        (CPO_PARTY[CPO_PARTY.index("[[roaming.location]]") :], "location 'LOC1' of DE*CPO is listed twice"),
        (CPO_PARTY[: CPO_PARTY.index("[[roaming.location]]")], "DE*CPO is listed twice"),
    ],
)
def test_what_is_there_twice_is_refused(roaming_config, more, expected):
    roaming_config.write_text(roaming_config.read_text() + more)
    with pytest.raises(ConfigError) as error:
        load_config(roaming_config)
    assert expected in str(error.value)


def test_opening_hours_are_said_in_words():
    assert hours_of(["24/7"]).twentyfourseven
    week = hours_of(["Sat-Mon 08:00-18:00", "Wed 00:00-24:00"])
    assert [(one.weekday, one.period_begin, one.period_end) for one in week.regular_hours] == [
        (6, "08:00", "18:00"),
        (7, "08:00", "18:00"),
        (1, "08:00", "18:00"),
        (3, "00:00", "24:00"),
    ]
    for wrong in ("Mon", "Mon 8-18", "Mon 18:00-08:00", "Moo 08:00-18:00", "Mon-Foo 08:00-18:00", "Mon 08:00-25:00"):
        with pytest.raises(ValueError, match="expected '24/7' or spans"):
            hours_of([wrong])
