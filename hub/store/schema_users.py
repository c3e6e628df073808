"""Operators who sign in, their sessions, the audit log of what people and programs did, and what gateways say of
themselves."""

from __future__ import annotations

USERS = """
CREATE TABLE users (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, password TEXT NOT NULL,
    added_at TEXT NOT NULL, changed_at TEXT NOT NULL, signed_in_at TEXT
);
CREATE TABLE user_sessions (
    hash TEXT PRIMARY KEY, name TEXT NOT NULL, begun_at TEXT NOT NULL, seen_at TEXT NOT NULL
);
CREATE INDEX user_sessions_of_user ON user_sessions (name);
CREATE INDEX user_sessions_by_begin ON user_sessions (begun_at);
CREATE TABLE audit_log (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, way TEXT NOT NULL, address TEXT NOT NULL,
    act TEXT NOT NULL, object TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE TABLE gateway_reports (
    gateway_id TEXT PRIMARY KEY, epoch TEXT NOT NULL, at TEXT NOT NULL, software TEXT, list_version INTEGER,
    certificate_not_after TEXT, backlog INTEGER NOT NULL, backlog_before INTEGER NOT NULL
);
"""
"""Of a session of a person only the hash of its id is kept. `audit_log.hash` binds an entry to the one before (hub.
store.audit). `backlog` counts the records that a gateway had and the hub had not, at its last greeting."""

USERS_GUARDS = """
CREATE TRIGGER audit_log_is_final BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'an entry of the audit log is never changed'); END;
CREATE TRIGGER audit_log_stays BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'an entry of the audit log is never deleted'); END;
"""
