"""`pnc-gateway command`, for the upkeep of a station: firmware, logs, certificates, texts, tariffs, data."""

from __future__ import annotations

import base64
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click
import msgspec

from gateway.control.names import parse_instant
from gateway.control.orders import command as command
from gateway.control.running import order, running, this_instant
from wire import commands
from wire.commands import CertificateHash, CertificateUse, CommandToken, LogKind, TariffTerms
from wire.records import TokenType

_charger = click.argument("charger")
_uses = [use.value for use in CertificateUse]
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
            signing_certificate=certificate.read_text("ascii") if certificate else None,
            signature=_base64(signature.read_bytes()) if signature else None,
            retries=retries,
        ),
    )


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
@click.option("--use", "uses", type=click.Choice(_uses), multiple=True, help="may be given several times")
@running
def list_certificates(charger: str, uses: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Ask which certificates are installed."""
    order(
        config,
        as_json,
        lambda: commands.ListCertificates(charger_id=charger, uses=tuple(CertificateUse(use) for use in uses)),
    )


@certificates.command()
@_charger
@click.argument("use", type=click.Choice(_uses))
@click.argument("file", type=_file)
@running
def install(charger: str, use: str, file: Path, config: Path, as_json: bool) -> None:
    """Have a station trust the root in FILE (PEM)."""
    order(
        config,
        as_json,
        lambda: commands.InstallCertificate(
            charger_id=charger, use=CertificateUse(use), certificate=file.read_text("ascii")
        ),
    )


@certificates.command()
@_charger
@click.argument("algorithm", type=click.Choice(["SHA256", "SHA384", "SHA512"]))
@click.argument("issuer_name_hash")
@click.argument("issuer_key_hash")
@click.argument("serial_number")
@click.option("--use", type=click.Choice(_uses), default="CSMSRootCertificate", help="for the dialect of OCPP 1.6")
@running
def delete(
    charger: str,
    algorithm: str,
    issuer_name_hash: str,
    issuer_key_hash: str,
    serial_number: str,
    use: str,
    config: Path,
    as_json: bool,
) -> None:
    """Have a station forget a certificate, named as `list` shows it."""
    named = CertificateHash(
        hash_algorithm=algorithm,
        issuer_name_hash=issuer_name_hash,
        issuer_key_hash=issuer_key_hash,
        serial_number=serial_number,
    )
    order(
        config,
        as_json,
        lambda: commands.DeleteCertificate(charger_id=charger, certificate=named, use=CertificateUse(use)),
    )


@command.group()
def message() -> None:
    """Show, list, clear display texts (2.x)."""


@message.command(name="show")
@_charger
@click.argument("number", type=click.IntRange(0))
@click.argument("text")
@click.option("--language", help="as in de, en")
@click.option("--state", help="only in this state: Charging, Idle, Faulted, Unavailable")
@click.option("--until", help="instant")
@running
def show_message(
    charger: str,
    number: int,
    text: str,
    language: str | None,
    state: str | None,
    until: str | None,
    config: Path,
    as_json: bool,
) -> None:
    """Show TEXT as message NUMBER."""
    order(
        config,
        as_json,
        lambda: commands.ShowMessage(
            charger_id=charger,
            message_id=number,
            text=text,
            language=language,
            state=state,
            end_at=parse_instant(until) if until else None,
        ),
    )


@message.command(name="list")
@_charger
@running
def list_messages(charger: str, config: Path, as_json: bool) -> None:
    """Have the station report its messages (NotifyDisplayMessages)."""
    order(config, as_json, lambda: commands.ListMessages(charger_id=charger))


@message.command(name="clear")
@_charger
@click.argument("number", type=click.IntRange(0))
@running
def clear_message(charger: str, number: int, config: Path, as_json: bool) -> None:
    """Take message NUMBER off the display."""
    order(config, as_json, lambda: commands.ClearMessage(charger_id=charger, message_id=number))


@command.command()
@_charger
@click.argument("transaction")
@click.argument("total")
@running
def cost(charger: str, transaction: str, total: str, config: Path, as_json: bool) -> None:
    """Tell a station a transaction's cost so far."""
    order(
        config,
        as_json,
        lambda: commands.ShowCost(charger_id=charger, transaction_id=transaction, total_cost=_money(total)),
    )


def _money(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no amount") from None


@command.group()
def tariff() -> None:
    """Set, read, clear tariffs (2.1)."""


@tariff.command(name="set")
@_charger
@click.option("--id", "tariff_id", required=True)
@click.option("--currency", default="EUR", show_default=True)
@click.option("--per-kwh")
@click.option("--per-minute")
@click.option("--fee")
@click.option("--evse", type=click.IntRange(0), default=0, show_default=True, help="0: all of them")
@click.option("--transaction", help="change the tariff of a running transaction instead")
@running
def set_tariff(
    charger: str,
    tariff_id: str,
    currency: str,
    per_kwh: str | None,
    per_minute: str | None,
    fee: str | None,
    evse: int,
    transaction: str | None,
    config: Path,
    as_json: bool,
) -> None:
    """The tariff from now on, before taxes."""
    order(
        config,
        as_json,
        lambda: commands.SetTariff(
            charger_id=charger,
            evse_id=evse,
            transaction_id=transaction,
            tariff=TariffTerms(
                tariff_id=tariff_id,
                currency=currency,
                per_kwh=None if per_kwh is None else _money(per_kwh),
                per_minute=None if per_minute is None else _money(per_minute),
                fee=None if fee is None else _money(fee),
            ),
        ),
    )


@tariff.command(name="get")
@_charger
@click.option("--evse", type=click.IntRange(0), default=0, show_default=True)
@running
def get_tariffs(charger: str, evse: int, config: Path, as_json: bool) -> None:
    """Ask which tariffs the station holds."""
    order(config, as_json, lambda: commands.GetTariffs(charger_id=charger, evse_id=evse))


@tariff.command(name="clear")
@_charger
@click.argument("tariff_ids", nargs=-1)
@running
def clear_tariffs(charger: str, tariff_ids: tuple[str, ...], config: Path, as_json: bool) -> None:
    """Have the station forget tariffs: those named, or all."""
    order(config, as_json, lambda: commands.ClearTariffs(charger_id=charger, tariff_ids=tariff_ids))


@command.command(name="web-payment")
@_charger
@click.argument("evse", type=click.IntRange(1))
@click.option("--timeout", type=click.IntRange(1), default=300, show_default=True, help="seconds")
@running
def web_payment(charger: str, evse: int, timeout: int, config: Path, as_json: bool) -> None:
    """Tell a station of a QR payment (2.1).

    Somebody pays for EVSE just now.
    """
    order(
        config,
        as_json,
        lambda: commands.WebPaymentStarted(charger_id=charger, evse_id=evse, timeout_s=timeout),
    )
