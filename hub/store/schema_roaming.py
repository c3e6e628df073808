"""The tables of roaming: partners, their tokens and parties, the objects of OCPI, what became of pushes and calls."""

ROAMING = """
CREATE TABLE partners (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, url TEXT, hosts TEXT NOT NULL,
    token_out TEXT, version TEXT, endpoints TEXT NOT NULL, hub_party TEXT, quirks TEXT NOT NULL, status TEXT NOT NULL,
    added_at TEXT NOT NULL, registered_at TEXT, changed_at TEXT NOT NULL, last_seen TEXT
);
CREATE TABLE partner_tokens (
    hash TEXT PRIMARY KEY, partner TEXT NOT NULL, kind TEXT NOT NULL, issued_at TEXT NOT NULL
);
CREATE INDEX partner_tokens_of ON partner_tokens (partner);
CREATE TABLE partner_roles (
    number INTEGER PRIMARY KEY, partner TEXT NOT NULL, country_code TEXT NOT NULL, party_id TEXT NOT NULL,
    role TEXT NOT NULL, body TEXT NOT NULL, status TEXT NOT NULL, last_updated TEXT NOT NULL,
    UNIQUE (partner, country_code, party_id, role)
);
CREATE INDEX partner_roles_of_party ON partner_roles (country_code, party_id);
CREATE TABLE ocpi_objects (
    number INTEGER PRIMARY KEY, module TEXT NOT NULL, country_code TEXT NOT NULL, party_id TEXT NOT NULL,
    id_key TEXT NOT NULL, id TEXT NOT NULL, last_updated TEXT NOT NULL, from_partner TEXT,
    addressee TEXT, shared INTEGER NOT NULL DEFAULT 0, erasure INTEGER REFERENCES erasures (number),
    document TEXT NOT NULL, UNIQUE (module, country_code, party_id, id_key)
);
CREATE INDEX ocpi_objects_by_date ON ocpi_objects (module, last_updated);
CREATE INDEX ocpi_objects_of_addressee ON ocpi_objects (module, addressee, last_updated) WHERE addressee IS NOT NULL;
CREATE TABLE ocpi_pushes (
    number INTEGER PRIMARY KEY, object INTEGER NOT NULL, partner TEXT NOT NULL, method TEXT NOT NULL, body TEXT,
    correlation_id TEXT NOT NULL, noted_at TEXT NOT NULL, tried_at TEXT, outcome TEXT
);
CREATE INDEX ocpi_pushes_waiting ON ocpi_pushes (number) WHERE tried_at IS NULL;
CREATE INDEX ocpi_pushes_of_object ON ocpi_pushes (object, partner);
CREATE INDEX ocpi_pushes_trying ON ocpi_pushes (partner) WHERE outcome = 'trying';
CREATE TABLE ocpi_alarms (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, partner TEXT NOT NULL, module TEXT NOT NULL, party TEXT NOT NULL,
    object_id TEXT NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL, document TEXT, correlation_id TEXT
);
CREATE TABLE ocpi_authorizations (
    number INTEGER PRIMARY KEY, reference TEXT UNIQUE, at TEXT NOT NULL, partner TEXT NOT NULL, cpo TEXT,
    token TEXT NOT NULL, allowed TEXT NOT NULL, location TEXT, correlation_id TEXT NOT NULL
);
CREATE TABLE ocpi_calls (
    uid TEXT PRIMARY KEY, partner TEXT NOT NULL, command TEXT NOT NULL, sender TEXT NOT NULL, receiver TEXT NOT NULL,
    request TEXT NOT NULL, sent_at TEXT NOT NULL, response TEXT, result TEXT, result_at TEXT,
    correlation_id TEXT NOT NULL
);
CREATE TABLE ocpi_orders (
    command_id TEXT PRIMARY KEY, partner TEXT NOT NULL, command TEXT NOT NULL, response_url TEXT NOT NULL,
    sender TEXT, receiver TEXT, gateway_id TEXT NOT NULL, charger_id TEXT NOT NULL, reservation TEXT,
    correlation_id TEXT NOT NULL, taken_at TEXT NOT NULL, told_at TEXT, outcome TEXT
);
CREATE INDEX ocpi_orders_untold ON ocpi_orders (taken_at) WHERE told_at IS NULL;
CREATE INDEX ocpi_orders_of_reservation ON ocpi_orders (reservation) WHERE reservation IS NOT NULL;
CREATE TABLE ocpi_derived (
    session_id TEXT PRIMARY KEY, digest TEXT NOT NULL, final INTEGER NOT NULL, place TEXT,
    cdr INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX ocpi_derived_open ON ocpi_derived (session_id) WHERE final = 0;
CREATE TABLE ocpi_relays (
    uid TEXT PRIMARY KEY, kind TEXT NOT NULL, asker TEXT NOT NULL, answerer TEXT NOT NULL, url TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE INDEX ocpi_relays_by_age ON ocpi_relays (at);
CREATE TABLE ocpi_asked (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, gateway_id TEXT NOT NULL, charger_key TEXT NOT NULL,
    token_key TEXT NOT NULL, partner TEXT NOT NULL, outcome TEXT NOT NULL, token TEXT, reference TEXT,
    correlation_id TEXT NOT NULL
);
CREATE INDEX ocpi_asked_of_token ON ocpi_asked (token_key, number);
CREATE INDEX ocpi_asked_by_age ON ocpi_asked (at);
CREATE TABLE ocpi_cursors (name TEXT PRIMARY KEY, position INTEGER NOT NULL);
"""
"""`partner_tokens` are what partners show us, hashed; `token_out` is what we show them and has to be sent. An object's
`id_key` is its id as it is compared, and `addressee` the party that it is for besides its owner (the eMSP of a session
or CDR), NULL for an object that every partner may read. `from_partner` is NULL for our own; `shared` objects came by a
broadcast, and are in the hub's lists of all. `ocpi_relays` are the URLs that a hub put its own in place of: `asker`
gave the request, `answerer` its answer. `ocpi_asked` are the real-time authorizations that our chargers wanted."""

ROAMING_GUARDS = """
CREATE TRIGGER ocpi_cdrs_are_final BEFORE UPDATE ON ocpi_objects WHEN OLD.module = 'cdrs' AND NOT (
    NEW.erasure IS NOT NULL AND NEW.erasure IS NOT OLD.erasure
    AND (NEW.number, NEW.module, NEW.country_code, NEW.party_id, NEW.id, NEW.from_partner)
        IS (OLD.number, OLD.module, OLD.country_code, OLD.party_id, OLD.id, OLD.from_partner)
    AND json_remove(NEW.document, '$.cdr_token', '$.authorization_reference', '$.signed_data')
        IS json_remove(OLD.document, '$.cdr_token', '$.authorization_reference', '$.signed_data')
)
BEGIN SELECT RAISE(ABORT, 'a CDR is never changed, only who charged is let go'); END;
"""
