"""The token list over HTTP, for gateways (wire.whitelist).

GET /sync/v1/whitelist/head                     SignedListHead for the gateway that asks
GET /sync/v1/whitelist/manifest                 SignedManifest; 503 with Retry-After while the snapshot is made
GET /sync/v1/whitelist/parts/{sha256}           the part's octets, whole or a range; 404 when it is there no more
GET /sync/v1/whitelist/deltas?since=&chain=     ListDeltas
GET /sync/v1/whitelist?since=                   WhitelistChange, for gateways of an earlier version
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import BinaryIO

from aiohttp import web

from hub.clock import now
from hub.errors import ListTooLong
from hub.lists import ListDesk
from hub.store.database import Database
from hub.store.snapshots import part_path
from hub.store.whitelist import change_since
from hub.web.problems import Problem, integer_query, json_response
from wire.records import encode
from wire.sync_messages import PATH_WHITELIST, SLOWEST_BYTES_PER_S
from wire.tree_head import SigningKey
from wire.whitelist import (
    PATH_DELTAS,
    PATH_HEAD,
    PATH_MANIFEST,
    PATH_PARTS,
    ListDeltas,
    ListHead,
    sign_list_head,
)

_log = logging.getLogger(__name__)

HEAD_HOLDS = timedelta(days=7)
WAIT_S = 5.0
"""How long a gateway waits for a snapshot in one request; then it is told to come again."""
AGAIN_S = 15
MAX_PARTS_AT_ONCE = 64
MAX_PARTS_OF_ONE = 4
"""A gateway fetches one after the other; what it left half read is counted until that is noticed."""
_PIECE = 256 * 1024
_LARGEST = 2**63 - 1
_CHAIN = re.compile(r"[0-9a-f]{64}")


class GatewayLists:
    """`gateway_of`: who asks, by its certificate."""

    def __init__(
        self, database: Database, desk: ListDesk, key: SigningKey, gateway_of: Callable[[web.Request], str]
    ) -> None:
        self._database, self._desk, self._key, self._gateway_of = database, desk, key, gateway_of
        self._parts = Counter[str]()

    def routes(self) -> list[web.RouteDef]:
        """All of the list's."""
        return [
            web.get(PATH_HEAD, self.head),
            web.get(PATH_MANIFEST, self.manifest),
            web.get(PATH_PARTS + "/{sha256:[0-9a-f]{64}}", self.part),
            web.get(PATH_DELTAS, self.deltas),
            web.get(PATH_WHITELIST, self.whole),
        ]

    async def head(self, request: web.Request) -> web.Response:
        """What is newest."""
        gateway_id = self._gateway_of(request)
        standing, at = await self._desk.standing(), now()
        head = ListHead(
            gateway_id=gateway_id,
            version=standing.version,
            chain=standing.chain,
            tokens=standing.tokens,
            issued_at=at,
            not_after=at + HEAD_HOLDS,
        )
        return json_response(encode(sign_list_head(self._key, head)))

    async def manifest(self, request: web.Request) -> web.Response:
        """What a snapshot consists of."""
        self._gateway_of(request)
        least = integer_query(request, "least", 0, 0, _LARGEST)
        signed = await self._desk.manifest(least, now(), WAIT_S)
        if signed is None:
            message = "the snapshot is still being made, or the last one was made just now"
            raise Problem(503, "snapshot-in-the-making", message, retry_after_s=AGAIN_S)
        return json_response(encode(signed))

    async def part(self, request: web.Request) -> web.StreamResponse:
        """A part, as it lies on the disk; a range of it when only that is asked for."""
        gateway_id = self._gateway_of(request)
        sha256 = request.match_info["sha256"]
        try:
            file = await asyncio.to_thread(part_path(self._desk.folder, sha256).open, "rb")
        except OSError as error:
            message = f"part {sha256[:16]} is of no snapshot here; fetch the manifest again"
            raise Problem(404, "no-such-part", message) from error
        with file:
            own, all_of_them = self._parts[gateway_id], self._parts.total()
            if own >= MAX_PARTS_OF_ONE or all_of_them >= MAX_PARTS_AT_ONCE:
                message = f"{all_of_them} parts are being sent, {own} of them to this gateway"
                raise Problem(429, "busy", message, retry_after_s=2)
            self._parts[gateway_id] += 1
            try:
                return await _sent(request, file)
            finally:
                self._parts[gateway_id] -= 1

    async def deltas(self, request: web.Request) -> web.Response:
        """?since=V&chain=HEX: what leads on from there."""
        gateway_id = self._gateway_of(request)
        since = integer_query(request, "since", 0, 0, _LARGEST)
        chain = request.query.get("chain", "")
        if _CHAIN.fullmatch(chain) is None:
            raise Problem(400, "bad-query", f"query parameter chain: expected 64 hex digits, found {chain[:80]!a}")
        found = await self._desk.deltas(since, chain, now())
        if found is None and since > (held := (await self._desk.standing()).version):
            fields = {"gateway_id": gateway_id, "held": held, "gateway_holds": since}
            _log.warning("list-behind-gateway", extra={"fields": fields})
        return json_response(encode(ListDeltas(deltas=found)))

    async def whole(self, request: web.Request) -> web.Response:
        """?since=N: what changed since that version, or everything."""
        self._gateway_of(request)
        since = integer_query(request, "since", 0, 0, _LARGEST)
        try:
            change = await self._database.read(lambda connection: encode(change_since(connection, since)))
        except ListTooLong as error:
            raise Problem(413, error.code, str(error)) from error
        return json_response(change)


async def _sent(request: web.Request, file: BinaryIO) -> web.StreamResponse:
    """The answer once it is sent; a peer that takes longer than the poorest link is cut off. Raises Problem."""
    size = os.fstat(file.fileno()).st_size
    first, last = _range(request, size)
    response = web.StreamResponse(status=200 if "Range" not in request.headers else 206)
    response.content_type, response.content_length = "application/octet-stream", last - first
    if response.status == 206:
        response.headers["Content-Range"] = f"bytes {first}-{last - 1}/{size}"
    try:
        async with asyncio.timeout(WAIT_S + size / SLOWEST_BYTES_PER_S):
            await response.prepare(request)
            file.seek(first)
            for at in range(first, last, _PIECE):
                await response.write(file.read(min(_PIECE, last - at)))
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response


def _range(request: web.Request, size: int) -> tuple[int, int]:
    """From where to where (exclusive) the file is asked for. Raises Problem (416)."""
    try:
        first, last, _ = request.http_range.indices(size)
    except ValueError:
        first = last = size
    if first >= last:
        raise Problem(416, "no-such-range", f"the part has {size} octets, none of which are in the range")
    return first, last
