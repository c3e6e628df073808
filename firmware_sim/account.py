"""The account: what chargers and meters wrote down against what gateway and hub hold, one by one and hash by hash.

Pure: the books come as values. Nothing here asks a program whether it did well; only what it holds counts.

Rules of this file
1. A signed record is named by the SHA-256 of its exact text, and is expected once in every message that carries it.
2. A transaction message is named by its message ids; what it said by the SHA-256 of its exact payload.
3. lost: written and not held (too few times). doubled: held more often than written. altered: held under a known name
   with another content, or held and never written.
4. Every link of the chain of evidence is recomputed, at the gateway and at the hub, and both must be the same records.
   Of earlier epochs the hub has the chains; what a later epoch carries over counts once (`wire.carried`).
5. A charge has exactly one completed session and one CDR, of the energy its meter signed to the last digit, and the
   hub finds on it what was foreseen and nothing else.
6. A completed session has an evidence file in which an outsider finds every step to hold, with the key of the very
   meter. A record of a session that none of them proves counts as lost, a file that does not hold as altered.
7. A periodic value without signature that is not there is not lost when a tombstone of that chain accounts for it.
8. What the gateway no longer keeps, whole segments of rows or contents, it holds as long as the hub has the very record
   and its chain stands on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from firmware_sim.books import (
    ChainBook,
    ChargeBook,
    ChargerBook,
    Finding,
    Held,
    HubBook,
    Ledger,
    Proof,
    ProofBook,
    completed,
    held_of,
    history_of,
)
from firmware_sim.given_way import GivenWay, same_record
from wire.carried import mark_of
from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash
from wire.errors import MalformedValue
from wire.meter.judge import judge_record
from wire.meter.verdict import SignatureVerdict
from wire.records import Cdr, SessionStatus, TransactionEntry, Value, decode


class Row(Value, frozen=True, kw_only=True, omit_defaults=False):
    """One line of the account. None: the column has no meaning for this kind of thing."""

    what: str
    charger_id: str | None
    written: int | None
    acknowledged: int | None
    at_gateway: int | None
    at_hub: int | None
    lost: int
    doubled: int
    altered: int

    @property
    def balances(self) -> bool:
        """Nothing lost, doubled or altered."""
        return not (self.lost or self.doubled or self.altered)


class Account(Value, frozen=True, kw_only=True, omit_defaults=False):
    """The whole account. `shed` and `not_kept`: periodic values that gave way, as tombstones say.
    `signatures` counts the signed records that verify at the hub with the meter's own key,
    `proven_sessions` those whose evidence file holds for an outsider; None: nobody was asked."""

    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    signatures: int
    energy_kwh: Decimal
    cost: Decimal
    currency: str
    proven_sessions: int | None = None
    shed: int = 0
    not_kept: int = 0

    @property
    def balances(self) -> bool:
        """Whether there is nothing to complain about."""
        return not self.findings


def balance(
    chargers: Sequence[ChargerBook],
    gateway: ChainBook,
    hub: HubBook,
    charges: Sequence[ChargeBook],
    proofs: ProofBook | None = None,
) -> Account:
    """The account of a whole scenario. Never raises: what cannot be read is a finding."""
    ledger, rows, signatures = Ledger(), [], 0
    gateway = completed(gateway, hub.chain)
    histories = history_of(gateway, hub.earlier), history_of(hub.chain, hub.earlier)
    given_way = GivenWay(histories[0].records), GivenWay(histories[1].records)
    shed, not_kept = given_way[0].shed, given_way[0].not_kept
    for book in chargers:
        at_gateway = held_of(book, histories[0], "the gateway", ledger, given_way[0])
        at_hub = held_of(book, histories[1], "the hub", ledger, given_way[1])
        rows.append(_signed_row(book, at_gateway, at_hub, ledger))
        rows.append(_message_row(book, (at_gateway, at_hub), given_way, ledger))
        signatures += _check_signatures(book, at_hub, ledger)
    rows.append(_chain_row(gateway, hub, ledger))
    rows += _settlement_rows(hub, charges, ledger)
    good = None if proofs is None else _good_proofs(chargers, hub, proofs, ledger)
    if proofs is not None and good is not None:
        rows += _proof_rows(gateway, hub, proofs, good, ledger)
    return Account(
        rows=tuple(rows),
        findings=tuple(ledger.findings),
        signatures=signatures,
        energy_kwh=sum((cdr.total_energy for cdr in hub.cdrs), Decimal(0)),
        cost=sum((cdr.total_cost.before_taxes for cdr in hub.cdrs), Decimal(0)),
        currency=hub.cdrs[0].currency if hub.cdrs else "",
        proven_sessions=None if good is None else len(good),
        shed=shed,
        not_kept=not_kept,
    )


def _signed_row(book: ChargerBook, at_gateway: Held, at_hub: Held, ledger: Ledger) -> Row:
    carried = Counter(digest for line in book.messages for digest in line.carries)
    open_ = {digest for line in book.messages if not line.acked for digest in line.carries}
    lost: set[str] = set()
    doubled: set[str] = set()
    for line in book.signed:
        name = f"{book.charger_id}: signed record {line.page}"
        expected = carried[line.sha256]
        if expected == 0 or line.sha256 in open_:
            ledger.note("signed-unacknowledged", f"{name} was in no message that was acknowledged")
        for held, where in ((at_gateway, "the gateway"), (at_hub, "the hub")):
            found = held.signed[line.sha256]
            if found < max(expected, 1):
                lost.add(line.sha256)
                ledger.note("signed-lost", f"{name} is {found} times at {where}, {max(expected, 1)} expected")
            elif found > expected:
                doubled.add(line.sha256)
                ledger.note("signed-doubled", f"{name} is {found} times at {where}, {expected} expected")
    return Row(
        what="signed records",
        charger_id=book.charger_id,
        written=len(book.signed),
        acknowledged=sum(line.sha256 in carried and line.sha256 not in open_ for line in book.signed),
        at_gateway=len(at_gateway.signed),
        at_hub=len(at_hub.signed),
        lost=len(lost),
        doubled=len(doubled),
        altered=max(at_gateway.altered_signed, at_hub.altered_signed),
    )


def _message_row(
    book: ChargerBook, held_at: tuple[Held, Held], given_way: tuple[GivenWay, GivenWay], ledger: Ledger
) -> Row:
    at_gateway, at_hub = held_at
    lost: set[int] = set()
    doubled: set[int] = set()
    for line in book.messages:
        name = f"{book.charger_id}: {line.action} number {line.number}"
        if not line.acked:
            ledger.note("message-unacknowledged", f"{name} was never acknowledged ({line.attempts} attempts)")
        for held, where, gone in zip(held_at, ("the gateway", "the hub"), given_way, strict=True):
            found = held.messages[line.number]
            if found == 0 and gone.excuses(line):
                continue
            if found == 0:
                lost.add(line.number)
                ledger.note("message-lost", f"{name} is not at {where}")
            elif found > 1:
                doubled.add(line.number)
                ledger.note("message-doubled", f"{name} is {found} times at {where}")
    return Row(
        what="messages",
        charger_id=book.charger_id,
        written=len(book.messages),
        acknowledged=sum(line.acked for line in book.messages),
        at_gateway=len(at_gateway.messages),
        at_hub=len(at_hub.messages),
        lost=len(lost),
        doubled=len(doubled),
        altered=max(at_gateway.altered_messages, at_hub.altered_messages),
    )


def _check_signatures(book: ChargerBook, at_hub: Held, ledger: Ledger) -> int:
    """How many signed records verify at the hub with the meter's own key."""
    good = 0
    for line in book.signed:
        text = at_hub.texts.get(line.sha256)
        if text is None:
            continue
        verdict = judge_record(text, book.earlier.get(line.meter, book.key), None)
        if verdict.signature is SignatureVerdict.VALID:
            good += 1
        else:
            ledger.note(
                "signature",
                f"{book.charger_id}: record {line.page}: {verdict.signature} {verdict.detail}",
            )
    return good


