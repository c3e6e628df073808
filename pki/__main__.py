"""`pnc-pki`: make a lab, issue, show, verify. The only part of pki that reads the clock and writes to the terminal.

Exit codes of `verify`: 0 accepted, 1 rejected, 2 unusable input, 3 no evidence. Every other command: 0 or 2.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from rich.console import Console
from rich.progress import Progress

from pki.certificate import Certificate, parse_certificate
from pki.errors import PKIError
from pki.issue.declaration import parse_declaration
from pki.issue.lab import build_lab
from pki.issue.vectors import build_vectors, parse_vectors
from pki.profiles import PROFILE_NAMES, Tolerance
from pki.service.batch import Demands, run_batch
from pki.service.chain_files import ChainFiles, chain_cap, explain_files, judge_files
from pki.service.commands.anchoring import trust
from pki.service.commands.answering import ocsp
from pki.service.commands.certificates import find, revoke_command
from pki.service.commands.context import fail as _fail
from pki.service.commands.enrolment import register_command, registrar
from pki.service.commands.founding import init
from pki.service.commands.issuing import issue
from pki.service.commands.pool import pool
from pki.service.commands.publishing import crl, status
from pki.service.commands.reading import certificates_in, list_in, naming_file, read_certificates
from pki.service.commands.records import audit, backup_command, restore_command
from pki.service.commands.renewing import approve_command, link_command, renew_command
from pki.service.commands.serve import serve
from pki.service.files import read_file, write_lab
from pki.service.lint_report import lint_object
from pki.service.screen import one_line, print_explained, print_lint, print_verdict, screen
from pki.service.show import Unreadable, chain_bars, chain_tree, crl_tree, list_object, read_shown, shown_objects
from pki.service.vector_folder import write_vectors
from pki.service.verdicts import (
    DEFAULT_PROFILE,
    EXIT_CODES,
    ExplainedVerdict,
    Outcome,
    explained_error,
    parse_instant,
    refused_input,
)
from pki.verify.crl import CRL_CAP, parse_crl
from pki.verify.lint import AUTO, ROWS, lint_chain
from pki.verify.policy import parse_policy
from pki.verify.rfc5280 import PROFILE_NAME as RFC5280

_DECLARATION_CAP = 1024 * 1024
_SWITCHES = sorted(switch.value for switch in Tolerance)

_AT = click.option("--at", metavar="INSTANT", help="the instant, like 2026-11-23T00:00:00Z (default: now)")
_JSON = click.option("--json", "as_json", is_flag=True, help="print one JSON object")
_POLICY = click.option(
    "--policy",
    "switches",
    multiple=True,
    metavar="SWITCH",
    help="tolerate a departure, or refuse it: no- before its name; repeatable",
)


def _listed(title: str, names: Iterable[str]) -> str:
    """A paragraph of names for the end of a help page, which no line break parts."""
    lines = textwrap.wrap("  ".join(names), 74, break_on_hyphens=False)
    return "\n".join(["\b", f"{title}:", *(f"  {line}" for line in lines)])


_VERIFY_NAMES = "\n\n".join([_listed("Profiles", (AUTO, *PROFILE_NAMES, RFC5280)), _listed("Switches", _SWITCHES)])
_LINT_NAMES = "\n\n".join([_listed("Profiles", (AUTO, *PROFILE_NAMES)), _listed("Switches", _SWITCHES)])


def _profile(default: str, told: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option("--profile", "profile_name", default=default, show_default=True, metavar="NAME", help=told)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pncgate", prog_name="pnc-pki")
def main() -> None:
    """Plug & Charge certificates: make a lab, issue, show, verify."""


@main.command()
@click.argument("declaration", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("certs/lab"), show_default=True, help="the lab's folder"
)
@click.option(
    "--vectors",
    type=click.Path(path_type=Path),
    help="DECLARATION is one of conformance vectors: make them here instead",
)
@_AT
@click.option("--force", is_flag=True, help="replace an earlier lab, or earlier vectors, in that folder")
def lab(declaration: Path, out: Path, vectors: Path | None, at: str | None, force: bool) -> None:
    """Make the whole hierarchy that DECLARATION (certs/lab.toml) declares."""
    if vectors is not None:
        if at is not None:
            raise click.UsageError("conformance vectors declare their instants themselves")
        _make_vectors(declaration, vectors, force=force)
        return
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
@click.argument("file", type=click.Path(path_type=Path))
@_AT
@_JSON
def show(file: Path, at: str | None, as_json: bool) -> None:
    """Show the certificates or the CRL in FILE (PEM or DER), with their lives on one time axis; nothing is verified.

    Exit code 0, or 2 when something in FILE cannot be read.
    """
    try:
        now, content = _instant(at), read_file(file, CRL_CAP)
        with naming_file(file):
            crl = list_in(content) or (content if file.suffix.lower() == ".crl" else None)
            if crl is not None:
                parsed = parse_crl(crl)
                drawn = crl_tree(parsed)
                if as_json:
                    click.echo(msgspec.json.encode({"crl": list_object(parsed)}))
                else:
                    screen().print(drawn)
                return
            shown = read_shown(certificates_in(content))
            tree = chain_tree(shown)
    except PKIError as error:
        _fail(error)
    if as_json:
        click.echo(msgspec.json.encode({"certificates": shown_objects(shown)}))
    else:
        console = screen()
        if any(isinstance(entry, Certificate) for entry in shown):
            console.print(chain_bars(shown, now))
            console.print()
        console.print(tree)
    sys.exit(2 if any(isinstance(entry, Unreadable) for entry in shown) else 0)


@main.command(epilog=_VERIFY_NAMES)
@click.argument("chain", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.option(
    "--trust", type=click.Path(path_type=Path), help="anchors: a folder with v2g/, mo/, ... or with PEM files"
)
@_profile(DEFAULT_PROFILE, "what is asked; auto: a contract of the leaf's generation; rfc5280: nothing of ISO 15118")
@_AT
@click.option("--crl", "crls", type=click.Path(path_type=Path), multiple=True, help="a CRL file or a folder of them")
@click.option("--ocsp", "ocsps", type=click.Path(path_type=Path), multiple=True, help="an OCSP answer, DER")
@click.option("--emaid", help="the EMAID the request claims; compared with the leaf's")
@click.option("--require-revocation", is_flag=True, help="no good revocation state, no acceptance (exit 3)")
@_POLICY
@click.option("--explain", is_flag=True, help="tell every step, what it met and what to do next")
@_JSON
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
    switches: tuple[str, ...],
    explain: bool,
    as_json: bool,
    batch: bool,
) -> None:
    """Verify the PEM chain in CHAIN: the leaf first. Exit code 0 accepted, 1 rejected, 2 unusable, 3 no evidence."""
    try:
        policy = parse_policy(switches)
        if batch:
            if trust or crls or ocsps or emaid or at or explain:
                raise click.UsageError("with --batch each line brings its own trust, at, crls, ocsps and emaid")
            demands = Demands(profile=profile_name, require_revocation=require_revocation, policy=policy)
            _run_batch(chain, demands)
            return
        if chain is None or trust is None:
            raise click.UsageError("CHAIN and --trust are needed, or --batch")
        if profile_name == RFC5280 and (emaid is not None or switches):
            raise click.UsageError(f"--emaid and --policy are nothing that {RFC5280} could ask for")
        files = ChainFiles(
            chain=chain,
            trust=trust,
            profile=profile_name,
            at=_instant(at),
            content=sys.stdin.buffer.read(chain_cap(profile_name) + 1) if str(chain) == "-" else None,
            crls=crls,
            ocsps=ocsps,
            emaid=emaid,
            require_revocation=require_revocation,
            policy=policy,
        )
        verdict = explain_files(files) if explain else judge_files(files)
    except PKIError as error:
        verdict = explained_error(error) if explain else refused_input(error)
    if as_json:
        click.echo(msgspec.json.encode(verdict))
    elif isinstance(verdict, ExplainedVerdict):
        print_explained(screen(), verdict)
    elif verdict.verdict is Outcome.MALFORMED:
        click.echo(f"pnc-pki: {one_line(verdict.code, verdict.message, verdict.clause, verdict.index)}", err=True)
    else:
        print_verdict(screen(), verdict)
    sys.exit(EXIT_CODES[verdict.verdict])


@main.command(epilog=_LINT_NAMES)
@click.argument("file", type=click.Path(path_type=Path))
@_profile(AUTO, "whose row it is; auto: guessed")
@click.option("--role", type=click.Choice(ROWS), help="its row: the role of a leaf, or its place (default: guessed)")
@_POLICY
@_JSON
def lint(file: Path, profile_name: str, role: str | None, switches: tuple[str, ...], as_json: bool) -> None:
    """List every deviation of each certificate in FILE from the row of its role; no issuer, no instant is asked.

    Exit code 0: none that refuses, 1: at least one, 2: unusable.
    """
    try:
        policy = parse_policy(switches)
        with naming_file(file):
            certificates = [parse_certificate(der, index=index) for index, der in enumerate(read_certificates(file))]
        reports = lint_chain(certificates, profile=profile_name, role=role, policy=policy)
    except PKIError as error:
        _fail(error)
    if as_json:
        click.echo(msgspec.json.encode(lint_object(reports)))
    else:
        print_lint(screen(), reports)
    sys.exit(1 if any(report.refused for report in reports) else 0)


def _make_vectors(declaration: Path, folder: Path, *, force: bool) -> None:
    try:
        made = build_vectors(parse_vectors(read_file(declaration, _DECLARATION_CAP)))
        write_vectors(made, folder, force=force)
    except PKIError as error:
        _fail(error)
    click.echo(f"{len(made)} files in {folder}")


def _run_batch(source: Path | None, demands: Demands) -> None:
    """Judge line by line; each verdict is flushed, so that a program can wait for it."""
    if source is None or str(source) == "-":
        _write_batch(sys.stdin.buffer, demands)
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        raise click.UsageError(f"{source}: {error.strerror or error}") from error
    with stream:
        _write_batch(stream, demands)


def _write_batch(stream: BinaryIO, demands: Demands) -> None:
    for answer in run_batch(stream, demands):
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


def _instant(text: str | None) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) if text is None else parse_instant(text)


_COMMANDS = (
    *(init, issue, register_command, registrar, find, revoke_command, renew_command, link_command, approve_command),
    *(serve, status, crl, ocsp, trust, pool, audit, backup_command, restore_command),
)
for _command in _COMMANDS:
    main.add_command(_command)


if __name__ == "__main__":
    main()
