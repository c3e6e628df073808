"""What is compared inside of an evidence file: steps 3 to 8 of a verification (`hub.evidence.verify`). Pure.

3. Records: each hash covers what the record says, each names this session or a decision about its token.
4. Log: each record is in the log whose head the gateway signed and the hub countersigned, and nothing was taken from
   that log up to the newest head.
5. Meter: the signatures hold over the exact bytes in the charger's frames, and the copies in the file are those bytes.
6. Session: session and verdict follow from the records, and nothing is missing that is not said to be.
7. Decision: a decision in the log let this token charge, here and then.
8. Bill: energy, time and price follow from the above.

A step that cannot be done is open, never good.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise

import msgspec

from hub.clock import utc
from hub.evidence.content import Check, Evidence, Excerpt, ProvenRecord, SignedText, Step
from hub.evidence.decision import decision_check
from hub.evidence.derive import Derived
from hub.evidence.notes import Notes
from wire.chain import chain_hash
from wire.errors import WireError
from wire.merkle import leaf_hash, verify_consistency, verify_inclusion
from wire.meter.keys import PublicKey, parse_public_key
from wire.meter.verdict import KeySource, Severity, SignatureVerdict
from wire.ocpi.pricing_amounts import after_taxes, plus
from wire.records import Cdr, SignedData, TariffDimension
from wire.settling.signed import Outcome
from wire.tree_head import verify_countersignature, verify_tree_head

_LIES = frozenset({SignatureVerdict.INVALID, SignatureVerdict.BAD_KEY, SignatureVerdict.UNDECODABLE})
"""Verdicts that speak against a signed text; the others say that it could not be checked."""
_OWN_WORDS = frozenset({"deviations", "detail", "key_source", "fallbacks", "layers", "cut", "safe"})
"""What a later version may find or say in other words."""
_NOTE = f"[{Severity.NOTE.value}]"
"""Ends a finding that stands in nobody's way."""
_UNTIL_CONFIRMED = frozenset({"key-learned", "key-claimed"})
"""Findings that end when the registry's row for the key, which the file holds, says that somebody confirmed it."""
_SESSION_CHANGES = frozenset({"last_updated", "findings"})
"""What records that came after the bill may have changed."""
_BILL_APART = frozenset({"findings", "signed_data", "total_cost", "price_components"})
"""What is compared in another way, or is taken from the bill in the first place."""
_TOLD_SINCE = frozenset(
    {
        "tariff",
        "tariff_hash",
        "time_zone",
        "charging_periods",
        "total_fixed_cost",
        "total_energy_cost",
        "total_time_cost",
        "total_parking_time",
        "total_parking_cost",
        "total_reservation_cost",
        "quote",
    }
)
"""What a bill of an earlier version, which names no tariff, does not say."""


def content_checks(evidence: Evidence, derived: Derived, meter_keys: Collection[str] = ()) -> tuple[Check, ...]:
    """Steps 3 to 8, in order; `meter_keys` are the fingerprints of meter keys that somebody knows from elsewhere."""
    return (
        _records(evidence, derived),
        _log(evidence),
        _meter(evidence, derived, meter_keys),
        _session(evidence, derived),
        decision_check(derived, evidence.cdr),
        _bill(evidence, derived),
    )


# --- 3 and 4: the log -------------------------------------------------------------------------------------------------


def _records(evidence: Evidence, derived: Derived) -> Check:
    notes = Notes()
    for excerpt in evidence.chains:
        notes.broken += _broken_links(evidence.gateway_id, excerpt)
    for arrival in derived.arrivals:
        if arrival.trouble is not None:
            notes.open.append(f"record {arrival.record.seq} cannot be read: {arrival.trouble}")
        if arrival.decision is None and arrival.session_id != evidence.session.id:
            notes.broken.append(f"record {arrival.record.seq} is not one of session {evidence.session.id}")
    if len({excerpt.epoch for excerpt in evidence.chains}) != len(evidence.chains):
        notes.broken.append("one log stands there twice")
    count = sum(len(excerpt.records) for excerpt in evidence.chains)
    if count == 0:
        notes.broken.append("there is no record at all")
    notes.held.append(f"{count} records, each with the hash of what it says")
    return notes.check(Step.RECORDS)


