"""pnc-hub: run the hub, write its configuration, make an API token, show what it holds. The only composition root."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import secrets
import signal
from pathlib import Path

import click

from hub.clock import now, utc
from hub.config import HubConfig, load_config
from hub.desk import CommandDesk
from hub.erasing import Erasing
from hub.errors import HubError
from hub.evidence.command import evidence
from hub.evidence.gather import Maker
from hub.journal import start_journal
from hub.letting_go import erase, retention
from hub.lists import ListDesk
from hub.log_key import load_log_key, make_log_key, missing_key
from hub.meter_screens import told_attention
from hub.meters import RECENT, meters
from hub.options import config_option, fail, or_exit
from hub.orders import command
from hub.partners import partners
from hub.proofs import ledger
from hub.store import readings
from hub.store.connection import FILE_NAME, open_reader
from hub.store.database import Database
from hub.store.heads import last_countersigned
from hub.store.meter_keys import pin_all_configured
from hub.store.meters import attention
from hub.store.readings import Cut
from hub.tariff_commands import tariffs
from hub.web.api import OperatorAPI
from hub.web.ocpi.platform import OCPIPlatform
from hub.web.partners import OperatorPartners
from hub.web.server import Listener, server_context
from hub.web.sync import SyncEndpoint
from wire.records import encode
from wire.tree_head import SigningKey

_log = logging.getLogger("hub")

_TEMPLATE = """\
# Configuration of pnc-hub. Paths are relative to this file's folder.

[hub]
state_dir = "hub-state"            # the database and its lock; made on first start, mode 0700

[sync]                             # where gateways connect, with a client certificate each
listen = "127.0.0.1:8443"
certificate = "hub.pem"            # PEM: the hub's certificate, then its sub-CAs
key = "hub.key.pem"                # PEM: its private key; mode 0600
client_ca = "ca.pem"               # PEM: who issues gateway certificates
gateways = ["site-1"]              # gateway ids (certificate subject CN) that may connect
# takeover_after_s = 120            # how long a gateway's epoch is silent before one that replaces it is believed

[api]                              # where operators read sessions and CDRs and put tokens
listen = "127.0.0.1:8444"
# certificate = "api.pem"          # both default to those of [sync]
# key = "api.key.pem"

# [[api.client]]                   # one for each holder of a token; `pnc-hub token --config hub.toml` adds one
# name = "operator"
# token_hash = "sha256$<salt hex>$<hash hex>"

[price]                            # before taxes
currency = "EUR"
energy_per_kwh = "0.49"
session_fee = "0.00"

# [[tariff]]                       # asked in this order, before [price]; docs/tariffs.md
# id = "night"
# currency = "EUR"
# time_zone = "Europe/Berlin"
# gateways = ["site-1"]            # where it is for; also chargers, evses, and parties = ["DE*ABC"]
# [[tariff.elements]]
# price_components = [{ type = "ENERGY", price = "0.29", vat = "19" }]
# restrictions = { start_time = "22:00", end_time = "06:00" }
# [[tariff.elements]]
# price_components = [{ type = "ENERGY", price = "0.39", vat = "19" }]

# [retention]
# years = 10                       # how long evidence is kept at least; `pnc-hub retention` lets go of what is over

# [operator]
# contact = "Example Energy, help@example.com"  # whom a driver asks; on the page of an evidence file

