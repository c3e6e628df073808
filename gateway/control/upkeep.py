"""`pnc-gateway command`, for the upkeep of a station: firmware, logs, certificates, data."""

from __future__ import annotations

import base64
from pathlib import Path

import click
import msgspec

from gateway.control.answers import ListedCertificate, listed_certificates
from gateway.control.names import parse_instant
from gateway.control.orders import command as command
from gateway.control.running import fail, give, order, running, show, this_instant
from gateway.wording import counted
from wire import commands
from wire.commands import CertificateHash, CertificateUse, CommandReport, CommandToken, LogKind, ResultCode
from wire.records import TokenType, decode

_charger = click.argument("charger")
_uses = [use.value for use in CertificateUse]
_HASH = ("hash_algorithm", "issuer_name_hash", "issuer_key_hash", "serial_number")
_file = click.Path(path_type=Path, dir_okay=False, exists=True)


@command.command()
@_charger
@click.argument("location")
@click.option("--at", "retrieve_at", help="instant of the download; now when left out")
@click.option("--install-at", help="instant of the installation")
@click.option("--certificate", type=_file, help="PEM of the signing certificate")
@click.option("--signature", type=_file, help="the signature, as it is (DER) or in base64")
@click.option("--retries", type=click.IntRange(0))
@running
def firmware(
    charger: str,
    location: str,
    retrieve_at: str | None,
    install_at: str | None,
    certificate: Path | None,
    signature: Path | None,
    retries: int | None,
    config: Path,
    as_json: bool,
) -> None:
    """Have a station install firmware.

    It fetches it from LOCATION; signed with --certificate and --signature.
    """
    order(
        config,
        as_json,
        lambda: commands.UpdateFirmware(
            charger_id=charger,
            location=location,
            retrieve_at=parse_instant(retrieve_at) if retrieve_at else this_instant(),
            install_at=parse_instant(install_at) if install_at else None,
            signing_certificate=_pem(certificate) if certificate else None,
            signature=_base64(signature.read_bytes()) if signature else None,
            retries=retries,
        ),
    )


def _pem(path: Path) -> str:
    """The text of a PEM file. Raises ValueError, OSError."""
    try:
        return path.read_text("ascii")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no certificate in PEM") from None


def _base64(data: bytes) -> str:
    """The signature in base64, which it may be already."""
    try:
        text = b"".join(data.split())
        base64.b64decode(text, validate=True)
        return text.decode("ascii")
    except ValueError:
        return base64.b64encode(data).decode()


@command.command()
@_charger
@click.argument("location")
@click.option("--security", is_flag=True, help="the security log, not the diagnostics")
@click.option("--from", "oldest", help="instant")
@click.option("--to", "latest", help="instant")
@running
def log(
    charger: str,
    location: str,
    security: bool,
    oldest: str | None,
    latest: str | None,
    config: Path,
    as_json: bool,
) -> None:
    """Have a station upload a log."""
    order(
        config,
        as_json,
        lambda: commands.GetLog(
            charger_id=charger,
            location=location,
            kind=LogKind.SECURITY if security else LogKind.DIAGNOSTICS,
            oldest=parse_instant(oldest) if oldest else None,
            latest=parse_instant(latest) if latest else None,
        ),
    )


@command.command(name="clear-cache")
@_charger
@running
def clear_cache(charger: str, config: Path, as_json: bool) -> None:
    """Have a station forget its cached tokens."""
    order(config, as_json, lambda: commands.ClearCache(charger_id=charger))


@command.command(name="transaction-status")
@_charger
@click.argument("transaction", required=False)
@running
def transaction_status(charger: str, transaction: str | None, config: Path, as_json: bool) -> None:
    """Ask whether messages are queued (2.x).

    Of the transaction that is named, or any.
    """
    order(
        config,
        as_json,
        lambda: commands.GetTransactionStatus(charger_id=charger, transaction_id=transaction),
    )


@command.command(name="network-profile")
@_charger
@click.argument("slot", type=click.IntRange(0))
@click.argument("url")
@click.option("--security-profile", type=click.IntRange(0, 3), required=True)
@click.option("--interface", default="Wired0", show_default=True)
@click.option("--message-timeout", type=click.IntRange(1), default=30, show_default=True, help="seconds")
@running
def network_profile(
    charger: str,
    slot: int,
    url: str,
    security_profile: int,
    interface: str,
    message_timeout: int,
    config: Path,
    as_json: bool,
) -> None:
    """Set a network profile (2.x).

    It counts once its SLOT is among the station's priorities.
    """
    order(
        config,
        as_json,
        lambda: commands.SetNetworkProfile(
            charger_id=charger,
            slot=slot,
            url=url,
            security_profile=security_profile,
            interface=interface,
            message_timeout_s=message_timeout,
        ),
    )


