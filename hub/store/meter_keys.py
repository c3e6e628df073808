"""The registry of meter keys in the database: its rows, and who changed them when.

Rules
1. What a row means and how it changes says wire.meter.registry; here rows are found and kept. A row is never deleted.
2. Every change is an act with the row as it is after it, by whom and why.
3. The keys of hub.toml are pinned by place as the file has them, without time: one that the file no longer has counts
   for no record.
4. A station may bring `MAX_QUARANTINED` keys in place of a meter's known one; what comes beyond is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from hub.errors import HubError
from hub.store.engine import Connection
from wire.meter.keys import PublicKey, parse_public_key
from wire.meter.record import MeterRecord
from wire.meter.registry import Identity, KeyOrigin, KeyPlace, KeyRegistry, KeyState, RegisteredKey
from wire.records import Value, decode, encode
from wire.settling.terms import MeterPlace

MAX_QUARANTINED = 20
CONFIGURED_BY = "hub.toml"
_COLUMNS = ("meter_serial", "gateway_serial", "charge_point_id", "place")
_OF_UNIT = " AND ".join(f"coalesce({column}, '') = coalesce(?, '')" for column in _COLUMNS)


class KeptKey(Value, frozen=True, kw_only=True):
    """A row of the registry under its number, with what last happened to it."""

    number: int
    key: RegisteredKey
    fingerprint: str
    changed_at: datetime
    by_whom: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Who changes the registry, when and why."""

    name: str
    at: datetime
    by_whom: str
    why: str = ""


class NoSuchKey(HubError):
    """Raised when a key is asked for that the registry does not have, or more than one has the name."""


def keep_key(connection: Connection, row: RegisteredKey, act: Act) -> int:
    """Keep a row as it is now, and the act; the row's number. One identity and one key are one row."""
    identity = row.identity
    at = act.at.isoformat(timespec="microseconds")
    text = encode(row).decode()
    held = connection.execute(
        f"SELECT number FROM meter_keys WHERE public_key = ? AND {_OF_UNIT}",
        (row.public_key, *identity),
    ).fetchone()
    if held is None:
        cursor = connection.execute(
            "INSERT INTO meter_keys (meter_serial, gateway_serial, charge_point_id, place, public_key, fingerprint, "
            "state, key, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
            (*identity, row.public_key, row.fingerprint, row.state.value, text, at),
        )
        number = int(cursor.fetchone()[0])
    else:
        number = int(held[0])
        connection.execute(
            "UPDATE meter_keys SET state = ?, key = ?, changed_at = ? WHERE number = ?",
            (row.state.value, text, at, number),
        )
    connection.execute(
        "INSERT INTO meter_key_acts (key_number, act, key, by_whom, why, at) VALUES (?, ?, ?, ?, ?, ?)",
        (number, act.name, text, act.by_whom, act.why, at),
    )
    return number


def registry_of(connection: Connection, identity: Identity, public_keys: Sequence[str] = ()) -> KeyRegistry:
    """The rows that name anything of `identity`, and those that hold one of their keys or of `public_keys` (hex); none
    that counts for no time at all."""
    named = [f"{column} = ?" for column, value in zip(_COLUMNS, identity, strict=True) if value is not None]
    values = [value for value in identity if value is not None]
    keys = [*(f"SELECT public_key FROM meter_keys WHERE {one}" for one in named), *("SELECT ?" for _ in public_keys)]
    if not keys:
        return KeyRegistry()
    rows = connection.execute(
        f"SELECT key FROM meter_keys WHERE public_key IN ({' UNION ALL '.join(keys)}) ORDER BY number",
        (*values, *public_keys),
    )
    found = (decode(RegisteredKey, text, "stored key") for (text,) in rows.fetchall())
    return KeyRegistry(row for row in found if row.not_before is None or row.not_before != row.not_after)


def is_full(connection: Connection, row: RegisteredKey) -> bool:
    """Whether as many keys of this unit are in quarantine as are kept. Rule 4."""
    count = connection.execute(
        f"SELECT count(*) FROM meter_keys WHERE state = ? AND {_OF_UNIT}",
        (KeyState.QUARANTINED.value, *row.identity),
    ).fetchone()[0]
    return bool(row.state is KeyState.QUARANTINED and count >= MAX_QUARANTINED)


def learn_told(connection: Connection, place: KeyPlace, key: PublicKey, at: datetime) -> RegisteredKey | None:
    """The row for a key that a station has among its settings; None when nothing is new."""
    registry = registry_of(connection, identity_of(None, place), (key.spki.hex(),))
    row = registry.learn_at(place, key, at, KeyOrigin.CONFIG_KEY)
    if row is None or is_full(connection, row):
        return None
    keep_key(connection, row, Act(name=row.state.value, at=at, by_whom=f"settings of station {place}"))
    return row


# --- hub.toml -------------------------------------------------------------------------------------------------------


