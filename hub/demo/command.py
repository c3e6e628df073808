"""`pnc-hub demo`: plays a month of roaming and tells what came of it."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import msgspec

from hub.clock import now
from hub.demo.account import Account
from hub.demo.cast import EVERYBODY
from hub.demo.closing import EXPORTS
from hub.demo.month import MOST_VISITS, month_before
from hub.demo.platform import CONFIG_FILE, LOG_FILE, TOKEN_FILE
from hub.demo.play import Wish, play
from hub.demo.screen import progress, show
from hub.errors import HubError
from hub.options import fail
from pki.service.screen import screen
from wire.records import encode

EXIT_NOT_HELD, EXIT_SIGNAL = 1, 128
_VISITS, _FEW_VISITS, _SEED = 20, 4, 8
_README = "README.md"


@click.command()
@click.option("--keep", type=click.Path(path_type=Path, file_okay=False), help="Play in this new folder and keep it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end, and nothing else.")
@click.option("--fast", is_flag=True, help=f"Few sessions: {_FEW_VISITS} at each station instead of {_VISITS}.")
@click.option("--seed", type=int, default=_SEED, show_default=True, help="What the month is made of.")
@click.option("--visits", type=click.IntRange(2, MOST_VISITS), hidden=True, help="Sessions at each station.")
def demo(keep: Path | None, as_json: bool, fast: bool, seed: int, visits: int | None) -> None:
    """Play a month of roaming: two CPOs, two eMSPs and a hub.

    Five real programs on loopback, with certificates made for it. Ends with 0 when everything held that had to, with 1
    when something did not, with 2 when it could not be played.
    """
    folder = _folder(keep)
    signal.signal(signal.SIGTERM, _told_to_end)
    console, at = screen(), now()
    wish = Wish(visits or (_FEW_VISITS if fast else _VISITS), seed)
    kept = keep is not None
    try:
        account = play(folder, wish, at, (lambda text: None) if as_json else progress(console))
        kept = kept or not account.ok
    except HubError as error:
        kept = True
        fail(f"{error}; logs and databases are kept in {folder}")
    except KeyboardInterrupt as told:
        click.echo("interrupted; all programs have ended", err=True)
        sys.exit(EXIT_SIGNAL + (told.args[0] if told.args else signal.SIGINT))
    finally:
        if kept:
            (folder / _README).write_text(_guide(folder, month_before(at.date())), encoding="utf-8")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    _tell(account, folder if kept else None, as_json)
    sys.exit(0 if account.ok else EXIT_NOT_HELD)


def _told_to_end(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(number)


def _tell(account: Account, folder: Path | None, as_json: bool) -> None:
    if as_json:
        click.echo(encode(msgspec.structs.replace(account, folder=None if folder is None else str(folder))))
        return
    show(screen(), account)
    if folder is not None:
        click.echo(f"kept in {folder}; {_README} there says how to look around")


def _folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="pncgate-demo-"))
    try:
        if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
            fail(f"--keep {keep}: exists and is no empty folder")
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        fail(f"--keep {keep}: {error.strerror}")
    return keep.resolve()


def _guide(folder: Path, month: date) -> str:
    members = "\n".join(f"- `{one.name}/`  {one.title}, {one.party}, {one.role}" for one in EVERYBODY)
    last = (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    asking = f"--config {CONFIG_FILE} --token-file {TOKEN_FILE}"
    return f"""# A month of roaming, kept

{members}

Each folder has a `{CONFIG_FILE}`, the token `{TOKEN_FILE}` of an operator, the log `{LOG_FILE}` of the program, and its
database in `state/`. The invoices are in `{EXPORTS}/`: open one of the pages. The certificates are good
for 30 days.

Start a platform again, all five if they are to reach each other, and look around:

    cd {folder / "volt"}
    pnc-hub run --config {CONFIG_FILE} >> {LOG_FILE} &
    pnc-hub partners list {asking}
    pnc-hub reconcile list {asking}
    pnc-hub disputes list {asking}
    pnc-hub settle list {asking}
    pnc-hub settle show sud-vlt-{month:%Y%m%d} {asking}
    pnc-hub settle net 'NL*SUD' 'FR*VLT' --from {month} --to {last} {asking}

In `drive/` the altered CDR is found, and why it was refused:

    pnc-hub reconcile list --state refused {asking}

The same in a browser, at https://localhost and the port of `[pages]` in `{CONFIG_FILE}`, for a user that you add:

    pnc-hub users add me --role admin {asking}
"""
