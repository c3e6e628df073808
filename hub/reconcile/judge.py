"""A CDR judged with what the hub holds: the facts gathered, the rules asked, the result noted. For the writer.

Rules
1. A CDR that a partner posts and that is refused is not kept as an object; the answer says why. One of ours, or one
   that was fetched, is there already: refused, it is not settled.
2. A CDR is judged once, and again only when an operator asks for it.
3. A held CDR is accepted or refused by an operator, who says why; a settled one stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import lru_cache

from hub.errors import HubError
from hub.reconcile.facts import Facts, KeyFor, Limits
from hub.reconcile.findings import Finding, Severity, State, found, state_of
from hub.reconcile.rules import reconcile
from hub.roaming.own import RoamingConfig
from hub.roaming.partners import Partner
from hub.store import findings as store
from hub.store.authorizations import authorization_of
from hub.store.derived import cursor, move_cursor
from hub.store.disputes import note_credited
from hub.store.engine import Connection
from hub.store.findings import Standing, Verdict
from hub.store.meter_keys import identity_of, registry_of
from hub.store.objects import is_erased, object_of, text_of
from hub.store.partners import NoSuchPartner, partner_named, partner_of_party, speaks_for
from hub.store.settlements import agreements, rates_to
from hub.zones import zone_named
from wire.errors import MalformedValue, OCPIRefused
from wire.meter.keys import PublicKey
from wire.meter.record import MeterRecord
from wire.meter.verdict import KeySource
from wire.ocpi.document import Document, parse_document, view
from wire.ocpi.keys import ci_key, token_key
from wire.ocpi.locations import Connector, Location
from wire.ocpi.sessions import Cdr
from wire.ocpi.tariffs import Tariff
from wire.ocpi.tokens import Token
from wire.ocpi.types import Module, PartyKey, Role
from wire.records import decode
from wire.settling.signed import Outcome

BY_RULES = "rules"
_CURSOR = "judged"
_PHASES = {"AC_1_PHASE": 1, "AC_2_PHASE": 2, "AC_2_PHASE_SPLIT": 2, "AC_3_PHASE": 3, "DC": 1}
_W_PER_KW = Decimal(1000)


class NotDecided(HubError):
    """Raised when an operator cannot decide about a CDR: `no-such-cdr`, `settled`, `credited`, and what
    hub.reconcile.crediting refuses."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Where a CDR stands, and why."""

    state: State
    findings: tuple[Finding, ...]

    def refusal(self) -> OCPIRefused:
        """What a partner is told of a refused CDR: the first finding that refused it, and how many more there are."""
        grave = [one for one in self.findings if one.severity is Severity.REJECT]
        more = f"; and {len(grave) - 1} more" if len(grave) > 1 else ""
        return OCPIRefused(grave[0].code, grave[0].pointer, grave[0].message + more)


