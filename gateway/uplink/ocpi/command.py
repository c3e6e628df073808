"""`pnc-gateway ocpi`: registration with the peer, new tokens, and how the uplink stands."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.config import Settings
from gateway.errors import GatewayError, StoreError
from gateway.given import config_option, fail, settings_of
from gateway.outlook import ocpi_lines
from gateway.state_lock import lock_state
from gateway.status import read_ocpi_standing
from gateway.store.database import open_reader
from gateway.store.ocpi import OCPIStore
from gateway.store.ocpi_seen import KeptPeer, read_peer
from gateway.tls import uplink_tls
from gateway.uplink.ocpi.acquaintance import Acquaintance
from gateway.uplink.ocpi.peer import Peer
from gateway.way import link_settings
from wire.errors import WireError
from wire.records import encode


@click.group()
def ocpi() -> None:
    """A site that speaks OCPI itself ([uplink] kind = "ocpi")."""


@ocpi.command()
@config_option
def register(config: Path) -> None:
    """Register with the peer.

    Uses up the token (A) of token_file, and keeps the peer's in the state directory. The gateway must not run. A token
    that the peer gave for calls (C) needs no registration.
    """
    _exchange(settings_of(config), anew=False)


@ocpi.command()
@config_option
def rotate(config: Path) -> None:
    """Exchange new tokens with the peer; the gateway must not run."""
    _exchange(settings_of(config), anew=True)


@ocpi.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="one JSON object")
def status(config: Path, as_json: bool) -> None:
    """Show the peer, how far its tokens were read, and what waits for it."""
    settings = settings_of(config)
    try:
        settings.ocpi_settings()
        found = read_ocpi_standing(settings)
    except GatewayError as error:
        fail(str(error))
    if found is None:
        fail(f"{settings.ocpi_path}: there is none yet; register, or start the gateway")
    click.echo(encode(found) if as_json else "\n".join(ocpi_lines(found)))


@asynccontextmanager
async def called_peer(settings: Settings) -> AsyncIterator[Peer]:
    """The peer, called as a gateway that runs would, but for what is read. Raises GatewayError."""
    own = settings.ocpi_settings()
    peer = Peer(link_settings(settings, uplink_tls(settings)), own, _token(settings))
    try:
        yield peer
    finally:
        await peer.close()


def _token(settings: Settings) -> str:
    """The token of a registration, else that of the file."""
    if settings.ocpi_path.is_file():
        with closing(open_reader(settings.ocpi_path)) as connection:
            known = read_peer(connection)
            if known is not None and known.token is not None:
                return known.token
    return settings.ocpi_settings().token()


def _exchange(settings: Settings, *, anew: bool) -> None:
    """Have it done, and say what came of it; ends the process when it was not."""
    try:
        own = settings.ocpi_settings()
        descriptor = lock_state(settings.state_dir)
        try:
            store = OCPIStore(settings.ocpi_path, datetime.now(UTC))
            try:
                kept = asyncio.run(_registered(settings, store, anew=anew))
            finally:
                store.close()
        finally:
            os.close(descriptor)
    except (GatewayError, WireError) as error:
        fail(str(error))
    click.echo(f"registered with {own.versions_url}: OCPI {kept.version}, party {kept.party or 'not known'}")
    click.echo("the token of token_file is used up; the peer's is kept in the state directory")


async def _registered(settings: Settings, store: OCPIStore, *, anew: bool) -> KeptPeer:
    """Raises GatewayError, WireError."""
    own = settings.ocpi_settings()
    known = store.peer()
    if anew and (known is None or known.token is None):
        raise StoreError("this site is not registered with the peer: there is nothing to rotate")
    token = known.token if anew and known is not None and known.token is not None else own.token()
    peer = Peer(link_settings(settings, uplink_tls(settings)), own, token)
    try:
        met = Acquaintance(own, peer, store, lambda: datetime.now(UTC))
        peer.token = token  # A registration starts with the token of the file, whatever is kept of one before.
        return await met.register(anew=anew)
    finally:
        await peer.close()
