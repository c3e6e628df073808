"""What a charger says, before an OCPP version gives it words; each version is one class with the same methods.

The payloads are built from plain mappings, not from the types the gateway reads them with: a field that `wire.ocpp`
spells wrongly must not be spelled wrongly here too. No I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from firmware_sim.meter import Identification, SignedReading
from firmware_sim.meter_telling import Telling
from firmware_sim.outbox import Draft

NO_TRANSACTION_ID = "-1"
"""The id a 1.6 station uses when it never got StartTransaction.conf (errata 3.18)."""


class Medium(StrEnum):
    """How a driver identifies himself."""

    RFID = "rfid"
    CONTRACT = "contract"
    REMOTE = "remote"
    """He did not: the gateway asked for the start, with a token of its own or his."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What a driver presents: an RFID uid (hex), or an eMAID with the contract chain (PEM, leaf first).

    `type` is the idToken's type in OCPP 2.x where it is not the medium's own; `remote_start_id` the number of the
    RequestStartTransaction that asked for the charge.
    """

    medium: Medium
    uid: str
    chain_pem: str | None = None
    type: str | None = None
    remote_start_id: int | None = None
    hashes: tuple[dict[str, str], ...] = ()
    """OCSPRequestDataType of the chain's certificates, where they are sent in its place."""

    @property
    def token_type(self) -> str:
        """The idToken's type (OCPP 2.x)."""
        return self.type or _TOKEN_TYPES[self.medium]

    @property
    def is_contract(self) -> bool:
        """Whether it is an eMAID."""
        return self.token_type == "eMAID"

    def identification(self) -> Identification:
        """The same in the words of a signed record."""
        if self.medium is Medium.CONTRACT:
            return Identification("SECURE", ("ISO15118_PNC",), "EMAID", self.uid)
        if self.medium is Medium.REMOTE:
            return Identification("HEARSAY", ("RFID_NONE", "OCPP_RS"), "CENTRAL", self.uid)
        return Identification("HEARSAY", ("RFID_PLAIN", "OCPP_AUTH"), "ISO14443", self.uid)


