"""`pnc-hub evidence`: write the evidence file of a session, and verify such files without anything else."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from hub.clock import now, utc
from hub.config import HubConfig, load_config
from hub.errors import EvidenceRefused, EvidenceUnusable, HubError
from hub.evidence.container import MAX_FILE_BYTES
from hub.evidence.content import Check, Step, StepOutcome
from hub.evidence.gather import EvidenceFile, Maker, make_evidence
from hub.evidence.verify import GivenKeys, Report, verify_evidence
from hub.log_key import load_log_key, missing_key
from hub.options import EXIT_UNUSABLE, config_option, fail, json_option
from hub.store.engine import Connection
from hub.store.excerpts import Listed, sessions_like
from hub.store.heads import last_countersigned
from pki.service.screen import listing, print_hanging, screen
from wire.errors import WireError
from wire.meter.keys import PublicKey, parse_public_key
from wire.records import Value, encode
from wire.tree_head import SigningKey

EXIT_NOT_PROVEN = 1
MAX_KEY_FILE_BYTES = 64 * 1024
_KEY_HEX = 64
_MARKS = {
    StepOutcome.HOLDS: ("✔", "green"),
    StepOutcome.OPEN: ("▲", "yellow"),
    StepOutcome.BROKEN: ("✖", "bold red"),
}


class Written(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What `--json` says of a file that was written; `outcome` is the worst of what the hub itself found."""

    session_id: str
    file: str
    bytes: int
    records: int
    outcome: StepOutcome
    checks: tuple[Check, ...]


class Verified(Value, frozen=True, kw_only=True, omit_defaults=False):
    """What `--json` says of a file that was verified; either `report` or `error`."""

    file: str
    report: Report | None = None
    error: str | None = None


class _UnnamedContext(click.Context):
    """Of a command whose name nobody types: it is called what its group is called."""

    @property
    def command_path(self) -> str:
        return super().command_path if self.parent is None else self.parent.command_path


class _Unnamed(click.Command):
    """A command whose name nobody types."""

    context_class = _UnnamedContext


