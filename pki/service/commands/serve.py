"""`pnc-pki serve`: run the service until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import click

from pki.service.commands.context import ends_clearly, in_folder
from pki.service.registry import Registry
from pki.service.state_folder import open_registry


@click.command()
@in_folder
@ends_clearly
def serve(folder: Path) -> None:
    """Enrol, answer and publish until SIGTERM or SIGINT; one JSON object per line on standard output.

    Where it listens stands in pki.toml. The line `ready` tells the addresses.
    """
    # Only this command needs a web server; the others start faster without.
    from pki.service.web.journal import start_journal

    with open_registry(folder) as registry:
        start_journal()
        asyncio.run(_run(registry))


async def _run(registry: Registry) -> None:
    from pki.service.web.site import Site

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Site(registry).run(stop)
