"""pnc-gateway: the edge gateway beside the chargers."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

import click

from gateway.chargers.credentials import PasswordHash
from gateway.clock import Clock
from gateway.config import Settings, load_settings
from gateway.control.stations import charger, chargers
from gateway.control.upkeep import command
from gateway.errors import GatewayError, StoreError
from wire.ids import is_charger_id, is_gateway_id
from wire.records import encode

if TYPE_CHECKING:
    from gateway.status import Source, Status

EXIT_DEGRADED, EXIT_REFUSED = 1, 2

SAMPLE = """\
# pncgate edge gateway. Paths are relative to this file's folder. Every value that is commented out shows its default.

[gateway]
id = "{id}"                        # the common name of this gateway's certificate at the hub
# state_dir = "gateway-state"      # the databases; the only folder the gateway writes to

[chargers]
# listen = "127.0.0.1:8180"        # OCPP profile 1, ws://LISTEN/ocpp/{{charger_id}}; no such port once there are others
# allow_unencrypted_network = false  # needed when listen is not loopback: stations connect without TLS (OCPP profile 1)
# heartbeat_interval_s = 300
# organization = "ABC Charging"    # the O that every station's TLS client certificate must have; any when left out
# revocation_unknown = "refuse"    # a station certificate of whose CA there is no revocation list: accept | refuse

# One table for each further port: one OCPP security profile each, stations connect to wss://LISTEN/ocpp/{{charger_id}}.
# [[chargers.port]]
# listen = "0.0.0.0:8443"
# profile = 3                        # 1 password, 2 password over TLS, 3 TLS client certificate of trust/backend
# certificates = ["csms.pem"]        # of the port, one of EC and one of RSA at most; taken up anew when they change
# keys = ["csms.key.pem"]            # mode 0600
# allow_unencrypted_network = false  # needed for profile 1 when listen is not loopback
# allow_unauthenticated = false      # needed for profile 0, where nobody proves anything: laboratories only

# [chargers.limits]                # what one station, one address, and all together may take
# messages_per_s = 100             # over it the next frame is read later; large frames count more
# message_burst = 500
# messages_per_s_in_all = 1000
# message_burst_in_all = 2000
# connections = 2048
# connections_per_address = 1024
# handshakes = 256                 # connections whose station has not proven itself yet
# handshakes_per_address = 64
# handshake_timeout_s = 10.0
# write_timeout_s = 10.0           # how long a station may leave what it is sent untaken
# ping_interval_s = 30.0

# One table for each charging station; `pnc-gateway password --charger ID --config gateway.toml` adds one.
# [[charger]]
# id = "CP-1"
# password_hash = "sha256$...$..." # for ports of profile 1 and 2
# allow_profile_downgrade = false  # it may come back from profile 3 to 2
# serial_number = "SN-1"           # what its TLS client certificate names; its id when left out
# evse_ids = ["DE*ABC*E000001"]    # what its ISO 15118 certificates may name

[uplink]
hub = "https://127.0.0.1:8443"
ca = "ca.pem"                      # the CA that signed the hub's certificate, and nothing else
{own}# authorize_timeout_s = 0.8        # how long a driver waits for the hub before local knowledge decides
# request_timeout_s = 20.0
# whitelist_interval_s = 300.0
# retry_min_s = 1.0
# retry_max_s = 60.0

[trust]
anchors = "trust"                  # folders by role: trust/mo/*.pem, trust/v2g/*.pem ...
{crls}                    # CRL files, or folders of them

{on}[enrol]                          # the PKI that gives certificates by EST: `pnc-gateway enrol`, then by itself
{on}est = "{pki}"
{on}ca = "{ca}"                # the roots of the PKI's own certificate and of those it gives to gateways
# timeout_s = 20.0
# retry_min_s = 30.0
# retry_max_s = 3600.0

{on}[trust.refresh]                  # lists and OCSP answers are fetched ahead, verified, and put in force
{on}hosts = [{hosts}]   # nobody else is ever asked
# networks = []                    # networks that are not public, in which these hosts may lie: "10.1.0.0/16" ...
{on}trust_list = "{pki}/v1/root/ctl"  # the signed list of roots; its signer's root: trust/backend
# crls = []                        # URLs; those in certificates are followed too, where the host is allowed
# ocsp = []                        # responders for certificates that name none
# chains = []                      # PEM chains of this site whose OCSP answers are kept ready
# ca = "web-ca.pem"                # for https, in place of [enrol] ca
# interval_s = 3600.0              # new lists are looked for at least this often
# timeout_s = 20.0
# retry_min_s = 10.0
# retry_max_s = 1800.0