@command.command()
@_charger
@click.option("--report", is_flag=True, help="have it reported (NotifyCustomerInformation)")
@click.option("--clear", is_flag=True, help="have it erased")
@click.option("--token", metavar="UID")
@click.option("--identifier", help="as the station names the customer")
@running
def customer(
    charger: str, report: bool, clear: bool, token: str | None, identifier: str | None, config: Path, as_json: bool
) -> None:
    """Report or erase a customer's data (2.x)."""
    order(
        config,
        as_json,
        lambda: commands.CustomerInformation(
            charger_id=charger,
            report=report,
            clear=clear,
            token=CommandToken(uid=token, type=TokenType.RFID) if token else None,
            customer_identifier=identifier,
        ),
    )


@command.command(name="data-transfer")
@_charger
@click.argument("vendor_id")
@click.argument("message_id", required=False)
@click.argument("data", required=False)
@running
def data_transfer(
    charger: str, vendor_id: str, message_id: str | None, data: str | None, config: Path, as_json: bool
) -> None:
    """Send a vendor's own message.

    DATA is JSON, or else taken as text.
    """
    order(
        config,
        as_json,
        lambda: commands.DataTransfer(
            charger_id=charger,
            vendor_id=vendor_id,
            message_id=message_id,
            data=msgspec.Raw() if data is None else _json_or_text(data),
        ),
    )


def _json_or_text(data: str) -> msgspec.Raw:
    try:
        msgspec.json.decode(data)
        return msgspec.Raw(data.encode())
    except msgspec.DecodeError:
        return msgspec.Raw(msgspec.json.encode(data))


@command.group()
def certificates() -> None:
    """List, install, delete certificates."""


@certificates.command(name="list")
@_charger
@click.option("--use", "uses", type=click.Choice(_uses), metavar="TYPE", multiple=True, help="may be given again")
@running
def list_certificates(charger: str, uses: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Ask which certificates are installed.

    \b
    TYPE is one of
      V2GRootCertificate      MORootCertificate            OEMRootCertificate
      CSMSRootCertificate     ManufacturerRootCertificate  V2GCertificateChain
    """
    order(
        config,
        as_json,
        lambda: commands.ListCertificates(charger_id=charger, uses=tuple(CertificateUse(use) for use in uses)),
    )


@certificates.command()
@_charger
@click.argument("use", metavar="TYPE", type=click.Choice(_uses))
@click.argument("file", type=_file)
@running
def install(charger: str, use: str, file: Path, config: Path, as_json: bool) -> None:
    """Have a station trust the root in FILE (PEM).

    \b
    TYPE is one of
      V2GRootCertificate      MORootCertificate            OEMRootCertificate
      CSMSRootCertificate     ManufacturerRootCertificate
    """
    order(
        config,
        as_json,
        lambda: commands.InstallCertificate(charger_id=charger, use=CertificateUse(use), certificate=_pem(file)),
    )


@certificates.command()
@_charger
@click.argument("named", nargs=-1, required=True, metavar="NUMBER|HASH...")
@click.option("--use", type=click.Choice(_uses), metavar="TYPE", help="for OCPP 1.6 with four values: its type")
@running
def delete(charger: str, named: tuple[str, ...], use: str | None, config: Path, as_json: bool) -> None:
    """Have a station forget a certificate.

    By its NUMBER in `certificates list`, which is asked for again, or by the four values of its HASH: algorithm, hash
    of the issuer's name, hash of the issuer's key, serial number.

    \b
    pnc-gateway command certificates delete CP-1 2
    """
    if len(named) == 1 and named[0].isascii() and named[0].isdecimal():
        found = _numbered(charger, int(named[0]), config, as_json)
    elif len(named) == len(_HASH):
        kind = use or CertificateUse.CSMS_ROOT.value
        found = ListedCertificate(kind, CertificateHash(**dict(zip(_HASH, named, strict=True))))
    else:
        fail("name the certificate by its NUMBER in `certificates list`, or by the four values of its hash")
    order(
        config,
        as_json,
        lambda: commands.DeleteCertificate(charger_id=charger, certificate=found.named, use=CertificateUse(found.use)),
    )


def _numbered(charger: str, number: int, config: Path, as_json: bool) -> ListedCertificate:
    """The certificate of that number now; ends the process when there is none."""
    body = give(config, as_json, lambda: commands.ListCertificates(charger_id=charger))
    report = decode(CommandReport, body, "report")
    found = listed_certificates(report.answers)
    if report.result is not ResultCode.ACCEPTED:
        show(body, as_json)
    if not 1 <= number <= len(found):
        fail(f"{charger} holds {counted(len(found), 'certificate')}; there is no number {number}")
    one = found[number - 1]
    if not as_json:
        click.echo(f"number {number}: {one.use}, serial {one.named.serial_number}", err=True)
    return one
