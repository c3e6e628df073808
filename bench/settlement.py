"""What reconciliation and settlement cost: `python -m bench.settlement [CDRS]`. Prints Markdown and leaves nothing
behind; about two minutes and 1 GB in the temporary folder for 100,000 CDRs.

One CPO's CDRs for 20 eMSPs lie in a database on disk, each of two periods with its tariff in it, one in a hundred of
them wrong in its price. Timed on the wall, commits included, because that is what an operator waits for:

1. *read*: every document parsed and made a value, the least that judging can be.
2. *judged*: every CDR read, its facts looked up, all rules asked, judgement and standing written, 200 to a commit as
   the hub does.
3. *closed*: 20 periods closed into invoices, one to a commit.

The ratio is read by judged: how much of the work is the reading that nobody can save. Must: judged and closed together
in less than 60 s for 100,000.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import perf_counter, process_time

import msgspec

from hub.config_source import Address, TLSFiles
from hub.reconcile.judge import Reconciler
from hub.roaming.own import OwnParty, RoamingConfig
from hub.settlement.agreements import Agreement, checked, period_named
from hub.store.connection import FILE_NAME, SQLite
from hub.store.engine import OpenConnection
from hub.store.findings import counts
from hub.store.objects import keep_object
from hub.store.settlements import Closing, add_agreement, close_period
from wire.ocpi.document import document_of, encode_document, parse_document, view
from wire.ocpi.locations import EVSE, Connector, EVSEStatus, GeoLocation, Location
from wire.ocpi.periods import CdrDimension, CdrDimensionType, ChargingPeriod
from wire.ocpi.sessions import Cdr, CdrLocation
from wire.ocpi.tariffs import PriceComponent, Tariff, TariffDimension, TariffElement, TaxIncluded
from wire.ocpi.tokens import CdrToken
from wire.ocpi.types import Module, PartyKey, Price, Role, TaxAmount
from wire.records import AuthMethod

ALL, AT_ONCE, EMSPS, EVSES, AT_A_PLACE = 100_000, 200, 20, 400, 8
MUST_S = 60.0
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
AT = datetime(2026, 12, 2, tzinfo=UTC)
CPO = PartyKey.of("DE", "CPO")


def main(cdrs: int = ALL) -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder:
        connection = SQLite(Path(folder) / FILE_NAME).open_writer()
        try:
            _fill(connection, cdrs)
            read_s = _read(connection)
            cpu = process_time()
            judged_s = _judge(connection)
            closed_s, settled = _close(connection)
            cpu = process_time() - cpu
            found = counts(connection)
        finally:
            connection.close()
    together = judged_s + closed_s
    print(f"\nPython {platform.python_version()}, {platform.machine()}; {cdrs:,} CDRs: {found}; {settled:,} settled\n")
    print("| part | seconds | microseconds a CDR | ratio | must |\n|---|---|---|---|---|")
    print(f"| *read* | {read_s:.1f} | {read_s / cdrs * 1e6:.0f} | | |")
    print(f"| judged | {judged_s:.1f} | {judged_s / cdrs * 1e6:.0f} | {read_s / judged_s:.2f} | |")
    print(f"| closed | {closed_s:.1f} | {closed_s / cdrs * 1e6:.0f} | | |")
    word = "" if cdrs != ALL else f"< {MUST_S:.0f} s: {'met' if together < MUST_S else 'MISSED'}"
    print(f"| judged and closed | {together:.1f} (CPU {cpu:.1f}) | {together / cdrs * 1e6:.0f} | | {word} |")


def _read(connection: OpenConnection) -> float:
    begun = perf_counter()
    for (text,) in connection.execute("SELECT document FROM ocpi_objects WHERE module = 'cdrs'"):
        view(parse_document(text, "CDR"), Cdr, "CDR")
    return perf_counter() - begun


def _judge(connection: OpenConnection) -> float:
    parties = (OwnParty(CPO, (Role.CPO,), "CPO"), *(OwnParty(_emsp(n), (Role.EMSP,), "MSP") for n in range(EMSPS)))
    files = TLSFiles(Path("c.pem"), Path("k.pem"))
    config = RoamingConfig(listen=Address("127.0.0.1", 0), tls=files, url="https://localhost", parties=parties)
    reconciler = Reconciler(config)
    begun = perf_counter()
    while True:
        connection.execute("BEGIN IMMEDIATE")
        count = reconciler.judge_waiting(connection, AT, AT_ONCE)
        connection.execute("COMMIT")
        if not count:
            return perf_counter() - begun


def _close(connection: OpenConnection) -> tuple[float, int]:
    begun, settled = perf_counter(), 0
    for number in range(EMSPS):
        agreement = _agreement(number)
        connection.execute("BEGIN IMMEDIATE")
        period = period_named(agreement, "2026-11")
        settled += close_period(connection, Closing(agreement, period, "bench", AT)).invoice.cdrs
        connection.execute("COMMIT")
    return perf_counter() - begun, settled


# --- what lies there


def _fill(connection: OpenConnection, cdrs: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for first in range(0, EVSES, AT_A_PLACE):
        keep_object(connection, Module.LOCATIONS, document_of(_location(first)), None, BEGIN)
    keep_object(connection, Module.TARIFFS, document_of(_tariff()), None, BEGIN)
    for number in range(EMSPS):
        add_agreement(connection, checked(_agreement(number)), "bench", BEGIN)
        connection.executemany(
            "INSERT INTO ocpi_objects (module, country_code, party_id, id_key, id, last_updated, document)"
            " VALUES ('tokens', ?, ?, ?, ?, ?, ?)",
            [_token(number, one) for one in range(EVSES)],
        )
    connection.executemany(
        "INSERT INTO ocpi_objects (module, country_code, party_id, id_key, id, last_updated, document, addressee)"
        " VALUES ('cdrs', 'DE', 'CPO', ?, ?, ?, ?, ?)",
        (_row(_cdr(number)) for number in range(cdrs)),
    )
    connection.execute("COMMIT")


def _row(one: Cdr) -> tuple[str, str, str, str, str]:
    text = encode_document(one).decode()
    return one.id.upper(), one.id, one.last_updated.isoformat(timespec="microseconds"), text, str(one.cdr_token.owner)


def _cdr(number: int) -> Cdr:
    """Each EVSE is used in turn, an hour each, so that nothing overlaps."""
    begin = BEGIN + timedelta(minutes=90 * (number // EVSES) % (60 * 24 * 25) + number // (400 * EVSES))
    energy = Decimal(5 + number % 40)
    net = energy * Decimal("0.49") + (Decimal(1) if number % 100 == 0 else Decimal(0))
    cost = Price(before_taxes=net, taxes=(TaxAmount(name="VAT", amount=net * Decimal("0.19"), percentage=Decimal(19)),))
    half = begin + timedelta(minutes=30)
    volumes = (
        CdrDimension(type=CdrDimensionType.ENERGY, volume=energy / 2),
        CdrDimension(type=CdrDimensionType.TIME, volume=Decimal("0.5")),
    )
    emsp = _emsp(number % EMSPS)
    return Cdr(
        country_code="DE",
        party_id="CPO",
        last_updated=begin + timedelta(hours=1),
        id=f"CDR-{number:08}",
        session_id=f"S-{number:08}",
        start_date_time=begin,
        end_date_time=begin + timedelta(hours=1),
        cdr_token=CdrToken(
            country_code=emsp.country_code,
            party_id=emsp.party_id,
            uid=f"{number % EVSES:08X}",
            type="RFID",
            contract_id="NL-MSP-C1",
        ),
        auth_method=AuthMethod.WHITELIST,
        cdr_location=_place(number % EVSES),
        currency="EUR",
        charging_periods=tuple(
            ChargingPeriod(start_date_time=at, dimensions=volumes, tariff_id="T1") for at in (begin, half)
        ),
        tariffs=(_tariff(),),
        total_cost=cost,
        total_energy=energy,
        total_energy_cost=cost,
        total_time=Decimal(1),
    )


def _place(evse: int) -> CdrLocation:
    return CdrLocation(
        id=f"LOC{evse // AT_A_PLACE}",
        address="Street 1",
        city="Berlin",
        country="DEU",
        coordinates=GeoLocation(latitude="52.52437", longitude="13.41053"),
        evse_uid=f"E{evse}",
        evse_id=f"DE*CPO*E{evse}",
        connector_id="1",
        connector_standard="IEC_62196_T2_COMBO",
        connector_format="CABLE",
        connector_power_type="DC",
    )


def _location(first: int) -> Location:
    connector = Connector(
        id="1",
        standard="IEC_62196_T2_COMBO",
        format="CABLE",
        power_type="DC",
        max_voltage=920,
        max_amperage=200,
        last_updated=BEGIN,
    )
    evses = (
        EVSE(uid=f"E{number}", status=EVSEStatus.AVAILABLE, connectors=(connector,), last_updated=BEGIN)
        for number in range(first, first + AT_A_PLACE)
    )
    place = _place(first)
    return Location(
        country_code="DE",
        party_id="CPO",
        last_updated=BEGIN,
        id=place.id,
        publish=True,
        address=place.address,
        city=place.city,
        country=place.country,
        coordinates=place.coordinates,
        time_zone="Europe/Berlin",
        evses=tuple(evses),
    )


def _tariff() -> Tariff:
    component = PriceComponent(type=TariffDimension.ENERGY, price=Decimal("0.49"), step_size=1, vat=Decimal(19))
    return Tariff(
        country_code="DE",
        party_id="CPO",
        last_updated=BEGIN - timedelta(days=1),
        id="T1",
        currency="EUR",
        elements=(TariffElement(price_components=(component,)),),
        tax_included=TaxIncluded.NO,
    )


def _token(emsp: int, number: int) -> tuple[str, str, str, str, str, str]:
    party, uid = _emsp(emsp), f"{number:08X}"
    document = msgspec.json.encode(
        {
            "country_code": party.country_code,
            "party_id": party.party_id,
            "uid": uid,
            "type": "RFID",
            "contract_id": "NL-MSP-C1",
            "issuer": "MSP",
            "valid": True,
            "whitelist": "ALLOWED",
            "last_updated": "2026-10-01T00:00:00Z",
        }
    ).decode()
    return party.country_code, party.party_id, f"{uid}|RFID", uid, BEGIN.isoformat(timespec="microseconds"), document


def _emsp(number: int) -> PartyKey:
    return PartyKey.of("NL", f"M{number:02}")


def _agreement(number: int) -> Agreement:
    return Agreement(
        id=f"cpo-{number:02}",
        seller=str(CPO),
        buyer=str(_emsp(number)),
        currency="EUR",
        valid_from=date(2026, 10, 1),
        time_zone="Europe/Berlin",
        fee_per_session=Decimal("0.10"),
        vat_percent=Decimal(19),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ALL)