# [pool]                           # the contract pool (OPCP) that cars' requests for contracts are relayed to
# url = "https://pool.example"
# client_id = "site-1"             # as the pool's operator registered it, with the role CPO
# secret_file = "pool.secret"      # mode 0600
# ca = "pool-ca.pem"               # without it: the system's
# token_url = "https://login.example/oauth/token"  # without it: /oauth/token at the pool
# timeout_s = 4.0                  # for all of it; a car waits 5 s at most

# [local]                          # HTTP for charger software on this box: authorize, OCSP staples, health
# listen = "127.0.0.1:8182"        # loopback only
# socket = "gateway.sock"          # or a socket in the file system

[policy]
# unknown_token_offline = "refuse"   # a token on no list while the hub is unreachable: accept | refuse
# contract_offline = "accept"        # a verified contract chain on no list while the hub is unreachable
# revocation_unknown = "refuse"      # a contract of whose certificates one has no revocation evidence
# revocation_stale_grace_h = 168     # how long it counts after its own end
# earlier_decision_s = 3600          # how long a decision carries over to its transaction

[offline]                          # what stations do alone, while they cannot reach this gateway
# manage = true                    # give stations lists and settings at all
# authorize_listed = true          # let in whom the station's list or cache knows as good
# unknown_tokens = "refuse"        # whom neither knows: accept | refuse; left out: as unknown_token_offline above
# contracts = "accept"             # whose chain the station finds good; left out: as contract_offline above
# start_before_answer = false      # start without waiting, also while this gateway can be asked
# cache = true                     # let stations remember answers
# cache_lifetime_s = 604800        # and for how long; left out: as the station likes
# stop_when_refused = true         # end a transaction whose token is refused later, and not only its energy
# max_energy_refused_wh = 1000     # what may still be given then; left out: as the station has it
# message_attempts = 10            # how often a transaction message is sent before it is given up
# message_retry_interval_s = 30
# list_entries = 1000              # the most tokens a station is given
# list_interval_s = 900            # how long it is left alone in between, unless a token was blocked
# clear_cache = true               # when a token it may remember was blocked and its list cannot say so
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pncgate")
def main() -> None:
    """Edge gateway for Plug & Charge sites: authorizes drivers and keeps every signed meter value, uplink or not."""


_config = click.option(
    "--config", "config", required=True, type=click.Path(path_type=Path, dir_okay=False), help="gateway.toml"
)


@main.command()
@click.option("--dir", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("."), show_default=True)
@click.option("--id", "gateway_id", default="site-1", show_default=True, help="the gateway's id at the hub")
@click.option("--pki", metavar="URL", help="enrol at this PKI, and fetch roots, lists and answers there")
@click.option("--pki-http", metavar="HOST:PORT", help="where that PKI publishes lists and answers (default: port 8081)")
def init(folder: Path, gateway_id: str, pki: str | None, pki_http: str | None) -> None:
    """Write a commented gateway.toml; never over an existing one."""
    if not is_gateway_id(gateway_id):
        _fail(f"--id {gateway_id!r}: use 1 to 48 letters, digits, '.', '_' or '-'")
    path, text = folder / "gateway.toml", _sample(gateway_id, pki, pki_http)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        _fail(f"{path} exists; it is left as it is")
    except OSError as error:
        _fail(f"{path}: {error.strerror}")
    click.echo(f"wrote {path}\nnext: put trust anchors and certificates beside it, add chargers with")
    click.echo(f"  pnc-gateway password --charger CP-1 --config {path}")
    if pki is not None:
        click.echo(f"get its certificate with\n  pnc-gateway enrol --config {path} --code-file CODE_FILE")
    click.echo(f"and start with\n  pnc-gateway run --config {path}")


_OWN_FILES = """\
certificate = "{id}.pem"           # what this gateway shows the hub; leave out both when there is an [enrol] table
key = "{id}.key.pem"               # mode 0600
"""
_PORT_OF_LISTS = 8081
_COMMENTED = re.compile(r"^((?:# )?[^#\n]*\S) {2,}(# .*)$", re.MULTILINE)


