"""What OCPI's tables say of every text in its objects: how long, of which characters, of which form.

Rules
1. Every field of kind text has its line here, in the struct that declares it; tests hold the table to the structs, and
   to the specification's own tables.
2. `length` is what is accepted, `stated` what the table of OCPI 2.3.0 says where that is less: Location's address and
   state became longer and CdrLocation's were forgotten, ids of credit CDRs may have 39 characters, and the pattern of
   coordinates leaves one more than their length.
3. An open enumeration is any printable text of 100 characters at most.

Source: OCPI 2.3.0 types, and each module's objects; EVSE ids: ISO 15118-2 annex H, eMI3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from wire.ocpi import commands, locations, partners, sessions, tariffs, tokens, types
from wire.ocpi.words import CLOSED


@dataclass(frozen=True, slots=True)
class Text:
    """The rule for one text. `ci`: a CiString, printable ASCII; `free`: control characters are allowed; `form`: what
    the whole must be, called `called`; `words`: a closed enumeration; `url`: an absolute http(s) URL."""

    length: int
    stated: int | None = None
    ci: bool = False
    free: bool = False
    form: re.Pattern[str] | None = None
    called: str = ""
    words: frozenset[str] | None = None
    url: bool = False


def ci(length: int, stated: int | None = None) -> Text:
    """A CiString."""
    return Text(length, stated, ci=True)


def form(length: int, pattern: str, called: str, *, ci: bool = False, stated: int | None = None) -> Text:
    """A text of a form."""
    return Text(
        length, stated, ci=ci, form=re.compile(pattern, re.ASCII | re.IGNORECASE if ci else re.ASCII), called=called
    )


def closed(name: str) -> Text:
    """One of a closed enumeration's words."""
    return Text(max(map(len, CLOSED[name])), words=CLOSED[name])


OPEN = Text(100)
URL = Text(255, url=True)
_ID, _CDR_ID = ci(36), ci(39)
_COUNTRY = form(2, "[A-Z]{2}", "a country code of two letters", ci=True)
_PARTY = form(3, "[!-~]{3}", "a party id of three characters", ci=True)
_ALPHA3 = form(3, "[A-Za-z]{3}", "a country code of three letters")
_CURRENCY = form(3, "[A-Z]{3}", "a currency code of ISO 4217")
_LANGUAGE = form(2, "[A-Za-z]{2}", "a language of ISO 639-1")
_CLOCK = form(5, "([01][0-9]|2[0-3]):[0-5][0-9]", "a time HH:MM")
_DATE = form(10, "[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])", "a date YYYY-MM-DD")
_EVSE = r"([A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9][A-Z0-9*]{0,30})|(\+?[0-9]{1,3}\*[0-9]{3,6}\*[0-9*]{1,32})"
_EVSE_ID = form(48, _EVSE, "an EVSE id", ci=True)
_EVSE_ID_OR_NONE = form(48, f"{_EVSE}|#NA", "an EVSE id, or #NA", ci=True)
_DEGREES = "degrees with 5 to 7 decimals, as text"
_HUB = form(5, "[A-Z]{2}[!-~]{3}", "country code and party id in one", ci=True)

