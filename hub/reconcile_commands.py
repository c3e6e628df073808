"""`pnc-hub reconcile`: what was found on CDRs, and what is decided about them. `pnc-hub support`: whom to call."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, urlencode

import click
from rich.console import Console
from rich.text import Text

from hub.asking import asked, asking, read
from hub.clock import utc
from hub.options import fail, json_option
from hub.reconcile.findings import CODES, Finding, Severity, State
from hub.support import Contact, SupportAnswer, SupportCase
from hub.web.reconciliation import CdrCase, CdrCounts, Credited, Decision, JudgementList, Judgements
from pki.service.screen import listing, print_hanging, print_listing, screen
from wire.errors import MalformedValue
from wire.ocpi.document import encode_document, parse_document
from wire.records import encode

_PATH = "/api/v1/reconciliation"
_STYLES = {Severity.REJECT: "bold red", Severity.HOLD: "bold yellow", Severity.WARN: "yellow"}
_STATES = {State.ACCEPTED: "green", State.ON_HOLD: "bold yellow", State.REFUSED: "bold red"}
_WORDS = {"accepted": State.ACCEPTED, "on-hold": State.ON_HOLD, "refused": State.REFUSED}


@click.group()
def reconcile() -> None:
    """Check CDRs before money follows from them: ours and partners'.

    The hub must be running; it judges CDRs as they come. A CDR is named by its party and its id.

    \b
        pnc-hub reconcile list --state on-hold
        pnc-hub reconcile show 'DE*ABC' CDR-1
        pnc-hub reconcile accept 'DE*ABC' CDR-1 --why "the meter was replaced"
    """


@reconcile.command()
@asking
def status(config_path: Path, token_file: Path, as_json: bool) -> None:
    """How many CDRs are accepted, on hold, and refused."""
    body = asked(config_path, token_file, "GET", _PATH)
    if as_json:
        click.echo(body)
        return
    for state, count in read(CdrCounts, body).counts.items():
        click.echo(f"{state:12}{count}")


@reconcile.command()
@asking
def run(config_path: Path, token_file: Path, as_json: bool) -> None:
    """Judge now what nobody judged yet."""
    body = asked(config_path, token_file, "POST", f"{_PATH}/run", b"{}")
    click.echo(body if as_json else f"{read(Judgements, body).judged} CDRs judged")


@reconcile.command(name="list")
@click.option("--state", type=click.Choice(list(_WORDS)), help="Only CDRs in this state.")
@click.option("--partner", help="Only those that came from this partner.")
@click.option("--after", type=click.IntRange(0), default=0, help="Go on after this number.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@asking
def list_(
    state: str | None,
    partner: str | None,
    after: int,
    limit: int,
    config_path: Path,
    token_file: Path,
    as_json: bool,
) -> None:
    """List CDRs with what was found on them, oldest judgement first."""
    query = {"after": str(after), "limit": str(limit)}
    query |= {} if state is None else {"state": _WORDS[state].value}
    query |= {} if partner is None else {"partner": partner}
    body = asked(config_path, token_file, "GET", f"{_PATH}/cdrs?{urlencode(query)}")
    if as_json:
        click.echo(body)
        return
    found = read(JudgementList, body)
    table = listing("NUMBER", "PARTY", "CDR", "STATE", "BY", "FINDINGS")
    for one in found.judgements:
        codes = ", ".join(dict.fromkeys(finding.code for finding in one.findings)) or one.why
        state_text = Text(one.state.value, style=_STATES[one.state])
        table.add_row(str(one.number), Text(one.owner), Text(one.id), state_text, Text(one.by_whom), Text(codes))
    print_listing(screen(), table)
    if found.next is not None:
        click.echo(f"more: --after {found.next}")


@reconcile.command()
@click.argument("party")
@click.argument("cdr")
@asking
def show(party: str, cdr: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Show one CDR: where it stands, what was found and decided."""
    body = asked(config_path, token_file, "GET", _of(party, cdr))
    if as_json:
        click.echo(body)
    else:
        _show(read(CdrCase, body))