def _sample(gateway_id: str, pki: str | None, pki_http: str | None) -> str:
    """The configuration of a new gateway; with a PKI, the tables that name it are in force."""
    if pki is None:
        hosts = '"pki.example:8445", "pki.example:8081"'
        asked = {"on": "# ", "pki": "https://pki.example:8445", "ca": "pki-ca.pem", "hosts": hosts}
        return _aligned(
            SAMPLE.format(id=gateway_id, own=_OWN_FILES.format(id=gateway_id), crls='crls = ["crls"]', **asked)
        )
    try:
        place = urlsplit(pki)
        usable = place.scheme == "https" and place.hostname and place.path in ("", "/") and not place.query
        shown = f"[{place.hostname}]" if ":" in (place.hostname or "") else place.hostname
        served = f"{shown}:{place.port or 443}"
    except ValueError:
        usable, shown, served = False, None, ""
    if not usable:
        _fail(f"--pki {pki!r}: must be https://HOST[:PORT]")
    hosts = f'"{served}", "{pki_http or f"{shown}:{_PORT_OF_LISTS}"}"'
    asked = {"on": "", "pki": pki.rstrip("/"), "ca": "ca.pem", "hosts": hosts}
    return _aligned(SAMPLE.format(id=gateway_id, own="", crls="# crls = []", **asked))


def _aligned(sample: str) -> str:
    """The same text with the comments behind settings in one column, whatever was filled in."""
    return _COMMENTED.sub(lambda line: f"{line[1]:<34} {line[2]}", sample)


@main.command()
@click.option("--charger", "charger_id", required=True, help="the station's identity")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="add the station to this gateway.toml")
@click.option("--password-file", type=click.Path(path_type=Path, dir_okay=False), help="write the password there, 0600")
def password(charger_id: str, config: Path | None, password_file: Path | None) -> None:
    """Make a password for a charging station: it is shown once, the configuration keeps only its hash."""
    if not is_charger_id(charger_id):
        _fail(f"--charger {charger_id!r}: at most 48 of A-Z a-z 0-9 * _ = + | @ . - and space")
    if config is not None and charger_id.casefold() in _settings(config).entrance.accounts:
        _fail(f"{config} has the station {charger_id!r} already; remove its table to give it a new password")
    text = secrets.token_hex(20)
    hashed = PasswordHash.of(text.encode(), secrets.token_bytes(16))
    table = f'[[charger]]\nid = "{charger_id}"\npassword_hash = "{hashed}"\n'
    try:
        if password_file is not None:
            _write_secret(password_file, text)
        if config is not None:
            with config.open("a", encoding="utf-8") as file:
                file.write(f"\n{table}")
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}")
    where = f"written to {password_file}" if password_file is not None else f"(shown once):\n  {text}"
    click.echo(f"password for the station {where}")
    click.echo(f"station added to {config}" if config is not None else f"\nfor gateway.toml:\n{table}")


@main.command()
@_config
def run(config: Path) -> None:
    """Serve the site until SIGTERM; one JSON object per line on standard output, the event `ready` when all listens."""
    from gateway.site import Gateway

    settings = _settings(config)

    async def serve() -> None:
        gateway = Gateway(settings)
        try:
            await gateway.run()
        finally:
            await gateway.close()

    try:
        asyncio.run(serve())
    except GatewayError as error:
        _fail(str(error))


@main.command()
@_config
@click.option("--code-file", type=click.Path(path_type=Path, dir_okay=False), help="holds the one-time code")
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def enrol(config: Path, code_file: Path | None, as_json: bool) -> None:
    """Get this gateway's certificate with a one-time code: from --code-file, or asked for on standard input.

    The key is made here and never leaves this box. A gateway that runs takes the new certificate up within a minute;
    from then on it renews it by itself.
    """
    from gateway.enrol.command import enrol_now, read_code

    settings = _settings(config)
    try:
        found = enrol_now(settings, read_code(code_file))
    except GatewayError as error:
        _fail(f"{error.code}: {error}")
    if as_json:
        click.echo(encode(found))
        return
    click.echo(f"enrolled {found.gateway_id} at {found.pki}")
    click.echo(f"certificate {found.serial}, valid until {found.not_after:%Y-%m-%d %H:%M} UTC")
    click.echo(f"key and chain: {found.path}")


