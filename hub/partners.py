"""`pnc-hub partners`: platforms that speak OCPI with this one. All commands ask the running hub."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from hub.asking import HubAPI, asked, asking, read
from hub.clock import utc
from hub.config import load_config
from hub.errors import HubError
from hub.options import fail, unreadable
from hub.roaming.crawl import PULLED
from hub.web.partners import AddedPartner, PartnerList, PartnerView, PartnerWish, QuirksWish
from hub.web.remote import PullView, PullWish
from pki.service.screen import listing, screen
from wire.ocpi.types import Module
from wire.records import Value, encode

_PATH = "/api/v1/partners"


class _Left(Value, frozen=True, kw_only=True):
    left: bool
    reason: str = ""


@click.group()
def partners() -> None:
    """Look after roaming partners.

    The hub must be running, with [roaming] in its configuration.

    \b
    A partner that registers with us, by the token that is printed:
        pnc-hub partners add example-emsp --host ocpi.example.com
    One that gave us its versions URL and a token:
        pnc-hub partners add example-hub \\
            --url https://hub.example.com/ocpi/versions --partner-token token-a
        pnc-hub partners register example-hub
    """


@partners.command()
@click.argument("id_", metavar="ID")
@click.option("--name", help="How people call it; its ID where left out.")
@click.option("--url", help="The URL of its versions.")
@click.option(
    "--partner-token",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file with the token that the partner gave us.",
)
@click.option("--host", "hosts", multiple=True, help="A host, or HOST:PORT, that it may be called at.")
@click.option("--quirks", default="", help="What it does otherwise than OCPI says, comma-separated.")
@asking
def add(
    id_: str,
    name: str | None,
    url: str | None,
    partner_token: Path | None,
    hosts: tuple[str, ...],
    quirks: str,
    config_path: Path,
    token_file: Path,
    as_json: bool,
) -> None:
    """Add a partner; prints the token for its registration, once."""
    try:
        given = None if partner_token is None else partner_token.read_text("ascii").strip()
    except (OSError, UnicodeError) as error:
        fail(f"--partner-token {partner_token}: {unreadable(error)}")
    wish = PartnerWish(id=id_, name=name, url=url, token=given, hosts=hosts, quirks=quirks)
    body = asked(config_path, token_file, "POST", _PATH, encode(wish))
    _show_added(body, as_json)


@partners.command()
@click.argument("id_", metavar="ID")
@asking
def invite(id_: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Issue a new token for a partner's registration.

    The one before it ends.
    """
    _show_added(asked(config_path, token_file, "POST", _of(id_, "/token"), b"{}"), as_json, done="may register anew")


@partners.command(name="list")
@asking
def list_partners(config_path: Path, token_file: Path, as_json: bool) -> None:
    """List the partners."""
    body = asked(config_path, token_file, "GET", _PATH)
    if as_json:
        click.echo(body)
        return
    table = listing("ID", "NAME", "VERSION", "STATUS", "PARTIES", "LAST SEEN")
    for one in read(PartnerList, body).partners:
        seen = "never" if one.last_seen is None else utc(one.last_seen)
        table.add_row(one.id, one.name, one.version or "-", one.status, _parties(one), seen)
    screen().print(table)