@reconcile.command()
@click.argument("party")
@click.argument("cdr")
@click.option("--why", required=True, help="Stands with the decision.")
@asking
def accept(party: str, cdr: str, why: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Accept a CDR that is on hold: it will be settled."""
    _decide(party, cdr, State.ACCEPTED, why, config_path, token_file, as_json)


@reconcile.command()
@click.argument("party")
@click.argument("cdr")
@click.option("--why", required=True, help="Stands with the decision.")
@asking
def refuse(party: str, cdr: str, why: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Refuse a CDR that is kept: it will not be settled."""
    _decide(party, cdr, State.REFUSED, why, config_path, token_file, as_json)


@reconcile.command()
@click.argument("party")
@click.argument("cdr")
@asking
def again(party: str, cdr: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Judge a CDR again, by what is known now."""
    body = asked(config_path, token_file, "POST", f"{_of(party, cdr)}/again", b"{}")
    if as_json:
        click.echo(body)
    else:
        _show(read(CdrCase, body))


@reconcile.command()
@click.argument("party")
@click.argument("cdr")
@click.option("--corrected", type=click.Path(path_type=Path, dir_okay=False), help="The right CDR, as OCPI's JSON.")
@asking
def credit(party: str, cdr: str, corrected: Path | None, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Take a CDR of ours back by a credit CDR, and send the right one."""
    body = asked(config_path, token_file, "POST", f"{_of(party, cdr)}/credit", credit_wish(corrected))
    click.echo(body if as_json else credit_words(read(Credited, body)))


@reconcile.command()
@json_option
def rules(as_json: bool) -> None:
    """List what is asked of a CDR.

    With how grave each finding is, and where the rule stands. Needs no hub.
    """
    if as_json:
        told = [
            {"code": code, "severity": one.severity, "rule": one.rule, "source": one.source}
            for code, one in CODES.items()
        ]
        click.echo(encode(told))
        return
    table = listing("CODE", "SEVERITY", "RULE", "SOURCE")
    for code, one in CODES.items():
        table.add_row(code, Text(one.severity.value, style=_STYLES[one.severity]), one.rule, one.source)
    print_listing(screen(), table)


def credit_wish(corrected: Path | None) -> bytes:
    """The body that asks for a credit, with the corrected CDR of a file. Ends the program for one that is no JSON."""
    if corrected is None:
        return b"{}"
    try:
        return b'{"corrected":' + encode_document(parse_document(corrected.read_bytes(), "CDR")) + b"}"
    except (OSError, MalformedValue) as error:
        fail(f"--corrected {corrected}: {error}")


def credit_words(made: Credited) -> str:
    """What was made, for a terminal."""
    instead = "" if made.corrected is None else f"; CDR {made.corrected} instead"
    return f"credit CDR {made.credit} made{instead}"


def _of(party: str, cdr: str) -> str:
    return f"{_PATH}/cdrs/{quote(party, safe='*')}/{quote(cdr, safe='')}"


def _decide(party: str, cdr: str, state: State, why: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    wish = encode(Decision(state=state, why=why))
    body = asked(config_path, token_file, "POST", f"{_of(party, cdr)}/decision", wish)
    click.echo(body if as_json else f"CDR {cdr} of {party} is {state.value}")


def _show(case: CdrCase) -> None:
    console, newest = screen(), case.judgements[-1]
    console.print(Text.assemble(f"CDR {newest.id} of {newest.owner}  ", (newest.state.value, _STATES[newest.state])))
    if case.standing is not None:
        one = case.standing
        console.print(Text(f"for {one.emsp}, {utc(one.begin)} to {utc(one.end)}, session {one.session or 'not told'}"))
        notes = {
            f"takes back CDR {one.credits}": one.credits is not None,
            "credited": one.credited,
            "disputed": one.disputed,
            f"settled in period {one.settlement}": one.settlement is not None,
        }
        for words, holds in notes.items():
            if holds:
                console.print(Text(words))
    for judgement in case.judgements:
        why = f": {judgement.why}" if judgement.why else ""
        console.print(Text(f"{utc(judgement.at)}  {judgement.state.value} by {judgement.by_whom}{why}"))
        for finding in judgement.findings:
            _print_finding(console, finding)


def _print_finding(console: Console, finding: Finding) -> None:
    head = Text.assemble("  ", (f"{finding.severity.value:7}", _STYLES[finding.severity]))
    print_hanging(console, head, f"{finding.code}: {finding.message} (at {finding.pointer})")


# --- support


@click.command()
@click.argument("id_", metavar="ID")
@asking
def support(id_: str, config_path: Path, token_file: Path, as_json: bool) -> None:
    """Whom to call about a session, and what happened in it.

    ID is any that somebody has: of a session or CDR, an authorization reference, a correlation id, an EVSE id, the uid
    of a token.
    """
    body = asked(config_path, token_file, "GET", f"/api/v1/support/{quote(id_, safe='')}")
    if as_json:
        click.echo(body)
        return
    console, found = screen(), read(SupportAnswer, body)
    for number, case in enumerate(found.cases):
        if number:
            console.print()
        _print_case(console, case)
    if not found.cases:
        _print_contacts(console, found.contacts)


def _print_case(console: Console, case: SupportCase) -> None:
    console.print(Text(f"Session {case.session}, found by {case.found_by}", style="bold"))
    rows = {
        "CPO": case.cpo,
        "eMSP": case.emsp,
        "location": case.location,
        "EVSE": case.evse,
        "CDR": case.cdr,
        "reference": case.authorization_reference,
        "correlation": case.correlation_id,
    }
    for word, value in rows.items():
        if value is not None:
            console.print(Text(f"{word:12}{value}"))
    _print_contacts(console, case.contacts)
    for moment in case.timeline:
        print_hanging(console, Text(f"{utc(moment.at)}  "), moment.what)


def _print_contacts(console: Console, contacts: tuple[Contact, ...]) -> None:
    table = listing("CALL", "NAME", "PHONE", "WEBSITE", "PARTY")
    for one in contacts:
        cells = (one.role, one.name, one.phone or "-", one.website or "-", one.party or "-")
        table.add_row(*(Text(cell) for cell in cells))
    print_listing(console, table)
