"""What `pnc-gateway enrol` does: reads the one-time code, and gets the first certificate."""

from __future__ import annotations

import asyncio
import getpass
import sys
from datetime import datetime
from pathlib import Path

from gateway.clock import read_boot_id
from gateway.clock_watch import open_clock
from gateway.config import Settings
from gateway.enrol.enrolment import Enrolment, open_pki
from gateway.errors import EnrolmentError
from pki.errors import PKIError
from pki.service.files import read_file
from wire.records import Value

_CODE_MAX = 256


class Enrolled(Value, frozen=True, kw_only=True):
    """What was obtained."""

    gateway_id: str
    pki: str
    serial: str
    not_after: datetime
    path: str


def read_code(path: Path | None) -> str:
    """The code in a file, or from standard input: asked for, unseen, where a person sits there. One line.

    Raises:
        EnrolmentError: "no-code": unreadable, empty, or more than one line.
    """
    try:
        if path is not None:
            text = read_file(path, _CODE_MAX).decode("utf-8")
        elif sys.stdin.isatty():
            text = getpass.getpass("one-time code: ")
        else:
            text = sys.stdin.readline(_CODE_MAX)
    except (PKIError, UnicodeDecodeError, EOFError) as error:
        raise EnrolmentError("no-code", f"the one-time code cannot be read: {error}") from error
    code = text.strip()
    if not code or not code.isprintable():
        where = "standard input" if path is None else str(path)
        raise EnrolmentError("no-code", f"{where} holds no one-time code; `pnc-pki register` makes one")
    return code


def enrol_now(settings: Settings, code: str) -> Enrolled:
    """The first certificate of the configured gateway, on disk. Raises ConfigurationError, EnrolmentError."""
    pki = open_pki(settings)
    enrolment = Enrolment(pki, settings.table.gateway.id, settings.identity_path)
    found = asyncio.run(enrolment.first(code, open_clock(settings, read_boot_id(None)).now()))
    return Enrolled(
        gateway_id=settings.table.gateway.id,
        pki=pki.est.base,
        serial=f"{found.leaf.serial:x}",
        not_after=found.leaf.not_after,
        path=str(found.path),
    )
