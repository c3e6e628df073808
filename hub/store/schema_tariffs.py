"""The tables of prices: tariffs that sessions were pinned to, and what drivers were shown (part of one migration)."""

from __future__ import annotations

TARIFFS = """
CREATE TABLE tariff_snapshots (hash TEXT PRIMARY KEY, tariff_id TEXT NOT NULL, kept_at TEXT NOT NULL,
    snapshot TEXT NOT NULL);
CREATE TABLE price_quotes (
    number INTEGER PRIMARY KEY, quote_id TEXT NOT NULL UNIQUE, gateway_id TEXT NOT NULL, charger_key TEXT NOT NULL,
    token_key TEXT NOT NULL, at TEXT NOT NULL, session_id TEXT, quote TEXT NOT NULL
);
CREATE INDEX price_quotes_open ON price_quotes (gateway_id, charger_key, token_key, at) WHERE session_id IS NULL;
CREATE INDEX price_quotes_of_session ON price_quotes (session_id) WHERE session_id IS NOT NULL;
"""
"""`token_key` names a driver until a session took the quote, or nobody did for hub.store.tariffs.KEPT_FOR; then it is
empty."""
