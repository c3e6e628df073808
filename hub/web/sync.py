"""The sync endpoint: gateways in, over mutual TLS. The rules of the protocol are wire.sync's; this is the pump.

Rules
1. A gateway is who its certificate says (subject CN) and must be admitted by the configuration; a body that names
   another gateway is answered 403 and changes nothing.
2. One message of a gateway at a time. Each is judged against the position in the database; where memory stands in for
   it (hub.store.intake), the database has to agree in the statement that stores the batch.
3. An Ack leaves only after COMMIT.
4. A fork is kept in the conflicts with both hashes; what is held stays. So is a tree head that does not fit, and what
   is said for an epoch that was closed (`hub.store.epochs`).
5. A head that fits is countersigned, and stored with the countersignature in the commit of its records. A batch that
   is sent again with the same head is answered with the same countersignature.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import msgspec
from aiohttp import web

from hub.clock import now
from hub.config_revocation import RevocationConfig
from hub.desk import CommandDesk
from hub.errors import StalePosition
from hub.lists import ListDesk
from hub.revocation.fetching import EvidenceFetching
from hub.roaming.asking import Asking, Unanswered, Wanted
from hub.store import whitelist
from hub.store.database import Database, Standing
from hub.store.heads import KeptHead
from hub.store.ledger import Chain, Conflict, Position
from hub.store.registry import Report
from hub.tokens import decide_authorization
from hub.tree import FittingHead, TreeMismatch, grow, judge_head
from hub.web.announcements import GatewayAnnouncements
from hub.web.commands import GatewayCommands
from hub.web.epochs import GatewayEpochs, spoke_for_closed
from hub.web.problems import Problem, body_bound, json_response, read_body, tell_problems
from hub.web.revocation import GatewayEvidence
from hub.web.told import LARGEST, chain_named, require_own, require_range, tell_conflict, tell_news
from hub.web.whitelist import GatewayLists
from wire.ids import random_id
from wire.records import Token, TokenRef, decode, encode
from wire.sync import Role, SyncPeer
from wire.sync_messages import (
    MAX_BATCH_BYTES,
    PATH_AUTHORIZE,
    PATH_BATCHES,
    PATH_HELLO,
    SLOWEST_BYTES_PER_S,
    Ack,
    Answer,
    AuthorizeRequest,
    Batch,
    Hello,
    Refusal,
    RefusalCode,
    parse_batch,
    parse_hello,
)
from wire.tokens import choose
from wire.tree_head import SigningKey

_log = logging.getLogger(__name__)

MAX_SMALL_BYTES = 16 * 1024
BATCH_TIMEOUT_S = 60.0
"""Megabytes over a site's poor mobile link take their time."""
SMALL_TIMEOUT_S = 10.0
DEFAULT_WAIT_S = 0.8
"""How long a gateway waits that does not say it."""
MAX_BATCHES_AT_ONCE = 64
MAX_BYTES_AT_ONCE = 4 * MAX_BATCH_BYTES
"""Of all the bodies in flight, unpacked, by what their heads say."""


Evidence = tuple[RevocationConfig, EvidenceFetching]