def _chain_row(gateway: ChainBook, held: HubBook, ledger: Ledger) -> Row:
    """Both chains link by link, then against each other; those of earlier epochs link by link."""
    hub = held.chain
    broken = max(_broken_links(gateway, "the gateway", ledger), _broken_links(hub, "the hub", ledger))
    broken += sum(_broken_links(each, "the hub", ledger) for each in held.earlier)
    if (gateway.gateway_id, gateway.epoch) != (hub.gateway_id, hub.epoch):
        ledger.note(
            "chain-other", f"the hub's chain is of {hub.gateway_id}/{hub.epoch}, the gateway's of {gateway.epoch}"
        )
    ours = {record.seq: record for record in gateway.records}
    theirs = {record.seq: record for record in hub.records}
    lost, strange = ours.keys() - theirs.keys(), theirs.keys() - ours.keys()
    differing = [seq for seq in ours.keys() & theirs.keys() if not same_record(ours[seq], theirs[seq])]
    doubled = len(gateway.records) - len(ours) + len(hub.records) - len(theirs)
    for code, seqs in (("record-lost", lost), ("record-strange", strange), ("record-altered", differing)):
        for seq in sorted(seqs):
            ledger.note(code, f"record {seq} of {gateway.gateway_id} is not the same at gateway and hub")
    if doubled:
        ledger.note("record-doubled", f"{doubled} sequence numbers stand twice")
    return Row(
        what="links of the chain",
        charger_id=None,
        written=None,
        acknowledged=None,
        at_gateway=len(ours),
        at_hub=len(theirs),
        lost=len(lost),
        doubled=doubled,
        altered=max(broken, len(differing) + len(strange)),
    )