class _SessionOrVerb(click.Group):
    """A group whose first word may also be a session: then it writes that session's evidence."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["write", *args]
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Options for SESSION"):
            records = (one.get_help_record(ctx) for one in write.params if isinstance(one, click.Option))
            formatter.write_dl([record for record in records if record is not None])
        super().format_options(ctx, formatter)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, "SESSION... [--out FILE] [--force] [--json] [--config hub.toml]")
        formatter.write_usage(ctx.command_path, "verify FILE... [--hub-key K] [--log-key K] [--meter-key K] [--json]")


@click.group(cls=_SessionOrVerb, context_settings={"ignore_unknown_options": True})
def evidence() -> None:
    """Write a session's evidence, verify evidence files.

    The file holds the session's records, keys, decision, bill and proofs, and a page that a driver can read. SESSION
    may be the beginning of an id. Verifying asks nothing but the file and the keys given.

    \b
    pnc-hub evidence 5f0c
    pnc-hub evidence verify evidence-5f0c....zip --meter-key meter.pub
    """


@evidence.command(hidden=True, cls=_Unnamed)
@click.argument("sessions", nargs=-1, required=True, metavar="SESSION...")
@click.option("--out", type=click.Path(path_type=Path), help="The file, or an existing folder for several.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@json_option
@config_option
def write(sessions: tuple[str, ...], out: Path | None, force: bool, as_json: bool, config_path: Path) -> None:
    """Write the evidence of SESSION into a file.

    Reads only, works while the hub runs. SESSION may be the beginning of an id.

    Ends with 1 when there is no evidence to be had, 2 when the hub's files cannot be used.
    """
    if not all(sessions):
        raise click.UsageError("SESSION is empty: give an id, or how one begins")
    if len(sessions) > 1 and out is not None and not out.is_dir():
        raise click.UsageError(f"--out {out}: several sessions need a folder that exists")
    try:
        for file in _made(load_config(config_path), sessions):
            path = _path_of(file, out)
            _save(path, file.data, force)
            _tell_written(file, path, as_json)
    except EvidenceRefused as error:
        fail(str(error), EXIT_NOT_PROVEN)
    except HubError as error:
        fail(str(error))


def _made(config: HubConfig, sessions: Sequence[str]) -> Iterable[EvidenceFile]:
    connection = config.engine().open_reader()
    try:
        maker = Maker(
            key=_log_key_of(connection, config), terms=config.terms, issuer=config.contact, roaming=config.roaming
        )
        for session in sessions:
            connection.execute("BEGIN")  # one moment for all that is read of a session
            yield make_evidence(connection, _the_one(connection, session), maker, now())
            connection.execute("ROLLBACK")
    finally:
        connection.close()


def _log_key_of(connection: Connection, config: HubConfig) -> SigningKey:
    """The key that seals. Raises EvidenceRefused where none was made yet, LogKeyError where it was lost."""
    key = load_log_key(config.state_dir)
    if key is not None:
        return key
    last = last_countersigned(connection)
    if last is not None:
        raise missing_key(config.state_dir, last.countersignature.public_key)
    message = "this hub has no log key yet, so it has countersigned nothing: `pnc-hub run` makes one"
    raise EvidenceRefused("no-tree-head", message)


def _the_one(connection: Connection, session: str) -> str:
    """The id that `session` is the beginning of. Raises EvidenceRefused, with those that could have been meant."""
    found = sessions_like(connection, session)
    if len(found) == 1 or session in [one.id for one in found]:
        return session if len(found) > 1 else found[0].id
    if found:
        message = f"{session!a} is the beginning of several sessions"
        raise EvidenceRefused("several-sessions", f"{message}:{_listed(found)}")
    newest = sessions_like(connection, "")
    raise EvidenceRefused("unknown-session", f"no session {session[:64]!a} here; the newest are:{_listed(newest)}")


def _listed(sessions: Sequence[Listed]) -> str:
    lines = (f"\n  {one.id}  {utc(one.began)}  {one.charger_id}  {one.status}" for one in sessions)
    return "".join(lines) or " none"


def _path_of(file: EvidenceFile, out: Path | None) -> Path:
    name = f"evidence-{file.session_id}.zip"
    if out is None:
        return Path(name)
    return out / name if out.is_dir() else out


def _save(path: Path, data: bytes, force: bool) -> None:
    """The whole file or none of it, mode 0600: it names a driver. Ends the program when it cannot be written.

    Raises:
        EvidenceRefused: `file-exists`.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if force:
            aside.rename(path)
        else:
            os.link(aside, path)
    except FileExistsError:
        raise EvidenceRefused("file-exists", f"{path} is there already; --force replaces it") from None
    except OSError as error:
        fail(f"{path.parent}: {error.strerror}")
    finally:
        aside.unlink(missing_ok=True)


def _tell_written(file: EvidenceFile, path: Path, as_json: bool) -> None:
    if as_json:
        told = Written(
            session_id=file.session_id,
            file=str(path),
            bytes=len(file.data),
            records=file.records,
            outcome=file.outcome,
            checks=file.checks,
        )
        click.echo(encode(told))
        return
    console = screen()
    console.print(
        Text(f"{path}: session {file.session_id}, {file.records} records, {len(file.data)} bytes"), soft_wrap=True
    )
    _print_details(console, (check for check in file.checks if check.outcome is not StepOutcome.HOLDS))
    console.print(Text(f"verify it anywhere: pnc-hub evidence verify {path}"), soft_wrap=True)


# --- verify -----------------------------------------------------------------------------------------------------------


