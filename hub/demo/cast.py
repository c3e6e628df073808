"""Who plays: five platforms, what they own, and the hub.toml of each.

Rules
1. All stand on loopback and are reached as `localhost`; each has a folder, a configuration and a certificate.
2. A station has one connector of 22 kW. Its meter's key is configured at its CPO, and told to the eMSPs as a list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from wire.records import TokenType, WhitelistType

ZONE = "Europe/Berlin"
CURRENCY = "EUR"
CONNECTOR_W = 22_000
HUB = "DE*HUB"


@dataclass(frozen=True, slots=True)
class Station:
    """A charging station with one EVSE."""

    charger_id: str
    evse_uid: str
    evse_id: str
    meter: str


@dataclass(frozen=True, slots=True)
class Driver:
    """A token of an eMSP."""

    uid: str
    type: TokenType
    contract_id: str
    whitelist: WhitelistType


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A platform. `party` is its own; of the hub, the hub's."""

    name: str
    title: str
    party: str
    role: str
    gateway_id: str = ""
    stations: tuple[Station, ...] = ()
    drivers: tuple[Driver, ...] = ()
    tariff: str = ""
    vat: str = ""

    @property
    def country_code(self) -> str:
        """The country in its party's name."""
        return self.party.partition("*")[0]

    @property
    def party_id(self) -> str:
        """The rest of it."""
        return self.party.partition("*")[2]


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a platform listens."""

    sync: int
    api: int
    ocpi: int
    pages: int

    @property
    def ocpi_url(self) -> str:
        """The base of its OCPI URLs."""
        return f"https://localhost:{self.ocpi}/ocpi"


@dataclass(frozen=True, slots=True)
class Papers:
    """The files that a configuration names."""

    certificate: Path
    key: Path
    root: Path
    meter_keys: dict[str, str] = field(default_factory=dict)


_DAY_NIGHT = """
[[tariff]]
id = "day-night"
currency = "EUR"
owner = "DE*NOR"
time_zone = "Europe/Berlin"
gateways = ["north-1"]
text = { en = "Please move your car when it is full." }
[[tariff.elements]]
price_components = [{ type = "ENERGY", price = "0.29", vat = "19" }]
restrictions = { start_time = "22:00", end_time = "06:00" }
[[tariff.elements]]
price_components = [
    { type = "ENERGY", price = "0.49", vat = "19" },
    { type = "PARKING_TIME", price = "6.00", vat = "19", step_size = 300 },
]
"""
_WEEKEND = """
[[tariff]]
id = "by-the-hour"
currency = "EUR"
owner = "NL*SUD"
time_zone = "Europe/Amsterdam"
gateways = ["south-1"]
max_price = { before_taxes = "60" }
[[tariff.elements]]
price_components = [{ type = "ENERGY", price = "0.35", vat = "21" }]
restrictions = { day_of_week = ["SATURDAY", "SUNDAY"] }
[[tariff.elements]]
price_components = [
    { type = "FLAT", price = "0.50", vat = "21" },
    { type = "ENERGY", price = "0.42", vat = "21" },
    { type = "TIME", price = "1.20", vat = "21", step_size = 60 },
]
"""
NORTH = Member(
    name="north",
    title="North Charging",
    party="DE*NOR",
    role="CPO",
    gateway_id="north-1",
    stations=(
        Station("NOR-A", "N-A", "DE*NOR*EA", "MNOR1"),
        Station("NOR-B", "N-B", "DE*NOR*EB", "MNOR2"),
    ),
    tariff=_DAY_NIGHT,
    vat="19",
)
SOUTH = Member(
    name="south",
    title="South Charging",
    party="NL*SUD",
    role="CPO",
    gateway_id="south-1",
    stations=(
        Station("SUD-A", "S-A", "NL*SUD*EA", "MSUD1"),
        Station("SUD-B", "S-B", "NL*SUD*EB", "MSUD2"),
    ),
    tariff=_WEEKEND,
    vat="21",
)
DRIVE = Member(
    name="drive",
    title="Drive Anywhere",
    party="DE*DRV",
    role="EMSP",
    drivers=(
        Driver("04D1A0B1", TokenType.RFID, "DEDRVC0000001", WhitelistType.ALLOWED),
        Driver("04D1A0B2", TokenType.RFID, "DEDRVC0000002", WhitelistType.ALLOWED),
        Driver("04D1A0B3", TokenType.RFID, "DEDRVC0000003", WhitelistType.NEVER),
    ),
)
VOLT = Member(
    name="volt",
    title="Volt Card",
    party="FR*VLT",
    role="EMSP",
    drivers=(
        Driver("04F0C0D1", TokenType.RFID, "FRVLTC0000001", WhitelistType.ALLOWED),
        Driver("04F0C0D2", TokenType.RFID, "FRVLTC0000002", WhitelistType.ALLOWED),
    ),
)
CLEARING = Member(name="hub", title="The hub", party=HUB, role="HUB")
OPERATORS, PROVIDERS = (NORTH, SOUTH), (DRIVE, VOLT)
EVERYBODY = (CLEARING, *OPERATORS, *PROVIDERS)


def configuration(member: Member, ports: Ports, papers: Papers, client: str) -> str:
    """The hub.toml of a member; `client` is the table of the API client that the demo is."""
    gateways = [member.gateway_id or f"{member.name}-none"]  # a hub names one at least
    hub_party = f'hub_party = "{HUB}"\n' if member is CLEARING else ""
    roaming = f"""