def _broken_links(gateway_id: str, excerpt: Excerpt) -> Iterator[str]:
    for proven in excerpt.records:
        record = proven.record
        if record.is_released:
            yield f"record {record.seq}: its content was let go"
        if record.hash != chain_hash(gateway_id, excerpt.epoch, proven.prev_hash, record):
            yield f"record {record.seq}: its hash does not cover what it says"
    for before, after in pairwise(excerpt.records):
        gap = after.record.seq - before.record.seq
        if gap <= 0:
            yield f"record {after.record.seq} stands behind record {before.record.seq}"
        elif gap == 1 and after.prev_hash != before.record.hash:
            yield f"record {after.record.seq} does not follow record {before.record.seq}"


def _log(evidence: Evidence) -> Check:
    notes = Notes()
    for excerpt in evidence.chains:
        _check_heads(evidence.gateway_id, excerpt, notes)
        covering, newest = excerpt.covering.signed.head, excerpt.newest.signed.head
        root, proven = bytes.fromhex(covering.root), 0
        for record in excerpt.records:
            with notes.required(f"record {record.record.seq}"):
                _require_included(record, covering.size, root)
                proven += 1
        notes.held.append(f"{proven} records are in the log of {covering.size} that the gateway signed")
        with notes.required(f"the log of {newest.size}"):
            path = [bytes.fromhex(hash_) for hash_ in excerpt.consistency]
            verify_consistency(covering.size, root, newest.size, bytes.fromhex(newest.root), path)
            seen = utc(excerpt.newest.countersignature.at)
            notes.held.append(f"nothing was taken from it up to the log of {newest.size}, which the hub saw at {seen}")
    if len({key for role, key in log_keys(evidence.chains) if role == "hub"}) > 1:
        notes.open.append("the heads are countersigned with several keys: the hub's was replaced in between")
    return notes.check(Step.LOG)


def log_keys(chains: Iterable[Excerpt]) -> Iterator[tuple[str, str]]:
    """The keys that signed (`log`) and countersigned (`hub`) the heads, hex."""
    for excerpt in chains:
        for kept in (excerpt.covering, excerpt.newest):
            yield "log", kept.signed.public_key
            yield "hub", kept.countersignature.public_key


def _check_heads(gateway_id: str, excerpt: Excerpt, notes: Notes) -> None:
    for which, kept in (("covering", excerpt.covering), ("newest", excerpt.newest)):
        head, counter = kept.signed.head, kept.countersignature
        if (head.gateway_id, head.epoch) != (gateway_id, excerpt.epoch):
            notes.broken.append(f"the {which} head is of the log {head.gateway_id}/{head.epoch}")
        with notes.required(f"the {which} head"):
            verify_tree_head(kept.signed, kept.signed.public_key)
        with notes.required(f"the {which} head"):
            verify_countersignature(kept.signed, counter, counter.public_key)
    if excerpt.covering.signed.public_key != excerpt.newest.signed.public_key:
        notes.broken.append("the two heads are signed with different keys")


def _require_included(proven: ProvenRecord, size: int, root: bytes) -> None:
    leaf = leaf_hash(bytes.fromhex(proven.record.hash))
    path = [bytes.fromhex(hash_) for hash_ in proven.inclusion]
    verify_inclusion(leaf, proven.record.seq - 1, size, path, root)


# --- 5 and 6: the meter and the session -------------------------------------------------------------------------------


def _meter(evidence: Evidence, derived: Derived, meter_keys: Collection[str]) -> Check:
    notes = Notes()
    if [text.member for text in evidence.texts] != [text.member for text in derived.texts]:
        notes.broken.append(f"{len(derived.texts)} signed texts are in the records, the file lists others")
    for stated, found in zip(evidence.texts, derived.texts, strict=False):
        notes.broken += [f"{found.member}: the file says {what}" for what in _said_otherwise(stated, found)]
    for found in derived.texts:
        _judge_text(found, meter_keys, notes)
    if not any(text.part.is_end for text in derived.texts):
        notes.open.append("no signed text counts for this session: its energy is the charger's word")
    return notes.check(Step.METER)