_TOKEN_TYPES = {Medium.RFID: "ISO14443", Medium.CONTRACT: "eMAID", Medium.REMOTE: "Central"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer about a token, in OCPP's own words; `certificate_status` only where a chain was judged.

    `group_id` is the group it belongs to (1.6 parentIdTag), `expires` when a cache must forget it (2.x
    cacheExpiryDateTime, 1.6 expiryDate).
    """

    status: str
    certificate_status: str | None = None
    group_id: str | None = None
    expires: datetime | None = None

    @property
    def accepted(self) -> bool:
        """Whether the driver may charge."""
        return self.status == "Accepted"

    def __str__(self) -> str:
        return self.status if self.certificate_status is None else f"{self.status} / {self.certificate_status}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """The meter at one instant. `signed` is there when the meter signed it too; `power_w` None is a power that nobody
    knows any more."""

    at: datetime
    register_kwh: Decimal
    power_w: int | None
    context: str
    signed: SignedReading | None = None

    @property
    def register_wh(self) -> Decimal:
        """The register in Wh, all digits."""
        return self.register_kwh.scaleb(3)


class Stop(StrEnum):
    """What ended a charge, where it was neither the time that was asked for nor a token that is not accepted."""

    LOCAL = "local"
    REMOTE = "remote"
    SOFT_RESET = "soft-reset"
    HARD_RESET = "hard-reset"
    UNLOCK = "unlock"
    MASTER_PASS = "master-pass"


@dataclass(slots=True)
class Transaction:
    """One transaction as its charger knows it.

    `reference` is the charger's own name for it. `wire_id` is the id on the wire: made by the charger in 2.x, given
    by the gateway in 1.6 (None until then, "-1" when the answer never came). `stop_asked` means the gateway answered
    a started transaction with a token that is not accepted, `power_lost` that the charger was switched off meanwhile.
    `stop` says that somebody ended it, `stopped_by` who did with which token; `group_id` whose cards may.
    """

    reference: str
    presented: Presented
    evse_id: int
    connector_id: int
    wire_id: str | None = None
    next_seq_no: int = 0
    stop_asked: Answer | None = None
    power_lost: bool = False
    stop: Stop | None = None
    stopped_by: Presented | None = None
    group_id: str | None = None
    suspended: bool = False
    reservation_id: int | None = None

    def take_seq_no(self) -> int:
        """The next sequence number of the transaction, from 0."""
        self.next_seq_no += 1
        return self.next_seq_no - 1


@dataclass(frozen=True, slots=True)
class StationIdentity:
    """What a charger tells of itself when it boots; its certificate names the same serial number (2.0.1 B01.FR.12)."""

    charger_id: str
    serial: str
    vendor: str = "pncgate"
    model: str = "simulated"
    firmware: str = "0.1.0"


class PlugState(StrEnum):
    """What a connector is at, whatever a version calls it."""

    AVAILABLE = "available"
    OCCUPIED = "occupied"
    RESERVED = "reserved"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Boot:
    """The answer to BootNotification: its status, and the seconds between heartbeats (or to the next try)."""

    status: str
    interval_s: int


class Dialect(Protocol):
    """One OCPP version's words. Messages are (action, payload); drafts are transaction messages for the outbox. `tell`
    says as what a signed record goes into one."""

    version: str
    subprotocol: str

    def id_from_start(self, reference: str) -> str | None:
        """The id on the wire that a transaction has from its start; None when an answer brings it."""

    def boot(self, identity: StationIdentity, why: str) -> tuple[str, object]:
        """BootNotification; `why` is OCPP 2.x's BootReason."""

    def read_boot(self, payload: bytes) -> Boot:
        """The answer to `boot`. Raises MalformedValue."""

    def status(self, evse_id: int, connector_id: int, state: PlugState, at: datetime) -> tuple[str, object]:
        """StatusNotification of one connector."""

    def authorize(self, presented: Presented) -> tuple[str, object]:
        """The question whether the token may charge; Plug & Charge takes the contract chain along."""

    def read_authorization(self, presented: Presented, payload: bytes) -> Answer:
        """The answer to `authorize`. Raises MalformedValue."""

    def started(self, tx: Transaction, begin: Measurement, tell: Telling, offline: bool) -> tuple[Draft, ...]:
        """The transaction has begun with `begin`."""

    def updated(self, tx: Transaction, now: Measurement, tell: Telling, offline: bool) -> Draft:
        """A periodic value, signed or not."""

    def ended(
        self, tx: Transaction, begin: Measurement, end: Measurement, tell: Telling, offline: bool
    ) -> tuple[Draft, ...]:
        """The transaction is over; both values stand in the last message."""

    def meter_values(self, evse_id: int, now: Measurement) -> tuple[str, object]:
        """MeterValues outside a transaction."""

    def read_delivery(self, tx: Transaction, action: str, payload: bytes) -> Answer | None:
        """What the answer to one of its messages says of its token, if anything; an id that it brings is noted in
        `tx`. Raises MalformedValue."""

    def note_dropped(self, tx: Transaction, action: str) -> None:
        """Notes in `tx` that a message of it was thrown away."""

    def sign_certificate(self, csr_pem: str, use: str) -> tuple[str, object]:
        """The request for a certificate of that use (OCPP 2.0.1's name of it)."""

    def certificate_status(self, named: dict[str, str]) -> tuple[str, object]:
        """The question for the OCSP answer about a certificate that is named by its hashes (OCSPRequestDataType)."""

    def read_inner(self, payload: bytes) -> bytes:
        """The answer to one of these two, out of what it is wrapped in. Raises MalformedValue."""

    def read_installation(self, action: str, payload: bytes) -> str | None:
        """The chain (PEM) that a CALL of the gateway brings; None for another CALL. Raises MalformedValue."""

    def installation_answer(self, action: str, status: str) -> object:
        """What is answered to such a CALL."""


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with three fractional digits (OCPP 2.0.1 Part 2 2.1.4)."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def carried(*measurements: Measurement) -> tuple[str, ...]:
    """The SHA-256 of the signed records in `measurements`."""
    return tuple(measurement.signed.sha256 for measurement in measurements if measurement.signed is not None)
