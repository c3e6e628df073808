"""The tables, as a list of migrations: migration n brings `user_version` from n to n + 1 in one transaction.

Evidence (`records`, `tree_heads`, `conflicts`, `quarantine`, `cdrs`) is only ever inserted, with two exceptions: the
content of records, and who charged in a CDR, can be let go (hub.store.erasure), and triggers see to it that no more is
changed than that; and a record whose tombstone explains it leaves quarantine (hub.store.tombstones). Instants are RFC
3339 text with microseconds.
"""

from __future__ import annotations

from hub.store.schema_revocation import REVOCATION
from hub.store.schema_roaming import ROAMING, ROAMING_GUARDS
from hub.store.schema_settlement import SETTLEMENT, SETTLEMENT_GUARDS
from hub.store.schema_tariffs import TARIFFS
from hub.store.schema_users import USERS, USERS_GUARDS

_FIRST = """
CREATE TABLE gateways (
    gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, acked_seq INTEGER NOT NULL, acked_hash TEXT NOT NULL,
    first_seen TEXT NOT NULL, last_seen TEXT NOT NULL,
    PRIMARY KEY (gateway_id, epoch)
) WITHOUT ROWID;
CREATE TABLE records (
    gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, hash TEXT NOT NULL, kind TEXT NOT NULL,
    at TEXT NOT NULL, boot_id TEXT NOT NULL, mono_ns INTEGER NOT NULL, clock TEXT NOT NULL, body TEXT NOT NULL,
    received_at TEXT NOT NULL, session_id TEXT,
    PRIMARY KEY (gateway_id, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX records_of_session ON records (session_id, gateway_id, epoch, seq) WHERE session_id IS NOT NULL;
CREATE TABLE conflicts (
    number INTEGER PRIMARY KEY, gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    kind TEXT NOT NULL, held_hash TEXT NOT NULL, offered_hash TEXT NOT NULL, offered TEXT, seen_at TEXT NOT NULL,
    UNIQUE (gateway_id, epoch, seq, offered_hash)
);
CREATE TABLE quarantine (
    gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL,
    received_at TEXT NOT NULL,
    PRIMARY KEY (gateway_id, epoch, seq)
) WITHOUT ROWID;
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, gateway_id TEXT NOT NULL, charger_key TEXT NOT NULL,
    status TEXT NOT NULL, session TEXT NOT NULL, meter TEXT NOT NULL
);
CREATE INDEX sessions_open ON sessions (gateway_id, charger_key) WHERE status = 'ACTIVE';
CREATE TABLE cdrs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, session_id TEXT NOT NULL UNIQUE REFERENCES sessions (id),
    gateway_id TEXT NOT NULL, cdr TEXT NOT NULL
);
CREATE TABLE decisions (
    gateway_id TEXT NOT NULL, charger_key TEXT NOT NULL, token_key TEXT NOT NULL, decision TEXT NOT NULL,
    PRIMARY KEY (gateway_id, charger_key, token_key)
) WITHOUT ROWID;
CREATE TABLE tokens (
    country_code TEXT NOT NULL, party_id TEXT NOT NULL, type TEXT NOT NULL, uid_key TEXT NOT NULL,
    contract_key TEXT NOT NULL, version INTEGER NOT NULL, token TEXT NOT NULL,
    PRIMARY KEY (country_code, party_id, type, uid_key)
) WITHOUT ROWID;
CREATE INDEX tokens_by_uid ON tokens (type, uid_key);
CREATE INDEX tokens_by_contract ON tokens (type, contract_key);
CREATE INDEX tokens_by_version ON tokens (version);
CREATE TABLE whitelist (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), version INTEGER NOT NULL);
INSERT INTO whitelist VALUES (1, 0);
CREATE TRIGGER cdrs_are_final BEFORE UPDATE ON cdrs BEGIN SELECT RAISE(ABORT, 'a CDR is never changed'); END;
CREATE TRIGGER records_are_final BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'a record is never changed'); END;
"""

_ISSUED_VERSIONS = """
CREATE TABLE issued_versions (version INTEGER PRIMARY KEY);
INSERT INTO issued_versions SELECT version FROM tokens UNION SELECT version FROM whitelist WHERE version > 0;
"""

