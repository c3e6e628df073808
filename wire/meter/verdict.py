"""What can be said of one record and of a session: three axes that are never folded into one yes or no.

Whether the station lies, whether we lack a curve, and whether we lack a key must stay visible apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wire.meter.record import Deviation, OCMFRecord


class SignatureVerdict(StrEnum):
    """The first axis: what checking the signature gave."""

    VALID = "valid"
    INVALID = "invalid"
    UNSUPPORTED_ALG = "unsupported-alg"
    BAD_KEY = "bad-key"
    NO_KEY = "no-key"
    UNDECODABLE = "undecodable"


class KeySource(StrEnum):
    """Whose key the verdict rests on: the registry's, the one that came along with the record, or none."""

    REGISTRY = "registry"
    CLAIMED = "claimed"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordVerdict:
    """The verdict on one record. `detail` says why in words, "" when valid. `record` is None iff `undecodable`."""

    signature: SignatureVerdict
    key_source: KeySource
    deviations: tuple[Deviation, ...]
    record: OCMFRecord | None
    detail: str = ""

    @property
    def is_trusted(self) -> bool:
        """Valid with a key from the registry: the only verdict that money may rest on."""
        return self.signature is SignatureVerdict.VALID and self.key_source is KeySource.REGISTRY


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
