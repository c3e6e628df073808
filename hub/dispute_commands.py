"""`pnc-hub disputes`: about CDRs that a side thinks are wrong."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlencode

import click
from rich.text import Text

from hub.asking import asked, asking, read
from hub.clock import utc
from hub.disputes import Act, DisputeState
from hub.options import fail
from hub.reconcile_commands import credit_wish, credit_words
from hub.web.disputes import ActWish, DisputeList, DisputeView, OpenWish
from hub.web.reconciliation import Credited
from pki.service.screen import listing, print_hanging, print_listing, screen
from wire.records import encode

_PATH = "/api/v1/disputes"
_ANSWERS = (Act.ACCEPT, Act.REJECT, Act.WITHDRAW, Act.SAY)
_party = click.option("--party", required=True, help="For whom it is done: DE*ABC.")


@click.group()
def disputes() -> None:
    """Dispute a CDR, answer, attach evidence, and end it by a credit. The hub must be running.

    \b
        pnc-hub disputes open 'DE*ABC' CDR-1 \\
            --party 'NL*XYZ' --reason tariff-price
        pnc-hub disputes answer D-1f2e accept --party 'DE*ABC'
        pnc-hub disputes credit D-1f2e --corrected cdr.json
    """


@disputes.command(name="open")
@click.argument("seller")
@click.argument("cdr")
@_party
@click.option("--reason", required=True, help="A code of `pnc-hub reconcile rules`, or `other`.")
@click.option("--text", default="", help="In words.")
@asking
def open_(
    seller: str, cdr: str, party: str, reason: str, text: str, config_path: Path, token_file: Path, as_json: bool
) -> None:
    """Open a dispute about the CDR of SELLER.

    The CDR is not settled before the dispute ends.
    """
    wish = encode(OpenWish(seller=seller, cdr=cdr, party=party, reason=reason, text=text))
    _show(asked(config_path, token_file, "POST", _PATH, wish), as_json)


@disputes.command(name="list")
@click.option("--state", type=click.Choice([one.value for one in DisputeState]))
@click.option("--cdr", help="Only about this CDR.")
@asking
def list_(state: str | None, cdr: str | None, config_path: Path, token_file: Path, as_json: bool) -> None:
    """List disputes, oldest first."""
    query = {name: value for name, value in (("state", state), ("cdr", cdr)) if value is not None}
    body = asked(config_path, token_file, "GET", f"{_PATH}?{urlencode(query)}")
    if as_json:
        click.echo(body)
        return
    table = listing("ID", "CDR", "SELLER", "BUYER", "REASON", "STATE", "DUE")
    for view in read(DisputeList, body).disputes:
        one = view.dispute
        due = "-" if one.due is None else utc(one.due) + (" (missed)" if view.overdue else "")
        cells = (one.id, one.cdr, one.seller, one.buyer, one.reason, one.state.value, due)
        table.add_row(*(Text(cell) for cell in cells))
    print_listing(screen(), table)


@disputes.command()
@click.argument("id_", metavar="ID")
@asking
def show(id_: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Show a dispute and everything that was done in it."""
    _show(asked(config_path, token_file, "GET", _of(id_)), as_json)


@disputes.command()
@click.argument("id_", metavar="ID")
@click.argument("act", type=click.Choice([one.value for one in _ANSWERS]))
@_party
@click.option("--text", default="", help="In words; needed to reject, and to say something.")
@asking
def answer(id_: str, act: str, party: str, text: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Accept or reject a dispute, withdraw one's own, or say more."""
    wish = encode(ActWish(act=Act(act), party=party, text=text))
    _show(asked(config_path, token_file, "POST", _of(id_, "/acts"), wish), as_json)


@disputes.command()
@click.argument("id_", metavar="ID")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_party
@asking
def attach(id_: str, file: Path, party: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Attach the evidence FILE of the session (`pnc-hub evidence`). Its hash is kept, not the file."""
    try:
        data = file.read_bytes()
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    query = urlencode({"party": party, "name": file.name})
    _show(asked(config_path, token_file, "POST", f"{_of(id_, '/evidence')}?{query}", data), as_json)


@disputes.command()
@click.argument("id_", metavar="ID")
@click.option("--corrected", type=click.Path(path_type=Path, dir_okay=False), help="The right CDR, as OCPI's JSON.")
@asking
def credit(id_: str, corrected: Path | None, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Credit the CDR of a dispute, if it is ours.

    The right one may be sent with it; the dispute ends.
    """
    body = asked(config_path, token_file, "POST", _of(id_, "/credit"), credit_wish(corrected))
    click.echo(body if as_json else credit_words(read(Credited, body)))


def _of(id_: str, below: str = "") -> str:
    return f"{_PATH}/{quote(id_, safe='')}{below}"


def _show(body: bytes, as_json: bool) -> None:
    if as_json:
        click.echo(body)
        return
    console, view = screen(), read(DisputeView, body)
    one = view.dispute
    console.print(Text(f"Dispute {one.id}: {one.state.value}", style="bold"))
    console.print(Text(f"CDR {one.cdr} of {one.seller} for {one.buyer}, session {one.session or 'not told'}"))
    console.print(Text(f"opened by {one.opener} for {one.reason}"))
    if one.due is not None:
        what = "answer" if one.state is DisputeState.OPENED else "credit"
        console.print(Text(f"{what} due {utc(one.due)}" + (", missed" if view.overdue else "")))
    for act in one.acts:
        told = [act.text, f"credit CDR {act.credit}" if act.credit else ""]
        if act.evidence is not None:
            told.append(f"{act.evidence.name}, SHA-256 {act.evidence.sha256}")
        head = Text(f"{utc(act.at)}  {act.act.value:9} ")
        print_hanging(console, head, "; ".join([f"{act.party} ({act.by_whom})", *filter(None, told)]))