def _broken_links(chain: ChainBook, where: str, ledger: Ledger) -> int:
    previous, broken = GENESIS_HASH, 0
    for place, record in enumerate(chain.records, start=1):
        if record.seq != place or record.hash != chain_hash(chain.gateway_id, chain.epoch, previous, record):
            broken += 1
            ledger.note("chain-broken", f"record {record.seq} at {where} does not continue the chain at place {place}")
        previous = record.hash
    return broken


def _settlement_rows(hub: HubBook, charges: Sequence[ChargeBook], ledger: Ledger) -> list[Row]:
    by_charge = {_name(session.charger_id, session.transaction_id): session for session in hub.sessions}
    cdrs: dict[str, list[Cdr]] = {}
    for cdr in hub.cdrs:
        cdrs.setdefault(cdr.session_id, []).append(cdr)
    completed = settled = wrong = wrong_cdrs = 0
    for charge in charges:
        session = by_charge.get(_name(charge.charger_id, charge.transaction_id))
        if session is None or session.status is not SessionStatus.COMPLETED:
            state = "unknown" if session is None else session.status.value
            ledger.note("session-incomplete", f"{_shown(charge)}: the session at the hub is {state}, not COMPLETED")
            continue
        completed += 1
        wrong += not _same_energy("session", session.kwh, session.findings, charge, ledger)
        found = cdrs.get(session.id, [])
        if len(found) != 1:
            ledger.note("cdr-count", f"{_shown(charge)}: {len(found)} CDRs, 1 expected")
        if found:
            settled += 1
            wrong_cdrs += not _same_energy("CDR", found[0].total_energy, found[0].findings, charge, ledger)
    extra = (
        len(hub.sessions)
        - len(by_charge)
        + len(by_charge.keys() - {_name(c.charger_id, c.transaction_id) for c in charges})
    )
    if extra:
        ledger.note("session-extra", f"the hub holds {len(hub.sessions)} sessions, {len(charges)} charges took place")
    extra_cdrs = max(0, len(hub.cdrs) - settled)
    if extra_cdrs:
        ledger.note("cdr-extra", f"the hub holds {len(hub.cdrs)} CDRs, {settled} belong to charges of this account")
    return [
        _settlement("completed sessions", len(charges), completed, extra, wrong),
        _settlement("CDRs", len(charges), settled, extra_cdrs, wrong_cdrs),
    ]


