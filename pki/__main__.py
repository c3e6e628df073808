"""`pnc-pki`: make a lab, issue, show, verify. The only part of pki that reads the clock and writes to the terminal.

Exit codes of `verify`: 0 accepted, 1 rejected, 2 unusable input, 3 no evidence. Every other command: 0 or 2.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import BinaryIO, NoReturn

import click
import msgspec
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from pki.certificate import parse_certificate
from pki.errors import IssueError, PKIError
from pki.issue.declaration import parse_declaration
from pki.issue.lab import build_lab
from pki.pem import CHAIN_PEM_CAP, parse_chain_pem, parse_pem
from pki.profiles import profile_named
from pki.service.batch import run_batch
from pki.service.files import load_crls, load_trust, read_file, write_lab
from pki.service.lab_folder import LeafRequest, issue_leaf
from pki.service.paths import PATH_PEM_CAP, judge_path_files
from pki.service.show import chain_tree, crl_tree
from pki.service.verdicts import (
    DEFAULT_PROFILE,
    EXIT_CODES,
    OCSP_CAP,
    Outcome,
    Verdict,
    judge,
    parse_instant,
    refused_input,
)
from pki.verify import RevocationEvidence
from pki.verify.crl import CRL_CAP, parse_crl
from pki.verify.rfc5280 import PROFILE_NAME as RFC5280

_DECLARATION_CAP = 1024 * 1024
_SHOWN_BLOCKS = 64


_AT = click.option("--at", metavar="INSTANT", help="the instant, like 2026-11-23T00:00:00Z (default: now)")
_PROFILE = click.option(
    "--profile",
    "profile_name",
    default=DEFAULT_PROFILE,
    show_default=True,
    help="what is asked of the chain; rfc5280: nothing of ISO 15118",
    metavar="NAME",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Plug & Charge certificates: make a lab, issue, show, verify."""


@main.command()
@click.argument("declaration", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("certs/lab"), show_default=True, help="the lab's folder"
)
@_AT
@click.option("--force", is_flag=True, help="replace an earlier lab in that folder")
def lab(declaration: Path, out: Path, at: str | None, force: bool) -> None:
    """Make the whole hierarchy that DECLARATION (certs/lab.toml) declares."""
    try:
        declared = parse_declaration(read_file(declaration, _DECLARATION_CAP))
        with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
            task = progress.add_task("making certificates", total=None)
            made = build_lab(declared, _instant(at), lambda _: progress.advance(task))
            progress.update(task, description="writing files")
            write_lab(made, out, force=force)
    except PKIError as error:
        _fail(error)
    click.echo(f"{len(made.files)} files in {out}; made at {made.made_at.isoformat()}")