def _said_otherwise(stated: SignedText, found: SignedText) -> Iterator[str]:
    for name in _differing(stated, found, {"verdict"}):
        yield f"{name} {getattr(stated, name)}, found {getattr(found, name)}"
    for name in _differing(stated.verdict, found.verdict, _OWN_WORDS):
        yield f"{name} {getattr(stated.verdict, name)}, found {getattr(found.verdict, name)}"


def _judge_text(text: SignedText, meter_keys: Collection[str], notes: Notes) -> None:
    verdict, content = text.verdict, text.verdict.record
    page = "no number" if content is None or content.pagination is None else content.pagination
    name = f"{text.member} ({page}, {text.part.value})"
    if verdict.signature is not SignatureVerdict.VALID:
        lies = text.part.is_end and verdict.signature in _LIES
        (notes.broken if lies else notes.open).append(f"{name}: {verdict.signature.value}: {verdict.detail}")
    elif text.registered not in (None, verdict.key_fingerprint):
        notes.broken.append(f"{name}: signed with another key than the registered one of its meter")
    elif verdict.key_source is KeySource.REGISTRY or verdict.key_fingerprint in meter_keys:
        meter = None if content is None else content.meter_serial or content.gateway_serial
        notes.held.append(f"{name}: signed by meter {meter or 'without a serial'}, byte for byte")
    else:
        notes.open.append(f"{name}: valid, by a key that nobody has confirmed")


def _session(evidence: Evidence, derived: Derived) -> Check:
    notes = Notes()
    if derived.state is None:
        notes.broken.append("the records open no such session")
    else:
        found = derived.state.session
        others = _differing(evidence.session, found, _SESSION_CHANGES)
        for name in others:
            notes.broken.append(
                f"session {name}: the file says {getattr(evidence.session, name)}, "
                f"the records say {getattr(found, name)}"
            )
        if not others:
            notes.held.append("the session follows from the records")
    _compare_outcomes(evidence.outcome, derived.outcome, notes)
    unsaid = [what for what in derived.missing if what not in evidence.missing]
    notes.broken += [f"left out: {what}" for what in unsaid]
    notes.open += [f"missing, as the file says: {what}" for what in evidence.missing]
    if not derived.missing:
        notes.held.append("nothing is missing by the charger's own counting")
    return notes.check(Step.SESSION)


def _compare_outcomes(stated: Outcome, found: Outcome, notes: Notes) -> None:
    for name in ("energy_wh", "duration_s"):
        if getattr(stated, name) != getattr(found, name):
            notes.broken.append(
                f"{name}: the file says {getattr(stated, name)}, the signed texts say {getattr(found, name)}"
            )
    if stated.billable and not found.billable:
        notes.broken.append("the file says that the signed energy may be billed")
    unsaid = found.codes - stated.codes
    notes.broken += [
        f"the file does not say: {text}"
        for text in found.findings
        if _code(text) in unsaid and not text.endswith(_NOTE)
    ]
    for text in stated.findings:
        (notes.held if text.endswith(_NOTE) else notes.open).append(text)
    if stated.refusal is not None:
        notes.open.append(f"the signed energy does not count: {stated.refusal}")


def _code(finding: str) -> str:
    return finding.partition(":")[0]


def _differing(stated: msgspec.Struct, found: msgspec.Struct, apart: Collection[str]) -> list[str]:
    """The fields in which two values of one type differ."""
    names = (name for name in stated.__struct_fields__ if name not in apart)
    return [name for name in names if getattr(stated, name) != getattr(found, name)]


# --- 8: the bill -------------------------------------------------------------------------------