def pin_configured(connection: Connection, place: MeterPlace, key: PublicKey | None, at: datetime) -> bool:
    """Bring the place's row to what hub.toml says, `key` or nothing; whether anything changed. Rule 3."""
    spot = place.named
    held = registry_of(connection, identity_of(None, spot))
    changed = False
    for row in held:
        if row.source is not KeyOrigin.CONFIGURATION or row.state is not KeyState.PINNED or not _is_of_place(row):
            continue
        if key is not None and row.public_key == key.spki.hex():
            return changed
        gone = msgspec.structs.replace(row, state=KeyState.RETIRED, not_before=at, not_after=at)
        keep_key(connection, gone, Act(name="retired", at=at, by_whom=CONFIGURED_BY))
        changed = True
    if key is None:
        return changed
    row = RegisteredKey(
        place=spot,
        public_key=key.spki.hex(),
        curve=key.curve,
        source=KeyOrigin.CONFIGURATION,
        state=KeyState.PINNED,
    )
    keep_key(connection, row, Act(name="pinned", at=at, by_whom=CONFIGURED_BY))
    return True


def _is_of_place(row: RegisteredKey) -> bool:
    return row.meter_serial is None and row.gateway_serial is None and row.charge_point_id is None


def pin_all_configured(connection: Connection, keys: Mapping[MeterPlace, str], at: datetime) -> None:
    """Bring the rows of hub.toml to what the file says now: at every start."""
    for place, text in keys.items():
        pin_configured(connection, place, parse_public_key(text), at)
    rows = connection.execute("SELECT key FROM meter_keys WHERE state = 'pinned' AND place IS NOT NULL").fetchall()
    for (text,) in rows:
        row = decode(RegisteredKey, text, "stored key")
        if row.place is not None and row.source is KeyOrigin.CONFIGURATION and _is_of_place(row):
            place = MeterPlace(row.place.gateway_id, row.place.charger_id.casefold(), row.place.evse_id)
            if place not in keys:
                pin_configured(connection, place, None, at)


# --- reading --------------------------------------------------------------------------------------------------------


def keys_of(connection: Connection, meter: str) -> tuple[KeptKey, ...]:
    """The rows that name the meter: as meter serial, gateway serial, charge point id or place; the oldest first."""
    name = meter.removeprefix("at ").strip().casefold()
    place = "\n".join(name.split("/")) if name.count("/") == 2 else name
    rows = connection.execute(
        f"SELECT {_KEPT} WHERE meter_serial = ? OR gateway_serial = ? OR charge_point_id = ? OR place = ? "
        "ORDER BY k.number",
        (name, name, name, place),
    )
    return tuple(_kept(row) for row in rows.fetchall())


def keys_with(connection: Connection, fingerprint: str) -> tuple[KeptKey, ...]:
    """The rows that hold the key with this fingerprint, or one that begins so."""
    if not fingerprint or not set(fingerprint.lower()) <= set("0123456789abcdef"):
        return ()
    low = fingerprint.lower()
    rows = connection.execute(
        f"SELECT {_KEPT} WHERE k.fingerprint >= ? AND k.fingerprint < ? ORDER BY k.number", (low, low + "g")
    )
    return tuple(_kept(row) for row in rows.fetchall())


def all_keys(connection: Connection, state: KeyState | None, after: int, limit: int) -> tuple[KeptKey, ...]:
    """The rows beyond number `after`, the oldest first, of one state or of all."""
    rows = connection.execute(
        f"SELECT {_KEPT} WHERE k.number > ?1 AND (?2 IS NULL OR k.state = ?2) ORDER BY k.number LIMIT ?3",
        (after, None if state is None else state.value, limit),
    )
    return tuple(_kept(row) for row in rows.fetchall())


def named_key(connection: Connection, name: str) -> KeptKey:
    """The one row that `name` means: its number, or the beginning of its fingerprint (8 characters at least).

    Raises:
        NoSuchKey: none or more than one.
    """
    if name.isascii() and name.isdigit() and len(name) < 8:
        rows = connection.execute(f"SELECT {_KEPT} WHERE k.number = ?", (int(name),)).fetchall()
        found = tuple(_kept(row) for row in rows)
    else:
        found = keys_with(connection, name) if len(name) >= 8 else ()
    if not found:
        advice = "give a number or at least 8 characters of a fingerprint, as `pnc-hub meters keys` lists them"
        raise NoSuchKey("unknown-key", f"no key {name[:70]!a} in the registry; {advice}")
    if len(found) > 1:
        numbers = ", ".join(str(kept.number) for kept in found)
        raise NoSuchKey("ambiguous-key", f"{name[:70]!a} means keys {numbers}; give the number")
    return found[0]


_KEPT = (
    "k.number, k.key, k.fingerprint, k.changed_at, a.by_whom, a.why FROM meter_keys k JOIN meter_key_acts a "
    "ON a.number = (SELECT max(number) FROM meter_key_acts WHERE key_number = k.number)"
)


def _kept(row: tuple[int, str, str, str, str, str]) -> KeptKey:
    return KeptKey(
        number=row[0],
        key=decode(RegisteredKey, row[1], "stored key"),
        fingerprint=row[2],
        changed_at=datetime.fromisoformat(row[3]),
        by_whom=row[4],
        why=row[5],
    )


def identity_of(record: MeterRecord | None, place: KeyPlace | None) -> Identity:
    """What a record and its place name, as the registry compares it."""
    named = RegisteredKey(
        meter_serial=None if record is None else record.meter_serial,
        gateway_serial=None if record is None else record.gateway_serial,
        charge_point_id=None if record is None else record.charge_point_id,
        place=place,
        public_key="",
        curve="",
        source=KeyOrigin.OCPP_FIELD,
        state=KeyState.LEARNED,
    )
    return named.identity
