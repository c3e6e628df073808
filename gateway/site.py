"""Builds the gateway from its settings and runs it until it is told to stop: the composition root behind `run`."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sqlite3
import ssl
from contextlib import ExitStack, closing
from pathlib import Path

from gateway.authorizer import Authorizer
from gateway.chargers.server import ChargerServer
from gateway.chargers.station import Site
from gateway.clock import Clock, read_boot_id
from gateway.config import Settings
from gateway.decide.contract import Trust
from gateway.errors import ConfigurationError, StoreError
from gateway.log import say
from gateway.store.chains import kept_chains
from gateway.store.ledger import Identity, append, identity, open_ledger, open_ledger_reader
from gateway.store.whitelist import open_whitelist
from gateway.store.writer import Writer
from gateway.supervisor import supervise
from gateway.uplink.link import Link, LinkSettings
from pki.errors import PKIError
from pki.service.files import load_crls, load_trust
from pki.verify.revocation import RevocationEvidence
from wire.records import AuditEntry, RecordKind

MEND_EVERY_S = 1.0
REMIND_EVERY_S = 600.0
LEARNED_AT_START = 500
"""Chains verified again at start, about a third of a millisecond each, so that their hashes are known."""


def load_site_trust(settings: Settings) -> Trust:
    """The anchors and revocation lists that the configuration names. Raises ConfigurationError."""
    table = settings.table.trust
    try:
        anchors = load_trust(settings.folder / table.anchors)
        crls = load_crls([settings.folder / name for name in table.crls])
        return Trust(anchors=anchors, revocation=RevocationEvidence(crls=crls))
    except (PKIError, OSError) as error:
        raise ConfigurationError(f"[trust] {error}") from error


def uplink_tls(settings: Settings) -> ssl.SSLContext:
    """The TLS context that knows only the hub's CA and shows the gateway's certificate. Raises ConfigurationError."""
    table = settings.table.uplink
    ca = settings.file(table.ca, "[uplink] ca")
    certificate = settings.file(table.certificate, "[uplink] certificate")
    key = settings.file(table.key, "[uplink] key")
    if key.stat().st_mode & 0o077:
        raise ConfigurationError(f"[uplink] key {table.key!r} can be read by others; chmod 600 {key}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(ca)
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"[uplink] certificate, key or ca cannot be used: {error}") from error
    return context


class Gateway:
    """All parts of a running site. Build it, `run` it, and it ends on SIGTERM or SIGINT."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError or StoreError; nothing listens yet."""
        self._settings = settings
        self._clock = Clock(read_boot_id(os.environ.get("PNCGW_BOOT_ID")))
        trust, tls = load_site_trust(settings), uplink_tls(settings)
        gateway_id, epoch = settings.table.gateway.id, os.urandom(8).hex()

        def open_connection() -> sqlite3.Connection:
            return open_ledger(settings.ledger_path, gateway_id, epoch, self._clock.now().at)

        with ExitStack() as opened:
            opened.callback(os.close, _lock(settings.state_dir))
            self._writer = Writer(open_connection)
            opened.callback(self._writer.end)
            # Closed before the writer, so that the writer is the last and leaves one file without a log.
            self._reader = opened.enter_context(closing(open_ledger_reader(settings.ledger_path)))
            self._owner: Identity = identity(self._reader)
            self._whitelist, self._remark = open_whitelist(settings.whitelist_path)
            opened.callback(self._whitelist.close)
            self._opened = opened.pop_all()
        uplink = settings.table.uplink
        self._link = Link(
            LinkSettings(
                hub=uplink.hub.rstrip("/"),
                tls=tls,
                authorize_timeout_s=uplink.authorize_timeout_s,
                request_timeout_s=uplink.request_timeout_s,
                whitelist_interval_s=uplink.whitelist_interval_s,
                retry_min_s=uplink.retry_min_s,
                retry_max_s=uplink.retry_max_s,
            ),
            self._owner,
            self._reader,
            self._writer,
            self._whitelist,
        )
        self._authorizer = Authorizer(
            self._clock, settings.table.policy, trust, self._whitelist, self._link, self._reader
        )
        for pem in kept_chains(self._reader, LEARNED_AT_START):
            self._authorizer.learn(pem)
        site = Site(
            owner=self._owner,
            clock=self._clock,
            writer=self._writer,
            ledger=self._reader,
            authorizer=self._authorizer,
            heartbeat_interval_s=settings.table.chargers.heartbeat_interval_s,
            stored=self._link.stored,
        )
        self._server = ChargerServer(site, settings.passwords, *settings.listen)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; SIGHUP reads trust and revocation lists again.

        Raises:
            ConfigurationError: the listening address cannot be taken.
        """
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        await self._audit("gateway-started", f"epoch {self._owner.epoch}")
        if self._remark:
            await self._audit("whitelist-begun-anew", self._remark)
        try:
            address = await self._server.start()
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            message = f"[chargers] listen {self._settings.table.chargers.listen!r}: {why}"
            raise ConfigurationError(message) from error
        tasks = [
            asyncio.create_task(supervise("uplink", self._keep_link)),
            asyncio.create_task(supervise("store", self._mend_store)),
        ]
        say("ready", listen={"chargers": address}, gateway=self._owner.gateway_id, epoch=self._owner.epoch)
        await stop.wait()
        await self._server.stop()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        say("stopped")

    async def close(self) -> None:
        """Commit what waits and close the files; idempotent."""
        await self._writer.drain()
        self._opened.close()

    async def _audit(self, event: str, message: str) -> None:
        entry = AuditEntry(event=event, subject=self._owner.gateway_id, message=message)
        now = self._clock.now()
        await self._writer.run(lambda c: append(c, self._owner, RecordKind.AUDIT, entry, now))
        self._link.stored()

    def _reload(self) -> None:
        """Take new trust if all of it can be read; otherwise keep the old and say so."""
        try:
            self._authorizer.trust = load_site_trust(self._settings)
        except ConfigurationError as error:
            say("reload-refused", level="error", reason=str(error))
        else:
            say("reloaded")

    async def _keep_link(self) -> None:
        """Run the link; once it has halted for good, go on saying so, because the site goes on charging."""
        await self._link.run()
        while self._link.halted:
            say("uplink-halted", level="error", remedy="see docs/operations.md, A halted uplink")
            await asyncio.sleep(REMIND_EVERY_S)

    async def _mend_store(self) -> None:
        """While the store is broken, try to open it again; stations are turned away until then."""
        while True:
            await asyncio.sleep(MEND_EVERY_S)
            if self._writer.broken is None:
                continue
            try:
                self._writer.reopen()
            except StoreError as error:
                say("store-unavailable", level="error", reason=str(error))
            else:
                say("store-mended")


def _lock(state_dir: Path) -> int:
    """A lock on the state directory, made if it is missing: two gateways must not write one store."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{state_dir}: {error.strerror}; the gateway needs a directory it can write") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"{state_dir} is in use by another gateway process") from error
    return descriptor