[roaming]
listen = "127.0.0.1:{ports.ocpi}"
url = "{ports.ocpi_url}"
partner_ca = "{papers.root}"
{hub_party}"""
    return (
        f"""# {member.title}, one of the platforms of `pnc-hub demo`
[hub]
state_dir = "state"
[sync]
listen = "127.0.0.1:{ports.sync}"
certificate = "{papers.certificate}"
key = "{papers.key}"
client_ca = "{papers.root}"
gateways = {json.dumps(gateways)}
[api]
listen = "127.0.0.1:{ports.api}"
[pages]
listen = "127.0.0.1:{ports.pages}"
time_zone = "{ZONE}"
[price]
currency = "{CURRENCY}"
energy_per_kwh = "0.49"
[operator]
contact = "{member.title}, help@{member.name}.example"
"""
        + client
        + member.tariff
        + roaming
        + (_party(member) if member is not CLEARING else "")
        + "".join(_meter(member, station, papers) for station in member.stations)
    )


def _party(member: Member) -> str:
    party = f"""
[[roaming.party]]
country_code = "{member.country_code}"
party_id = "{member.party_id}"
roles = ["{member.role}"]
name = "{member.title}"
help_phone = "+49 30 1234567"
"""
    if not member.stations:
        return party
    place = f"""
[[roaming.location]]
id = "{member.party_id}-1"
name = "{member.title}, main street"
address = "Main Street 1"
city = "Somewhere"
country = "{"DEU" if member.country_code == "DE" else "NLD"}"
latitude = "52.52437"
longitude = "13.41053"
time_zone = "{"Europe/Berlin" if member.country_code == "DE" else "Europe/Amsterdam"}"
opening = "24/7"
"""
    return party + place + "".join(_evse(member, station) for station in member.stations)


def _evse(member: Member, station: Station) -> str:
    return f"""
[[roaming.location.evse]]
uid = "{station.evse_uid}"
evse_id = "{station.evse_id}"
gateway_id = "{member.gateway_id}"
charger_id = "{station.charger_id}"
capabilities = ["REMOTE_START_STOP_CAPABLE", "RFID_READER"]
[[roaming.location.evse.connector]]
standard = "IEC_62196_T2"
format = "SOCKET"
power_type = "AC_3_PHASE"
max_voltage = 230
max_amperage = 32
max_electric_power = {CONNECTOR_W}
"""


def _meter(member: Member, station: Station, papers: Papers) -> str:
    return f"""
[[meter]]
gateway_id = "{member.gateway_id}"
charger_id = "{station.charger_id}"
evse_id = 1
public_key = "{papers.meter_keys[station.meter]}"
"""
