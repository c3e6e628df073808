"""Whose key signed? The keys of meters, by serial or place, with validity. Pure: rows in, rows out.

Rules of this file
1. A row names the signing unit by one or more of: meter serial, gateway serial, charge point id, place. It speaks for a
   record only if everything it names is so. MS if the meter signs; GS or MS if a gateway signs for one point; GS and MS
   if it serves several; or CI (OCMF 1.4.1, section on public keys).
2. A key is looked up as of TM, not as of now: an old record is judged with the key that was valid when it was signed. A
   record without a readable time fits only a key without bounds.
3. Only what the operator pinned is `registry`. A learned key is used and says so; a quarantined key is never used.
4. The first key of a meter is learned. Any other, and one that another meter is known by, is quarantined: it may be a
   new meter, or somebody who writes records.
5. A swap closes the old key's interval and opens the new one's; nothing is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from wire.errors import MeterRecordError
from wire.meter.keys import PublicKey, parse_public_key
from wire.meter.record import MeterRecord
from wire.meter.verdict import KeySource, SessionFinding, Severity
from wire.records import Value

_MOST_OF_A_KIND = 8


class KeyState(StrEnum):
    """Pinned: the operator vouches for it. Learned: taken from a station, nobody has confirmed it. Quarantined: came in
    place of a known key, never used. Retired: counts for its interval only."""

    PINNED = "pinned"
    LEARNED = "learned"
    QUARANTINED = "quarantined"
    RETIRED = "retired"


class KeyOrigin(StrEnum):
    """Where a key was read; the last three are a station's word."""

    NAMEPLATE = "nameplate"
    COMMISSIONING_FILE = "commissioning-file"
    BNETZA = "bnetza"
    CONFIGURATION = "configuration"
    OCPP_FIELD = "ocpp-field"
    CONFIG_KEY = "config-key"
    DATA_TRANSFER = "data-transfer"


class KeyPlace(Value, frozen=True, kw_only=True):
    """Where a meter is mounted; the case of `charger_id` does not count (OCPP identifiers)."""

    gateway_id: str
    charger_id: str
    evse_id: int

    def __str__(self) -> str:
        return f"{self.gateway_id}/{self.charger_id}/{self.evse_id}"


Identity = tuple[str | None, str | None, str | None, str | None]
"""Meter serial, gateway serial, charge point id and place, each as it is compared; None: not named."""