class Reconciler:
    """Judges CDRs. Holds the configuration only."""

    def __init__(self, config: RoamingConfig | None, limits: Limits | None = None) -> None:
        self._config, self._limits = config, limits or Limits()

    def judge_cdr(self, connection: Connection, document: Document, partner: Partner | None, at: datetime) -> Judged:
        """What is found on a CDR that came from `partner`, or is ours; noted if it is refused. If it is not, keep it
        and call `note_kept`.

        Raises:
            MalformedValue: it is no CDR.
        """
        cdr = view(document, Cdr, "cdr")
        findings = reconcile(cdr, self._facts(connection, cdr, partner, at), self._limits)
        judged = Judged(state_of(findings), findings)
        if judged.state is State.REFUSED and partner is not None:
            store.note_judgement(connection, cdr.owner, cdr.id, _verdict(judged, partner, at), document)
        return judged

    def note_kept(
        self,
        connection: Connection,
        number: int,
        document: Document,
        judged: Judged,
        partner: Partner | None,
        at: datetime,
    ) -> None:
        """Note the judgement on a CDR that is kept as object `number`."""
        cdr = view(document, Cdr, "cdr")
        store.note_judgement(connection, cdr.owner, cdr.id, _verdict(judged, partner, at))
        _stands(connection, number, cdr, judged.state, at)

    def judge_waiting(self, connection: Connection, at: datetime, limit: int) -> int:
        """Judge kept CDRs that nobody judged, `limit` at most: ours, and those that were fetched. How many there were.
        A refused one stays kept, and is not settled."""
        after = cursor(connection, _CURSOR)
        waiting = store.unjudged(connection, after, limit)
        if not waiting and after and store.has_unjudged(connection):
            # A transaction that ended later may have taken an earlier number.
            waiting = store.unjudged(connection, 0, limit)
        for number, document, told_by in waiting:
            try:
                self.judge_again(connection, number, document, told_by, at)
            except MalformedValue as error:
                store.note_unreadable(connection, number, found("malformed", "", str(error)), at)
        if waiting:
            move_cursor(connection, _CURSOR, max(after, waiting[-1][0]))
        return len(waiting)

    def judge_again(
        self, connection: Connection, number: int, document: Document, told_by: str | None, at: datetime
    ) -> Judged:
        """Judge the CDR that is kept as object `number`, by what is known now; noted."""
        cdr = view(document, Cdr, "cdr")
        partner = None if told_by is None else partner_if_there(connection, told_by)
        facts = self._facts(connection, cdr, partner, at)
        if told_by is not None and partner is None:
            facts = replace(facts, speaks_for=True, outcome=None)
        findings = reconcile(cdr, facts, self._limits)
        judged = Judged(state_of(findings), findings)
        verdict = Verdict(state=judged.state, at=at, by_whom=BY_RULES, findings=findings, partner=told_by)
        store.note_judgement(connection, cdr.owner, cdr.id, verdict)
        _stands(connection, number, cdr, judged.state, at)
        return judged

    def _facts(self, connection: Connection, cdr: Cdr, partner: Partner | None, at: datetime) -> Facts:
        token, owner = cdr.cdr_token, cdr.cdr_token.owner
        ours = self._owns(owner, Role.EMSP)
        place = _place(connection, cdr)
        connector = None if place is None else place.connector(cdr)
        reference = cdr.authorization_reference
        given = authorization_of(connection, reference) if ours and reference is not None else None
        credited = _credited(connection, cdr)
        at_evse, with_token = store.overlapping(connection, cdr)
        return Facts(
            at=at,
            speaks_for=partner is None or speaks_for(connection, partner, cdr.owner),
            token_owner_known=ours or partner_of_party(connection, owner) is not None,
            token_is_ours=ours,
            token=_token(connection, owner, token_key(token.uid, token.type)) if ours else None,
            reference_is_ours=given is not None,
            reference_token=None if given is None else ci_key(given.token.uid),
            place_known=place is not None,
            evse_known=connector is not None,
            connector_kw=None if connector is None else power_kw(connector),
            zone=None if place is None else place.zone,
            published=_published(connection, cdr),
            billed=store.billed_for_session(connection, cdr),
            at_evse=at_evse,
            with_token=with_token,
            credited=credited,
            credited_erased=credited is not None
            and is_erased(connection, Module.CDRS, credited.owner, ci_key(credited.id)),
            is_credited=_is_credited(connection, cdr),
            outcome=_outcome(connection, cdr) if partner is None else None,
            key_for=_keys(connection),
            currencies=_currencies(connection, cdr),
        )

    def _owns(self, party: PartyKey, role: Role) -> bool:
        return self._config is not None and self._config.owns(party, role)


def partner_if_there(connection: Connection, id_: str) -> Partner | None:
    """The partner with this id; None for one that was removed."""
    try:
        return partner_named(connection, id_)
    except NoSuchPartner:
        return None


def decide(
    connection: Connection, owner: str, cdr_id: str, state: State, by_whom: str, why: str, at: datetime
) -> Standing:
    """Where a CDR stands after an operator's decision. Rule 3.

    Raises:
        NotDecided: `no-such-cdr`, `settled`; `credited`: it is a second credit, and is not accepted.
    """
    standing = store.standing_of(connection, owner, cdr_id)
    if standing is None:
        raise NotDecided("no-such-cdr", f"no CDR {cdr_id[:64]!r} of {owner[:20]} is kept here")
    if standing.settlement is not None:
        raise NotDecided("settled", f"CDR {standing.id} is settled; it can only be credited")
    credits_ = standing.credits if state is State.ACCEPTED else None
    if credits_ is not None and store.is_credited(connection, standing.owner, credits_, but=standing.id):
        raise NotDecided("credited", f"CDR {credits_} is credited already; {standing.id} would take it back once more")
    store.note_judgement(connection, _party(owner), standing.id, Verdict(state=state, at=at, by_whom=by_whom, why=why))
    store.set_state(connection, standing, state, at)
    if credits_ is not None:
        note_credited(connection, standing.owner, credits_, standing.id, at)
    return store.standing_of(connection, owner, cdr_id) or standing


