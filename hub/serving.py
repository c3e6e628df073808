"""The running hub: its parts built, run until it is told to end, and ended in order.

Rules
1. One process may be the whole hub, or one worker of several, which accept at sockets that they inherited and end when
   whoever started them does (hub.workers).
2. Nothing of a worker's memory is needed by another: what must be known by all is in the database.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from hub.clock import now
from hub.config import HubConfig
from hub.config_revocation import RevocationConfig
from hub.desk import CommandDesk
from hub.erasing import Erasing
from hub.evidence.gather import Maker
from hub.lists import ListDesk
from hub.log_key import load_log_key, make_log_key, missing_key
from hub.revocation.fetching import EvidenceFetching
from hub.store.database import Database
from hub.store.derivation import Derivation, Elsewhere
from hub.store.heads import last_countersigned
from hub.store.meter_keys import pin_all_configured
from hub.web.api import OperatorAPI
from hub.web.ocpi.platform import OCPIPlatform
from hub.web.pages.site import OperatorPages
from hub.web.server import Listener, server_context
from hub.web.settling import settling
from hub.web.sync import Evidence, SyncEndpoint
from hub.web.told import tell_news
from wire.tree_head import SigningKey

_log = logging.getLogger("hub")


def inherited(descriptors: str) -> dict[str, socket.socket]:
    """The sockets that a worker was started with, as `NAME=DESCRIPTOR,...`: of its listeners, and `derived`, by which
    it tells those that derive."""
    pairs = (text.partition("=") for text in descriptors.split(","))
    return {name: socket.socket(fileno=int(number)) for name, _, number in pairs}


def told_to_stop(*, with_parent: bool) -> asyncio.Event:
    """Set by SIGTERM or SIGINT, and for a process that ends `with_parent` by the end of its standard input."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    if with_parent:
        loop.add_reader(sys.stdin.fileno(), stop.set)
    return stop


async def derive(config: HubConfig, sock: socket.socket) -> None:
    """Take what other processes store into the books, until a signal or the end of standard input. Raises HubError."""
    stop = told_to_stop(with_parent=True)
    derivation = Derivation(config.engine(), config.terms, tell_news)
    hearing = asyncio.create_task(derivation.hear(sock))
    _log.info("deriving", extra={"fields": {"pid": os.getpid()}})
    await stop.wait()
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    await derivation.close()
    _log.info("stopped")


async def serve(config: HubConfig, sockets: Mapping[str, socket.socket] | None = None) -> None:
    """Build the parts, run them until a signal, end them. With `sockets` as one worker of several, that ends when its
    standard input does. Raises HubError when something cannot start."""
    stop = told_to_stop(with_parent=sockets is not None)
    sockets = sockets or {}
    sync_context = server_context(config.sync_tls, config.client_ca)
    api_context = server_context(config.api_tls)
    told = Elsewhere(sockets["derived"]) if "derived" in sockets else None
    database = Database(config.state_dir, config.terms, config.engine(), tell_news, told)
    desk = CommandDesk(database, config.gateways)
    listeners: dict[str, Listener] = {}
    lists: ListDesk | None = None
    beside: list[asyncio.Task[None]] = []
    platform: OCPIPlatform | None = None
    try:
        await database.write(lambda connection: pin_all_configured(connection, config.terms.meter_keys, now()))
        key = await log_key(config.state_dir, database)
        lists = ListDesk(database, key)
        await lists.start(now(), beside_others=bool(sockets))
        maker = Maker(key=key, terms=config.terms, issuer=config.contact, roaming=config.roaming)
        erasing = Erasing(database, config.retention_years, lists)
        if config.roaming is not None:
            roaming, context = config.roaming, server_context(config.roaming.tls)
            platform = OCPIPlatform(database, config, roaming, desk)
            listeners["ocpi"] = Listener("ocpi", platform.application(), roaming.listen, context, sockets.get("ocpi"))
        listeners.update(_pages(config, database, desk, maker, sockets))
        asking, routes = (None, ()) if platform is None else (platform.asking, platform.operator_routes())
        evidence = None if config.revocation is None else _fetching(database, config.revocation, beside)
        endpoint = SyncEndpoint(database, config.gateways, key, lists, desk, config.takeover_after, asking, evidence)
        money = settling(database, config.roaming, config.contact)
        api = OperatorAPI(database, config.clients, config.gateways, desk, maker, erasing, routes, money)
        listeners["sync"] = Listener("sync", endpoint.application(), config.sync, sync_context, sockets.get("sync"))
        listeners["api"] = Listener("api", api.application(), config.api, api_context, sockets.get("api"))
        beside.append(asyncio.create_task(database.listen(_Heard(desk, lists))))
        listen = {name: await listener.start() for name, listener in listeners.items()}
        if platform is not None:
            await platform.start()
        _log.info("ready", extra={"fields": {"listen": listen, "pid": os.getpid()}})
        await stop.wait()
    finally:
        desk.close()
        for listener in listeners.values():
            await listener.close()
        if platform is not None:
            await platform.close()
        if lists is not None:
            await lists.close()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await database.close()
    _log.info("stopped")


class _Heard:
    """What other processes did, told to whom it concerns."""

    def __init__(self, desk: CommandDesk, lists: ListDesk) -> None:
        self._desk, self._lists = desk, lists
        self._forgetting: set[asyncio.Task[bool]] = set()

    def __call__(self, what: str) -> None:
        self._desk.hear(what)
        if what == "erased":
            task = asyncio.create_task(self._lists.forget((), now()))
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)


def _fetching(database: Database, config: RevocationConfig, beside: list[asyncio.Task[None]]) -> Evidence:
    """What is fetched for gateways, running beside the rest."""
    fetching = EvidenceFetching(database, config)
    beside.append(asyncio.create_task(fetching.run()))
    return config, fetching


def _pages(
    config: HubConfig, database: Database, desk: CommandDesk, maker: Maker, sockets: Mapping[str, socket.socket]
) -> dict[str, Listener]:
    """The listener of the operator pages, where there are any. Raises ListenError."""
    if config.pages is None:
        return {}
    pages = OperatorPages(database, config.pages, config.gateways, desk, maker).application()
    context = server_context(config.pages.tls)
    return {"pages": Listener("pages", pages, config.pages.listen, context, sockets.get("pages"))}


async def log_key(state_dir: Path, database: Database) -> SigningKey:
    """The key that countersigns, made at the first start. Raises LogKeyError."""
    key, last = load_log_key(state_dir), await database.read(last_countersigned)
    used = None if last is None else last.countersignature.public_key
    if key is None:
        if used is not None:
            raise missing_key(state_dir, used)
        key = make_log_key(state_dir)
    elif used not in (None, key.public_key):
        _log.warning("hub-log-key-changed", extra={"fields": {"before": used, "now": key.public_key}})
    return key