class RegisteredKey(Value, frozen=True, kw_only=True):
    """A key and for whom it speaks; at least one of the first four fields is set.

    `public_key` is the SubjectPublicKeyInfo in hex. Valid from `not_before` until before `not_after`, as of TM; None:
    open. `learned_at` is when a station told it, `confirmed_at` when the operator took a learned one over.
    """

    meter_serial: str | None = None
    gateway_serial: str | None = None
    charge_point_id: str | None = None
    place: KeyPlace | None = None
    public_key: str
    curve: str
    source: KeyOrigin
    state: KeyState
    not_before: datetime | None = None
    not_after: datetime | None = None
    learned_at: datetime | None = None
    confirmed_at: datetime | None = None

    @property
    def identity(self) -> Identity:
        """What it names, as it is compared. One identity and one key make one row."""
        place = None if self.place is None else _place(self.place)
        return _text(self.meter_serial), _text(self.gateway_serial), _text(self.charge_point_id), place

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the key."""
        return self.key.fingerprint

    @property
    def key(self) -> PublicKey:
        """The key itself. Raises MeterRecordError (`bad-key`)."""
        return parse_public_key(self.public_key)

    @property
    def vouched(self) -> KeySource:
        """What a verdict by this key rests on. Rule 3."""
        if self.state is KeyState.QUARANTINED:
            return KeySource.NONE
        told = self.source in _TOLD and self.confirmed_at is None
        if self.state is KeyState.PINNED or (self.state is KeyState.RETIRED and not told):
            return KeySource.REGISTRY
        return KeySource.LEARNED

    def is_valid_at(self, at: datetime | None, slack: timedelta = timedelta(0)) -> bool:
        """Whether the key counts for what was signed at `at`, which may be off by `slack`; None, an unreadable time,
        only without bounds."""
        if at is None:
            return self.not_before is None and self.not_after is None
        return (self.not_before is None or self.not_before - at <= slack) and (
            self.not_after is None or at - self.not_after < slack
        )

    def __str__(self) -> str:
        named = (
            ("meter", self.meter_serial),
            ("gateway", self.gateway_serial),
            ("charge point", self.charge_point_id),
            ("place", self.place),
        )
        return " ".join(f"{what} {str(value)[:60]!a}" for what, value in named if value is not None)


_TOLD = frozenset({KeyOrigin.OCPP_FIELD, KeyOrigin.CONFIG_KEY, KeyOrigin.DATA_TRANSFER})


def _text(text: str | None) -> str | None:
    bare = (text or "").strip().casefold()
    return bare or None


def _place(place: KeyPlace) -> str:
    return f"{place.gateway_id}\n{place.charger_id.casefold()}\n{place.evse_id}"


def signed_at(record: MeterRecord) -> datetime | None:
    """TM of the last reading that has one: when the record was signed."""
    return next((reading.at for reading in reversed(record.readings) if reading.at is not None), None)


class KeyRegistry:
    """The rows, found by what a record says of itself. Changes return the rows to be kept; nothing is stored here."""

    def __init__(self, rows: Iterable[RegisteredKey] = ()) -> None:
        self._rows: dict[tuple[Identity, str], RegisteredKey] = {}
        self._by_name: dict[tuple[int, str], dict[tuple[Identity, str], None]] = {}
        self._by_key: dict[str, dict[tuple[Identity, str], None]] = {}
        for row in rows:
            self._put(row)

    def __iter__(self) -> Iterator[RegisteredKey]:
        return iter(self._rows.values())

    def key_for(self, record: MeterRecord, place: KeyPlace | None = None) -> tuple[PublicKey, KeySource] | None:
        """The key to judge `record` with and what it vouches for; None: no usable key was valid at TM.

        Pinned before learned, then the row that names more, then the one whose validity began last. Where the offset of
        the record's clock is not signed, and no key was valid at TM as it stands, one that was within a day of it is.

        Raises:
            MeterRecordError: `bad-key`: the row was not made here, and its key cannot be read.
        """
        at = signed_at(record)
        usable = [row for row in self.rows_for(record, place) if row.vouched is not KeySource.NONE]
        valid = [row for row in usable if row.is_valid_at(at)]
        if not valid:
            valid = [row for row in usable if row.is_valid_at(at, record.at_slack)]
        if not valid:
            return None
        best = max(valid, key=_rank)
        return best.key, best.vouched

    def rows_for(self, record: MeterRecord, place: KeyPlace | None = None) -> list[RegisteredKey]:
        """Every row that speaks for `record`, whatever its state and validity. Rule 1."""
        return self._fitting(_identity_of(record, place))

    def learn(
        self,
        record: MeterRecord,
        claimed: PublicKey,
        at: datetime,
        origin: KeyOrigin,
        place: KeyPlace | None = None,
    ) -> RegisteredKey | None:
        """The new row for a key that came with `record`, taken in; None when nothing is new. Rule 4.

        Call it for records that are valid under `claimed`: what does not verify proves no key. `at` is our clock.
        """
        meter, gateway, point, spot = record.meter_serial, record.gateway_serial, record.charge_point_id, place
        named = _text(meter) or _text(gateway)
        row = RegisteredKey(
            meter_serial=meter if _text(meter) else None,
            gateway_serial=gateway if _text(gateway) else None,
            charge_point_id=None if named else point,
            place=None if named or _text(point) else spot,
            public_key=claimed.spki.hex(),
            curve=claimed.curve,
            source=origin,
            state=KeyState.LEARNED,
            learned_at=at,
        )
        return self._learned(row, self._fitting(_identity_of(record, place)), signed_at(record))

    def learn_at(self, place: KeyPlace, claimed: PublicKey, at: datetime, origin: KeyOrigin) -> RegisteredKey | None:
        """The new row for a key that a station told of a place without any record (a configuration key)."""
        row = RegisteredKey(
            place=place,
            public_key=claimed.spki.hex(),
            curve=claimed.curve,
            source=origin,
            state=KeyState.LEARNED,
            learned_at=at,
        )
        return self._learned(row, self._fitting(row.identity), at)

    def _learned(
        self, row: RegisteredKey, known: list[RegisteredKey], first_used: datetime | None
    ) -> RegisteredKey | None:
        if row.identity == (None, None, None, None) or any(held.public_key == row.public_key for held in known):
            return None
        if known or self._elsewhere(row):
            row = msgspec.structs.replace(row, state=KeyState.QUARANTINED, not_before=first_used)
        self._put(row)
        return row

    # --- the operator's acts -----------------------------------------------------------------------------------------

    def pin(self, row: RegisteredKey) -> tuple[RegisteredKey, ...]:
        """The rows that change when the operator vouches for `row`: itself as pinned, learned keys of the same unit
        quarantined, and a key pinned before retired when `row` begins. Rule 5.

        Raises:
            MeterRecordError: `bad-key`; `key-conflict`: another key of this unit is pinned for the same time.
        """
        row = msgspec.structs.replace(row, public_key=row.key.spki.hex(), curve=row.key.curve)
        pinned = msgspec.structs.replace(row, state=KeyState.PINNED)
        changed = [pinned]
        for held in self._same_unit(row):
            if held.public_key == row.public_key:
                continue
            if held.state is KeyState.LEARNED:
                changed.append(msgspec.structs.replace(held, state=KeyState.QUARANTINED))
            elif held.state is KeyState.PINNED and _overlap(held, row):
                if row.not_before is None or (held.not_before is not None and row.not_before <= held.not_before):
                    raise MeterRecordError(
                        "key-conflict",
                        str(row),
                        f"key {held.fingerprint} is pinned for the same time; retire it, or say when this one begins",
                    )
                changed.append(msgspec.structs.replace(held, state=KeyState.RETIRED, not_after=row.not_before))
        for one in changed:
            self._put(one)
        return tuple(changed)

    def confirm(
        self, row: RegisteredKey, at: datetime, not_before: datetime | None = None
    ) -> tuple[RegisteredKey, ...]:
        """The rows that change when the operator takes over a learned or quarantined key at `at`; it counts from
        `not_before`, or as its row says. Raises as `pin` does."""
        begins = not_before if not_before is not None else row.not_before
        return self.pin(msgspec.structs.replace(row, confirmed_at=at, not_before=begins))

    def retire(self, row: RegisteredKey, not_after: datetime) -> RegisteredKey:
        """The row with its interval closed; what was signed before `not_after` is still judged with it."""
        retired = msgspec.structs.replace(row, state=KeyState.RETIRED, not_after=not_after)
        if row.state is KeyState.QUARANTINED:
            retired = msgspec.structs.replace(retired, state=KeyState.QUARANTINED)
        self._put(retired)
        return retired

    # --- findings ----------------------------------------------------------------------------------------------------

    def findings(self, record: MeterRecord, place: KeyPlace | None = None) -> tuple[SessionFinding, ...]:
        """What the registry has to say against the keys of the record's unit: `key-shared`, `key-quarantined`,
        `key-not-valid-then`. At most 8 of a kind."""
        rows = self.rows_for(record, place)
        found = []
        for row in rows[:_MOST_OF_A_KIND]:
            others = self._elsewhere(row)
            if others and row.state is not KeyState.QUARANTINED:
                message = f"key {row.fingerprint} of {row} is also the key of {others[0]}"
                found.append(SessionFinding(code="key-shared", severity=Severity.HOLD, message=message))
            if row.state is KeyState.QUARANTINED:
                message = f"key {row.fingerprint} came for {row} and waits for a decision"
                found.append(SessionFinding(code="key-quarantined", severity=Severity.NOTE, message=message))
        at = signed_at(record)
        usable = [row for row in rows if row.vouched is not KeySource.NONE]
        if usable and not any(row.is_valid_at(at, record.at_slack) for row in usable):
            when = "at an unreadable time" if at is None else f"at {at.isoformat()}"
            message = f"signed {when}; the keys of {usable[0]} count {_interval(usable[0])}"
            found.append(SessionFinding(code="key-not-valid-then", severity=Severity.HOLD, message=message))
        return tuple(found)

    def shared(self) -> tuple[tuple[RegisteredKey, ...], ...]:
        """Groups of rows that hold one key under several signing units; a registry should have none."""
        groups = ([self._rows[name] for name in names] for names in self._by_key.values())
        return tuple(tuple(rows) for rows in groups if any(_is_other(rows[0], row) for row in rows[1:]))

    # --- the index ---------------------------------------------------------------------------------------------------

    def _put(self, row: RegisteredKey) -> None:
        name = row.identity, row.public_key
        self._rows[name] = row
        self._by_key.setdefault(row.public_key, {})[name] = None
        for group, value in enumerate(row.identity):
            if value is not None:
                self._by_name.setdefault((group, value), {})[name] = None

    def _fitting(self, identity: Identity) -> list[RegisteredKey]:
        names: dict[tuple[Identity, str], None] = {}
        for group, value in enumerate(identity):
            if value is not None:
                names |= self._by_name.get((group, value), {})
        return [self._rows[name] for name in names if _fits(name[0], identity)]

    def _same_unit(self, row: RegisteredKey) -> list[RegisteredKey]:
        return [held for held in self._fitting(row.identity) if held.identity == row.identity]

    def _elsewhere(self, row: RegisteredKey) -> list[RegisteredKey]:
        rows = (self._rows[name] for name in self._by_key.get(row.public_key, {}))
        return [held for held in rows if _is_other(held, row)]


def _identity_of(record: MeterRecord, place: KeyPlace | None) -> Identity:
    spot = None if place is None else _place(place)
    return _text(record.meter_serial), _text(record.gateway_serial), _text(record.charge_point_id), spot


def _fits(row: Identity, said: Identity) -> bool:
    return all(named is None or named == value for named, value in zip(row, said, strict=True))


def _is_other(one: RegisteredKey, other: RegisteredKey) -> bool:
    """Whether two rows surely mean two signing units: a gateway may sign for several meters, and a charger's places may
    share its gateway."""
    if one.place is not None and other.place is not None:
        return _text(one.place.charger_id) != _text(other.place.charger_id)
    if one.gateway_serial is not None and other.gateway_serial is not None:
        return _text(one.gateway_serial) != _text(other.gateway_serial)
    if one.meter_serial is not None and other.meter_serial is not None:
        return _text(one.meter_serial) != _text(other.meter_serial)
    return False


def _rank(row: RegisteredKey) -> tuple[bool, int, tuple[bool, ...], float]:
    identity = row.identity
    named = tuple(value is not None for value in identity)
    began = row.not_before.timestamp() if row.not_before is not None else float("-inf")
    return row.vouched is KeySource.REGISTRY, sum(named[:3]), named, began


def _overlap(one: RegisteredKey, other: RegisteredKey) -> bool:
    return not (
        (one.not_after is not None and other.not_before is not None and one.not_after <= other.not_before)
        or (other.not_after is not None and one.not_before is not None and other.not_after <= one.not_before)
    )


def _interval(row: RegisteredKey) -> str:
    first = "from ever" if row.not_before is None else f"from {row.not_before.isoformat()}"
    return first if row.not_after is None else f"{first} until {row.not_after.isoformat()}"
