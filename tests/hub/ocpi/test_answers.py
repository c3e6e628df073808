"""What an eMSP's answer to a real-time authorization comes to at a gateway: rule by rule."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hub.roaming.answers import read_answer
from hub.roaming.partners import Partner
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.locations import EVSE, EVSEStatus, GeoLocation, Location
from wire.ocpi.partners import CredentialsRole
from wire.ocpi.quirks import Quirks
from wire.ocpi.types import BusinessDetails, PartyKey, Version
from wire.records import AllowedType, AuthorizationInfo, TokenRef, TokenType, WhitelistType
from wire.settling.objects import OwnEVSE
from wire.settling.terms import MeterPlace

AT = datetime(2026, 11, 29, tzinfo=UTC)
EMS = PartyKey.of("DE", "EMS")
CARD = TokenRef(uid="04a1", type=TokenType.RFID)
TOKEN = {
    "country_code": "de",
    "party_id": "ems",
    "uid": "04A1",
    "type": "RFID",
    "contract_id": "C-1",
    "issuer": "Example",
    "valid": True,
    "whitelist": "ALLOWED",
    "last_updated": "2026-11-01T10:00:00Z",
}


def places(*uids: str) -> tuple[OwnEVSE, ...]:
    location = Location(
        country_code="DE",
        party_id="CPO",
        id="LOC1",
        publish=True,
        address="Street 1",
        city="Berlin",
        country="DEU",
        coordinates=GeoLocation(latitude="52.52437", longitude="13.41053"),
        time_zone="Europe/Berlin",
        last_updated=AT,
    )
    return tuple(
        OwnEVSE(
            location,
            EVSE(uid=uid, evse_id=f"DE*CPO*{uid}", status=EVSEStatus.AVAILABLE, connectors=(), last_updated=AT),
            MeterPlace("site-1", "CP-1", number),
            {},
        )
        for number, uid in enumerate(uids, start=1)
    )


_NONE = Quirks()


def partner(quirks: Quirks = _NONE, version: Version = Version.V2_3_0, hub: PartyKey | None = None) -> Partner:
    role = CredentialsRole(role="EMSP", business_details=BusinessDetails(name="E"), party_id="EMS", country_code="DE")
    roles = () if hub else (role,)
    return Partner(
        id="p", name="Partner", hosts=(), added_at=AT, quirks=quirks, version=version, roles=roles, hub_party=hub
    )


def read(
    data: object, of: Partner | None = None, card: TokenRef = CARD, evses: tuple[str, ...] = ("E1", "E2")
) -> AuthorizationInfo:
    return read_answer(data, of or partner(), card, EMS, places(*evses), AT).info


def test_the_token_is_told_as_it_was_shown():
    info = read({"allowed": "ALLOWED", "token": TOKEN, "authorization_reference": "ref-1"})
    assert info.token is not None
    assert (info.token.uid, info.token.party_id, info.token.whitelist) == ("04a1", "EMS", WhitelistType.ALLOWED)
    assert (info.allowed, info.authorization_reference, info.location) == (AllowedType.ALLOWED, "ref-1", None)


@pytest.mark.parametrize("token", [None, {}, {"uid": "04A1"}, {"contract_id": "C-1", "type": "OTHER"}])
def test_a_minimal_token_is_borne_and_nobody_decides_by_it_later(token):
    info = read({"allowed": "allowed", "token": token})
    assert info.token is not None
    assert (info.token.uid, info.token.type, info.token.party_id) == ("04a1", TokenType.RFID, "EMS")
    assert (info.token.valid, info.token.whitelist) == (True, WhitelistType.NEVER)


def test_an_older_partner_calls_an_emaid_other_and_wraps_it():
    car = TokenRef(uid="DE8EMSC1234567", type=TokenType.EMAID)
    quirks = Quirks(wraps_in_array=True)
    found = TOKEN | {"uid": "DE-8EM-SC1234567-X", "type": "OTHER", "contract_id": "DE-8EM-SC1234567-X"}
    info = read([{"allowed": "BLOCKED", "token": found | {"valid": False}}], partner(quirks, Version.V2_2_1), car)
    assert info.token is not None
    assert (info.allowed, info.token.type, info.token.uid) == (AllowedType.BLOCKED, TokenType.EMAID, car.uid)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (["e1", "E2", "E9"], ()),
        (["E1"], ("DE*CPO*E1",)),
        (["E9"], ("E9",)),
        ([], ()),
    ],
)
def test_evses_are_told_by_the_ids_that_gateways_know(named, told):
    info = read({"allowed": "ALLOWED", "token": TOKEN, "location": {"location_id": "loc1", "evse_uids": named}})
    assert info.location is not None
    assert info.location.evse_uids == told


def test_another_location_lets_nobody_in_here():
    info = read({"allowed": "ALLOWED", "token": TOKEN, "location": {"location_id": "LOC9"}})
    assert info.location is not None
    assert info.location.evse_uids == ("LOC9",)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "ALLOWED",
        {"token": TOKEN},
        {"allowed": "PERHAPS", "token": TOKEN},
        {"allowed": "ALLOWED", "token": TOKEN | {"valid": False}},
        {"allowed": "ALLOWED", "token": TOKEN | {"uid": "04A2"}},
        {"allowed": "ALLOWED", "token": {"uid": "04A2"}},
        {"allowed": "ALLOWED", "token": TOKEN | {"party_id": "XYZ"}},
        {"allowed": "ALLOWED", "token": TOKEN, "location": {"evse_uids": ["E1"]}},
        {"allowed": "ALLOWED", "token": TOKEN | {"last_updated": "yesterday"}},
    ],
)
def test_what_is_no_answer_or_speaks_of_another_token_lets_nobody_in(data):
    with pytest.raises((OCPIRefused, MalformedValue)):
        read(data)


def test_only_a_hub_may_say_whose_token_it_is():
    hub = partner(hub=PartyKey.of("DE", "HUB"))
    info = read_answer({"allowed": "ALLOWED", "token": TOKEN | {"party_id": "XYZ"}}, hub, CARD, None, (), AT).info
    assert info.token is not None
    assert info.token.party_id == "XYZ"
    with pytest.raises(OCPIRefused):
        read_answer({"allowed": "ALLOWED", "token": {"uid": "04A1"}}, hub, CARD, None, (), AT)