# [roaming]                        # OCPI 2.2.1 and 2.3.0; partners are added with `pnc-hub partners add`
# listen = "127.0.0.1:8445"
# url = "https://ocpi.example.com/ocpi"          # where partners reach it
# partner_ca = "partners.pem"      # PEM: roots of partners' certificates; those of the system where left out
# hub_party = "DE*HUB"             # this deployment is a roaming hub under that name
# [[roaming.party]]
# country_code = "DE"
# party_id = "ABC"
# roles = ["CPO"]                  # CPO, EMSP, NSP, NAP, SCSP, OTHER
# name = "Example Energy"
# help_phone = "+49 30 1234567"
# [[roaming.location]]
# id = "LOC1"
# address = "Example Street 1"
# city = "Berlin"
# country = "DEU"
# latitude = "52.52437"
# longitude = "13.41053"
# time_zone = "Europe/Berlin"
# opening = "24/7"                 # or ["Mon-Fri 07:00-20:00", "Sat 08:00-18:00"]
# [[roaming.location.evse]]
# uid = "EVSE-1"
# evse_id = "DE*ABC*E1"
# gateway_id = "site-1"
# charger_id = "CP-1"
# evse = 1                         # the number that the station gives it
# [[roaming.location.evse.connector]]
# standard = "IEC_62196_T2_COMBO"
# format = "CABLE"
# power_type = "DC"
# max_voltage = 920
# max_amperage = 200
# capabilities = ["ISO_15118_2_PLUG_AND_CHARGE", "ISO_15118_20_PLUG_AND_CHARGE"]

# [[meter]]                        # the meter at a place; `pnc-hub meters import` takes keys by serial and with dates
# gateway_id = "site-1"
# charger_id = "CP-1"
# evse_id = 1
# public_key = "3059..."           # SubjectPublicKeyInfo as hex, base64 or PEM
# max_power_w = 22000              # what the connector can deliver, if known; more energy than that is found
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pncgate")
def main() -> None:
    """The hub: takes in the evidence of charging sites and makes sessions and charge detail records of it."""


@main.command()
@config_option
def run(config_path: Path) -> None:
    """Run until SIGTERM or SIGINT.

    Standard output says what happens, one JSON object a line.
    """
    start_journal()
    or_exit(lambda: asyncio.run(_serve(load_config(config_path))))


@main.command()
@config_option
def init(config_path: Path) -> None:
    """Write a commented configuration; an existing file is left alone."""
    try:
        with config_path.open("x", encoding="utf-8") as file:
            file.write(_TEMPLATE)
    except OSError as error:
        fail(f"{config_path}: cannot be written: {error}")
    click.echo(f"{config_path} written; put certificates beside it, then `pnc-hub run --config {config_path}`")


@main.command()
@click.option("--name", default="operator", show_default=True, help="Who holds the token.")
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="Add the holder to this hub.toml.")
@click.option("--token-file", type=click.Path(path_type=Path), help="Write the token there, mode 0600.")
def token(name: str, config_path: Path | None, token_file: Path | None) -> None:
    """Make an API token for an operator's program.

    It is shown once; only its salted hash goes into hub.toml.
    """
    secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    digest = hashlib.sha256(salt + secret.encode()).hexdigest()
    hashed = f"sha256${salt.hex()}${digest}"
    table = f"[[api.client]]\nname = {json.dumps(name)}\ntoken_hash = {json.dumps(hashed)}\n"
    if config_path is not None:
        or_exit(lambda: _require_new_client(load_config(config_path), name))
    try:
        if token_file is not None:
            _write_secret(token_file, secret)
        if config_path is not None:
            with config_path.open("a", encoding="utf-8") as file:
                file.write(f"\n{table}")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    click.echo(f"token written to {token_file}" if token_file is not None else f"token (shown once): {secret}")
    click.echo(f"{name} added to {config_path}" if config_path is not None else f"\nfor hub.toml:\n{table}")


def _require_new_client(config: HubConfig, name: str) -> None:
    if any(client.name == name for client in config.clients):
        raise HubError("known-client", f"the API client {name!r} is there already; remove its table first")


def _write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; an existing one is never overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


@main.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def status(config_path: Path, as_json: bool) -> None:
    """Show what the hub holds; reads only, works while the hub runs."""
    or_exit(lambda: _show_status(load_config(config_path), as_json))


