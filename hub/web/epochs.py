"""A gateway that begins a new epoch: where its histories part, and the closing of the one before.

GET /sync/v1/hashes?epoch=&seq=&seq=...   Hashes of one of the asking gateway's own epochs

Rules: `hub.store.epochs`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta

from aiohttp import web

from hub.store import epochs
from hub.store.chains import Chain, Conflict
from hub.store.database import Database, Standing
from hub.store.ledger import position_of
from hub.web.problems import Problem, json_response
from wire.records import encode
from wire.sync_messages import MAX_ASKED_HASHES, PATH_HASHES, Hashes, Hello, Refusal, RefusalCode

_LARGEST = 2**63 - 1


class GatewayEpochs:
    """`gateway_of`: who asks, by its certificate; `chain_of`: its chain of a name that it gives; `takeover_after`:
    `hub.store.epochs`, rule 2."""

    def __init__(
        self,
        database: Database,
        gateway_of: Callable[[web.Request], str],
        chain_of: Callable[[str, str, str], Chain],
        takeover_after: timedelta,
    ) -> None:
        self._database, self._gateway_of, self._chain_of = database, gateway_of, chain_of
        self._takeover_after = takeover_after

    def routes(self) -> list[web.RouteDef]:
        """What is served."""
        return [web.get(PATH_HASHES, self.hashes)]

    async def hashes(self, request: web.Request) -> web.Response:
        """?epoch=E&seq=N&seq=M -> Hashes."""
        gateway_id = self._gateway_of(request)
        chain = self._chain_of(gateway_id, request.query.get("epoch", ""), "query")
        seqs = tuple(_number(text) for text in request.query.getall("seq", ()))
        if not 1 <= len(seqs) <= MAX_ASKED_HASHES:
            raise Problem(400, "bad-query", f"seq: give it 1 to {MAX_ASKED_HASHES} times, found {len(seqs)}")
        found = await self._database.read(
            lambda connection: Hashes(
                epoch=chain.epoch,
                acked_seq=position_of(connection, chain).seq,
                hashes=epochs.hashes_at(connection, chain, seqs),
            )
        )
        return json_response(encode(found))

    async def take_over(
        self, chain: Chain, hello: Hello, standing: Standing, at: datetime
    ) -> tuple[Refusal | None, Conflict | None]:
        """Close the epoch that a gateway says it continues. A Refusal while another epoch that continues it may still
        be spoken for; a Conflict for what is in doubt."""
        supersedes = hello.supersedes
        if supersedes is None or standing.closed_by is not None:
            return None, None
        self._chain_of(chain.gateway_id, supersedes.epoch, "sync hello")
        rival = await self._database.read(
            lambda connection: epochs.rival_of(connection, chain, supersedes, at, self._takeover_after)
        )
        if rival is None:
            return None, await self._database.supersede(chain, supersedes, at)
        message = f"epoch {supersedes.epoch} is continued by epoch {rival.epoch} already, "
        message += (
            "which goes on speaking: two boxes have this gateway's identity; switch one of them off"
            if rival.spoke
            else "whose place is taken when it stays silent"
        )
        retry_after_s = min(math.ceil(rival.wait.total_seconds()), math.ceil(self._takeover_after.total_seconds()))
        position = standing.position
        refusal = Refusal(
            code=RefusalCode.RIVAL,
            message=message,
            acked_seq=position.seq,
            acked_hash=position.hash,
            retry_after_s=retry_after_s,
        )
        return refusal, _second_box(refusal, hello) if rival.spoke else None


def spoke_for_closed(standing: Standing, seq: int, offered_hash: str) -> Conflict | None:
    """What is noted when somebody speaks for an epoch that was closed."""
    if standing.closed_by is None:
        return None
    reason = f"the epoch was closed by epoch {standing.closed_by}; who still speaks for it has a copy of the store"
    return Conflict("superseded", seq, standing.position.hash, offered_hash[:64], None, reason)


def _second_box(refusal: Refusal, hello: Hello) -> Conflict:
    """What is noted when two boxes continue one epoch."""
    return Conflict("superseded", hello.head_seq, refusal.acked_hash, hello.head_hash[:64], None, refusal.message)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text[:20]) < _LARGEST:
        raise Problem(400, "bad-query", f"seq: {text[:40]!a} is not a record's number")
    return int(text[:20])
