"""The proof that one record is in a gateway's log, as a hub countersigned it: made from the ledger, checked without it.

1. The record's hash covers what it says and the hash before.
2. That hash is the entry of its number under the root of the head.
3. The log's key signed the head, and the hub's key countersigned it.

Which keys are the right ones is for whoever checks to know; a key that was not given is what the proof claims.
"""

from __future__ import annotations

import sqlite3
from typing import Literal

from gateway.errors import StoreError
from gateway.store.ledger import hash_at, read_records
from gateway.store.receipts import newest_receipt
from gateway.store.segments import dropped
from gateway.store.tree import prove_inclusion
from wire.chain import Hex32, Record, chain_hash, released
from wire.merkle import ProofError, leaf_hash, verify_inclusion
from wire.records import Value, decode
from wire.tree_head import Countersignature, SignedTreeHead, verify_countersignature, verify_tree_head

Kind = Literal["pncgate-record-proof-1"]


class RecordProof(Value, frozen=True, kw_only=True):
    """A record with the hash before it, and the hashes (hex) that lead from it to the root of a countersigned head."""

    kind: Kind
    record: Record
    prev_hash: Hex32
    inclusion: tuple[Hex32, ...]
    head: SignedTreeHead
    countersignature: Countersignature


def prove(connection: sqlite3.Connection, seq: int, *, with_content: bool) -> RecordProof | None:
    """The proof of record `seq` in the newest head that the hub countersigned; None when it is not countersigned yet,
    or not there at all. Without content the record has its commitment only.

    Raises:
        StoreError, ProofError: the ledger is damaged, or its rows were dropped up to there.
    """
    receipt = newest_receipt(connection)
    gone = dropped(connection).seq
    if 0 < seq <= gone:
        message = f"records 1 to {gone} are not kept here any more: the hub has them, and proofs of them"
        raise StoreError(message)
    records = read_records(connection, seq - 1, 1, 1) if seq > 0 else []
    before = hash_at(connection, seq - 1)
    if receipt is None or not records or seq > receipt.signed.head.size:
        return None
    if before is None or records[0].seq != seq:
        raise StoreError(f"the ledger is damaged: record {seq - 1 if before is None else seq} is missing")
    record = records[0]
    return RecordProof(
        kind="pncgate-record-proof-1",
        record=record if with_content or not record.salt else released(record),
        prev_hash=before,
        inclusion=prove_inclusion(connection, seq, receipt.signed.head.size),
        head=receipt.signed,
        countersignature=receipt.countersignature,
    )


def parse_record_proof(data: bytes) -> RecordProof:
    """The proof that `data` holds; nothing of it is verified yet. Raises MalformedValue."""
    return decode(RecordProof, data, "record proof")


def verify_record_proof(proof: RecordProof, log_key: str | None, hub_key: str | None) -> Record:
    """The record, if it is in the log that was countersigned. A key (hex) that is None is what the proof claims.

    Raises:
        ProofError: the record does not fit its hash, or is not in that log.
        TreeHeadError: a signature does not hold, or is another key's.
    """
    record, head = proof.record, proof.head.head
    if chain_hash(head.gateway_id, head.epoch, proof.prev_hash, record) != record.hash:
        raise ProofError(f"the hash of record {record.seq} does not cover what it says")
    path = tuple(bytes.fromhex(node) for node in proof.inclusion)
    leaf = leaf_hash(bytes.fromhex(record.hash))
    verify_inclusion(leaf, record.seq - 1, head.size, path, bytes.fromhex(head.root))
    verify_tree_head(proof.head, log_key or proof.head.public_key)
    verify_countersignature(proof.head, proof.countersignature, hub_key or proof.countersignature.public_key)
    return record