def _bill(evidence: Evidence, derived: Derived) -> Check:
    notes, stated, found = Notes(), evidence.cdr, derived.cdr
    if stated.session_id != evidence.session.id:
        notes.broken.append(f"the bill is of session {stated.session_id}")
    if found is None:
        notes.broken.append("the records give no bill")
        return notes.check(Step.BILL)
    others = _differing(stated, found, _BILL_APART if stated.tariff is not None else _BILL_APART | _TOLD_SINCE)
    for name in others:
        notes.broken.append(f"{name}: the bill says {getattr(stated, name)}, the records say {getattr(found, name)}")
    if not _same_signed_data(stated.signed_data, found.signed_data):
        notes.broken.append("the signed texts in the bill are not those in the records")
    if stated.tariff is None and not stated.price_components:
        notes.open.append("the bill does not name its price, so the cost was not computed again")
    else:
        _cost(stated, found, notes, proven=not others)
    _bill_findings(stated.findings, found.findings, notes)
    return notes.check(Step.BILL)


def _cost(stated: Cdr, found: Cdr, notes: Notes, *, proven: bool) -> None:
    """What the bill says that it costs, beside what its own tariff or price gives for the session in the records."""
    kinds = [component.type for component in stated.price_components]
    if stated.tariff is None and len(set(kinds)) != len(kinds):
        notes.broken.append("the bill names several prices for one thing")
    if stated.tariff is not None and stated.price_components != found.price_components:
        notes.broken.append("the bill lists other amounts than its own tariff gives")
    if stated.total_cost != found.total_cost:
        said, due = after_taxes(stated.total_cost), after_taxes(found.total_cost)
        notes.broken.append(f"the bill says {said} {stated.currency}, its own price gives {due}")
    elif proven:
        notes.held.append(_sum(found))


def _bill_findings(stated: Sequence[str], found: Sequence[str], notes: Notes) -> None:
    """What the bill says against itself, beside what a bill from the same records would say today."""
    said, today = ({_code(text) for text in texts} for texts in (stated, found))
    notes.broken += [f"the bill does not say: {text}" for text in found if _code(text) not in said]
    for text in stated:
        if _code(text) in _UNTIL_CONFIRMED - today:
            notes.held.append(f"settled since the bill was made: {text}")
        elif not text.endswith(_NOTE):
            notes.open.append(f"the bill itself says: {text}")


def _sum(cdr: Cdr) -> str:
    terms = [
        f"{line.billed:f} {BILLED_IN[line.type]} x {line.price:f}"
        if line.type is not TariffDimension.FLAT
        else f"{line.price:f} for the session"
        for line in cdr.price_components
        if line.billed is not None and (line.price or line.type is TariffDimension.ENERGY)
    ]
    total, taxed = cdr.total_cost.before_taxes, after_taxes(cdr.total_cost)
    taxes = "before taxes" if total == taxed else f"before taxes, {shown_amount(taxed)} with them"
    limited = plus(*(line.cost.before_taxes for line in cdr.price_components if line.cost is not None)) != total
    limit = ", by the tariff's limit," if limited else ""
    return f"{' + '.join(terms) or 'nothing'} = {shown_amount(total)} {cdr.currency}{limit} {taxes}"


BILLED_IN = {
    TariffDimension.ENERGY: "kWh",
    TariffDimension.TIME: "h",
    TariffDimension.PARKING_TIME: "h of parking",
    TariffDimension.FLAT: "times",
}
"""The units of `PriceComponent.billed`."""


def shown_amount(amount: Decimal) -> str:
    """An amount of money as people read it: at least two decimals, none lost."""
    plain = amount.normalize()
    exponent = plain.as_tuple().exponent
    return f"{amount:.2f}" if isinstance(exponent, int) and exponent >= -2 else f"{plain:f}"


def _same_signed_data(stated: SignedData | None, found: SignedData | None) -> bool:
    """Whether both hold the same texts and the same key, in whatever spelling."""
    if stated is None or found is None:
        return stated is found
    keys = [_key(data.public_key) for data in (stated, found)]
    return stated.signed_values == found.signed_values and keys[0] == keys[1]


def _key(text: str | None) -> PublicKey | str | None:
    """The key in `text`, or the text where there is none in it."""
    try:
        return None if text is None else parse_public_key(text)
    except WireError:
        return text
