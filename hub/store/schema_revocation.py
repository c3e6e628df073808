"""What is fetched for gateways of revocation lists, OCSP answers and lists of roots (part of one migration)."""

from __future__ import annotations

REVOCATION = """
CREATE TABLE revocation_sources (
    name TEXT PRIMARY KEY, kind TEXT NOT NULL, url TEXT NOT NULL, request BLOB NOT NULL, asked_by TEXT NOT NULL,
    asked_at TEXT NOT NULL, due_at TEXT NOT NULL, failures INTEGER NOT NULL, tried_at TEXT, fetched_at TEXT,
    this_update TEXT, next_update TEXT, number TEXT, octets INTEGER NOT NULL, sha256 TEXT, error_code TEXT,
    error TEXT
);
CREATE INDEX revocation_sources_due ON revocation_sources (due_at);
CREATE INDEX revocation_sources_of_gateway ON revocation_sources (asked_by, asked_at);
CREATE TABLE revocation_held (name TEXT PRIMARY KEY, der BLOB NOT NULL);
"""
"""`asked_by` is the gateway that asked first, empty for what the configuration lists. What is held lies apart, so that
noting a turn does not write megabytes again."""