TEXTS: Mapping[type[msgspec.Struct], Mapping[str, Text]] = {
    types.Owned: {"country_code": _COUNTRY, "party_id": _PARTY},
    types.DisplayText: {"language": _LANGUAGE, "text": Text(512, free=True)},
    types.TaxAmount: {"name": Text(255), "account_number": Text(255)},
    types.Image: {"url": URL, "thumbnail": URL, "category": OPEN, "type": ci(4)},
    types.BusinessDetails: {"name": Text(100), "website": URL},
    types.EnergySource: {"source": closed("EnergySourceCategory")},
    types.EnvironmentalImpact: {"category": OPEN},
    types.EnergyMix: {"supplier_name": Text(64), "energy_product_name": Text(64)},
    tokens.EnergyContract: {"supplier_name": Text(64), "contract_id": Text(64)},
    tokens.Token: {
        "uid": _ID,
        "type": OPEN,
        "contract_id": _ID,
        "visual_number": Text(64),
        "issuer": Text(64),
        "group_id": _ID,
        "language": _LANGUAGE,
        "default_profile_type": closed("ProfileType"),
    },
    tokens.LocationReferences: {"location_id": _ID, "evse_uids": _ID},
    tokens.AuthorizationInfo: {"authorization_reference": _ID},
    tokens.CdrToken: {
        "country_code": _COUNTRY,
        "party_id": _PARTY,
        "uid": _ID,
        "type": OPEN,
        "contract_id": _ID,
    },
    locations.GeoLocation: {
        "latitude": form(11, r"-?[0-9]{1,2}\.[0-9]{5,7}", _DEGREES, stated=10),
        "longitude": form(12, r"-?[0-9]{1,3}\.[0-9]{5,7}", _DEGREES, stated=11),
    },
    locations.RegularHours: {"period_begin": _CLOCK, "period_end": _CLOCK},
    locations.Connector: {
        "id": _ID,
        "standard": OPEN,
        "format": closed("ConnectorFormat"),
        "power_type": closed("PowerType"),
        "tariff_ids": _ID,
        "terms_and_conditions": URL,
        "capabilities": OPEN,
    },
    locations.EVSEParking: {"parking_id": _ID, "evse_position": closed("EVSEPosition")},
    locations.EVSE: {
        "uid": _ID,
        "evse_id": _EVSE_ID,
        "capabilities": OPEN,
        "floor_level": Text(4),
        "physical_reference": Text(16),
        "parking_restrictions": OPEN,
        "accepted_service_providers": Text(50),
    },
    locations.PublishTokenType: {
        "uid": _ID,
        "type": OPEN,
        "visual_number": Text(64),
        "issuer": Text(64),
        "group_id": _ID,
    },
    locations.Parking: {
        "id": _ID,
        "physical_reference": Text(12),
        "vehicle_types": OPEN,
        "direction": closed("ParkingDirection"),
        "standards": _ID,
        "apds_reference": ci(255),
    },
    locations.Location: {
        "id": _ID,
        "name": Text(255),
        "address": Text(255),
        "city": Text(45),
        "postal_code": Text(10),
        "state": Text(45),
        "country": _ALPHA3,
        "parking_type": OPEN,
        "facilities": OPEN,
        "time_zone": Text(255),
        "help_phone": ci(25),
    },
    tariffs.TariffRestrictions: {
        "start_time": _CLOCK,
        "end_time": _CLOCK,
        "start_date": _DATE,
        "end_date": _DATE,
    },
    tariffs.Tariff: {
        "id": _ID,
        "currency": _CURRENCY,
        "type": closed("TariffType"),
        "tariff_alt_url": URL,
    },
    sessions.ChargingPeriod: {"tariff_id": _ID},
    sessions.SignedValue: {"nature": ci(32), "plain_data": Text(5000, free=True), "signed_data": Text(5000)},
    sessions.SignedData: {"encoding_method": ci(36), "public_key": Text(512), "url": Text(512)},
    sessions.CdrLocation: {
        "id": _ID,
        "name": Text(255),
        "address": Text(255, stated=45),
        "city": Text(45),
        "postal_code": Text(10),
        "state": Text(45, stated=20),
        "country": _ALPHA3,
        "evse_uid": _ID,
        "evse_id": _EVSE_ID_OR_NONE,
        "connector_id": _ID,
        "connector_standard": OPEN,
        "connector_format": closed("ConnectorFormat"),
        "connector_power_type": closed("PowerType"),
    },
    sessions.Session: {
        "id": _ID,
        "authorization_reference": _ID,
        "location_id": _ID,
        "evse_uid": _ID,
        "connector_id": _ID,
        "meter_id": Text(255),
        "currency": _CURRENCY,
    },
    sessions.Cdr: {
        "id": _CDR_ID,
        "session_id": _ID,
        "authorization_reference": _ID,
        "meter_id": Text(255),
        "currency": _CURRENCY,
        "remark": Text(255, free=True),
        "invoice_reference_id": _CDR_ID,
        "credit_reference_id": _CDR_ID,
    },
    sessions.InvoiceReconciliationRecord: {"id": _ID, "invoice_id": ci(255), "cdrs": ci(39, stated=36)},
    sessions.ChargingPreferences: {"profile_type": closed("ProfileType")},
    commands.CancelReservation: {"response_url": URL, "reservation_id": _ID},
    commands.ReserveNow: {
        "response_url": URL,
        "reservation_id": _ID,
        "location_id": _ID,
        "evse_uid": _ID,
        "authorization_reference": _ID,
    },
    commands.StartSession: {
        "response_url": URL,
        "location_id": _ID,
        "evse_uid": _ID,
        "connector_id": _ID,
        "authorization_reference": _ID,
    },
    commands.StopSession: {"response_url": URL, "session_id": _ID},
    commands.UnlockConnector: {"response_url": URL, "location_id": _ID, "evse_uid": _ID, "connector_id": _ID},
    commands.ChargingProfile: {"charging_rate_unit": closed("ChargingRateUnit")},
    commands.SetChargingProfile: {"response_url": URL},
    partners.VersionLink: {"version": OPEN, "url": URL},
    partners.Endpoint: {"identifier": OPEN, "url": URL},
    partners.VersionDetails: {"version": OPEN},
    partners.CredentialsRole: {"role": OPEN, "party_id": _PARTY, "country_code": _COUNTRY},
    partners.Credentials: {"token": form(64, "[!-~]{1,64}", "a credentials token"), "url": URL, "hub_party_id": _HUB},
    partners.ClientInfo: {"party_id": _PARTY, "country_code": _COUNTRY, "role": OPEN},
}
"""The rule of each text, or of each item of a list of texts, by the struct that declares it and its name in JSON."""