_COMMANDS = """
CREATE TABLE commands (
    number INTEGER PRIMARY KEY, command_id TEXT NOT NULL UNIQUE, gateway_id TEXT NOT NULL, body TEXT NOT NULL,
    created_at TEXT NOT NULL, expires_at TEXT NOT NULL, delivered_at TEXT, reported INTEGER NOT NULL,
    token_type TEXT, token_key TEXT
);
CREATE INDEX commands_waiting ON commands (gateway_id, number) WHERE reported = 0;
CREATE INDEX commands_by_token ON commands (token_type, token_key, number) WHERE token_key IS NOT NULL;
CREATE TABLE command_reports (
    command_id TEXT NOT NULL, number INTEGER NOT NULL, body TEXT NOT NULL, received_at TEXT NOT NULL,
    PRIMARY KEY (command_id, number)
) WITHOUT ROWID;
"""

_ENDED_WITHOUT_START = """
UPDATE sessions SET status = 'INVALID', session = json_set(session, '$.status', 'INVALID')
WHERE status = 'ACTIVE' AND json_extract(session, '$.end_date_time') IS NOT NULL;
"""
"""A session whose end came and whose start did not was ACTIVE once (wire/settling/ingest.py, rule 5)."""

_COMMITMENTS = """
ALTER TABLE records ADD COLUMN salt TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN commitment TEXT;
ALTER TABLE conflicts ADD COLUMN reason TEXT;
ALTER TABLE gateways ADD COLUMN frontier BLOB NOT NULL DEFAULT x'';
ALTER TABLE gateways ADD COLUMN log_key TEXT;
ALTER TABLE gateways ADD COLUMN told_seq INTEGER NOT NULL DEFAULT 0;
CREATE TABLE tiles (
    gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, level INTEGER NOT NULL, number INTEGER NOT NULL, root BLOB NOT NULL,
    PRIMARY KEY (gateway_id, epoch, level, number)
) WITHOUT ROWID;
CREATE TABLE tree_heads (
    number INTEGER PRIMARY KEY, gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, size INTEGER NOT NULL,
    root BLOB NOT NULL, at TEXT NOT NULL, log_key BLOB NOT NULL, signature BLOB NOT NULL,
    countersigned_at TEXT NOT NULL, hub_key BLOB NOT NULL, countersignature BLOB NOT NULL,
    UNIQUE (gateway_id, epoch, size)
);
CREATE TABLE erasures (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, by TEXT NOT NULL, kind TEXT NOT NULL, forced INTEGER NOT NULL,
    counts TEXT NOT NULL
);
ALTER TABLE cdrs ADD COLUMN erasure INTEGER REFERENCES erasures (number);
CREATE TRIGGER tree_heads_are_final BEFORE UPDATE ON tree_heads
BEGIN SELECT RAISE(ABORT, 'a tree head is never changed'); END;
CREATE TRIGGER tree_heads_stay BEFORE DELETE ON tree_heads
BEGIN SELECT RAISE(ABORT, 'a tree head is never deleted'); END;
CREATE TRIGGER records_stay BEFORE DELETE ON records
BEGIN SELECT RAISE(ABORT, 'a record is never deleted'); END;
DROP TRIGGER records_are_final;
CREATE TRIGGER records_are_final BEFORE UPDATE ON records WHEN NOT (
    OLD.salt <> '' AND NEW.body = '' AND NEW.salt = '' AND length(NEW.commitment) = 64 AND (
        NEW.gateway_id, NEW.epoch, NEW.seq, NEW.hash, NEW.kind, NEW.at, NEW.boot_id, NEW.mono_ns, NEW.clock,
        NEW.received_at, NEW.session_id
    ) IS (
        OLD.gateway_id, OLD.epoch, OLD.seq, OLD.hash, OLD.kind, OLD.at, OLD.boot_id, OLD.mono_ns, OLD.clock,
        OLD.received_at, OLD.session_id
    )
)
BEGIN SELECT RAISE(ABORT, 'a record is never changed, only its content is let go'); END;
DROP TRIGGER cdrs_are_final;
CREATE TRIGGER cdrs_are_final BEFORE UPDATE ON cdrs WHEN NOT (
    NEW.erasure IS NOT NULL AND NEW.erasure IS NOT OLD.erasure
    AND (NEW.number, NEW.id, NEW.session_id, NEW.gateway_id) IS (OLD.number, OLD.id, OLD.session_id, OLD.gateway_id)
    AND json_remove(NEW.cdr, '$.cdr_token', '$.authorization_reference', '$.signed_data', '$.findings')
        IS json_remove(OLD.cdr, '$.cdr_token', '$.authorization_reference', '$.signed_data', '$.findings')
)
BEGIN SELECT RAISE(ABORT, 'a CDR is never changed, only who charged is let go'); END;
"""
"""Records that can be let go, the Merkle tree over them, its signed heads, and the acts that let go. `frontier` holds
the peaks of the tree over the chain, empty where it is still to be built (hub.store.tree); `told_seq` is the longest
chain that the gateway spoke of."""