def power_kw(connector: Connector) -> Decimal:
    """What a connector can deliver at most."""
    if connector.max_electric_power is not None:
        return Decimal(connector.max_electric_power) / _W_PER_KW
    phases = _PHASES.get(connector.power_type, 3)
    return Decimal(connector.max_voltage * connector.max_amperage * phases) / _W_PER_KW


def _stands(connection: Connection, number: int, cdr: Cdr, state: State, at: datetime) -> None:
    store.note_standing(connection, number, cdr, state, at)
    if cdr.credit and cdr.credit_reference_id is not None and state is State.ACCEPTED:
        note_credited(connection, str(cdr.owner), cdr.credit_reference_id, cdr.id, at)


def _verdict(judged: Judged, partner: Partner | None, at: datetime) -> Verdict:
    told_by = None if partner is None else partner.id
    return Verdict(state=judged.state, at=at, by_whom=BY_RULES, findings=judged.findings, partner=told_by)


def _party(owner: str) -> PartyKey:
    country, _, party = owner.partition("*")
    return PartyKey.of(country, party)


@dataclass(frozen=True, slots=True)
class _Place:
    """What the rules ask of a location: its zone, and its connectors by the keys of EVSE and connector."""

    zone: tzinfo | None
    connectors: dict[tuple[str, str], Connector]

    def connector(self, cdr: Cdr) -> Connector | None:
        where = cdr.cdr_location
        return self.connectors.get((ci_key(where.evse_uid), ci_key(where.connector_id)))


def _place(connection: Connection, cdr: Cdr) -> _Place | None:
    text = text_of(connection, Module.LOCATIONS, cdr.owner, ci_key(cdr.cdr_location.id))
    return None if text is None else _read_place(text)


@lru_cache(maxsize=64)
def _read_place(text: str) -> _Place:
    location = view(parse_document(text, "stored location"), Location, "stored location")
    connectors = {
        (ci_key(evse.uid), ci_key(connector.id)): connector for evse in location.evses for connector in evse.connectors
    }
    return _Place(zone_named(location.time_zone), connectors)


@lru_cache(maxsize=256)
def _read_tariff(text: str) -> Tariff:
    return view(parse_document(text, "stored tariff"), Tariff, "stored tariff")


def _token(connection: Connection, owner: PartyKey, key: str) -> Token | None:
    held = object_of(connection, Module.TOKENS, owner, key)
    return None if held is None else view(held.document, Token, "stored token")


def _published(connection: Connection, cdr: Cdr) -> dict[str, Tariff]:
    ids = {ci_key(one.tariff_id) for one in cdr.charging_periods if one.tariff_id} | {
        ci_key(one.id) for one in cdr.tariffs
    }
    published = dict[str, Tariff]()
    for id_ in sorted(ids):
        text = text_of(connection, Module.TARIFFS, cdr.owner, id_)
        if text is not None:
            published[id_] = _read_tariff(text)
    return published


def _credited(connection: Connection, cdr: Cdr) -> Cdr | None:
    if not cdr.credit or cdr.credit_reference_id is None:
        return None
    held = object_of(connection, Module.CDRS, cdr.owner, ci_key(cdr.credit_reference_id))
    return None if held is None else view(held.document, Cdr, "stored CDR")


def _is_credited(connection: Connection, cdr: Cdr) -> bool:
    if not cdr.credit or cdr.credit_reference_id is None:
        return False
    return store.is_credited(connection, cdr.owner, cdr.credit_reference_id, but=cdr.id)


def _outcome(connection: Connection, cdr: Cdr) -> Outcome | None:
    row = connection.execute(
        "SELECT outcome FROM outcomes WHERE session_id = ? ORDER BY number DESC LIMIT 1", (cdr.session_id or cdr.id,)
    ).fetchone()
    return None if row is None else decode(Outcome, row[0], "stored outcome")


def _keys(connection: Connection) -> KeyFor:
    def key_for(record: MeterRecord) -> tuple[PublicKey, KeySource] | None:
        return registry_of(connection, identity_of(record, None)).key_for(record, None)

    return key_for


def _currencies(connection: Connection, cdr: Cdr) -> frozenset[str] | None:
    for one in agreements(connection, seller=str(cdr.owner), buyer=str(cdr.cdr_token.owner)):
        until = one.holds_until()
        if one.holds_from() <= cdr.start_date_time and (until is None or cdr.start_date_time < until):
            if cdr.currency == one.currency:
                return frozenset({one.currency})
            return frozenset({one.currency, *rates_to(connection, one.currency, cdr.end_date_time.date())})
    return None
