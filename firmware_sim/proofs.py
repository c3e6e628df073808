"""Proofs for outsiders: an evidence file of every session, and what a process says of them that has nothing else.

That process runs in an empty folder and an empty environment. It is given the files and three kinds of keys: those of
the meters from their housings, the log's and the hub's as the gateway tells them, now and when they were noted. It
never sees a database or a configuration.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from firmware_sim.books import ChargerBook, Proof, ProofBook
from firmware_sim.errors import SiteError
from firmware_sim.faults import run_command
from firmware_sim.meter_state import KEY_FILES
from firmware_sim.site import Site
from wire.errors import MalformedValue
from wire.records import Session, SessionStatus, Value, decode

T = TypeVar("T")

PATIENCE_S = 120.0
HOLDS = "holds"
NOTED = "log.keys"


class _LogKeys(Value, frozen=True, kw_only=True):
    """What `pnc-gateway ledger show --json` says, as far as it is needed here."""

    log_key: str
    hub_log_key: str


class _Written(Value, frozen=True, kw_only=True):
    """A line of `pnc-hub evidence --json`."""

    session_id: str
    file: str


class _Step(Value, frozen=True, kw_only=True):
    step: str
    outcome: str
    details: tuple[str, ...]


class _Key(Value, frozen=True, kw_only=True):
    role: str
    key: str


class _Report(Value, frozen=True, kw_only=True):
    session_id: str
    verdict: str
    steps: tuple[_Step, ...]
    keys: tuple[_Key, ...]
    records: Mapping[str, tuple[int, ...]]


class _Verified(Value, frozen=True, kw_only=True):
    """A line of `pnc-hub evidence verify --json`."""

    file: str
    report: _Report | None = None
    error: str | None = None


async def prove(site: Site, sessions: Sequence[Session], chargers: Sequence[ChargerBook]) -> ProofBook:
    """What a process that has nothing else says of the evidence files of all completed `sessions`.

    Raises:
        SiteError: a file cannot be written, or the process that verifies did not do so.
    """
    completed = [session.id for session in sessions if session.status is SessionStatus.COMPLETED]
    if not completed:
        return ProofBook(proofs=())
    folder = site.folder / "evidence"
    folder.mkdir(exist_ok=True)
    keys, written = await asyncio.gather(_log_keys(site), _write(site, completed, folder))
    given = ["--hub-key", keys.hub_log_key]
    for log_key in dict.fromkeys((*_noted(site), keys.log_key)):
        given += ["--log-key", log_key]
    for book in chargers:
        for path in sorted(site.charger_folder(book.charger_id).glob(KEY_FILES)):
            given += ["--meter-key", path.read_text("ascii").strip()]
    verified = await _verify([one.file for one in written], given)
    by_file = {one.file: one for one in verified}
    return ProofBook(proofs=tuple(_proof(one, by_file.get(one.file)) for one in written))


async def note_log_key(site: Site) -> None:
    """Keeps the key of the gateway's log as it is now: an outsider needs it still when the gateway has begun another
    epoch, whose log has a key of its own. Raises SiteError."""
    keys = await _log_keys(site)
    (site.folder / NOTED).write_text("\n".join(dict.fromkeys((*_noted(site), keys.log_key))), "ascii")


def _noted(site: Site) -> list[str]:
    path = site.folder / NOTED
    return path.read_text("ascii").split() if path.exists() else []


async def _log_keys(site: Site) -> _LogKeys:
    output = await run_command("gateway", "ledger", "show", "--json", "--config", str(site.config("gateway")))
    return _read(_LogKeys, output, "gateway ledger show")


async def _write(site: Site, sessions: Sequence[str], folder: Path) -> list[_Written]:
    told = ("--out", str(folder), "--force", "--json", "--config", str(site.config("hub")))
    output = await run_command("hub", "evidence", *sessions, *told, timeout_s=PATIENCE_S)
    return [_read(_Written, line, "hub evidence") for line in output.splitlines()]


async def _verify(files: Sequence[str], keys: Sequence[str]) -> list[_Verified]:
    with tempfile.TemporaryDirectory(prefix="pncgate-outsider-") as nowhere:
        output = await run_command(
            "hub",
            "evidence",
            "verify",
            *files,
            *keys,
            "--json",
            timeout_s=PATIENCE_S,
            alone_in=Path(nowhere),
            good=(0, 1, 2),
        )
    return [_read(_Verified, line, "hub evidence verify") for line in output.splitlines()]


def _read(type_: type[T], line: bytes, what: str) -> T:
    try:
        return decode(type_, line, what)
    except MalformedValue as error:
        raise SiteError("unreadable-answer", str(error)) from error


def _proof(written: _Written, verified: _Verified | None) -> Proof:
    """What was said of one file. Everything but a report in which every step holds is a flaw."""
    report = None if verified is None else verified.report
    if report is None:
        error = None if verified is None else verified.error
        return Proof(session_id=written.session_id, flaws=(error or "nothing was said of its evidence file",))
    flaws = [f"{step.step}: {detail}" for step in report.steps if step.outcome != HOLDS for detail in step.details]
    if report.session_id != written.session_id:
        flaws.append(f"the file is of session {report.session_id}")
    return Proof(
        session_id=written.session_id,
        flaws=tuple(flaws),
        meter_keys=frozenset(key.key for key in report.keys if key.role == "meter"),
        records=frozenset((epoch, seq) for epoch, seqs in report.records.items() for seq in seqs),
    )