def _show_status(config: HubConfig, as_json: bool) -> None:
    connection = open_reader(config.state_dir / FILE_NAME)
    try:
        totals = readings.totals(connection)
        gateways = readings.gateways(connection, tuple(config.gateways))
        conflicts = readings.conflicts(connection, Cut(limit=20)).objects
        quarantine = readings.quarantine(connection, Cut(limit=20)).objects
        waiting = attention(connection, now() - RECENT)
    finally:
        connection.close()
    if as_json:
        lists = f'"conflicts":[{",".join(conflicts)}],"quarantine":[{",".join(quarantine)}]'
        lists += f',"meters":{encode(waiting).decode()}'
        click.echo(f'{{"totals":{encode(totals).decode()},"gateways":{encode(gateways).decode()},{lists}}}')
        return
    for name in totals.__struct_fields__:
        click.echo(f"{name.replace('_', ' '):20}{getattr(totals, name)}")
    for gateway in gateways:
        seen = "never" if gateway.last_seen is None else utc(gateway.last_seen)
        click.echo(f"gateway {gateway.gateway_id}  epoch {gateway.epoch}  acked {gateway.acked_seq}  last seen {seen}")
    for kind, entries in (("conflict", conflicts), ("quarantine", quarantine)):
        for entry in entries:
            click.echo(f"{kind} {entry}")
    for line in told_attention(waiting):
        click.echo(line)


async def _serve(config: HubConfig) -> None:
    """Build the parts, run them until a signal, end them. Raises HubError when something cannot start."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    sync_context = server_context(config.sync_tls, config.client_ca)
    api_context = server_context(config.api_tls)
    database = Database(config.state_dir, config.terms)
    desk = CommandDesk(database, config.gateways)
    listeners: dict[str, Listener] = {}
    lists: ListDesk | None = None
    platform: OCPIPlatform | None = None
    try:
        await database.write(lambda connection: pin_all_configured(connection, config.terms.meter_keys, now()))
        key = await _log_key(config.state_dir, database)
        lists = ListDesk(database, key)
        await lists.start(now())
        endpoint = SyncEndpoint(database, config.gateways, key, lists, desk, config.takeover_after)
        maker = Maker(key=key, terms=config.terms, issuer=config.contact)
        erasing = Erasing(database, config.retention_years, lists)
        partners_api: OperatorPartners | None = None
        if config.roaming is not None:
            platform = OCPIPlatform(database, config, config.roaming, desk)
            partners_api = OperatorPartners(database, config.roaming, platform.registrar)
            ocpi_context = server_context(config.roaming.tls)
            listeners["ocpi"] = Listener("ocpi", platform.application(), config.roaming.listen, ocpi_context)
            await platform.start()
        api = OperatorAPI(database, config.clients, config.gateways, desk, maker, erasing, partners_api)
        listeners["sync"] = Listener("sync", endpoint.application(), config.sync, sync_context)
        listeners["api"] = Listener("api", api.application(), config.api, api_context)
        listen = {name: await listener.start() for name, listener in listeners.items()}
        _log.info("ready", extra={"fields": {"listen": listen, "pid": os.getpid()}})
        await stop.wait()
    finally:
        desk.close()
        for listener in listeners.values():
            await listener.close()
        if platform is not None:
            await platform.close()
        if lists is not None:
            await lists.close()
        await database.close()
    _log.info("stopped")


async def _log_key(state_dir: Path, database: Database) -> SigningKey:
    """The key that countersigns, made at the first start. Raises LogKeyError."""
    key, last = load_log_key(state_dir), await database.read(last_countersigned)
    used = None if last is None else last.countersignature.public_key
    if key is None:
        if used is not None:
            raise missing_key(state_dir, used)
        key = make_log_key(state_dir)
    elif used not in (None, key.public_key):
        _log.warning("hub-log-key-changed", extra={"fields": {"before": used, "now": key.public_key}})
    return key


main.add_command(command)
main.add_command(partners)
main.add_command(evidence)
main.add_command(meters)
main.add_command(ledger)
main.add_command(erase)
main.add_command(retention)
main.add_command(tariffs)

if __name__ == "__main__":
    main()