@partners.command()
@click.argument("id_", metavar="ID")
@asking
def show(id_: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Show a partner: its parties, its endpoints, its quirks."""
    _show(asked(config_path, token_file, "GET", _of(id_)), as_json)


@partners.command()
@click.argument("id_", metavar="ID")
@asking
def register(id_: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Register with a partner that gave us its versions URL and a token."""
    _show(asked(config_path, token_file, "POST", _of(id_, "/register"), b"{}"), as_json)


@partners.command()
@click.argument("id_", metavar="ID")
@asking
def rotate(id_: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Renew the tokens on both sides.

    The partner's endpoints are read anew.
    """
    _show(asked(config_path, token_file, "POST", _of(id_, "/rotate"), b"{}"), as_json)


@partners.command()
@click.argument("id_", metavar="ID")
@click.argument("names", metavar="QUIRKS", default="")
@asking
def quirks(id_: str, names: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Set a partner's QUIRKS, comma-separated; none takes them all away."""
    body = asked(config_path, token_file, "PUT", _of(id_, "/quirks"), encode(QuirksWish(quirks=names)))
    _show(body, as_json)


@partners.command()
@click.argument("id_", metavar="ID")
@click.option("--module", required=True, type=click.Choice([one.value for one in PULLED]), help="What is pulled.")
@click.option("--full", is_flag=True, help="All of it, not only what changed since the last time.")
@asking
def pull(id_: str, module: str, full: bool, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Pull from a partner what it owns, page by page.

    Ends with 2 when not everything came.
    """
    wish = encode(PullWish(module=Module(module), full=full))
    told: PullView | None = None
    try:
        api = HubAPI(load_config(config_path), token_file.read_text("ascii").strip())
        for line in api.ask_lines("POST", _of(id_, "/pull"), wish):
            told = read(PullView, line)
            click.echo(line.decode() if as_json else _pulled(told), nl=not as_json)
    except (OSError, UnicodeError) as error:
        fail(f"--token-file {token_file}: {unreadable(error)}")
    except HubError as error:
        fail(str(error))
    if told is None or not told.done:
        fail(f"partner {id_}: the hub ended before all of {module} was pulled")
    if told.failed is not None or told.bad:
        for why in () if as_json else told.skipped:
            click.echo(f"skipped  {why}", err=True)
        fail(f"partner {id_}: not everything of {module} came: {told.failed or f'{told.bad} objects were skipped'}")


def _pulled(told: PullView) -> str:
    of = "" if told.total is None else f" of {told.total}"
    counts = f"{told.new} new, {told.changed} changed, {told.invalidated} no longer valid, {told.bad} skipped"
    where = f"page {told.pages}"
    if told.done:
        where = f"{'ended early' if told.failed is not None else 'done'}, pages {told.pages}"
    return f"{where}: {told.objects}{of} objects, {counts}"


@partners.command()
@click.argument("id_", metavar="ID")
@asking
def remove(id_: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """End the registration on both sides and forget the partner.

    Its objects stay.
    """
    body = asked(config_path, token_file, "DELETE", _of(id_))
    if as_json:
        click.echo(body)
        return
    left = read(_Left, body)
    click.echo(f"partner {id_} removed" if left.left else f"partner {id_} removed here; it was not told: {left.reason}")


def _of(id_: str, below: str = "") -> str:
    return f"{_PATH}/{quote(id_, safe='')}{below}"


def _show_added(body: bytes, as_json: bool, done: str = "added") -> None:
    if as_json:
        click.echo(body)
        return
    added = read(AddedPartner, body)
    click.echo(f"partner {added.partner.id} {done}")
    if added.token is None:
        click.echo(f"next: pnc-hub partners register {added.partner.id}")
        return
    click.echo(f"versions  {added.versions_url}")
    click.echo(f"token     {added.token}  (shown once; hand it over on a safe way)")


def _show(body: bytes, as_json: bool) -> None:
    if as_json:
        click.echo(body)
        return
    one = read(PartnerView, body)
    click.echo(f"partner     {one.id}  {one.name}")
    click.echo(f"status      {one.status}  {'OCPI ' + one.version if one.version else 'not registered'}")
    if one.url is not None:
        click.echo(f"versions    {one.url}")
    click.echo(f"hosts       {', '.join(one.hosts)}")
    if one.hub_party is not None:
        click.echo(f"hub         {one.hub_party}")
    for role in one.roles:
        click.echo(f"party       {role.party}  {role.role}  {role.business_details.name}")
    for endpoint in one.endpoints:
        click.echo(f"endpoint    {endpoint.identifier:16} {endpoint.role.value:9} {endpoint.url}")
    if one.quirks:
        click.echo(f"quirks      {', '.join(one.quirks)}")


def _parties(one: PartnerView) -> str:
    return ", ".join(f"{role.party} {role.role}" for role in one.roles) or "-"