def _settlement(what: str, charges: int, at_hub: int, extra: int, wrong: int) -> Row:
    return Row(
        what=what,
        charger_id=None,
        written=charges,
        acknowledged=None,
        at_gateway=None,
        at_hub=at_hub,
        lost=charges - at_hub,
        doubled=extra,
        altered=wrong,
    )


def _good_proofs(chargers: Sequence[ChargerBook], hub: HubBook, book: ProofBook, ledger: Ledger) -> tuple[Proof, ...]:
    """The proofs in which every step holds, with the key of one meter that was where the session was charged."""
    keys = {charger.charger_id.casefold(): charger.fingerprints for charger in chargers}
    places = {session.id: keys.get(session.charger_id.casefold(), frozenset()) for session in hub.sessions}
    good = []
    for proof in book.proofs:
        for flaw in proof.flaws:
            ledger.note("evidence", f"the evidence of session {proof.session_id} does not hold: {flaw}")
        own = places.get(proof.session_id, frozenset())
        if not proof.flaws and not (len(proof.meter_keys) == 1 and proof.meter_keys <= own):
            ledger.note("evidence-key", f"the evidence of session {proof.session_id} rests on another meter's key")
        elif not proof.flaws:
            good.append(proof)
    return tuple(good)


def _proof_rows(
    gateway: ChainBook, hub: HubBook, book: ProofBook, good: Sequence[Proof], ledger: Ledger
) -> tuple[Row, Row]:
    completed = {session.id for session in hub.sessions if session.status is SessionStatus.COMPLETED}
    unwritten = completed - {proof.session_id for proof in book.proofs}
    for session_id in sorted(unwritten):
        ledger.note("evidence-missing", f"session {session_id} has no evidence file")
    proven = {record for proof in good for record in proof.records}
    wanted: dict[bytes, set[tuple[str, int]]] = {}  # By its mark, where a record is: a later epoch may carry it over.
    for chain in (*hub.earlier, gateway):
        for record in filter(_is_of_session, chain.records):
            wanted.setdefault(mark_of(record), set()).add((chain.epoch, record.seq))
    unproven = [min(places) for places in wanted.values() if not places & proven]
    for epoch, seq in sorted(unproven):
        where = f"record {seq} of {gateway.gateway_id}" + ("" if epoch == gateway.epoch else f" in epoch {epoch}")
        ledger.note("record-unproven", f"{where} is in no evidence file that holds")
    files = _settlement("evidence files", len(completed), len(book.proofs), 0, len(book.proofs) - len(good))
    records = msgspec.structs.replace(
        _settlement("records proved", len(wanted), len(wanted) - len(unproven), 0, 0),
        written=None,
        at_gateway=len(wanted),
    )
    return files, records


def _is_of_session(record: Record) -> bool:
    """Whether it is a message of a session."""
    if record.kind is not RecordKind.TRANSACTION:
        return False
    try:
        return decode(TransactionEntry, record.body, f"record {record.seq}").session_id is not None
    except MalformedValue:
        return False


def _same_energy(what: str, kwh: Decimal, findings: Sequence[str], charge: ChargeBook, ledger: Ledger) -> bool:
    for finding in findings:
        if finding.partition(":")[0] not in charge.foreseen:
            ledger.note("hub-finding", f"{_shown(charge)}: the hub says of the {what}: {finding}")
    for code in sorted(charge.foreseen - {finding.partition(":")[0] for finding in findings}):
        ledger.note("hub-finding-missing", f"{_shown(charge)}: the hub does not say of the {what}: {code}")
    if kwh * 1000 == charge.energy_wh:
        return True
    ledger.note("energy", f"{_shown(charge)}: the {what} says {kwh} kWh, the meter signed {charge.energy_wh} Wh")
    return False


def _name(charger_id: str, transaction_id: str) -> tuple[str, str]:
    return charger_id.casefold(), transaction_id


def _shown(charge: ChargeBook) -> str:
    return f"{charge.charger_id} transaction {charge.transaction_id}"
