"""`pnc-gateway meter`: signed meter values checked on the spot, with no gateway, no hub and no configuration.

Exit codes of `verify`: 0 all valid and no session with a fatal finding, 1 some not, 2 unusable input.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import BinaryIO, NoReturn

import click
import msgspec
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from gateway.metering.batch import answer_lines
from gateway.metering.given import MAX_FILE_BYTES, records_in
from gateway.metering.judged import Judged, judge_all
from gateway.metering.page import show
from gateway.wording import reason
from pki.service.naming import printable
from pki.service.screen import screen
from wire.errors import MeterRecordError
from wire.meter.curves import CURVES
from wire.meter.keys import MAX_KEY_BYTES, KeyText, parse_public_key
from wire.meter.told import told_record, told_session
from wire.meter.verdict import Severity, SignatureVerdict
from wire.records import encode

EXIT_NOT_VALID, EXIT_UNUSABLE = 1, 2
_LINES_BETWEEN_LOOKS = 500
_MOST_NAMED = 20
_OTHER_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,60})-----")
_TO_DO = {
    "CERTIFICATE": "take its key with openssl x509 -in FILE -noout -pubkey",
    "EC PRIVATE KEY": "take its public half with openssl pkey -in FILE -pubout, and keep the private one to its meter",
    "PRIVATE KEY": "take its public half with openssl pkey -in FILE -pubout, and keep the private one to its meter",
}
_NO_WAY = "give the meter's public key, as it stands on its nameplate"


@click.group()
def meter() -> None:
    """Check signed meter values."""


@meter.command()
@click.argument("file", metavar="FILE|-")
@click.option(
    "--public-key", "key", metavar="KEY|FILE", help="the meter's key in any spelling; it counts as registered"
)
@click.option("--json", "as_json", is_flag=True, help="print one JSON object")
@click.option("--explain", is_flag=True, help="tell how each verdict came about, step by step")
@click.option("--batch", is_flag=True, help="FILE has a JSON object on each line; answer each with one")
def verify(file: str, key: str | None, as_json: bool, explain: bool, batch: bool) -> None:
    """Verify the signed meter values in FILE.

    FILE holds records (OCMF and others) bare, in hex or base64, as OCPP carries them; the XML of the transparency
    software; a CDR or its signed_data; lines of pnc-gateway export. Without --public-key the key that came along is
    used, which is only a claim.

    With --batch a line is {"id", "record", "public_key"}, or {"id", "records": [...], "expected": {...}} for a session.

    Exit code 0 all valid, 1 some not, 2 unusable input.
    """
    if batch and (as_json or explain):
        raise click.UsageError("with --batch every answer is JSON, and nothing is explained")
    registry_key = None if key is None else _key(key)
    with _open(file) as stream:
        if batch:
            sys.exit(EXIT_NOT_VALID if _answer_all(stream, registry_key) else 0)
        data = stream.read(MAX_FILE_BYTES + 1)
    try:
        judged = judge_all(records_in(data), registry_key)
    except MeterRecordError as error:
        _fail(f"{file}: {error}")
    if as_json:
        click.echo(encode(_told(judged)))
    else:
        show(screen(), judged, with_steps=explain)
    sys.exit(0 if _is_good(judged) else EXIT_NOT_VALID)


def _key(given: str) -> KeyText:
    """The key's text or bytes, out of a file if `given` names one; ends the process when no curve makes it a key."""
    text: KeyText = given
    path = Path(given)
    try:
        if path.is_file():
            with path.open("rb") as file:
                text = file.read(MAX_KEY_BYTES + 1)
    except (OSError, ValueError) as error:
        _fail(f"--public-key {given[:60]}: {reason(error)}")
    problem: MeterRecordError | None = None
    for name in (None, *(curve.name for curve in CURVES)):
        try:
            parse_public_key(text, name)
        except MeterRecordError as error:
            problem = problem or error
        else:
            return text
    other = _OTHER_PEM.search(text if isinstance(text, str) else text.decode("latin-1"))
    if other is not None and other[1] != "PUBLIC KEY":
        _fail(f"--public-key {given[:60]!a} holds a {other[1]}, not a PUBLIC KEY: {_TO_DO.get(other[1], _NO_WAY)}")
    _fail(f"--public-key {given[:60]!a} is neither a key nor a file with one: {problem}")


def _open(file: str) -> BinaryIO:
    """The file, or standard input for `-`; ends the process when it cannot be opened."""
    try:
        return sys.stdin.buffer if file == "-" else Path(file).open("rb")
    except (OSError, ValueError) as error:
        _fail(f"{file}: {reason(error)}")


def _answer_all(stream: BinaryIO, registry_key: KeyText | None) -> int:
    """Answer line by line, each flushed, so that a program can wait for it; how many were not well. What was done so
    far is shown where a person waits."""
    named: set[str] = set()
    watched = sys.stderr.isatty() and not sys.stdout.isatty()
    bad = 0
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        transient=True,
        disable=not watched,
    ) as progress:
        task = progress.add_task("verifying", total=None)
        for number, answer in enumerate(answer_lines(stream, registry_key), start=1):
            sys.stdout.buffer.write(answer.line)
            sys.stdout.buffer.flush()
            bad += not answer.is_good
            for name in answer.unknown:
                if name not in named and len(named) < _MOST_NAMED:
                    named.add(name)
                    click.echo(f"pnc-gateway: line {number}: {name} means nothing here and is ignored", err=True)
            if watched and number % _LINES_BETWEEN_LOOKS == 0:
                progress.update(task, description=f"{number:,} lines, {bad:,} of them not valid")
    return bad


def _told(judged: Judged) -> dict[str, object]:
    return {
        "records": [told_record(each.verdict, each.given.carried, with_identification=True) for each in judged.records],
        "sessions": [
            {"transaction": session.transaction, **msgspec.structs.asdict(told_session(session.verdict))}
            for session in judged.sessions
        ],
    }


def _is_good(judged: Judged) -> bool:
    findings = (finding for session in judged.sessions for finding in session.verdict.findings)
    return all(record.verdict.signature is SignatureVerdict.VALID for record in judged.records) and not any(
        finding.severity is Severity.FATAL for finding in findings
    )


def _fail(message: str) -> NoReturn:
    """End with one clear line and exit code 2."""
    click.echo(f"pnc-gateway: {printable(message)}", err=True)
    sys.exit(EXIT_UNUSABLE)