_METERS = """
CREATE TABLE meter_keys (
    number INTEGER PRIMARY KEY, meter_serial TEXT, gateway_serial TEXT, charge_point_id TEXT, place TEXT,
    public_key TEXT NOT NULL, fingerprint TEXT NOT NULL, state TEXT NOT NULL, key TEXT NOT NULL,
    changed_at TEXT NOT NULL
);
CREATE UNIQUE INDEX meter_keys_once ON meter_keys (
    public_key, ifnull(meter_serial, ''), ifnull(gateway_serial, ''), ifnull(charge_point_id, ''), ifnull(place, '')
);
CREATE INDEX meter_keys_by_meter ON meter_keys (meter_serial) WHERE meter_serial IS NOT NULL;
CREATE INDEX meter_keys_by_gateway ON meter_keys (gateway_serial) WHERE gateway_serial IS NOT NULL;
CREATE INDEX meter_keys_by_point ON meter_keys (charge_point_id) WHERE charge_point_id IS NOT NULL;
CREATE INDEX meter_keys_by_place ON meter_keys (place) WHERE place IS NOT NULL;
CREATE INDEX meter_keys_by_fingerprint ON meter_keys (fingerprint);
CREATE TABLE meter_key_acts (
    number INTEGER PRIMARY KEY, key_number INTEGER NOT NULL REFERENCES meter_keys (number), act TEXT NOT NULL,
    key TEXT NOT NULL, by_whom TEXT NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TABLE verdicts (
    number INTEGER PRIMARY KEY, gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    part INTEGER NOT NULL, session_id TEXT, judged_at TEXT NOT NULL, version TEXT NOT NULL, verdict TEXT NOT NULL
);
CREATE INDEX verdicts_of_record ON verdicts (gateway_id, epoch, seq, part, number);
CREATE INDEX verdicts_of_session ON verdicts (session_id, number) WHERE session_id IS NOT NULL;
CREATE TABLE meter_sightings (
    meter TEXT NOT NULL, place TEXT NOT NULL, signature TEXT NOT NULL, key_source TEXT NOT NULL,
    count INTEGER NOT NULL, first_seen TEXT NOT NULL, last_seen TEXT NOT NULL,
    PRIMARY KEY (meter, place, signature, key_source)
) WITHOUT ROWID;
CREATE TABLE meter_pages (
    number INTEGER PRIMARY KEY, signer TEXT NOT NULL, meter TEXT NOT NULL, context TEXT NOT NULL, page INTEGER NOT NULL,
    payload_sha256 TEXT NOT NULL, session_id TEXT, place TEXT, at TEXT, body TEXT NOT NULL
);
CREATE UNIQUE INDEX meter_pages_once ON meter_pages (
    signer, meter, context, page, payload_sha256, ifnull(session_id, '')
);
CREATE INDEX meter_pages_of_signer ON meter_pages (signer, context, page);
CREATE INDEX meter_pages_by_payload ON meter_pages (payload_sha256);
CREATE INDEX meter_pages_of_place ON meter_pages (place, at) WHERE place IS NOT NULL AND at IS NOT NULL;
CREATE TABLE meter_gaps (
    number INTEGER PRIMARY KEY, signer TEXT NOT NULL, meter TEXT NOT NULL, context TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, session_id TEXT, noticed_at TEXT NOT NULL,
    closed_at TEXT, closed_by TEXT, why TEXT
);
CREATE INDEX meter_gaps_open ON meter_gaps (signer, context, last) WHERE closed_at IS NULL;
CREATE TABLE outcomes (
    number INTEGER PRIMARY KEY, session_id TEXT NOT NULL, judged_at TEXT NOT NULL, version TEXT NOT NULL,
    outcome TEXT NOT NULL
);
CREATE INDEX outcomes_of_session ON outcomes (session_id, number);
CREATE TABLE held_sessions (number INTEGER PRIMARY KEY, session_id TEXT NOT NULL UNIQUE, since TEXT NOT NULL);
CREATE TRIGGER verdicts_are_final BEFORE UPDATE ON verdicts BEGIN
    SELECT RAISE(ABORT, 'a verdict is never changed'); END;
CREATE TRIGGER outcomes_are_final BEFORE UPDATE ON outcomes BEGIN
    SELECT RAISE(ABORT, 'an outcome is never changed'); END;
"""
"""Keys and pages are found by columns; what they hold is the JSON beside them. Verdicts and outcomes are only appended:
the newest one of a signed value or a session counts."""

