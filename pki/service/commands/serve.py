"""`pnc-pki serve`: run the service until it is told to stop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pki.errors import StateError
from pki.service.commands.context import ends_clearly, in_folder
from pki.service.registry import Registry
from pki.service.state_folder import open_registry

_LOCK = "serve.lock"


@click.command()
@in_folder
@ends_clearly
def serve(folder: Path) -> None:
    """Enrol, answer and publish until SIGTERM or SIGINT; one JSON object per line on standard output.

    Where it listens stands in pki.toml. The line `ready` tells the addresses.
    """
    # Only this command needs a web server; the others start faster without.
    from pki.service.web.journal import start_journal

    with open_registry(folder) as registry, _only_one(folder):
        start_journal()
        asyncio.run(_run(registry))


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """A lock on the state folder for as long as the service runs: two of them would publish against each other."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError("state-unusable", f"{folder / _LOCK}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise StateError("state-in-use", f"{folder} is served by another pnc-pki serve") from error
    try:
        yield
    finally:
        os.close(descriptor)


async def _run(registry: Registry) -> None:
    from pki.service.web.site import Site

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Site(registry).run(stop)
