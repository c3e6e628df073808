"""Making an evidence file from what a hub holds: gathered, checked, packed and sealed."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

import msgspec

from hub.errors import EvidenceRefused
from hub.evidence.checks import content_checks
from hub.evidence.container import CONTENT, MAX_FILE_BYTES, PAGE, pack, sealed
from hub.evidence.content import VERSION, Check, Evidence, Outcome
from hub.evidence.derive import derive
from hub.evidence.page import EDITION, render_page
from hub.store.excerpts import excerpts_of, session_and_bill
from hub.terms import MeterPlace, Terms
from wire.meter.keys import parse_public_key
from wire.meter.registry import KeyOrigin, KeyPlace, KeyState, RegisteredKey
from wire.records import Session, encode
from wire.tree_head import SigningKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Who makes evidence files: a hub with its key, its terms, and whom drivers are told to ask."""

    key: SigningKey
    terms: Terms
    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """A file as it is handed out, with what the hub itself found in it."""

    session_id: str
    data: bytes
    records: int
    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of the checks."""
        return max((check.outcome for check in self.checks), key=list(Outcome).index)


def make_evidence(connection: sqlite3.Connection, session_id: str, maker: Maker, at: datetime) -> EvidenceFile:
    """The evidence file of a session, as the database holds it now. About 50 ms for an ordinary one.

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
    keys = _keys(session, maker.terms)
    derived = derive(session.gateway_id, chains, cdr, keys)
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
        judgement=derived.judgement,
        missing=derived.missing,
        checks=(),
        issuer=maker.issuer,
        page_edition=EDITION,
    )
    evidence = msgspec.structs.replace(evidence, checks=content_checks(evidence, derived))
    data = pack(members_of(evidence, derived.contents, maker.key))
    if len(data) > MAX_FILE_BYTES:
        message = f"the file would have {len(data)} bytes, {MAX_FILE_BYTES} at most are allowed"
        raise EvidenceRefused("too-large", message)
    records = sum(len(chain.records) for chain in chains)
    return EvidenceFile(session_id=session.id, data=data, records=records, checks=evidence.checks)


def members_of(evidence: Evidence, texts: Mapping[str, bytes], key: SigningKey) -> dict[str, bytes]:
    """All members of the file that says `evidence`, sealed with `key` at the time the evidence was made."""
    content = encode(evidence)
    page = render_page(evidence, texts, hashlib.sha256(content).hexdigest())
    return sealed({CONTENT: content, PAGE: page, **texts}, key, evidence.made_at)


def _keys(session: Session, terms: Terms) -> tuple[RegisteredKey, ...]:
    place = MeterPlace(session.gateway_id, session.charger_id.casefold(), session.evse_id)
    text = terms.meter_keys.get(place)
    if text is None:
        return ()
    key = parse_public_key(text)
    row = RegisteredKey(
        place=KeyPlace(gateway_id=place.gateway_id, charger_id=place.charger_id, evse_id=place.evse_id),
        public_key=key.spki.hex(),
        curve=key.curve,
        source=KeyOrigin.CONFIGURATION,
        state=KeyState.PINNED,
    )
    return (row,)
