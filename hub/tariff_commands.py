"""`pnc-hub tariffs`: what is billed where, and what a session would cost, line by line, and why."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click
import msgspec

from hub.config import HubConfig, load_config
from hub.config_tariffs import load_tariff
from hub.errors import ConfigError
from hub.options import config_option, fail, json_option, or_exit
from hub.quotes import tariff_text
from hub.store.connection import FILE_NAME, open_reader
from hub.store.tariffs import snapshots_kept
from hub.tariff_screens import KnownTariff, known_tariffs, print_priced, print_tariff, print_tariffs
from hub.zones import zone_named
from pki.service.screen import screen
from wire.errors import PricingError
from wire.ocpi.pricing import Priced, price_session
from wire.ocpi.pricing_amounts import EXACTLY, Rounding, after_taxes
from wire.ocpi.pricing_timeline import Segment, Timeline, Use
from wire.records import Value, encode
from wire.settling.tariffs import TariffSnapshot, short_form


class PriceAnswer(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What `tariffs price --json` prints: the price as the hub computes it, numbers as JSON numbers."""

    tariff_id: str
    tariff_hash: str
    currency: str
    before_taxes: Decimal
    after_taxes: Decimal
    priced: Priced


@click.group()
def tariffs() -> None:
    """What a session costs, and why."""


@tariffs.command(name="list")
@config_option
@json_option
def list_(config_path: Path, as_json: bool) -> None:
    """The tariffs of hub.toml, and those of earlier sessions.

    In the order in which they are asked; then those that sessions were pinned to.
    """
    known = or_exit(lambda: _known(load_config(config_path)))
    if as_json:
        click.echo(encode([_told(one) for one in known]).decode())
    else:
        print_tariffs(screen(), known)


@tariffs.command()
@config_option
@click.argument("name")
@json_option
def show(config_path: Path, name: str, as_json: bool) -> None:
    """One tariff, in words, by its id or its hash.

    The first characters of the hash will do. With --json as OCPI has it.
    """
    snapshot = or_exit(lambda: _named(load_config(config_path), name))
    if as_json:
        click.echo(encode(snapshot.tariff).decode())
    else:
        print_tariff(screen(), snapshot)


@tariffs.command()
@config_option
@click.option("--file", "file", type=click.Path(path_type=Path), help="A tariff as OCPI's JSON, instead of hub.toml.")
@click.option("--tariff", "name", help="A tariff of hub.toml, by id or hash; without it [price].")
@click.option("--time-zone", help="Where local times are meant, such as Europe/Berlin.")
@click.option("--start", required=True, help="When charging begins: 2026-06-15T09:30, local, or with an offset.")
@click.option("--end", help="When it ends, parking included.")
@click.option("--minutes", type=click.IntRange(0, 527_040), help="Or how long it takes, parking included.")
@click.option("--energy", required=True, help="kWh, spread evenly over the time of charging.")
@click.option("--parking", type=click.IntRange(0, 527_040), default=0, help="Minutes at the end without charging.")
@click.option("--reserved", type=click.IntRange(0, 527_040), default=0, help="Minutes of reservation before it.")
@click.option("--expired", is_flag=True, help="The reservation expired: nobody came.")
@click.option("--current", help="A, all phases together, while charging.")
@click.option("--places", type=click.IntRange(0, 12), help="Round every line to so many decimal places, half up.")
@json_option
def price(file: Path | None, name: str | None, time_zone: str | None, as_json: bool, **given: object) -> None:
    """What a session would cost, line by line.

    With what steps and limits do to it. Nothing is stored, and no hub has to run.
    """
    config_path = given.pop("config_path")
    wish = _wish(given)
    snapshot = or_exit(lambda: _chosen(Path(str(config_path)), file, name, time_zone))
    try:
        priced = price_session(snapshot.tariff, wish.timeline(snapshot), zone_of(snapshot), wish.rounding)
    except PricingError as error:
        fail(f"{error} ({error.code})")
    except OverflowError:
        fail("the session lies at the end of the calendar")
    if as_json:
        answer = PriceAnswer(
            tariff_id=snapshot.tariff.id,
            tariff_hash=snapshot.hash,
            currency=priced.currency,
            before_taxes=priced.total.before_taxes,
            after_taxes=after_taxes(priced.total),
            priced=priced,
        )
        click.echo(encode(answer).decode())
    else:
        print_priced(screen(), snapshot, priced)


# --- what is asked ---------------------------------------------------------------------------------------------------


