"""Builds the gateway from its settings and runs it until it is told to stop: the composition root behind `run`."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from contextlib import ExitStack, suppress

from gateway.arrears import ArrearsKeeper
from gateway.authorizer import Authorizer
from gateway.chargers.connected import Site
from gateway.chargers.quirk_tally import QuirkTally
from gateway.clock import read_boot_id
from gateway.clock_watch import ClockWatch, open_clock
from gateway.config import Settings
from gateway.decide.authorize import evse_key
from gateway.decide.policy import Choice
from gateway.errors import ConfigurationError, StoreUnavailable
from gateway.front import Front, local_server
from gateway.inspection import Inspection
from gateway.keeper import TrustKeeper
from gateway.local.server import Health
from gateway.log import say
from gateway.opening import open_books
from gateway.paper import Paper
from gateway.reload import check_configuration
from gateway.retention import Retention
from gateway.room import RoomKeeper
from gateway.serving import must_end
from gateway.state_lock import lock_state
from gateway.store.budget import Act
from gateway.store.carrying import EpochOrder
from gateway.store.chains import kept_chains
from gateway.store.epochs import jump_numbers, order_epoch
from gateway.store.evidence import open_evidence
from gateway.store.ledger import append, last_trusted_at
from gateway.store.sessions import has_running
from gateway.store.soundness import says_damage
from gateway.store.whitelist import open_whitelist
from gateway.store.whitelist_mark import put_back
from gateway.supervisor import supervise
from gateway.tls import uplink_tls
from gateway.trust import load_site_trust
from gateway.uplink.kind import Uplink
from gateway.uplink.native import NativeUplink
from gateway.uplink.staples import Staples
from gateway.vitals import VitalParts
from gateway.way import link_settings
from wire.chain import RecordKind
from wire.records import AuditEntry
from wire.tombstone import TombstoneReason

MEND_EVERY_S = 1.0
LEARNED_AT_START = 500
"""Chains verified again at start, about a third of a millisecond each, so that their hashes are known."""


class Gateway:
    """All parts of a running site. Build it, `run` it, and it ends on SIGTERM or SIGINT."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError or StoreError; nothing listens yet."""
        self._settings = settings
        self._clock = open_clock(settings, read_boot_id(os.environ.get("PNCGW_BOOT_ID")))
        load_site_trust(settings)
        tls = uplink_tls(settings)
        with ExitStack() as opened:
            opened.callback(os.close, lock_state(settings.state_dir))
            self._open_stores(opened)
            self._clock.proves(last_trusted_at(self._reader), self._whitelist.confirmed_at)
            self._anew = asyncio.Event()
            self._inspection = Inspection(settings.ledger_path, self._damaged, self._audit)
            self._uplink = self._new_uplink(tls, opened)
            self._retention = Retention(self._writer, self._clock.now, settings.table.ledger.keep_days)
            self._room = RoomKeeper(
                settings.room(),
                self._owner,
                self._writer,
                self._reader,
                self._clock.now,
                self._retention,
                self._stored,
            )
            self._room.damaged = self._damaged
            self._judge_by(tls)
            self._quirks = QuirkTally(self._clock)
            site = self._new_site()
            vitals = VitalParts(self._clock, self._writer, self._uplink, self._room, self._whitelist)
            self._front = Front(settings, site, self._whitelist, self._uplink, self._paper, vitals.read)
            self._local = local_server(settings, site, self._staples, self._health)
            self._opened = opened.pop_all()

    def _open_stores(self, opened: ExitStack) -> None:
        """The ledger, the list of tokens, what was fetched; `opened` closes them. Raises StoreError."""
        self._books = books = open_books(self._settings, self._clock, opened)
        self._writer, self._reader, self._owner = books.ledger.writer, books.ledger.reader, books.ledger.owner
        self._whitelist, remark = open_whitelist(self._settings.whitelist_path)
        opened.callback(self._whitelist.close)
        self._evidence, other_remark = open_evidence(self._settings.evidence_path)
        opened.callback(self._evidence.close)
        self._begun_anew = [("whitelist-begun-anew", remark), ("evidence-begun-anew", other_remark)]
        if remark is None:
            self._begun_anew += [("whitelist-put-back", put_back(self._reader, self._whitelist.version))]
        self._begun_anew += books.prepared.remarks

    def _judge_by(self, tls: ssl.SSLContext) -> None:
        """Whoever decides, and what decisions rest on. Raises ConfigurationError, StoreError."""
        settings = self._settings
        loaded = load_site_trust(settings, self._evidence, self._clock.now().at)
        policy, evses = settings.table.policy, _evses(settings)
        self._authorizer = Authorizer(
            self._clock, policy, loaded.trust, self._whitelist, self._uplink, self._reader, evses
        )
        self._keeper = TrustKeeper(settings, self._evidence, self._clock, self._authorizer, loaded)
        self._staples = Staples()
        self._paper = Paper(settings, self._evidence, self._keeper, self._staples, self._clock, tls, self._audit)
        self._authorizer.met = self._paper.met
        self._clock_watch = ClockWatch(self._clock, self._audit, [tls, *self._paper.tls])
        for pem in kept_chains(self._reader, LEARNED_AT_START):
            self._authorizer.learn(pem)

    def _new_site(self) -> Site:
        return Site(
            owner=self._owner,
            clock=self._clock,
            writer=self._writer,
            ledger=self._reader,
            authorizer=self._authorizer,
            heartbeat_interval_s=self._settings.table.chargers.heartbeat_interval_s,
            stored=self._stored,
            certificates=self._paper.service(),
            quirks=self._quirks,
            is_full=self._is_full,
            turns_away=self._turns_away,
            counts_values=lambda: self._room.does(Act.COUNT_VALUES),
        )

    def _new_uplink(self, tls: ssl.SSLContext, opened: ExitStack) -> Uplink:
        """The one that the configuration names; `opened` closes its files. Raises ConfigurationError, StoreError."""
        settings, owner, clock = self._settings, self._owner, self._clock
        if settings.speaks_ocpi:
            from gateway.uplink.ocpi.uplink import open_ocpi_uplink

            way = link_settings(settings, tls)
            return open_ocpi_uplink(settings, way, owner, self._writer, self._whitelist, clock, opened)
        return NativeUplink(settings, tls, self._books, self._whitelist, clock, self._anew, self._inspection.doubt)

    async def run(self, stop: asyncio.Event) -> bool:
        """Serve until SIGTERM or SIGINT, which set `stop`; SIGHUP reads trust, revocation lists and the own certificate
        again. Says whether to start again at once, because a new epoch of the ledger is due (`gateway.store.epochs`).

        Raises:
            ConfigurationError: a listening address cannot be taken.
        """
        loop, again = asyncio.get_running_loop(), asyncio.Event()

        def told_to_stop() -> None:
            must_end()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told_to_stop)
        loop.add_signal_handler(signal.SIGHUP, again.set)
        try:
            await self._note_start()
        except StoreUnavailable as error:
            if says_damage(str(error)):
                self._damaged(str(error))
                return True
            if not self._writer.full:
                raise
            say("store-unavailable", level="error", reason=str(error))
        listen = await self._listen()
        started = (*self._uplink.tasks(), *self._paper.tasks(), *self._front.tasks())
        tasks = [
            asyncio.create_task(supervise("store", self._mend_store)),
            asyncio.create_task(supervise("whitelist", self._examine_list)),
            asyncio.create_task(supervise("clock", self._clock_watch.run)),
            asyncio.create_task(supervise("retention", self._retention.run)),
            asyncio.create_task(supervise("room", self._room.run)),
            asyncio.create_task(supervise("inspection", self._inspection.run)),
            asyncio.create_task(supervise("quirks", lambda: self._quirks.keep(self._writer))),
            asyncio.create_task(supervise("reload", lambda: self._reload_when(again))),
            *(asyncio.create_task(supervise(name, run)) for name, run in started),
            *self._arrears(),
        ]
        say("ready", listen=listen, gateway=self._owner.gateway_id, epoch=self._owner.epoch)
        await _first_of(stop, self._anew)
        must_end()
        await self._front.stop()
        if self._local is not None:
            await self._local.stop()
        await self._paper.close()
        if self._writer.broken is None:
            with suppress(StoreUnavailable):
                await self._quirks.flush(self._writer)
                await self._room.bury()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self._uplink.close()
        await self._clock_watch.keep()
        say("stopped" if stop.is_set() else "starts-again")
        return not stop.is_set()

    def _arrears(self) -> list[asyncio.Task[None]]:
        """What carries the records that this epoch owes, if it owes any."""
        if self._books.arrears is None:
            return []
        debt, book = self._books.arrears
        keeper = ArrearsKeeper(self._books.ledger, debt, book, self._clock.now, self._uplink.stored, self._anew.set)
        return [asyncio.create_task(supervise("arrears", keeper.run))]

    async def _note_start(self) -> None:
        """Raises StoreUnavailable."""
        now = self._clock.now()
        await self._writer.run(lambda connection: jump_numbers(connection, now))
        await self._audit("gateway-started", f"epoch {self._owner.epoch}")
        for event, remark in self._begun_anew:
            if remark is not None:
                say(event, level="warning", reason=remark)
                await self._audit(event, remark)

    async def close(self) -> None:
        """Commit what waits and close the files; idempotent."""
        await self._writer.drain()
        await self._books.sent.writer.drain()
        self._opened.close()

    def _stored(self) -> None:
        """The ledger has grown."""
        self._uplink.stored()
        self._front.stored()

    def _is_full(self) -> bool:
        return self._room.does(Act.REFUSE_SESSIONS) and self._settings.table.ledger.when_full is not Choice.ACCEPT

    def _turns_away(self, charger_id: str) -> bool:
        """Where a session runs, somebody may be asking in order to end it."""
        return self._is_full() and not has_running(self._reader, charger_id)

    async def _listen(self) -> dict[str, str]:
        """What is served, and where. Raises ConfigurationError."""
        listen = {} if self._local is None else {"local": await self._local.start()}
        try:
            return listen | await self._front.start()
        except ConfigurationError:
            if self._local is not None:
                await self._local.stop()
            raise

    def _health(self) -> Health:
        return Health(
            ok=self._writer.broken is None,
            online=self._uplink.online,
            clock=self._clock.now().clock.value,
            chargers=self._front.server.connected,
            certificate_not_after=self._paper.certificate_not_after,
        )

    async def _audit(self, event: str, message: str, subject: str | None = None) -> None:
        entry = AuditEntry(event=event, subject=subject or self._owner.gateway_id, message=message)
        now = self._clock.now()
        await self._writer.run(lambda c: append(c, self._owner, RecordKind.AUDIT, entry, now))
        self._uplink.stored()

    async def _reload_when(self, again: asyncio.Event) -> None:
        """Whenever it is asked for: take new trust if all of it can be read, otherwise keep the old and say so. The
        configuration itself is only compared."""
        while True:
            await again.wait()
            again.clear()
            config = await asyncio.to_thread(check_configuration, self._settings)
            before = self._paper.certificate_not_after
            await self._paper.take_up()
            reloaded = await self._keeper.reload()
            ports = await self._front.server.reload(asked=True)
            if reloaded:
                taken = ["trust anchors and revocation lists", *(f"certificates of {key}" for key in ports)]
                taken += ["own certificate"] if self._paper.certificate_not_after != before else []
                say("reloaded", taken_up=taken, config=config)

    async def _examine_list(self) -> None:
        """Read the whole token list once: at start only its top was looked at."""
        remark = await asyncio.to_thread(self._whitelist.examine)
        if remark is not None:
            say("whitelist-begun-anew", level="error", reason=remark)
            await self._audit("whitelist-begun-anew", remark)

    async def _mend_store(self) -> None:
        """While the store is broken, try to open it again; stations are turned away until then."""
        while True:
            await asyncio.sleep(MEND_EVERY_S)
            if self._writer.broken is None:
                continue
            if says_damage(self._writer.broken):
                self._damaged(self._writer.broken)
                return
            await self._room.mend()

    def _damaged(self, message: str) -> None:
        """The ledger is damaged: have what is sound of it carried into a new epoch, at a start that comes at once."""
        say("ledger-damaged", level="error", reason=message)
        order = EpochOrder(epoch=self._owner.epoch, reason=TombstoneReason.DAMAGE, message=message)
        order_epoch(self._settings.ledger_path, order)
        self._anew.set()


async def _first_of(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def _evses(settings: Settings) -> dict[str, frozenset[str]]:
    """The EVSEs of each station, by its case-folded id."""
    return {one.id.casefold(): frozenset(map(evse_key, one.evse_ids)) for one in settings.table.charger}