@evidence.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--hub-key", multiple=True, metavar="KEY", help="The hub's key, 64 hex digits or a file with them.")
@click.option("--log-key", multiple=True, metavar="KEY", help="The key of a gateway's log, likewise.")
@click.option("--meter-key", multiple=True, metavar="KEY", help="A meter's public key, in any spelling, or a file.")
@json_option
def verify(
    files: tuple[Path, ...],
    hub_key: tuple[str, ...],
    log_key: tuple[str, ...],
    meter_key: tuple[str, ...],
    as_json: bool,
) -> None:
    """Verify evidence files.

    Nothing is asked but them and the keys given; each key option may be repeated. Without keys from elsewhere a file
    can only be consistent: the keys are then as the file names them.

    Ends with 0 when nothing is broken, 1 when something is, 2 when a file or a key cannot be used.
    """
    try:
        given = GivenKeys(
            hub=frozenset(_log_key("--hub-key", text) for text in hub_key),
            log=frozenset(_log_key("--log-key", text) for text in log_key),
            meter=tuple(_meter_key(text) for text in meter_key),
        )
    except EvidenceUnusable as error:
        fail(str(error))
    results = [_verified(path, given) for path in files]
    console = screen()
    for result in results:
        if as_json:
            click.echo(encode(result))
        else:
            _tell_verified(console, result, whole=len(results) == 1)
    if any(result.report is None for result in results):
        sys.exit(EXIT_UNUSABLE)
    if not all(result.report is not None and result.report.holds for result in results):
        sys.exit(EXIT_NOT_PROVEN)


def _verified(path: Path, given: GivenKeys) -> Verified:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        return Verified(file=str(path), report=verify_evidence(data, given))
    except OSError as error:
        return Verified(file=str(path), error=error.strerror or str(error))
    except EvidenceUnusable as error:
        return Verified(file=str(path), error=str(error))


def _key_text(text: str) -> str:
    """What is given, or what the file of that name holds. Raises EvidenceUnusable."""
    try:
        path = Path(text)
        if len(text) > 255 or not path.is_file():
            return text
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE_BYTES).decode("ascii", "replace").strip()
    except (OSError, ValueError) as error:
        raise EvidenceUnusable(f"{text[:64]!a}: cannot be read as a key: {error}") from error


def _log_key(option: str, given: str) -> str:
    text = _key_text(given).lower()
    if len(text) != _KEY_HEX or not set(text) <= set("0123456789abcdef"):
        message = f"{option} {_shown(given)}: expected {_KEY_HEX} hex digits (an Ed25519 key), or a file with them"
        raise EvidenceUnusable(message)
    return text


def _meter_key(given: str) -> PublicKey:
    try:
        return parse_public_key(_key_text(given))
    except WireError as error:
        raise EvidenceUnusable(f"--meter-key {_shown(given)}: {error}") from error


def _shown(given: str) -> str:
    """A key option as errors tell it."""
    return f"{given[:64]!a}" if Path(given[:255]).is_file() else f"{given[:64]!a} (there is no such file)"


def _tell_verified(console: Console, result: Verified, *, whole: bool) -> None:
    report = result.report
    if report is None:
        console.print(
            Text.assemble((f"{result.file}: ", ""), ("no evidence file", "bold red"), f": {result.error}"),
            soft_wrap=True,
        )
        return
    if whole:
        console.print(Text(f"{result.file}: session {report.session_id}"), soft_wrap=True)
        table = listing("", "Step", "", "What was found")
        for check in report.steps:
            mark, style = _MARKS[check.outcome]
            found = "\n".join(check.details)
            table.add_row(str(check.step.number), Text(check.step.value), Text(mark, style), Text(found))
        console.print(table)
    style = "green" if report.holds else "bold red"
    console.print(Text.assemble("" if whole else f"{result.file}: ", (report.verdict, style)), soft_wrap=True)
    if not whole:
        shown = [check for check in report.steps if check.outcome is not StepOutcome.HOLDS]
        _print_details(console, (check for check in shown if check.step is not Step.KEYS or not report.holds))


def _print_details(console: Console, checks: Iterable[Check]) -> None:
    """Each step and, below it, what was found: the mark is the step's, some of its details may well hold."""
    for check in checks:
        mark, style = _MARKS[check.outcome]
        console.print(Text.assemble("  ", (mark, style), f" step {check.step.number} ({check.step.value})"))
        for detail in check.details:
            print_hanging(console, Text("    - "), detail)
