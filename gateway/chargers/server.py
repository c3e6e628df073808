"""The ports of the charging stations: who may connect, and whose connection ends for whom.

Knows nothing of what messages mean; that is `station`. Who is let in is decided in `admission`, how connections arrive
in `listener`, what happens on one in `visit`.

Rules
1. One live connection for each station. A second one proves itself before anything happens to the first; then it takes
   its place, and that is an alarm. Two that go on taking each other's place are stopped: the present one stays.
2. New certificates and new trust are taken up without closing sockets; a station whose certificate they revoke is sent
   away.
3. Refusals are told, of each address so many; those that are about a station's rights stand in the audit log.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Coroutine

from aiohttp import WSCloseCode, hdrs, web

from gateway.chargers.admission import Admission, Admitted
from gateway.chargers.calls import Calls
from gateway.chargers.connected import Site
from gateway.chargers.crowd import Crowd, address_of
from gateway.chargers.large_frames import Places, largest
from gateway.chargers.listener import Guard, Listener
from gateway.chargers.passwords import Passwords
from gateway.chargers.port import Entrance, Port, SecurityProfile
from gateway.chargers.rates import Pace, Seldom, TokenBucket
from gateway.chargers.roster import Roster
from gateway.chargers.rotation import Rotation
from gateway.chargers.station import Station
from gateway.chargers.tls import PortTLS
from gateway.chargers.visit import Line, Visit
from gateway.errors import AdmissionRefused, ConfigurationError, StoreUnavailable
from gateway.log import log_server_errors, say
from gateway.store.lost_frames import count_lost_frame
from gateway.supervisor import supervise
from pki.profile import AnchorRole
from wire.ocpp import v16, v21, v201

VERSIONS = {module.SUBPROTOCOL: module.VERSION for module in (v21, v201, v16)}
_OFFER = b"offer ocpp2.1, ocpp2.0.1 or ocpp1.6"
_PATHS = ("/ocpp/{charger_id}", "/ocpp/{written:(?:ocpp)?[0-9][0-9.]{0,4}[jJ]?}/{charger_id}")
"""A version in the URL is allowed, and means nothing."""
WATCH_EVERY_S = 5.0
"""How often silence, files of certificates and the trust are looked at."""
_LAST_GOODBYE_S = 1.0
_ALARM_EVERY_S = 60.0
_REMIND_EVERY_S = 6 * 3600.0
_SWAP_EVERY_S, _SWAPS = 10.0, 3
"""A live connection of a station may be replaced so many times, then once in so many seconds."""
_COME_EVERY_S, _COMES = 0.5, 60
"""A station may connect so many times, then once in so many seconds: each time costs more than a message."""
_TELL_EVERY_S, _TELL_BURST = 5.0, 20
_MERELY_OLD = frozenset({"expired", "revocation-stale", "revocation-unknown", "clock-unknown"})
"""What may be found about the certificate of a connected station without sending it away."""


class ChargerServer:
    """Accepts stations on every port of `entrance`. `start`, then `stop`."""

    def __init__(self, site: Site, entrance: Entrance, watch_every_s: float = WATCH_EVERY_S) -> None:
        """`watch_every_s`: how often silence and new files are looked for.

        Raises:
            ConfigurationError: certificates or keys cannot be used.
        """
        self._site, self._entrance, self._watch_every_s = site, entrance, watch_every_s
        self.roster = Roster()
        self._passwords = Passwords(site, entrance.accounts)
        self.rotation = Rotation(site, self._passwords, entrance.accounts)
        self._admission = Admission(site, entrance, self._passwords)
        self._trust = site.authorizer.trust
        self._tls = {port: PortTLS(port, self._roots()) for port in entrance.ports if port.profile.encrypted}
        self._visits: set[Visit] = set()
        self._live: dict[str, Visit] = {}
        self._swaps: dict[str, TokenBucket] = {}
        self._comes: dict[str, TokenBucket] = {}
        self._alarms, self._refusals = Seldom(_ALARM_EVERY_S), Seldom(_TELL_EVERY_S, _TELL_BURST)
        self._reminders = Seldom(_REMIND_EVERY_S)
        self._errands: set[asyncio.Task[None]] = set()
        app = web.Application()
        for path in _PATHS:
            app.router.add_get(path, self._connect, allow_head=False)
        app.router.add_route("*", "/{anything:.*}", self._elsewhere)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=15,
            shutdown_timeout=5,
            lingering_time=1.0,
            max_line_size=2048,
            max_field_size=4096,
            max_headers=64,
        )
        self._listeners: list[Listener] = []
        self._watching: asyncio.Task[None] | None = None

    @property
    def connected(self) -> int:
        """How many stations are connected now."""
        return len(self.roster)

    async def start(self) -> list[str]:
        """Listen on every port; the addresses that are served, in the order of the ports.

        Raises:
            ConfigurationError: an address cannot be taken; nothing listens then.
        """
        loop, bounds, places = asyncio.get_running_loop(), self._entrance.bounds, Places()
        self._pace_of_all = TokenBucket(bounds.messages_per_s_in_all, bounds.burst_in_all, loop.time())
        await self._passwords.begin()
        await self._runner.setup()
        log_server_errors()
        server, crowd = self._runner.server, Crowd(bounds)
        assert server is not None  # `setup` has made it.
        addresses = []
        for port in self._entrance.ports:
            listener = Listener(port, self._tls.get(port), crowd, places, server)
            try:
                addresses.append(await listener.start())
            except (OSError, UnicodeError) as error:
                await self.stop()
                why = getattr(error, "strerror", None) or error
                raise ConfigurationError(f"{port.key} listen {port.host}:{port.port}: {why}") from error
            self._listeners.append(listener)
        self._watching = asyncio.create_task(supervise("chargers", self._watch), name="chargers")
        return addresses

    async def stop(self) -> None:
        """Stop listening and say goodbye to every station (1001), to all at once."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        for listener in self._listeners:
            await listener.close()
        goodbye = (WSCloseCode.GOING_AWAY, b"gateway stops", _LAST_GOODBYE_S)
        await asyncio.gather(*(visit.end(*goodbye) for visit in tuple(self._visits)))
        await self._runner.cleanup()
        for errand in tuple(self._errands):
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)

    async def reload(self, *, asked: bool = False) -> list[str]:
        """Take up certificates, keys and trust as they are now; what cannot be used leaves that port as it was. The
        keys of the ports that were changed. `asked`: somebody wants to know, however often it was said."""
        roots, changed = self._roots(), []
        for port, tls in self._tls.items():
            if not tls.is_outdated(roots):
                continue
            try:
                await asyncio.to_thread(tls.reload, roots)
            except ConfigurationError as error:
                if self._alarms.admits(port.key, self._now_s()) is not None or asked:
                    say("port-not-reloaded", level="error", port=port.key, reason=str(error))
            else:
                say("port-reloaded", port=port.key)
                changed.append(port.key)
        if self._trust is not self._site.authorizer.trust:
            self._trust = self._site.authorizer.trust
            for visit in tuple(self._visits):
                self._judge_again(visit)
                await asyncio.sleep(0)  # Each costs a signature.
        return changed

    # --- one connection

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        guard = _guard_of(request)
        if guard is None:
            return web.Response(status=500)  # The connection has ended meanwhile.
        try:
            admitted = await self._admission.admit(request, guard.port)
            self._require_measure(admitted)
        except AdmissionRefused as error:
            return self._refused(request, guard.port, error)
        except (StoreUnavailable, sqlite3.Error) as error:
            unable = AdmissionRefused("store-unavailable", str(error), 503)
            return self._refused(request, guard.port, unable)
        socket = web.WebSocketResponse(
            protocols=tuple(VERSIONS), max_msg_size=_largest(request, admitted), autoping=False, timeout=5.0
        )
        charger_id = admitted.account.charger_id
        try:
            await socket.prepare(request)
        except web.HTTPBadRequest:
            no_socket = AdmissionRefused("no-websocket", "asks for no WebSocket of version 13", 400, charger_id)
            return self._refused(request, guard.port, no_socket)
        ocpp = VERSIONS.get(socket.ws_protocol or "")
        if ocpp is None:
            # No common version: finish the handshake without one, then close (OCPP 2.0.1 Part 4 3.2).
            offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "none")[:100]
            say("charger-refused", level="warning", charger=charger_id, reason=f"no common OCPP version in {offered!a}")
            await socket.close(code=WSCloseCode.PROTOCOL_ERROR, message=_OFFER)
            return socket
        if not guard.is_open:
            return socket  # It has ended meanwhile, and must not take anybody's place.
        guard.proven()
        await self._host(socket, guard, admitted, ocpp)
        return socket

    async def _host(self, socket: web.WebSocketResponse, guard: Guard, admitted: Admitted, ocpp: str) -> None:
        """See a station through its visit."""
        account, bounds, line = admitted.account, self._entrance.bounds, Line(socket)
        charger_id, key = account.charger_id, account.charger_id.casefold()
        calls = Calls(charger_id, line.send)
        serial_number = None if admitted.certificate is None else account.serial_number
        station = Station(self._site, charger_id, ocpp, calls, self.roster.tell, serial_number)
        pace = Pace(bounds, self._pace_of_all, self._now_s())
        visit = Visit(socket, guard, line, admitted, station, pace, bounds)
        before = self._live.get(key)
        self._live[key] = visit
        self._visits.add(visit)
        if before is not None and before.is_open:
            self._replaced(before)
        say("charger-connected", charger=charger_id, ocpp=ocpp, profile=int(admitted.profile))
        why = None
        try:
            await self.roster.join(station)
            why = await visit.converse()
            if why == "flood":
                self._alarm("charger-flood", charger_id, "sent on and on over its pace; its connection was closed")
            if visit.too_big is not None:
                await self._lost(charger_id, visit.too_big)
            if visit.refused is not None:
                self._alarm("charger-sent-away", charger_id, f"{visit.refused.code}: {visit.refused}", told=True)
        except ConnectionError:
            guard.cut()  # A close would wait behind what the station neither reads nor sends.
        finally:
            # A late end of an old connection must not unregister the one that replaced it.
            if self._live.get(key) is visit:
                del self._live[key]
            self._visits.discard(visit)
            self.roster.leave(station)
            say("charger-disconnected", charger=charger_id, code=socket.close_code, reason=why)

    def _require_measure(self, admitted: Admitted) -> None:
        """Return if the station does not connect too often, and if its live connection may be replaced, or there is
        none. Raises AdmissionRefused."""
        charger_id, now_s = admitted.account.charger_id, self._now_s()
        key = charger_id.casefold()
        comes = self._comes.setdefault(key, TokenBucket(1 / _COME_EVERY_S, _COMES, now_s))
        if not comes.take_if_held(1, now_s):
            raise AdmissionRefused("too-often", "connects again and again", 503, charger_id)
        if key not in self._live or not self._live[key].is_open:
            return
        swaps = self._swaps.setdefault(key, TokenBucket(1 / _SWAP_EVERY_S, _SWAPS, now_s))
        if not swaps.take_if_held(1, now_s):
            message = "connects again and again while it is connected; are there two stations of this id?"
            raise AdmissionRefused("duplicate", message, 503, charger_id)

    async def _lost(self, charger_id: str, size: str) -> None:
        """Count a frame that was too large: whatever was in it is not in the ledger, and the station sends it again."""
        self._alarm("frame-too-big", charger_id, f"{size}; nothing of it is stored, and its connection was closed")
        at = self._site.clock.now().at
        try:
            await self._site.writer.run(lambda connection: count_lost_frame(connection, charger_id, size, at))
        except StoreUnavailable as error:
            say("store-unavailable", level="error", charger=charger_id, reason=str(error))

    def _replaced(self, before: Visit) -> None:
        """Send the connection away that a newer one of the same station has replaced."""
        self._alarm("charger-replaced", before.station.charger_id, "a second connection has proven itself as it")
        self._run(before.end(WSCloseCode.POLICY_VIOLATION, b"replaced by a newer connection"))

    async def _elsewhere(self, request: web.Request) -> web.Response:
        """Whoever asks for something else is not kept waiting on an open connection."""
        guard = _guard_of(request)
        nowhere = AdmissionRefused("bad-path", "asks for no path of a station", 404)
        return web.Response(status=500) if guard is None else self._refused(request, guard.port, nowhere)

    def _refused(self, request: web.Request, port: Port, error: AdmissionRefused) -> web.Response:
        left_out = self._refusals.admits(address_of(request.remote or ""), self._now_s())
        if left_out is not None:
            facts = {"port": port.key, "peer": request.remote, "charger": error.charger_id, "left_out": left_out}
            say("charger-refused", level="warning", code=error.code, reason=str(error), **facts)
        if error.status == 403 and error.charger_id is not None:
            self._alarm("charger-refused", error.charger_id, f"{error.code}: {error}", told=True)
        response = web.Response(status=error.status, text=f"{error.code}\n")
        if error.status == 401:
            response.headers[hdrs.WWW_AUTHENTICATE] = 'Basic realm="ocpp"'
        elif error.status == 503:
            response.headers[hdrs.RETRY_AFTER] = str(int(_SWAP_EVERY_S))
        response.force_close()
        return response

    # --- beside them

    async def _watch(self) -> None:
        """Look after silence, and after news."""
        while True:
            await asyncio.sleep(self._watch_every_s)
            for visit in tuple(self._visits):
                if visit.look(self._now_s()):
                    self._run(visit.ping())
            await self.reload()
            self._remind()

    def _remind(self) -> None:
        """Say which ports' certificates end soon, or have ended: their chargers will not come back."""
        now = self._site.clock.now().at
        for port, tls in self._tls.items():
            if now >= tls.remind_from and self._reminders.admits(port.key, self._now_s()) is not None:
                say("port-certificate-ends", level="warning", port=port.key, until=tls.not_after)

    def _judge_again(self, visit: Visit) -> None:
        try:
            self._admission.still_stands(visit.admitted)
        except AdmissionRefused as error:
            if error.code in _MERELY_OLD:
                return
            self._alarm("charger-sent-away", visit.station.charger_id, f"{error.code}: {error}")
            self._run(visit.end(WSCloseCode.POLICY_VIOLATION, error.code.encode()))

    def _alarm(self, event: str, charger_id: str, message: str, *, told: bool = False) -> None:
        """Say it and enter it into the audit log, of each station once in a minute. `told`: it is said already."""
        left_out = self._alarms.admits(f"{event} {charger_id.casefold()}", self._now_s())
        if left_out is None:
            return
        if left_out:
            message = f"{message} (and {left_out} times before that was not noted)"
        if not told:
            say(event, level="warning", charger=charger_id, reason=message)
        self._run(self._audit(event, charger_id, message))

    async def _audit(self, event: str, charger_id: str, message: str) -> None:
        try:
            await self._site.audit(event, charger_id, message)
        except StoreUnavailable as error:
            say("store-unavailable", level="error", charger=charger_id, reason=str(error))

    def _run(self, errand: Coroutine[None, None, None]) -> None:
        """Do it beside the rest; nobody waits for it."""
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _roots(self) -> list[str]:
        """Where station certificates may come from, in PEM."""
        return [anchor.pem() for anchor in self._site.authorizer.trust.anchors.anchors(AnchorRole.BACKEND)]

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()


def _largest(request: web.Request, admitted: Admitted) -> int:
    """The largest frame that is taken from the station, in bytes."""
    packed = "permessage-deflate" in request.headers.get(hdrs.SEC_WEBSOCKET_EXTENSIONS, "").casefold()
    return largest(proven=admitted.profile is not SecurityProfile.UNAUTHENTICATED, packed=packed)


def _guard_of(request: web.Request) -> Guard | None:
    """The guard of the connection that a request came in on; None when it has ended."""
    protocol = None if request.transport is None else request.transport.get_protocol()
    return protocol if isinstance(protocol, Guard) else None