@main.command()
@click.option(
    "--lab",
    "folder",
    type=click.Path(path_type=Path),
    default=Path("certs/lab"),
    show_default=True,
    help="the lab's folder",
)
@_PROFILE
@click.option("--name", required=True, help="what the files are called")
@click.option("--common-name", "--emaid", required=True, help="the leaf's common name: EMAID, EVSEID, PCID, gateway id")
@click.option("--organization", help="the leaf's organization")
@click.option("--country", help="the leaf's country, two letters")
@click.option("--days", type=click.IntRange(1, 36500), help="how long it is valid (default: the profile's)")
@click.option("--dns", "dns_names", multiple=True, help="a DNS name of a TLS server")
@click.option("--ip", "addresses", multiple=True, help="an IP address of a TLS server")
@click.option("--ca", "ca_name", help="which CA signs, when several could")
@_AT
def issue(
    folder: Path,
    profile_name: str,
    name: str,
    common_name: str,
    organization: str | None,
    country: str | None,
    days: int | None,
    dns_names: tuple[str, ...],
    addresses: tuple[str, ...],
    ca_name: str | None,
    at: str | None,
) -> None:
    """Issue one more leaf under a CA of an existing lab."""
    try:
        request = LeafRequest(
            name=name,
            common_name=common_name,
            at=_instant(at),
            organization=organization,
            country=country,
            days=days,
            dns_names=dns_names,
            addresses=tuple(_address(text) for text in addresses),
        )
        chain_path, key_path = issue_leaf(folder, profile_named(profile_name), request, ca_name)
    except PKIError as error:
        _fail(error)
    click.echo(f"{chain_path}\n{key_path}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
def show(file: Path) -> None:
    """Show the certificates or the CRL in FILE (PEM or DER); nothing is verified."""
    try:
        content = read_file(file, CRL_CAP)
        if content.startswith(b"-----BEGIN X509 CRL-----"):
            (der,) = parse_pem(content, label="X509 CRL", max_blocks=1, max_characters=CRL_CAP)
            tree = crl_tree(parse_crl(der))
        elif file.suffix.lower() == ".crl":
            tree = crl_tree(parse_crl(content))
        else:
            is_der = content[:1] == b"\x30"
            blocks = (content,) if is_der else parse_pem(content, max_blocks=_SHOWN_BLOCKS, max_characters=CRL_CAP)
            tree = chain_tree([parse_certificate(der, index=index) for index, der in enumerate(blocks)])
    except PKIError as error:
        _fail(error)
    # A pipe has no width: lines stay whole for grep.
    Console(width=None if sys.stdout.isatty() else 240).print(tree)


@main.command()
@click.argument("chain", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.option(
    "--trust", type=click.Path(path_type=Path), help="anchors: a folder with v2g/, mo/, ... or with PEM files"
)
@_PROFILE
@_AT
@click.option("--crl", "crls", type=click.Path(path_type=Path), multiple=True, help="a CRL file or a folder of them")
@click.option(
    "--ocsp", "ocsps", type=click.Path(path_type=Path), multiple=True, help="an OCSP answer, DER (not judged yet)"
)
@click.option("--emaid", help="the EMAID the request claims; compared with the leaf's")
@click.option("--require-revocation", is_flag=True, help="no good revocation state, no acceptance (exit 3)")
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.option("--batch", is_flag=True, help="one JSON request per line from CHAIN or standard input, one verdict each")
def verify(
    chain: Path | None,
    trust: Path | None,
    profile_name: str,
    at: str | None,
    crls: tuple[Path, ...],
    ocsps: tuple[Path, ...],
    emaid: str | None,
    require_revocation: bool,
    as_json: bool,
    batch: bool,
) -> None:
    """Verify the PEM chain in CHAIN: leaf, Sub2, Sub1. Exit code 0 accepted, 1 rejected, 2 unusable, 3 no evidence."""
    if batch:
        if trust or crls or ocsps or emaid or at:
            raise click.UsageError("with --batch each line brings its own trust, at, crls, ocsps and emaid")
        _run_batch(chain, require_revocation)
        return
    if chain is None or trust is None:
        raise click.UsageError("CHAIN and --trust are needed, or --batch")
    try:
        verdict = _judge_files(chain, trust, profile_name, _instant(at), crls, ocsps, emaid, require_revocation)
    except PKIError as error:
        verdict = refused_input(error)
    if as_json:
        click.echo(msgspec.json.encode(verdict))
    else:
        _print_verdict(verdict)
    sys.exit(EXIT_CODES[verdict.verdict])


def _judge_files(
    chain: Path,
    trust: Path,
    profile_name: str,
    at: datetime,
    crls: tuple[Path, ...],
    ocsps: tuple[Path, ...],
    emaid: str | None,
    require_revocation: bool,
) -> Verdict:
    for path in ocsps:
        read_file(path, OCSP_CAP)
    cap = PATH_PEM_CAP if profile_name == RFC5280 else CHAIN_PEM_CAP
    text = sys.stdin.buffer.read(cap + 1) if str(chain) == "-" else read_file(chain, cap)
    if profile_name == RFC5280:
        return judge_path_files(
            text, trust=trust, at=at, crls=crls, ocsp_answers=len(ocsps), require_revocation=require_revocation
        )
    profile = profile_named(profile_name)
    return judge(
        parse_chain_pem(text),
        profile=profile,
        trust=load_trust(trust, profile.anchor_roles),
        at=at,
        revocation=RevocationEvidence(load_crls(crls)),
        ocsp_answers=len(ocsps),
        emaid=emaid,
        require_revocation=require_revocation,
    )


def _run_batch(source: Path | None, require_revocation: bool) -> None:
    """Judge line by line; each verdict is flushed, so that a program can wait for it."""
    if source is None or str(source) == "-":
        _write_batch(sys.stdin.buffer, require_revocation)
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise click.UsageError(f"{source}: {error.strerror or error}") from error
    with stream:
        _write_batch(stream, require_revocation)


def _write_batch(stream: BinaryIO, require_revocation: bool) -> None:
    for answer in run_batch(stream, require_revocation=require_revocation):
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


_STYLES = {
    Outcome.ACCEPT: "bold green",
    Outcome.REJECT: "bold red",
    Outcome.NO_EVIDENCE: "bold yellow",
    Outcome.MALFORMED: "bold red",
}


def _print_verdict(verdict: Verdict) -> None:
    """The verdict for a person; unusable input goes to standard error as one line."""
    if verdict.verdict is Outcome.MALFORMED:
        click.echo(f"pnc-pki: {_one_line(verdict.code, verdict.message, verdict.clause, verdict.index)}", err=True)
        return
    console = Console(soft_wrap=True, highlight=False)
    said = _one_line(verdict.code, verdict.message, verdict.clause, verdict.index)
    console.print(Text.assemble((verdict.verdict.value, _STYLES[verdict.verdict]), " ", said))
    console.print(Text(f"revocation: {verdict.revocation}"))
    if verdict.emaid is not None:
        console.print(Text(f"emaid: {verdict.emaid}"))
    for finding in verdict.findings:
        told = _one_line(finding.code, finding.message, finding.clause, finding.index)
        console.print(Text(f"{finding.severity.value}: {told}"))


def _one_line(code: str, message: str, clause: str | None, index: int | None) -> str:
    where = "" if index is None else f" (certificate {index})"
    return f"{code}: {message}{where}" + ("" if clause is None else f" [{clause}]")


def _instant(text: str | None) -> datetime:
    return datetime.now(UTC) if text is None else parse_instant(text)


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise IssueError("request", f"{text[:40]!a} is no IP address") from error


def _fail(error: PKIError) -> NoReturn:
    """End with exit code 2 and one line that names what and where."""
    click.echo(f"pnc-pki: {_one_line(error.code, str(error), error.clause, error.index)}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