class SyncEndpoint:
    """Answers gateways. One instance per hub; its methods run in one event loop."""

    def __init__(
        self,
        database: Database,
        admitted: Collection[str],
        log_key: SigningKey,
        lists: ListDesk,
        desk: CommandDesk | None = None,
        takeover_after: timedelta = timedelta(minutes=2),
        asking: Asking | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        """`log_key` is the hub's own. Without a `desk` there are no commands: their routes are not served. Without
        `asking` no eMSP is asked about tokens: the list decides. `evidence`: what is fetched for gateways, and how."""
        self._database, self._admitted, self._desk = database, frozenset(admitted), desk
        self._lists, self._asking, self._evidence = lists, asking, evidence
        self._log_key = log_key
        self._epochs = GatewayEpochs(database, self._gateway, chain_named, takeover_after)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._batches = self._batch_bytes = 0

    def application(self) -> web.Application:
        """The aiohttp application with the routes of the protocol, of the token list and of commands."""
        app = web.Application(middlewares=[tell_problems])
        app.add_routes(
            [
                web.post(PATH_HELLO, self.hello),
                web.post(PATH_BATCHES, self.batch),
                web.post(PATH_AUTHORIZE, self.authorize),
            ]
        )
        app.add_routes(self._epochs.routes())
        app.add_routes(GatewayAnnouncements(self._database, self._gateway).routes())
        app.add_routes(GatewayLists(self._database, self._lists, self._log_key, self._gateway).routes())
        if self._evidence is not None:
            config, fetching = self._evidence
            app.add_routes(GatewayEvidence(self._database, config, fetching, self._gateway).routes())
        if self._desk is not None:
            app.add_routes(GatewayCommands(self._database, self._desk, self._gateway).routes())
        return app

    async def hello(self, request: web.Request) -> web.Response:
        """Hello -> 200 Welcome, 409 Refusal."""
        gateway_id = self._gateway(request)
        hello = parse_hello(await read_body(request, MAX_SMALL_BYTES, SMALL_TIMEOUT_S))
        require_own(gateway_id, hello.gateway_id)
        chain = chain_named(gateway_id, hello.epoch, "sync hello")
        require_range("sync hello", "$.head_seq", hello.head_seq, 0)
        async with self._turns[gateway_id]:
            standing = await self._database.standing(chain, hello.head_seq + 1)
            answer: Answer = _peer(chain, standing).greeted(hello)
            conflict = spoke_for_closed(standing, hello.head_seq, hello.head_hash)
            conflict = conflict or _rollback(hello, standing.position, standing.held)
            refusal, doubt = await self._epochs.take_over(chain, hello, standing, now())
            answer, conflict = refusal or answer, conflict or doubt
            if conflict is not None:
                tell_conflict(chain, conflict)
            await self._database.note_seen(chain, now(), conflict, _report(request, hello))
        return _answer(answer)

    async def batch(self, request: web.Request) -> web.Response:
        """Batch -> 200 Ack after COMMIT, 409 Refusal."""
        gateway_id = self._gateway(request)
        size = body_bound(request, MAX_BATCH_BYTES)
        if self._batches >= MAX_BATCHES_AT_ONCE or self._batch_bytes + size > MAX_BYTES_AT_ONCE:
            raise Problem(429, "busy", f"{self._batches} batches are being taken in", retry_after_s=2)
        self._batches += 1
        self._batch_bytes += size
        try:
            batch = parse_batch(await read_body(request, size, BATCH_TIMEOUT_S + size / SLOWEST_BYTES_PER_S))
            require_own(gateway_id, batch.gateway_id)
            chain = chain_named(gateway_id, batch.epoch, "sync batch")
            require_range("sync batch", "$.first_seq", batch.first_seq, 0)
            for index, record in enumerate(batch.records):
                require_range("sync batch", f"$.records[{index}].mono_ns", record.mono_ns, -LARGEST)
            async with self._turns[gateway_id]:
                return _answer(await self._take(chain, batch, now()))
        finally:
            self._batches -= 1
            self._batch_bytes -= size

    async def _take(self, chain: Chain, batch: Batch, at: datetime) -> Ack | Refusal:
        standing = await self._database.standing(chain, batch.first_seq, len(batch.records))
        peer = _peer(chain, standing)
        judged = peer.judge(batch, standing.held)
        if isinstance(judged, Refusal):
            if judged.code is RefusalCode.FORK:
                conflict = spoke_for_closed(standing, batch.first_seq, batch.records[0].hash if batch.records else "")
                conflict = conflict or _fork(judged, batch, standing.position, standing.held)
                tell_conflict(chain, conflict)
                await self._database.note_seen(chain, at, conflict)
            return judged
        growth = grow(standing.log, judged)
        try:
            fitting = judge_head(batch, standing.log, growth)
        except TreeMismatch as mismatch:
            conflict = _mismatch(mismatch, batch)
            tell_conflict(chain, conflict)
            await self._database.note_seen(chain, at, conflict)
            return peer.mistrusted(str(mismatch), batch.first_seq)
        head = None if fitting is None else self._countersigned(fitting, standing.head, at)
        fresh = head if standing.head is None else None
        try:
            appended = await self._database.append(chain, standing.position, judged, growth, fresh, at)
        except StalePosition as error:
            # An earlier request was cut off while its commit went on; the gateway asks again and is told the position.
            peer.lost()
            raise Problem(503, error.code, str(error), retry_after_s=1) from error
        ack = peer.committed(None if head is None else head.countersignature)
        fields = {"gateway_id": chain.gateway_id, "epoch": chain.epoch, "new": len(judged), "acked_seq": ack.acked_seq}
        _log.info("batch", extra={"fields": fields})
        tell_news(chain, appended)
        return ack

    def _countersigned(self, fitting: FittingHead, kept: KeptHead | None, at: datetime) -> KeptHead:
        """The head with this hub's countersignature: the one that is kept, if it is the same head. One of the same
        log that was signed again, at another time, is countersigned for its gateway and not kept a second time."""
        if kept is not None and kept.signed == fitting.signed:
            return kept
        return KeptHead(signed=fitting.signed, countersignature=self._log_key.countersign(fitting.signed, at))

    async def authorize(self, request: web.Request) -> web.Response:
        """AuthorizeRequest -> AuthorizationInfo; an unknown token is an answer (NOT_ALLOWED), not an error. 504 when an
        eMSP had to be asked and did not answer: the gateway decides without us then."""
        gateway_id, at = self._gateway(request), now()
        body = await read_body(request, MAX_SMALL_BYTES, SMALL_TIMEOUT_S)
        asked = decode(AuthorizeRequest, body, "token reference")
        presented = TokenRef(uid=asked.uid, type=asked.type)
        if self._asking is not None:
            wanted = Wanted(
                at=at,
                gateway_id=gateway_id,
                presented=presented,
                charger_id=asked.charger_id,
                wait_s=DEFAULT_WAIT_S if asked.wait_ms is None else asked.wait_ms / 1000,
                correlation_id=asked.correlation_id or random_id(os.urandom(16)),
            )
            try:
                return json_response(encode(await self._asking.authorize(wanted)))
            except Unanswered as error:
                raise Problem(504, error.code, str(error)) from error
        found: tuple[Token, ...] = await self._database.read(
            lambda connection: whitelist.candidates(connection, presented)
        )
        return json_response(encode(decide_authorization(choose(found))))

    def _gateway(self, request: web.Request) -> str:
        """The gateway that the peer's certificate names. Raises Problem (403)."""
        certificate = request.get_extra_info("peercert") or {}
        subject = certificate.get("subject", ())
        names = [value for part in subject for key, value in part if key == "commonName"]
        if len(names) != 1 or names[0] not in self._admitted:
            shown = ", ".join(ascii(name[:64]) for name in names) or "no name"
            _log.warning("gateway-refused", extra={"fields": {"subject": shown, "peer": request.remote}})
            raise Problem(403, "unknown-gateway", f"the certificate names {shown}; it is not among the gateways here")
        return str(names[0])


def _peer(chain: Chain, standing: Standing) -> SyncPeer:
    position = standing.position
    peer = SyncPeer(Role.HUB, chain.gateway_id, chain.epoch, position.seq, position.hash)
    peer.whitelist_version = standing.whitelist_version
    peer.superseded_by = standing.closed_by
    return peer


def _answer(answer: Answer) -> web.Response:
    """The answer with the hub's time, by which a gateway without a clock sets its own."""
    if not isinstance(answer, Refusal):
        answer = msgspec.structs.replace(answer, at=now())
    return json_response(encode(answer), 409 if isinstance(answer, Refusal) else 200)


def _report(request: web.Request, hello: Hello) -> Report:
    """What a gateway that greets says of itself, with the end of the certificate that it showed."""
    ends = (request.get_extra_info("peercert") or {}).get("notAfter")
    return Report(
        head_seq=hello.head_seq,
        software=hello.software,
        list_version=hello.list_version,
        certificate_not_after=None if ends is None else datetime.fromtimestamp(ssl.cert_time_to_seconds(ends), UTC),
    )


def _rollback(hello: Hello, position: Position, held: dict[int, str]) -> Conflict | None:
    """A head behind the hub's position, or another hash at it: the gateway's store is an old image or a copy."""
    if hello.head_seq > position.seq:
        return None
    known = position.hash if hello.head_seq == position.seq else held.get(hello.head_seq, "")
    if hello.head_seq == position.seq and known == hello.head_hash:
        return None
    kind = "rollback" if known in ("", hello.head_hash) else "fork"
    return Conflict(kind, hello.head_seq, position.hash if kind == "rollback" else known, hello.head_hash[:64])


def _fork(refusal: Refusal, batch: Batch, position: Position, held: dict[int, str]) -> Conflict:
    """What was offered where something else is held: a record, or the hash before the first one."""
    index = (refusal.seq or 0) - batch.first_seq
    if 0 <= index < len(batch.records) and (refusal.seq or 0) in held:
        offered = batch.records[index]
        return Conflict("fork", offered.seq, held[offered.seq], offered.hash, offered)
    return Conflict("fork", position.seq, position.hash, batch.prev_hash[:64])


def _mismatch(mismatch: TreeMismatch, batch: Batch) -> Conflict:
    """The head that was offered, beside the root of what the hub holds."""
    offered = mismatch.offered
    last = batch.first_seq + len(batch.records) - 1
    offered_root = "" if offered is None else offered.head.root
    return Conflict("tree", last, mismatch.held_root, offered_root, offered, str(mismatch))