class _Asked(msgspec.Struct, kw_only=True):
    """The options of `price` that say what the session is."""

    start: str
    energy: str
    end: str | None = None
    minutes: int | None = None
    parking: int = 0
    reserved: int = 0
    expired: bool = False
    current: str | None = None
    places: int | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    """A session that somebody wants the price of; `start` and `end` may be local."""

    start: datetime
    end: datetime | None
    asked: _Asked
    energy_wh: Decimal
    current_a: Decimal | None

    @property
    def rounding(self) -> Rounding:
        """As the options say."""
        return EXACTLY if self.asked.places is None else Rounding(places=self.asked.places)

    def timeline(self, snapshot: TariffSnapshot) -> Timeline:
        """Reservation, charging, parking."""

        def placed(at: datetime) -> datetime:
            return (at.replace(tzinfo=zone_of(snapshot)) if at.tzinfo is None else at).astimezone(UTC)

        begin, asked = placed(self.start), self.asked
        reserved_from = begin - timedelta(minutes=asked.reserved)
        kept = Use.EXPIRED if asked.expired else Use.RESERVED
        before = [Segment(begin=reserved_from, end=begin, use=kept)] if asked.reserved else []
        if asked.expired:
            return Timeline(segments=tuple(before))
        end = begin + timedelta(minutes=asked.minutes or 0) if self.end is None else placed(self.end)
        parked = end - timedelta(minutes=asked.parking)
        charging = Segment(begin=begin, end=parked, energy_wh=self.energy_wh, current_a=self.current_a)
        after = [Segment(begin=parked, end=end, use=Use.PARKING)] if asked.parking else []
        return Timeline(segments=(*before, charging, *after))


def zone_of(snapshot: TariffSnapshot) -> tzinfo:
    """The time zone of a tariff; hub.toml and --zone let no name pass that is not known."""
    return zone_named(snapshot.time_zone) or UTC


def _wish(given: dict[str, object]) -> _Wish:
    asked = msgspec.convert(given, _Asked)
    if (asked.end is None) == (asked.minutes is None) and not asked.expired:
        fail("say either --end or --minutes")
    return _Wish(
        start=_instant("--start", asked.start),
        end=None if asked.end is None else _instant("--end", asked.end),
        asked=asked,
        energy_wh=_number("--energy", asked.energy) * 1000,
        current_a=None if asked.current is None else _number("--current", asked.current),
    )


def _instant(option: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        fail(f"{option}: {text!a} is no time like 2026-06-15T09:30 or 2026-06-15T07:30:00Z")


def _number(option: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        fail(f"{option}: {text!a} is no number")
    if not number.is_finite() or abs(number.adjusted()) > 12:
        fail(f"{option}: {text!a} is out of all proportion")
    return number


# --- which tariff ----------------------------------------------------------------------------------------------------


def _chosen(config_path: Path, file: Path | None, name: str | None, time_zone: str | None) -> TariffSnapshot:
    if time_zone is not None and zone_named(time_zone) is None:
        raise ConfigError(f"--time-zone: no time zone {time_zone!r} is known")
    if file is not None:
        snapshot = TariffSnapshot(tariff=load_tariff(file, ConfigError))
    else:
        config = load_config(config_path)
        snapshot = short_form(config.terms.price) if name is None else _named(config, name)
    return snapshot if time_zone is None else TariffSnapshot(tariff=snapshot.tariff, time_zone=time_zone)


def _known(config: HubConfig) -> list[KnownTariff]:
    """Those of the configuration, then those that are only kept."""
    path = config.state_dir / FILE_NAME
    if not path.is_file():
        return known_tariffs(config.terms, ())
    with closing(open_reader(path)) as connection:
        return known_tariffs(config.terms, snapshots_kept(connection))


def _named(config: HubConfig, name: str) -> TariffSnapshot:
    known = [one.snapshot for one in _known(config)]
    found = [one for one in known if one.tariff.id == name] or [one for one in known if one.hash.startswith(name)]
    if not found:
        ids = ", ".join(dict.fromkeys(one.tariff.id for one in known))
        raise ConfigError(f"no tariff {name!r} is known here; there are: {ids}")
    return found[0]


def _told(one: KnownTariff) -> dict[str, object]:
    return {
        "id": one.snapshot.tariff.id,
        "hash": one.snapshot.hash,
        "where": one.where,
        "time_zone": one.snapshot.time_zone,
        "currency": one.snapshot.tariff.currency,
        "text": tariff_text(one.snapshot),
        "first_pinned_at": one.pinned_at,
        "earlier": one.earlier,
    }
