"""The tables of reconciliation, settlement and disputes (part of one migration)."""

from __future__ import annotations

SETTLEMENT = """
CREATE TABLE cdr_standings (
    object INTEGER PRIMARY KEY, owner TEXT NOT NULL, emsp TEXT NOT NULL, id_key TEXT NOT NULL, id TEXT NOT NULL,
    session_key TEXT, evse_key TEXT NOT NULL, token_key TEXT NOT NULL, reference_key TEXT, begin_at TEXT NOT NULL,
    end_at TEXT NOT NULL, currency TEXT NOT NULL, credits_key TEXT, credited INTEGER NOT NULL DEFAULT 0,
    disputed INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, judged_at TEXT NOT NULL, settlement INTEGER,
    UNIQUE (owner, id_key)
);
CREATE INDEX cdr_standings_of_session ON cdr_standings (owner, session_key);
CREATE INDEX cdr_standings_of_evse ON cdr_standings (evse_key, end_at);
CREATE INDEX cdr_standings_of_token ON cdr_standings (token_key, end_at);
CREATE INDEX cdr_standings_of_reference ON cdr_standings (reference_key) WHERE reference_key IS NOT NULL;
CREATE INDEX cdr_standings_of_credited ON cdr_standings (owner, credits_key) WHERE credits_key IS NOT NULL;
CREATE INDEX cdr_standings_waiting ON cdr_standings (state, object);
CREATE INDEX cdr_standings_open ON cdr_standings (owner, emsp, begin_at) WHERE settlement IS NULL;
CREATE TABLE cdr_judgements (
    number INTEGER PRIMARY KEY, owner TEXT NOT NULL, id_key TEXT NOT NULL, id TEXT NOT NULL, partner TEXT,
    state TEXT NOT NULL, at TEXT NOT NULL, by_whom TEXT NOT NULL, why TEXT NOT NULL, findings TEXT NOT NULL,
    document TEXT
);
CREATE INDEX cdr_judgements_of ON cdr_judgements (owner, id_key, number);
CREATE TABLE agreements (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, seller TEXT NOT NULL, buyer TEXT NOT NULL,
    valid_from TEXT NOT NULL, valid_until TEXT, agreement TEXT NOT NULL, added_at TEXT NOT NULL, by_whom TEXT NOT NULL
);
CREATE INDEX agreements_of_pair ON agreements (seller, buyer);
CREATE TABLE exchange_rates (
    number INTEGER PRIMARY KEY, base TEXT NOT NULL, quote TEXT NOT NULL, date TEXT NOT NULL, rate TEXT NOT NULL,
    source TEXT NOT NULL, added_at TEXT NOT NULL, by_whom TEXT NOT NULL
);
CREATE INDEX exchange_rates_of_pair ON exchange_rates (base, quote, date);
CREATE TABLE settlements (
    number INTEGER PRIMARY KEY, agreement TEXT NOT NULL, period_begin TEXT NOT NULL, period_end TEXT NOT NULL,
    invoice_id TEXT NOT NULL UNIQUE, closed_at TEXT NOT NULL, by_whom TEXT NOT NULL, invoice TEXT NOT NULL,
    items TEXT NOT NULL, UNIQUE (agreement, period_begin)
);
CREATE TABLE disputes (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, cdr_key TEXT NOT NULL,
    state TEXT NOT NULL, opened_at TEXT NOT NULL, dispute TEXT NOT NULL
);
CREATE INDEX disputes_of_cdr ON disputes (owner, cdr_key);
CREATE TABLE dispute_acts (
    number INTEGER PRIMARY KEY, dispute TEXT NOT NULL, at TEXT NOT NULL, by_whom TEXT NOT NULL, act TEXT NOT NULL
);
CREATE INDEX dispute_acts_of ON dispute_acts (dispute, number);
"""
"""`cdr_standings` has a row for each CDR of `ocpi_objects` that was judged: where it stands, and what others are looked
up by; `token_key` is a digest. `cdr_judgements` is what was found and decided, with the document of a refused CDR, for
that one is not kept elsewhere. `settlements` are closed periods."""

SETTLEMENT_GUARDS = """
CREATE TRIGGER cdr_judgements_are_final BEFORE UPDATE ON cdr_judgements
BEGIN SELECT RAISE(ABORT, 'a judgement is never changed'); END;
CREATE TRIGGER cdrs_stay_settled BEFORE UPDATE ON cdr_standings WHEN OLD.settlement IS NOT NULL
    AND NEW.settlement IS NOT OLD.settlement
BEGIN SELECT RAISE(ABORT, 'a settled CDR stays in its settlement'); END;
CREATE TRIGGER rates_are_final BEFORE UPDATE ON exchange_rates
BEGIN SELECT RAISE(ABORT, 'a rate is never changed'); END;
CREATE TRIGGER settlements_are_final BEFORE UPDATE ON settlements
BEGIN SELECT RAISE(ABORT, 'a closed period never changes'); END;
CREATE TRIGGER settlements_are_kept BEFORE DELETE ON settlements
BEGIN SELECT RAISE(ABORT, 'a closed period never goes'); END;
CREATE TRIGGER dispute_acts_are_final BEFORE UPDATE ON dispute_acts
BEGIN SELECT RAISE(ABORT, 'what was done in a dispute is never changed'); END;
CREATE TRIGGER dispute_acts_are_kept BEFORE DELETE ON dispute_acts
BEGIN SELECT RAISE(ABORT, 'what was done in a dispute is kept'); END;
"""
