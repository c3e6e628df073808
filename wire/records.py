"""The values that travel between charger, gateway and hub, and how they are written as JSON.

Rules of this file
1. Every value is frozen; names are the field's standard terms (OCPI 2.3.0 where it has one), snake_case on the wire.
2. Instants are aware datetimes in UTC. Energy is a Decimal in Wh and keeps the meter's own digits. Money is a Decimal
   with its currency beside it. No floats.
3. `encode` is deterministic: one value has one text, so hashes over it compare (field order is declaration order).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import msgspec

from wire.errors import MalformedValue
from wire.ocpi.periods import ChargingPeriod
from wire.ocpi.tariffs import Tariff, TariffDimension as TariffDimension
from wire.ocpi.types import Price as Price

T = TypeVar("T")

_encoder = msgspec.json.Encoder(decimal_format="number")


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of every value that travels: immutable, keyword-only, unset optional fields left out on the wire."""


def encode(value: object) -> bytes:
    """The one JSON text of `value`, UTF-8: Decimals as JSON numbers with their own digits, bytes as base64."""
    return _encoder.encode(value)


def decode(type_: type[T], data: bytes | str, what: str) -> T:
    """The value of `type_` that `data` holds; unknown fields are ignored.

    Raises:
        MalformedValue: not JSON, or a field is missing or of another type; names `what` and the JSON path.
    """
    try:
        return msgspec.json.decode(data, type=type_)
    except msgspec.ValidationError as error:
        # From the right: the message may quote a value that holds the same words.
        message, _, where = str(error).rpartition(" - at `")
        raise MalformedValue(what, where.strip("`") if message else "$", message or where) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedValue(what, "$", f"not JSON: {error}") from error


# --- tokens and authorization (OCPI 2.3.0 mod_tokens) ---------------------------------------------------------------


class TokenType(StrEnum):
    """OCPI 2.3.0 TokenType."""

    AD_HOC_USER = "AD_HOC_USER"
    APP_USER = "APP_USER"
    EMAID = "EMAID"
    OTHER = "OTHER"
    RFID = "RFID"


class WhitelistType(StrEnum):
    """OCPI WhitelistType: may the CPO decide with its copy of the token?"""

    ALWAYS = "ALWAYS"
    ALLOWED = "ALLOWED"
    ALLOWED_OFFLINE = "ALLOWED_OFFLINE"
    NEVER = "NEVER"


class AllowedType(StrEnum):
    """OCPI AllowedType: the answer to a real-time authorization."""

    ALLOWED = "ALLOWED"
    BLOCKED = "BLOCKED"
    EXPIRED = "EXPIRED"
    NO_CREDIT = "NO_CREDIT"
    NOT_ALLOWED = "NOT_ALLOWED"


class Token(Value, frozen=True, kw_only=True):
    """A driver's token as its eMSP publishes it (OCPI 2.3.0 Token). Key: country_code, party_id, type, uid."""

    country_code: str
    party_id: str
    uid: str
    type: TokenType
    contract_id: str
    issuer: str
    valid: bool
    whitelist: WhitelistType
    last_updated: datetime
    visual_number: str | None = None
    group_id: str | None = None
    language: str | None = None


class TokenRef(Value, frozen=True, kw_only=True):
    """A token as it was presented at a charger: the characters as they came, and the OCPI type they mean."""

    uid: str
    type: TokenType


class LocationReferences(Value, frozen=True, kw_only=True):
    """Where a driver may charge (OCPI LocationReferences): only at these EVSEs of the location, at all without any.
    `evse_uids` are EVSE ids as the site's configuration has them."""

    location_id: str
    evse_uids: tuple[str, ...] = ()


class AuthorizationInfo(Value, frozen=True, kw_only=True):
    """The hub's answer to a real-time authorization (OCPI AuthorizationInfo); `token` is None for an unknown token."""

    allowed: AllowedType
    token: Token | None = None
    location: LocationReferences | None = None
    authorization_reference: str | None = None