_LIST_HISTORY = """
ALTER TABLE whitelist ADD COLUMN chain TEXT NOT NULL
    DEFAULT '0000000000000000000000000000000000000000000000000000000000000000';
ALTER TABLE whitelist ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;
UPDATE whitelist SET tokens = (SELECT count(*) FROM tokens), chain = iif(version, lower(hex(randomblob(32))), chain);
CREATE TABLE list_versions (
    version INTEGER PRIMARY KEY, chain TEXT NOT NULL, at TEXT NOT NULL, named INTEGER NOT NULL,
    since INTEGER, content TEXT
);
CREATE INDEX list_versions_begun ON list_versions (version) WHERE content IS NULL;
INSERT INTO list_versions SELECT version, chain, '', 0, NULL, NULL FROM whitelist;
"""
"""What led to the list: a row for each version, `named` counting the tokens of all deltas up to it. A row with content
leads there from the one before; a row without can only be started from. A list of before has a chain value that no
other has, and nothing leads to it."""

_EPOCHS = """
CREATE TABLE closed_epochs (
    gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, closed_by TEXT NOT NULL, seq INTEGER NOT NULL, hash TEXT NOT NULL,
    at TEXT NOT NULL, PRIMARY KEY (gateway_id, epoch)
) WITHOUT ROWID;
CREATE TABLE told_before (
    gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, mark BLOB NOT NULL, PRIMARY KEY (gateway_id, epoch, mark)
) WITHOUT ROWID;
CREATE TABLE continued (
    gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, continues TEXT NOT NULL, PRIMARY KEY (gateway_id, epoch, continues)
) WITHOUT ROWID;
"""
"""Epochs that another one continues, and the marks of what those brought (hub.store.epochs): `continued` names the
epochs whose marks are in `told_before` already."""

_ANNOUNCED = """
CREATE TABLE announced (
    number INTEGER PRIMARY KEY, gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    hash TEXT NOT NULL, content TEXT NOT NULL, kind TEXT NOT NULL, event TEXT, charger_id TEXT, session_id TEXT,
    at TEXT NOT NULL, noted_at TEXT NOT NULL,
    UNIQUE (gateway_id, epoch, seq)
);
"""
"""`content` is the commitment of a record that was announced, never what it says."""

_TOMBSTONES = """
CREATE TABLE tombstones (
    number INTEGER PRIMARY KEY, gateway_id TEXT NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL,
    reason TEXT NOT NULL, tombstone TEXT NOT NULL, received_at TEXT NOT NULL, UNIQUE (gateway_id, epoch, seq)
);
"""
"""What gateways say that is missing, and why (hub.store.tombstones)."""

