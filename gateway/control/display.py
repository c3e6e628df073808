"""`pnc-gateway command`, for what drivers see at a station: texts, tariffs, costs, payments."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from gateway.control.names import parse_instant
from gateway.control.running import order, running
from gateway.control.upkeep import command as command
from wire import commands
from wire.commands import TariffTerms

_charger = click.argument("charger")


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
