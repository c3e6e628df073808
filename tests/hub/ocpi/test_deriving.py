"""What gateways brought, as OCPI's objects: owners, places, instants, the state of EVSEs. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from hub.config import load_config
from hub.roaming import deriving
from hub.roaming.ordering import reservation_id, result_of
from tests.hub.ocpi.platforms import CPO_PARTY
from wire.commands import CommandReport, ResultCode
from wire.ocpi.checks import check
from wire.ocpi.commands import CommandResultType
from wire.ocpi.document import view
from wire.ocpi.locations import EVSEStatus, Location
from wire.ocpi.sessions import Cdr, Session, SessionStatus
from wire.ocpi.types import PartyKey, Price
from wire.records import (
    AuthMethod,
    Cdr as NativeCdr,
    CdrToken,
    Session as NativeSession,
    SessionStatus as NativeStatus,
    SignedData,
    SignedValue,
    TokenType,
)
from wire.settling import objects
from wire.settling.terms import EnergyPrice, Terms

T0 = datetime(2026, 11, 23, 10, 0, 0, 123_456, tzinfo=UTC)
T0_SAID = T0.replace(microsecond=123_000)
HOUR = timedelta(hours=1)
RFID = CdrToken(uid="04A1", type=TokenType.RFID, contract_id="C-1", country_code="de", party_id="ems")
EMAID = CdrToken(uid="DE8EMSC12345678", type=TokenType.EMAID, contract_id="DE-8EM-C12345678-X")


@pytest.fixture
def roaming(hub_config):
    url = '\n[roaming]\nlisten = "127.0.0.1:8445"\nurl = "https://ocpi.example.com"\n'
    hub_config.write_text(hub_config.read_text() + url + CPO_PARTY)
    found = load_config(hub_config).roaming
    assert found is not None
    return found


@pytest.fixture
def evse(roaming):
    return roaming.evses[0]


def native(status: NativeStatus = NativeStatus.ACTIVE, token: CdrToken | None = RFID) -> NativeSession:
    return NativeSession(
        id="S-1",
        gateway_id="site-1",
        charger_id="CP-1",
        evse_id=1,
        transaction_id="t",
        status=status,
        start_date_time=T0,
        last_updated=T0,
        kwh=Decimal("1.2"),
        connector_id=1,
        cdr_token=token,
    )


@pytest.mark.parametrize(
    ("token", "owner"),
    [
        (RFID, "DE*EMS"),
        (EMAID, "DE*8EM"),
        (msgspec.structs.replace(EMAID, country_code="FR", party_id="FAR"), "FR*FAR"),
        (msgspec.structs.replace(EMAID, contract_id="nothing"), "None"),
        (msgspec.structs.replace(RFID, country_code=None), "None"),
        (None, "None"),
    ],
)
def test_a_token_has_the_owner_that_is_told_or_that_its_emaid_names(token, owner):
    assert str(objects.owner_of(token)) == owner


def test_a_session_is_what_ocpi_asks_for(evse):
    session = objects.session_object(native(), evse, "EUR", T0 + timedelta(days=1))
    assert session is not None
    document = deriving.said(session)
    assert check(document, Session) == ()
    assert document["start_date_time"] == "2026-11-23T10:00:00.123Z", "OCPI has room for 25 characters"
    assert (session.status, session.auth_method) == (SessionStatus.ACTIVE, AuthMethod.WHITELIST)
    assert (session.location_id, session.last_updated) == ("LOC1", T0_SAID + timedelta(days=1))
    assert objects.session_object(native(token=None), evse, "EUR", T0) is None


def test_a_cdr_has_its_place_from_the_start_and_its_signed_values_as_they_are(evse):
    values = (SignedValue(nature="Start", plain_data='OCMF|{"a":1}|{}', signed_data="T0NNRg=="),)
    cdr = NativeCdr(
        id="S-1",
        session_id="S-1",
        gateway_id="site-1",
        charger_id="CP-1",
        evse_id=1,
        start_date_time=T0,
        end_date_time=T0 + timedelta(hours=1),
        cdr_token=RFID,
        auth_method=AuthMethod.COMMAND,
        currency="EUR",
        total_cost=Price(before_taxes=Decimal("6.125")),
        total_energy=Decimal("12.5"),
        total_time=Decimal(1),
        last_updated=T0,
        signed_data=SignedData(encoding_method="OCMF", signed_values=values, public_key="A" * 513),
    )
    place = msgspec.structs.replace(objects.place_object(evse, 1), name="As it was called then")
    found = objects.cdr_object(cdr, evse, place, T0)
    assert found is not None
    assert check(deriving.said(found), Cdr) == ()
    assert found.cdr_location.name == "As it was called then"
    assert found.signed_data is not None
    assert found.signed_data.public_key is None, "OCPI has no room for it"
    assert (found.signed_data.signed_values[0].plain_data, found.total_cost.before_taxes) == (
        values[0].plain_data,
        Decimal("6.125"),
    )
    (period,) = found.charging_periods
    assert [(one.type.value, one.volume) for one in period.dimensions] == [("ENERGY", Decimal("12.5")), ("TIME", 1)]
    unowned = msgspec.structs.replace(cdr, cdr_token=msgspec.structs.replace(RFID, party_id=None))
    assert objects.cdr_object(unowned, evse, place, T0) is None


def test_only_what_changes_at_a_location_is_dated_anew(roaming):
    (template,) = roaming.locations
    first = deriving.location_object(template, {"EVSE-1": EVSEStatus.AVAILABLE}, None, T0)
    assert check(first, Location) == ()
    again = deriving.location_object(template, {"EVSE-1": EVSEStatus.AVAILABLE}, first, T0 + timedelta(hours=1))
    assert again is first
    later, later_said = T0 + 2 * HOUR, T0_SAID + 2 * HOUR
    charging = view(
        deriving.location_object(template, {"EVSE-1": EVSEStatus.CHARGING}, first, later), Location, "location"
    )
    assert (charging.last_updated, charging.evses[0].last_updated) == (later_said, later_said)
    assert charging.evses[0].connectors[0].last_updated == T0_SAID, "nothing became of the connector"
    renamed = msgspec.structs.replace(template, name="Elsewhere")
    moved = view(
        deriving.location_object(renamed, {"EVSE-1": EVSEStatus.AVAILABLE}, first, later), Location, "location"
    )
    assert (moved.last_updated, moved.evses[0].last_updated) == (later_said, T0_SAID)


def test_an_evse_that_is_taken_away_is_removed_and_stays(roaming):
    (template,) = roaming.locations
    first = deriving.location_object(template, {"EVSE-1": EVSEStatus.AVAILABLE}, None, T0)
    later = T0 + timedelta(hours=1)
    gone = deriving.withdrawn_object(first, later)
    assert [evse["status"] for evse in gone["evses"]] == ["REMOVED"]
    assert deriving.withdrawn_object(gone, later + timedelta(hours=1)) is gone
    back = view(deriving.location_object(template, {"EVSE-1": EVSEStatus.UNKNOWN}, gone, later), Location, "location")
    assert [evse.status for evse in back.evses] == [EVSEStatus.UNKNOWN]


def test_tariffs_are_published_for_the_parties_that_bill_by_them(roaming):
    terms = Terms(price=EnergyPrice("EUR", Decimal("0.49"), Decimal(0)))
    (tariff,) = deriving.tariffs_of(roaming, terms)
    assert (tariff.id, str(tariff.owner)) == ("price", "DE*CPO")
    (location,) = (deriving.priced(one, roaming, terms) for one in roaming.locations)
    assert location.evses[0].connectors[0].tariff_ids == ("price",)


def test_every_result_of_a_station_has_ocpis_words():
    for code in ResultCode:
        report = CommandReport(command_id="c", number=1, at=T0, result=code, message="x" * 600)
        result = result_of(report)
        assert result.result in CommandResultType
        assert len(result.message[0].text) == 512
    assert result_of(None).result is CommandResultType.TIMEOUT
    assert (
        result_of(CommandReport(command_id="c", number=1, at=T0, result=ResultCode.ACCEPTED, message="")).message == ()
    )


def test_reservations_of_two_emsps_never_meet():
    one, other = PartyKey.of("DE", "EMS"), PartyKey.of("DE", "OTH")
    for theirs in ("r", "r" * 36):
        ids = {reservation_id(one, theirs), reservation_id(other, theirs)}
        assert len(ids) == 2
        assert all(len(id_) <= 36 for id_ in ids)