@main.command()
@_config
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def status(config: Path, as_json: bool) -> None:
    """Show what the store holds and what waits for the hub, the gateway running or stopped; exit 1 if it has halted."""
    from gateway.status import read_status

    try:
        found = read_status(_settings(config), Clock("").now().at)
    except StoreError as error:
        _fail(str(error))
    click.echo(encode(found) if as_json else "\n".join(_status_lines(found)))
    if found.halted is not None:
        sys.exit(EXIT_DEGRADED)


def _status_lines(found: Status) -> list[str]:
    waiting = f", oldest from {found.oldest_unsent_at:%Y-%m-%d %H:%M:%S} UTC" if found.oldest_unsent_at else ""
    lines = [
        f"gateway      {found.gateway_id} (epoch {found.epoch})",
        f"records      {found.records}, acknowledged by the hub up to {found.acked_seq}",
        f"to send      {found.backlog}{waiting}",
        f"sessions     {found.sessions}, {found.open_sessions} of them open",
        f"chargers     {found.chargers} known",
        f"whitelist    version {found.whitelist_version}, {found.whitelist_tokens} entries",
        f"quarantine   {len(found.quarantined)}",
    ]
    lines += [f"  record {item.seq} of {item.charger_id!r}: {item.reason}" for item in found.quarantined]
    lines += _quirk_lines(found)
    lines += _paper_lines(found)
    if found.halted is not None:
        lines.append(f"UPLINK HALTED: {found.halted}\n  what to do: docs/operations.md, A halted uplink")
    return lines


def _quirk_lines(found: Status) -> list[str]:
    """What chargers do beyond their schemas: nothing to repair here, but something to tell their makers."""
    if not found.quirks:
        return []
    lines = [f"quirks       {sum(each.count for each in found.quirks)} tolerated (docs/quirks.md)"]
    return lines + [
        f"  {each.charger_id!r}: {each.quirk} {each.count} times, last at {each.example}" for each in found.quirks
    ]


def _paper_lines(found: Status) -> list[str]:
    """The own certificate, and how the fetching of lists and answers goes."""
    lines = []
    own = found.certificate
    if own is not None:
        days = f"{own.days_left:.1f} of {own.life_days:.1f} days left"
        lines.append(f"certificate  valid until {own.not_after:%Y-%m-%d %H:%M} UTC, {days}")
        lines.append(f"             next one from {own.renew_from:%Y-%m-%d %H:%M} UTC on")
    good = [source for source in found.sources if source.code is None]
    if found.sources:
        lines.append(f"sources      {len(good)} of {len(found.sources)} fetched and verified")
    by_code: dict[str, list[Source]] = {}
    for source in found.sources:
        if source.code is not None:
            by_code.setdefault(source.code, []).append(source)
    for code, troubled in by_code.items():
        first, more = troubled[0], len(troubled) - 1
        since = f", last good {first.good_at:%Y-%m-%d %H:%M} UTC" if first.good_at else ""
        lines.append(f"  TROUBLE {first.name}{f' and {more} more' if more else ''}{since}\n    {code}: {first.message}")
    return lines


@main.command()
@_config
def export(config: Path) -> None:
    """Print the chain of records as JSON lines: first whose chain it is, then every record, byte for byte."""
    from gateway.store.ledger import all_records, identity, open_ledger_reader

    try:
        ledger = open_ledger_reader(_settings(config).ledger_path)
    except StoreError as error:
        _fail(str(error))
    owner = identity(ledger)
    click.echo(encode({"gateway_id": owner.gateway_id, "epoch": owner.epoch}))
    try:
        for record in all_records(ledger):
            click.echo(encode(record))
    except StoreError as error:
        _fail(str(error))
    finally:
        ledger.close()


def _write_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner can read; an existing one is never overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _settings(config: Path) -> Settings:
    try:
        return load_settings(config)
    except GatewayError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    """End with one clear line and exit code 2."""
    click.echo(f"pnc-gateway: {message}", err=True)
    sys.exit(EXIT_REFUSED)


main.add_command(chargers)
main.add_command(charger)
main.add_command(command)

if __name__ == "__main__":
    main()
