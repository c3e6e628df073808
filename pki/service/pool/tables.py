"""The tables of `pools.db`. Instants are microseconds since 1970 (`stamp`), lists of texts JSON.

A contract cannot stand without its car: the foreign key has no cascade, so that whoever deletes a car must delete its
contracts itself and tell those concerned, in one transaction.
"""

from __future__ import annotations

from pki.service.store.database import Schema

_FIRST = """
CREATE TABLE client (
    id TEXT PRIMARY KEY,
    secret_hash BLOB NOT NULL,
    roles TEXT NOT NULL,
    providers TEXT NOT NULL,
    wmis TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE token_key (
    number INTEGER PRIMARY KEY CHECK (number = 1),
    key BLOB NOT NULL
) STRICT;
CREATE TABLE root (
    id TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    der BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    UNIQUE (role, sha256)
) STRICT, WITHOUT ROWID;
CREATE TABLE root_proposal (
    role TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_at INTEGER NOT NULL,
    PRIMARY KEY (role, sha256)
) STRICT, WITHOUT ROWID;
CREATE TABLE root_change (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    change TEXT NOT NULL CHECK (change IN ('added', 'expired', 'revoked')),
    root_id TEXT NOT NULL,
    role TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    der BLOB NOT NULL
) STRICT;
CREATE TABLE vehicle (
    pcid TEXT PRIMARY KEY,
    written TEXT NOT NULL,
    generation TEXT NOT NULL,
    leaf BLOB NOT NULL,
    sub2 BLOB,
    sub1 BLOB NOT NULL,
    root TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    v2g_roots TEXT NOT NULL,
    previous TEXT,
    owner TEXT NOT NULL,
    stored_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX vehicle_by_expiry ON vehicle (expires_at);
CREATE TABLE contract (
    emaid TEXT NOT NULL,
    pcid TEXT NOT NULL REFERENCES vehicle (pcid),
    generation TEXT NOT NULL,
    written TEXT NOT NULL,
    preferred INTEGER NOT NULL CHECK (preferred IN (0, 1)),
    chain TEXT NOT NULL,
    begins_at INTEGER,
    expires_at INTEGER,
    signed BLOB NOT NULL,
    cps_root TEXT,
    owner TEXT NOT NULL,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (emaid, pcid, generation)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX contract_preferred ON contract (pcid, generation) WHERE preferred = 1;
CREATE INDEX contract_by_vehicle ON contract (pcid);
CREATE INDEX contract_by_expiry ON contract (expires_at);
CREATE TABLE signer (
    generation TEXT PRIMARY KEY,
    key_name TEXT NOT NULL,
    chain TEXT NOT NULL,
    root BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE foreign_list (
    sha256 TEXT PRIMARY KEY,
    issuer BLOB NOT NULL,
    der BLOB NOT NULL,
    added_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE endpoint (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL REFERENCES client (id) ON DELETE CASCADE,
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    described TEXT NOT NULL,
    secret TEXT NOT NULL,
    made_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    endpoint TEXT NOT NULL REFERENCES endpoint (id) ON DELETE CASCADE,
    body BLOB NOT NULL,
    about TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER,
    outcome TEXT NOT NULL CHECK (outcome IN ('waiting', 'delivered', 'failed')),
    last_said TEXT NOT NULL
) STRICT;
CREATE INDEX delivery_due ON delivery (due_at) WHERE outcome = 'waiting';
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    act TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
"""

POOLS = Schema("pools of the PKI service", 0x504E4351, (_FIRST,))
