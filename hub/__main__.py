"""pnc-hub: run the hub, write its configuration, make an API token, show what it holds. The only composition root."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

import click

from hub.audit_commands import audit
from hub.client_tokens import client_table
from hub.clock import now, utc
from hub.config import HubConfig, load_config
from hub.config_store import StoreKind
from hub.demo.command import demo
from hub.dispute_commands import disputes
from hub.errors import HubError
from hub.evidence.command import evidence
from hub.gateway_commands import gateways
from hub.journal import start_journal
from hub.letting_go import erase, retention
from hub.meter_screens import told_attention
from hub.meters import RECENT, meters
from hub.options import config_option, fail, or_exit
from hub.orders import command
from hub.partners import partners
from hub.proofs import ledger
from hub.reconcile_commands import reconcile, support
from hub.revocation_commands import revocation
from hub.serving import derive, inherited, serve
from hub.settlement_commands import agreements, settle
from hub.store import readings
from hub.store.database import state_locked
from hub.store.meters import attention
from hub.store.readings import Cut
from hub.tariff_commands import tariffs
from hub.user_commands import users
from hub.workers import MOST_WORKERS, supervise
from wire.records import encode

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

# [store]                          # SQLite in state_dir without this table
# kind = "postgresql"              # needs pncgate[postgresql]; `pnc-hub run --workers N` then runs several processes
# url_file = "store.url"           # postgresql://user:password@host/database, mode 0600; or `url`, `url_variable`
# max_connections = 10             # of one worker

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

# [revocation]                     # revocation lists, OCSP answers and roots, fetched for gateways; docs/hub.md
# hosts = ["pki.example.com"]      # nobody else is asked: HOST or HOST:PORT; gateways name URLs there
# networks = []                    # networks that are not public, in which these hosts may lie: "10.1.0.0/16" ...
# crls = ["http://pki.example.com/crls/mo-sub2.crl"]    # fetched before anybody asks
# trust_list = "https://pki.example.com/v1/root/ctl"
# ca = "pki.pem"                   # PEM: roots for https; those of the system where left out
# interval_s = 600.0               # new ones are looked for at least this often
# timeout_s = 10.0
# retry_min_s = 10.0
# retry_max_s = 1800.0
# max_sources = 20000              # URLs, and certificates that OCSP is asked about
# max_mb = 512                     # how much all of it may take

# [pages]                          # pages for a browser; `pnc-hub users add` adds who may sign in
# listen = "127.0.0.1:8446"
# certificate = "pages.pem"        # both default to those of [api]
# key = "pages.key.pem"
# time_zone = "Europe/Berlin"      # of the instants shown; UTC where left out

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
@click.option("--workers", type=click.IntRange(1, MOST_WORKERS), default=1, show_default=True, help="Processes.")
@click.option(
    "--derivers",
    type=click.IntRange(0, MOST_WORKERS),
    help="Processes that make sessions and bills of what the workers store; 1 with several workers.",
)
@click.option("--sockets", hidden=True, help="Of a process that is started by another: the descriptors it is given.")
@click.option("--deriving", hidden=True, is_flag=True, help="Of one that derives.")
@config_option
def run(config_path: Path, workers: int, derivers: int | None, sockets: str | None, deriving: bool) -> None:
    """Run until SIGTERM or SIGINT.

    Standard output says what happens, one JSON object a line. More than one process needs PostgreSQL.
    """
    start_journal()
    if sockets is not None:
        given = inherited(sockets)
        if not deriving:
            or_exit(lambda: asyncio.run(serve(load_config(config_path), given)))
        else:
            or_exit(lambda: asyncio.run(derive(load_config(config_path), given["derived"])))
    elif workers == 1 and derivers is None:
        or_exit(lambda: asyncio.run(_alone(load_config(config_path))))
    else:
        or_exit(lambda: asyncio.run(supervise(config_path, load_config(config_path), workers, derivers)))


async def _alone(config: HubConfig) -> None:
    if config.store.kind is StoreKind.SQLITE:
        await serve(config)
        return
    with state_locked(config.state_dir):
        await serve(config)


@main.command()
@config_option
def init(config_path: Path) -> None:
    """Write a commented configuration; an existing file is left alone."""
    try:
        with config_path.open("x", encoding="utf-8") as file:
            file.write(_TEMPLATE)
    except FileExistsError:
        fail(f"{config_path} is there already, and was left alone; name another one with --config")
    except OSError as error:
        fail(f"{config_path}: cannot be written: {error.strerror}")
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
    table = client_table(name, secret, salt)
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
    connection = config.engine().open_reader()
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


main.add_command(command)
main.add_command(demo)
main.add_command(partners)
main.add_command(users)
main.add_command(audit)
main.add_command(gateways)
main.add_command(evidence)
main.add_command(meters)
main.add_command(ledger)
main.add_command(erase)
main.add_command(retention)
main.add_command(tariffs)
main.add_command(reconcile)
main.add_command(support)
main.add_command(agreements)
main.add_command(settle)
main.add_command(disputes)
main.add_command(revocation)

if __name__ == "__main__":
    main()