MIGRATIONS: tuple[str, ...] = (
    _FIRST,
    _ISSUED_VERSIONS,
    _COMMANDS,
    _ENDED_WITHOUT_START,
    _COMMITMENTS,
    _METERS,
    _LIST_HISTORY + _EPOCHS + _ANNOUNCED + _TOMBSTONES,
    TARIFFS + ROAMING + ROAMING_GUARDS + SETTLEMENT + SETTLEMENT_GUARDS + USERS + USERS_GUARDS + REVOCATION,
)
"""Append only: a released migration is never edited."""

BEFORE_POSTGRESQL = 7
"""How many of them were there before PostgreSQL was a store (hub.store.dialect, rule 5)."""

ON_POSTGRESQL: dict[int, str] = {
    6: """
CREATE TABLE derived (
    gateway_id text COLLATE "C" NOT NULL, epoch text COLLATE "C" NOT NULL, seq bigint NOT NULL,
    PRIMARY KEY (gateway_id, epoch)
);
CREATE FUNCTION gateway_met() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO derived VALUES (NEW.gateway_id, NEW.epoch, 0);
    UPDATE gateways SET closed = true WHERE gateway_id = NEW.gateway_id AND epoch = NEW.epoch AND EXISTS (
        SELECT 1 FROM closed_epochs c WHERE c.gateway_id = NEW.gateway_id AND c.epoch = NEW.epoch
    );
    RETURN NULL;
END $$;
ALTER TABLE gateways ADD COLUMN closed boolean NOT NULL DEFAULT false;
CREATE TRIGGER gateway_met AFTER INSERT ON gateways FOR EACH ROW EXECUTE FUNCTION gateway_met();
CREATE FUNCTION epoch_closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE gateways SET closed = true WHERE gateway_id = NEW.gateway_id AND epoch = NEW.epoch;
    RETURN NULL;
END $$;
CREATE TRIGGER epoch_closed AFTER INSERT ON closed_epochs FOR EACH ROW EXECUTE FUNCTION epoch_closed();
CREATE FUNCTION command_given() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('pnc_hub', 'command ' || NEW.gateway_id);
    RETURN NULL;
END $$;
CREATE TRIGGER command_given AFTER INSERT ON commands FOR EACH ROW EXECUTE FUNCTION command_given();
CREATE FUNCTION command_reported() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('pnc_hub', 'report ' || NEW.command_id);
    RETURN NULL;
END $$;
CREATE TRIGGER command_reported AFTER INSERT ON command_reports FOR EACH ROW EXECUTE FUNCTION command_reported();
CREATE FUNCTION something_erased() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM pg_notify('pnc_hub', 'erased');
    RETURN NULL;
END $$;
CREATE TRIGGER something_erased AFTER INSERT ON erasures FOR EACH ROW EXECUTE FUNCTION something_erased();
DROP FUNCTION records_are_final CASCADE;
CREATE FUNCTION records_are_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'a record is never changed, only its content is let go'; END $$;
CREATE TRIGGER records_are_final BEFORE UPDATE ON records FOR EACH ROW WHEN (
    (NEW.gateway_id, NEW.epoch, NEW.seq, NEW.hash, NEW.kind, NEW.at, NEW.boot_id, NEW.mono_ns, NEW.clock,
        NEW.received_at) IS DISTINCT FROM
    (OLD.gateway_id, OLD.epoch, OLD.seq, OLD.hash, OLD.kind, OLD.at, OLD.boot_id, OLD.mono_ns, OLD.clock,
        OLD.received_at)
    OR NOT (
        (NEW.body = OLD.body AND NEW.salt = OLD.salt AND NEW.commitment IS NOT DISTINCT FROM OLD.commitment
            AND OLD.session_id IS NULL)
        OR (OLD.salt <> '' AND NEW.body = '' AND NEW.salt = '' AND length(NEW.commitment) = 64
            AND NEW.session_id IS NOT DISTINCT FROM OLD.session_id)
    )
) EXECUTE FUNCTION records_are_final();
"""
}
"""What follows a migration on PostgreSQL besides, where a record is stored first and what follows from it later (hub.
store.deriving): `derived` says up to which record of each chain that is done. A record's session is written down once,
then. `closed` stands in the row that storing more records changes, so that neither misses the other. Other processes
hear of commands, reports and erasures (hub.store.postgresql, `listen`)."""