class WhitelistChange(Value, frozen=True, kw_only=True):
    """Tokens that bring a list from version `since` (0: nothing held) to `version`.

    `full` means the list starts anew: a token that is not in `tokens` is not on the list. Otherwise `tokens` are
    upserts; a token is never deleted, only published again with `valid` false (OCPI mod_tokens).
    """

    version: int
    since: int
    full: bool
    tokens: tuple[Token, ...]


class ClockState(StrEnum):
    """How far the gateway trusts its wall clock."""

    TRUSTED = "trusted"
    DRIFTING = "drifting"
    UNKNOWN = "unknown"


class Verdict(StrEnum):
    """The outcome of an authorization, in the terms of OCPP 2.0.1 AuthorizationStatusEnumType."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    CONCURRENT_TX = "ConcurrentTx"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    NO_CREDIT = "NoCredit"
    NOT_ALLOWED_TYPE_EVSE = "NotAllowedTypeEVSE"
    NOT_AT_THIS_LOCATION = "NotAtThisLocation"
    NOT_AT_THIS_TIME = "NotAtThisTime"
    UNKNOWN = "Unknown"


class CertificateStatus(StrEnum):
    """OCPP 2.0.1 AuthorizeCertificateStatusEnumType: the contract chain's part of the answer (C07)."""

    ACCEPTED = "Accepted"
    SIGNATURE_ERROR = "SignatureError"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_REVOKED = "CertificateRevoked"
    NO_CERTIFICATE_AVAILABLE = "NoCertificateAvailable"
    CERT_CHAIN_ERROR = "CertChainError"
    CONTRACT_CANCELLED = "ContractCancelled"


class AuthMethod(StrEnum):
    """OCPI AuthMethod: asked in real time, decided from local knowledge, or told by a command."""

    AUTH_REQUEST = "AUTH_REQUEST"
    WHITELIST = "WHITELIST"
    COMMAND = "COMMAND"


class Basis(StrEnum):
    """What a decision rests on."""

    WHITELIST = "whitelist"
    CONTRACT_CHAIN = "contract-chain"
    HUB = "hub"
    SITE_POLICY = "site-policy"
    EARLIER_DECISION = "earlier-decision"
    COMMAND = "command"


class ChainEvidence(Value, frozen=True, kw_only=True):
    """What verification said of a contract chain: `code` is "accepted" or the verifier's error code."""

    code: str
    message: str
    clause: str | None = None
    leaf_sha256: str | None = None
    revocation: str = "unknown"
    findings: tuple[str, ...] = ()


class Decision(Value, frozen=True, kw_only=True):
    """One authorization decision with everything it rested on; it is stored in the audit log before it is answered.

    `reason` is a stable kebab-case code. `certificate_status` is present iff contract evidence was presented (OCPP
    2.0.1 C07). `contract_id` is the normalised eMAID for Plug & Charge, the token's contract otherwise. `command_id`
    names the command that it was made for, or that its transaction came of. `transient`: an accept that holds only now,
    so that the station must not remember it.
    """

    decision_id: str
    at: datetime
    charger_id: str
    token: TokenRef
    verdict: Verdict
    reason: str
    basis: Basis
    auth_method: AuthMethod
    online: bool
    clock: ClockState
    certificate_status: CertificateStatus | None = None
    contract_id: str | None = None
    group_id: str | None = None
    whitelist_version: int | None = None
    authorization_reference: str | None = None
    chain: ChainEvidence | None = None
    command_id: str | None = None
    transient: bool = False


# --- what the records of evidence hold (wire.chain) -----------------------------------------------------------------


class TransactionEvent(StrEnum):
    """What a transaction message says, whatever the OCPP version calls it."""

    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"
    METER_VALUES = "meter-values"
    UNREADABLE = "unreadable"


class TransactionEntry(Value, frozen=True, kw_only=True):
    """A transaction message exactly as the charger sent it, with what the gateway made of it and answered.

    `frame` is the whole OCPP-J frame, character for character. `session_id` is the one identifier from charger to
    CDR; it is made of `transaction_id` and `reuse`, which tells sessions of this charger apart that had one id.
    `quarantine` says why the payload could not be read; such a message is stored, acknowledged and shown all the same.
    """

    charger_id: str
    ocpp: str
    action: str
    message_id: str
    frame: str
    event: TransactionEvent
    reply: str
    session_id: str | None = None
    transaction_id: str | None = None
    reuse: int = 0
    decision: Decision | None = None
    quarantine: str | None = None


