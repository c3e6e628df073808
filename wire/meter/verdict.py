"""What can be said of one record and of a session: axes that are never folded into one yes or no.

Whether the station lies, whether we lack a curve, and whether we lack a key must stay visible apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from wire.meter.record import Deviation, MeterFormat, MeterRecord, Reading
from wire.meter.safe import NO_KEY, NO_SIGNATURE, OTHER_TEXT, SafePrediction, predict_record, predict_session


class SignatureVerdict(StrEnum):
    """The first axis: what checking the signature gave."""

    VALID = "valid"
    INVALID = "invalid"
    UNSUPPORTED = "unsupported"
    BAD_KEY = "bad-key"
    NO_KEY = "no-key"
    UNDECODABLE = "undecodable"


class KeySource(StrEnum):
    """Whose key the verdict rests on: one that the operator pinned, one that the registry learned of a station and
    nobody has confirmed, the one that came along with the record, or none."""

    REGISTRY = "registry"
    LEARNED = "learned"
    CLAIMED = "claimed"
    NONE = "none"


class RecordVerdict(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The verdict on one record. `detail` says why in words, "" when valid. `record` is None iff nothing could be read
    of it: `undecodable`, or `unsupported` for a format that is only recognised.

    `curve` and `key_fingerprint` (hex SHA-256 of the SubjectPublicKeyInfo) name what was verified with. `fallbacks` are
    the ways in which the signature had to be read other than as written, in the order in which they were tried.
    """

    format: MeterFormat = MeterFormat.OCMF
    signature: SignatureVerdict
    key_source: KeySource
    deviations: tuple[Deviation, ...]
    record: MeterRecord | None
    detail: str = ""
    curve: str | None = None
    key_fingerprint: str | None = None
    fallbacks: tuple[str, ...] = ()

    @property
    def safe(self) -> SafePrediction | None:
        """What the SAFE transparency software would say, given the same key; None: not predicted. Worked out anew at
        each call: keep it when it is asked for twice."""
        return None if self.record is None else _as_verified(predict_record(self.record), (self,))

    @property
    def is_reencoded(self) -> bool:
        """Whether the signature holds over another encoding of the text than the one that came."""
        return any(found.code == "payload-encoding" for found in self.deviations)

    @property
    def is_trusted(self) -> bool:
        """Valid with a key that the operator pinned: the only verdict that money may rest on."""
        return self.signature is SignatureVerdict.VALID and self.key_source is KeySource.REGISTRY


_UNVERIFIED = {
    SignatureVerdict.INVALID: NO_SIGNATURE,
    SignatureVerdict.BAD_KEY: NO_SIGNATURE,
    SignatureVerdict.NO_KEY: NO_KEY,
}


def _as_verified(prediction: SafePrediction | None, verdicts: Sequence[RecordVerdict]) -> SafePrediction | None:
    """`prediction`, made of the texts, with what only verifying them told."""
    if prediction is None:
        return None
    told = [_UNVERIFIED[verdict.signature] for verdict in verdicts if verdict.signature in _UNVERIFIED]
    if any(verdict.is_reencoded for verdict in verdicts):
        told.append(OTHER_TEXT)
    return prediction.refused_for(*told)


class Severity(StrEnum):
    """Fatal: this pair is no session. Hold: not billable until somebody has looked. Note: worth knowing."""

    FATAL = "fatal"
    HOLD = "hold"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFinding:
    """One thing found on a pair of records; `message` holds both values, but never the user's identification."""

    code: str
    severity: Severity
    message: str


def fatal(code: str, message: str) -> SessionFinding:
    """A finding that no session survives."""
    return SessionFinding(code=code, severity=Severity.FATAL, message=message)


def hold(code: str, message: str) -> SessionFinding:
    """A finding that somebody has to look at first."""
    return SessionFinding(code=code, severity=Severity.HOLD, message=message)


def note(code: str, message: str) -> SessionFinding:
    """A finding that is worth knowing."""
    return SessionFinding(code=code, severity=Severity.NOTE, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is known of a session from elsewhere than the meter; None or empty: not known, not compared.

    `identifications` are the texts of the token or eMAID that was authorised. `begin_wh` and `end_wh` are the plain
    OCPP registers at both ends, `began_at` and `ended_at` the OCPP messages' times. `max_power_w` is what the connector
    can deliver. `received_at` is our clock when the end came, None while it cannot be trusted.
    """

    identifications: frozenset[str] = frozenset()
    begin_wh: Decimal | None = None
    end_wh: Decimal | None = None
    began_at: datetime | None = None
    ended_at: datetime | None = None
    max_power_w: int | None = None
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterPair:
    """The begin and the end reading of one register of a session."""

    begin: Reading
    end: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionVerdict:
    """The verdict on a session: findings in the order of the checks, () when clean.

    `records` are those that were compared, each payload once, begin to end. `pairs` are by register (OBIS as written in
    the begin reading). `energy_wh` is exact, never negative, None when the records do not make one session. `duration`
    is None unless both ends rest on a clock that is good for it.
    """

    findings: tuple[SessionFinding, ...]
    pairs: Mapping[str | None, RegisterPair] = field(default_factory=dict)
    energy_wh: Decimal | None = None
    duration: timedelta | None = None
    records: tuple[RecordVerdict, ...] = field(default=(), repr=False)

    @property
    def safe(self) -> SafePrediction | None:
        """What the SAFE transparency software would say of the session, given the same key; None: not predicted.
        Worked out anew at each call."""
        ends = (*self.records[:1], *self.records[1:][-1:])
        read = [verdict.record for verdict in ends if verdict.record is not None]
        if len(read) < len(ends):
            return None
        return _as_verified(predict_session(read, [verdict.key_fingerprint for verdict in ends]), ends)

    @property
    def is_billable(self) -> bool:
        """Whether money may rest on it: energy, and nothing fatal and no open hold."""
        open_ = any(finding.severity is not Severity.NOTE for finding in self.findings)
        return self.energy_wh is not None and not open_
