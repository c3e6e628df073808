"""The ledger over HTTP: what an outsider needs to check a record, for operators to hand on.

GET  /api/v1/tree-heads?gateway_id=&epoch=&after=&limit=    {"tree_heads": [KeptHead...], "next"}
GET  /api/v1/proofs?gateway_id=&epoch=&seq=                 RecordProof
"""

from __future__ import annotations

from aiohttp import web

from hub.errors import StoreError
from hub.store import heads
from hub.store.database import Database
from hub.store.engine import Connection
from hub.store.heads import RecordProof
from hub.store.ledger import Chain
from hub.web.problems import Problem, integer_query, json_response
from wire.merkle import ProofError
from wire.records import encode

_LARGEST = 2**63 - 1


def required_chain(request: web.Request, why: str) -> Chain:
    """The chain that the query names. Raises Problem (400)."""
    gateway_id, epoch = request.query.get("gateway_id"), request.query.get("epoch")
    if not gateway_id or not epoch:
        missing = "epoch" if gateway_id else "gateway_id"
        raise Problem(400, "bad-query", f"query parameter {missing}: missing; {why}")
    return Chain(gateway_id, epoch)


class OperatorLedger:
    """The operators' side of the ledger; its lists are among the API's other lists."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def routes(self) -> list[web.RouteDef]:
        """The routes beside the lists."""
        return [web.get("/api/v1/proofs", self.proof)]

    async def proof(self, request: web.Request) -> web.Response:
        """200 RecordProof; 404 when the record is not held, 409 while no tree head covers it."""
        chain = required_chain(request, "records are numbered in a chain")
        seq = integer_query(request, "seq", 0, 0, _LARGEST)

        def reading(connection: Connection) -> tuple[bool, RecordProof | None]:
            return heads.is_held(connection, chain, seq), heads.proof_of(connection, chain, seq)

        try:
            held, proof = await self._database.read(reading)
        except ProofError as error:
            raise StoreError(f"gateway {chain.gateway_id}, epoch {chain.epoch}: {error}") from error
        if not held:
            raise Problem(404, "not-found", f"no record {seq} of this chain here")
        if proof is None:
            raise Problem(409, "no-tree-head", f"no tree head covers record {seq}: its gateway has sent none since")
        return json_response(encode(proof))
