"""Making an evidence file from what a hub holds: gathered, checked, packed and sealed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

import msgspec

from hub.errors import EvidenceRefused
from hub.evidence.checks import content_checks
from hub.evidence.container import CONTENT, MAX_FILE_BYTES, PAGE, VALUES, pack, sealed
from hub.evidence.content import VERSION, Check, Evidence, StepOutcome
from hub.evidence.derive import Derived, Stated, derive
from hub.evidence.page import EDITION, render_page
from hub.roaming.own import RoamingConfig
from hub.store.engine import Connection
from hub.store.excerpts import excerpts_of, meter_facts, session_and_bill
from wire.records import encode
from wire.settling.terms import MeterPlace, Terms
from wire.tree_head import SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Who makes evidence files: a hub with its key, its terms, and whom drivers are told to ask; with its locations, at
    whose phone."""

    key: SigningKey
    terms: Terms
    issuer: str = ""
    roaming: RoamingConfig | None = None

    def contact_at(self, place: MeterPlace) -> str:
        """Whom a driver asks about a session there."""
        own = None if self.roaming is None else self.roaming.evse_at(place.gateway_id, place.charger_id, place.evse_id)
        if own is None:
            return self.issuer
        operator, phone = own.location.operator, own.location.help_phone
        name = self.issuer or ("" if operator is None else operator.name)
        return name if phone is None or phone in name else f"{name}, {phone}".removeprefix(", ")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """A file as it is handed out, with what the hub itself found in it."""

    session_id: str
    data: bytes
    records: int
    checks: tuple[Check, ...]

    @property
    def outcome(self) -> StepOutcome:
        """The worst of the checks."""
        return max((check.outcome for check in self.checks), key=list(StepOutcome).index)


def make_evidence(connection: Connection, session_id: str, maker: Maker, at: datetime) -> EvidenceFile:
    """The evidence file of a session, as the database holds it now. About 13 ms for an ordinary one.

    Raises:
        EvidenceRefused: `unknown-session`, `not-settled`, `erased`, `no-tree-head`, `hub-key`, `log-damaged`,
            `too-large`.
    """
    session, cdr = session_and_bill(connection, session_id)
    chains = excerpts_of(connection, session, cdr)
    for chain in chains:
        if chain.newest.countersignature.public_key != maker.key.public_key:
            message = "this hub has another key now than the one that countersigned the newest tree head"
            raise EvidenceRefused("hub-key", f"{message}; make the file after the gateway's next batch")
    place = MeterPlace(session.gateway_id, session.charger_id.casefold(), session.evse_id)
    keys, against = meter_facts(connection, session, maker.terms, at)
    stated = Stated(
        gateway_id=session.gateway_id,
        cdr=cdr,
        keys=keys,
        against=against,
        max_power_w=maker.terms.max_power_w.get(place),
    )
    derived = derive(chains, stated)
    evidence = Evidence(
        version=VERSION,
        program=f"pncgate {version('pncgate')}",
        made_at=at,
        gateway_id=session.gateway_id,
        chains=chains,
        session=session,
        cdr=cdr,
        keys=keys,
        texts=derived.texts,
        outcome=derived.outcome,
        against=against,
        missing=derived.missing,
        checks=(),
        issuer=maker.contact_at(place),
        edition=EDITION,
        has_values=derived.values_xml is not None,
        max_power_w=stated.max_power_w,
    )
    evidence = msgspec.structs.replace(evidence, checks=content_checks(evidence, derived))
    data = pack(members_of(evidence, derived, maker.key))
    if len(data) > MAX_FILE_BYTES:
        message = f"the file would have {len(data)} bytes, {MAX_FILE_BYTES} at most are allowed"
        raise EvidenceRefused("too-large", message)
    records = sum(len(chain.records) for chain in chains)
    return EvidenceFile(session_id=session.id, data=data, records=records, checks=evidence.checks)


def members_of(evidence: Evidence, derived: Derived, key: SigningKey) -> dict[str, bytes]:
    """All members of the file that says `evidence`, sealed with `key` at the time the evidence was made."""
    content = encode(evidence)
    page = render_page(evidence, derived.contents, hashlib.sha256(content).hexdigest())
    values = {} if derived.values_xml is None else {VALUES: derived.values_xml}
    return sealed({CONTENT: content, PAGE: page, **values, **derived.contents}, key, evidence.made_at)