class AuditEntry(Value, frozen=True, kw_only=True):
    """Something the gateway did or met that is not an authorization: `event` is a kebab-case code of a closed set."""

    event: str
    subject: str
    message: str


# --- sessions and charge detail records, as the hub derives them (OCPI 2.3.0 names) ---------------------------------


class CdrToken(Value, frozen=True, kw_only=True):
    """OCPI CdrToken."""

    uid: str
    type: TokenType
    contract_id: str
    country_code: str | None = None
    party_id: str | None = None


class SessionStatus(StrEnum):
    """OCPI SessionStatus, the part a site produces."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    INVALID = "INVALID"


class Session(Value, frozen=True, kw_only=True):
    """A charging session as the hub knows it; `kwh` comes from the signed register when there is one."""

    id: str
    gateway_id: str
    charger_id: str
    evse_id: int
    transaction_id: str
    status: SessionStatus
    start_date_time: datetime
    last_updated: datetime
    kwh: Decimal
    end_date_time: datetime | None = None
    connector_id: int | None = None
    cdr_token: CdrToken | None = None
    auth_method: AuthMethod | None = None
    authorization_reference: str | None = None
    findings: tuple[str, ...] = ()


class PriceComponent(Value, frozen=True, kw_only=True):
    """OCPI PriceComponent, the price as its tariff has it, and what was billed by it: `billed` in kWh, hours or times,
    after steps, and what that costs. A CDR of an earlier version says the price alone, before taxes."""

    type: TariffDimension
    price: Decimal
    vat: Decimal | None = None
    step_size: int = 0
    part: str | None = None
    used: Decimal | None = None
    billed: Decimal | None = None
    cost: Price | None = None


class PriceQuote(Value, frozen=True, kw_only=True):
    """What a driver was shown before the start: which tariff by its content (`tariff_hash`), in which words, and what
    the eMSP adds (`markup`, as it was told). `shown_by` says on which way, such as `command`."""

    quote_id: str
    at: datetime
    tariff_id: str
    tariff_hash: str
    currency: str
    text: str
    shown_by: str
    markup: str | None = None


class SignedValue(Value, frozen=True, kw_only=True):
    """OCPI SignedValue: nature Start, End or Intermediate; `plain_data` the signed text, `signed_data` its base64."""

    nature: str
    plain_data: str
    signed_data: str


class SignedData(Value, frozen=True, kw_only=True):
    """OCPI SignedData."""

    encoding_method: str
    signed_values: tuple[SignedValue, ...]
    public_key: str | None = None


class Cdr(Value, frozen=True, kw_only=True):
    """A charge detail record: immutable; built only when the session has ended. Energy in kWh, time in hours.

    `tariff` is the one that was pinned when the session began, `tariff_hash` the hash of its content with `time_zone`
    (wire.settling.tariffs), in which its local times are meant; `price_components` are what each of its components
    costs, and the totals sum to `total_cost` but for a limit of the tariff. `quote` is what the driver was shown. A CDR
    of an earlier version has none of these but `price_components`, and the oldest not even them.
    """

    id: str
    session_id: str
    gateway_id: str
    charger_id: str
    evse_id: int
    start_date_time: datetime
    end_date_time: datetime
    cdr_token: CdrToken
    auth_method: AuthMethod
    currency: str
    total_cost: Price
    total_energy: Decimal
    total_time: Decimal
    last_updated: datetime
    connector_id: int | None = None
    authorization_reference: str | None = None
    signed_data: SignedData | None = None
    findings: tuple[str, ...] = ()
    price_components: tuple[PriceComponent, ...] = ()
    tariff: Tariff | None = None
    tariff_hash: str | None = None
    time_zone: str | None = None
    charging_periods: tuple[ChargingPeriod, ...] = ()
    total_fixed_cost: Price | None = None
    total_energy_cost: Price | None = None
    total_time_cost: Price | None = None
    total_parking_time: Decimal | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    quote: PriceQuote | None = None
