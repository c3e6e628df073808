"""What an evidence file says, clause by clause: the values of its member `evidence.json`. Pure.

 1. `version` is of this form; `program` made the file, at `made_at`, with a page and a `values.xml` of this `edition`;
    not with the latter where the transparency software knows no form of it. `issuer` is whom a driver asks.
 2. `gateway_id` is the site's gateway, each of `chains` an excerpt of one log of its: the records that name the
    session, and the decisions about its token while it ran or was about to. A gateway begins a new log (an epoch) with
    a new store, so nearly always there is one; what let a session begin may stand in the log before.
 3. Each record stands as the gateway wrote it, with the hash before it, when the hub received it, and the proof that it
    is in the log whose head is `covering`. The gateway signed that head, the hub countersigned it. `consistency` leads
    from there to `newest`, the last head that the hub held: nothing was removed in between.
 4. `session` and `cdr` are what the hub made of the records; the CDR names the price.
 5. `keys` are the rows of the hub's registry for the meter: where each key came from, and who vouches for it. `texts`
    are the signed meter values that the records carry, each also a member of the file, with what the hub read in it and
    its verdict.
 6. `outcome` is what the signed texts come to. `against` is what the hub knows against them from other sessions and
    from its registry, `max_power_w` what the connector can deliver, where that is known. `missing` is what by the
    charger's own counting is not there: as far as a charger counts, nothing can be left out without being named here.
 7. `checks` is what the hub found when it did steps 3 to 8 of `hub.evidence.verify` itself. It is printed on the page,
    and proves nothing: do them again.

What the hub says of its own accord and no record holds: the price, the keys and their origin, what is against the
texts, the power, the token's contract where no decision names it, when it received a record. Its seal stands behind
that (`hub.evidence.container`).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from hub.store.heads import KeptHead
from wire.chain import Hex32, Record
from wire.meter.registry import RegisteredKey
from wire.meter.told import ToldRecord
from wire.meter.verdict import SessionFinding
from wire.records import Cdr, Session, Value
from wire.settling.signed import Outcome

VERSION = 1
MAX_RECORDS = 20_000
"""Of one session: a charger that samples every second for five hours."""


class ProvenRecord(Value, frozen=True, kw_only=True):
    """A record with the hash of the one before it, and the hashes from it up to the root of the covering head."""

    record: Record
    prev_hash: Hex32
    received_at: Annotated[datetime, msgspec.Meta(tz=True)]
    inclusion: tuple[Hex32, ...]


class Excerpt(Value, frozen=True, kw_only=True):
    """Some records of one epoch of a gateway's log, by sequence, and the heads that prove them."""

    epoch: str
    records: tuple[ProvenRecord, ...]
    covering: KeptHead
    newest: KeptHead
    consistency: tuple[Hex32, ...]


class TextPart(StrEnum):
    """What a signed text counts for in its session."""

    BEGIN = "begin"
    END = "end"
    BOTH = "begin and end"
    BETWEEN = "in between"
    NONE = "not counted"

    @property
    def is_end(self) -> bool:
        """Whether the bill rests on it."""
        return self in (TextPart.BEGIN, TextPart.END, TextPart.BOTH)


class SignedText(Value, frozen=True, kw_only=True):
    """A signed meter value. `member` of the file is its exact bytes; `seqs` are the records that carry it.

    `registered` is the fingerprint of the key that the registry has for its meter and time, None: it has none.
    `verdict` is what was read in it and found of it, without the driver's identification.
    """

    member: str
    sha256: Hex32
    seqs: tuple[int, ...]
    part: TextPart
    verdict: ToldRecord
    registered: str | None = None


class Step(StrEnum):
    """The steps of a verification, in order."""

    CONTAINER = "container"
    MEMBERS = "members"
    RECORDS = "records"
    LOG = "log"
    METER = "meter"
    SESSION = "session"
    DECISION = "decision"
    BILL = "bill"
    KEYS = "keys"

    @property
    def number(self) -> int:
        """From 1."""
        return list(Step).index(self) + 1


class StepOutcome(StrEnum):
    """Holds: checked, and so it is. Open: nothing contradicts it, but it is not proven; the details say what is
    missing. Broken: something contradicts it."""

    HOLDS = "holds"
    OPEN = "open"
    BROKEN = "broken"


class Check(Value, frozen=True, kw_only=True):
    """How one step went. `details` are sentences: what was checked when it holds, else what is wrong or missing."""

    step: Step
    outcome: StepOutcome
    details: tuple[str, ...]


class Evidence(Value, frozen=True, kw_only=True):
    """Everything that the file proves, or is asked to."""

    version: int
    program: str
    made_at: Annotated[datetime, msgspec.Meta(tz=True)]
    gateway_id: str
    chains: tuple[Excerpt, ...]
    session: Session
    cdr: Cdr
    keys: tuple[RegisteredKey, ...]
    texts: tuple[SignedText, ...]
    outcome: Outcome
    against: tuple[SessionFinding, ...]
    missing: tuple[str, ...]
    checks: tuple[Check, ...]
    issuer: str = ""
    edition: int = 0
    has_values: bool = False
    max_power_w: int | None = None
