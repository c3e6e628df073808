"""The rules on a CDR: all that are asked, and the plain ones (identity, time, energy, currency, overlap). Pure.

Rules
1. `reconcile` asks each check of `CHECKS` in order; a Credit CDR only those of `CREDIT_CHECKS`, for it says again what
   was judged before.
2. No message names a driver: findings outlive who charged.
3. A check yields findings of `findings.CODES`. It decides nothing: the state follows from what is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from hub.reconcile.credit import credit_findings
from hub.reconcile.facts import Facts, Limits, Other
from hub.reconcile.findings import Finding, found
from hub.reconcile.price import price_findings
from hub.reconcile.signature import signature_findings
from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.ocpi.keys import ci_key
from wire.ocpi.periods import CdrDimensionType
from wire.ocpi.sessions import Cdr
from wire.records import AuthMethod, WhitelistType

Check = Callable[[Cdr, Facts, Limits], Iterator[Finding]]
_HOUR = Decimal(3600)
_CURRENCY = re.compile(r"[A-Z]{3}")
_NOT_IN_EVSE_ID = re.compile(r"[^0-9A-Z]")


def reconcile(cdr: Cdr, facts: Facts, limits: Limits) -> tuple[Finding, ...]:
    """What is found on a CDR, in the order of the checks; () for a clean one. Some 0.2 ms without signatures."""
    checks = CREDIT_CHECKS if cdr.credit else CHECKS
    return tuple(finding for check in checks for finding in check(cdr, facts, limits))


def sender(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """In whose name it is sent."""
    if not facts.speaks_for:
        yield found("identity-party", "/party_id", f"{cdr.owner} is no party that the sender speaks for")


def identity(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """Whose token it is."""
    token = cdr.cdr_token
    if not facts.token_owner_known:
        yield found("identity-token-owner", "/cdr_token/party_id", f"no eMSP {token.owner} is known here")
    if token.type == "EMAID":
        try:
            parse_emaid(token.contract_id)
        except IdentifierError:
            yield found("identity-emaid", "/cdr_token/contract_id", "it is no EMAID, or its check digit is wrong")
    if facts.token_is_ours and facts.token is None:
        yield found("identity-token", "/cdr_token/uid", f"{token.owner} issued no such token of type {token.type}")


def place(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """Where was charged."""
    where = cdr.cdr_location
    prefix = cdr.owner.country_code + cdr.owner.party_id
    if where.evse_id != "#NA" and not _NOT_IN_EVSE_ID.sub("", where.evse_id.upper()).startswith(prefix):
        message = f"{where.evse_id} is no EVSE id of {cdr.owner}, unless of a sub-operator"
        yield found("identity-operator", "/cdr_location/evse_id", message)
    if facts.place_known and not facts.evse_known:
        message = f"location {where.id} has no connector {where.connector_id} at an EVSE {where.evse_uid}"
        yield found("identity-evse", "/cdr_location/evse_uid", message)


def unique(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """One CDR for a session."""
    for other in facts.billed:
        message = f"session {cdr.session_id} is billed by CDR {other.id} already, which is not credited"
        yield found("unique-session", "/session_id", message)


def times(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """Start, periods, end, now."""
    begin, end = cdr.start_date_time, cdr.end_date_time
    if end < begin:
        yield found("time-order", "/end_date_time", f"it ends at {_text(end)}, before it starts at {_text(begin)}")
        return
    yield from _period_times(cdr)
    if end - facts.at > limits.skew:
        yield found("time-future", "/end_date_time", f"{_text(end)} lies in the future; here it is {_text(facts.at)}")
    age = facts.at - end
    if age > limits.oldest:
        message = f"it ended {age.days} days ago; {limits.oldest.days} are agreed"
        yield found("time-old", "/end_date_time", message)
    told = timedelta(seconds=float(cdr.total_time * _HOUR))
    if abs(told - (end - begin)) > limits.time_tolerance + timedelta(seconds=1) and not _is_reservation(cdr):
        message = f"{cdr.total_time:f} h are told, {end - begin} lie between start and end"
        yield found("time-total", "/total_time", message)


def _period_times(cdr: Cdr) -> Iterator[Finding]:
    starts = [period.start_date_time for period in cdr.charging_periods]
    for number, (before, after) in enumerate(pairwise(starts), start=1):
        if after < before:
            where = f"/charging_periods/{number}/start_date_time"
            yield found("time-periods", where, f"{_text(after)} is before the period before it")
    if starts and cdr.start_date_time - starts[0] > timedelta(seconds=1) and not _reserves(cdr):
        where = "/charging_periods/0/start_date_time"
        yield found("time-periods", where, f"{_text(starts[0])} is before the start {_text(cdr.start_date_time)}")
    if starts and starts[-1] > cdr.end_date_time:
        where = f"/charging_periods/{len(starts) - 1}/start_date_time"
        yield found("time-periods", where, f"{_text(starts[-1])} is after the end {_text(cdr.end_date_time)}")


def energy(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """kWh against its parts, the connector and the time."""
    volumes = [(dim.type, dim.volume) for period in cdr.charging_periods for dim in period.dimensions]
    told = [volume for type_, volume in volumes if type_ is CdrDimensionType.ENERGY]
    if told and abs(sum(told) - cdr.total_energy) > limits.resolution_kwh:
        message = f"the periods sum to {sum(told):f} kWh, total_energy is {cdr.total_energy:f}"
        yield found("meter-sum", "/total_energy", message)
    gives_back = any(type_ is CdrDimensionType.ENERGY_EXPORT for type_, _ in volumes)
    if not gives_back and min((cdr.total_energy, *told)) < 0:
        yield found("meter-negative", "/total_energy", "energy is negative, and nothing was given back")
    if cdr.total_energy > limits.most_kwh:
        message = f"{cdr.total_energy:f} kWh in one session; {limits.most_kwh:f} are believed"
        yield found("meter-too-much", "/total_energy", message)
    length = cdr.end_date_time - cdr.start_date_time
    hours = Decimal(length // timedelta(seconds=1)) / _HOUR
    most_kw = facts.connector_kw
    if most_kw is not None and cdr.total_energy > most_kw * limits.power_factor * hours + limits.resolution_kwh:
        message = f"{cdr.total_energy:f} kWh in {length} is more than a connector of {most_kw:f} kW delivers"
        yield found("meter-power", "/total_energy", message)
    if not _is_reservation(cdr) and (cdr.total_energy < limits.least_kwh or length < limits.least_time):
        yield found("meter-short", "/total_energy", f"{cdr.total_energy:f} kWh in {length}")


def authorization(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """How it was allowed, as far as we were asked."""
    reference = cdr.authorization_reference
    if facts.token_is_ours and cdr.auth_method is AuthMethod.AUTH_REQUEST:
        if reference is None or not facts.reference_is_ours:
            message = "AUTH_REQUEST without a reference" if reference is None else "no such reference was given"
            yield found("auth-reference", "/authorization_reference", message)
        elif facts.reference_token != ci_key(cdr.cdr_token.uid):
            message = "it was given for another token"
            yield found("auth-reference", "/authorization_reference", message)
    token = facts.token
    if token is not None and cdr.auth_method is AuthMethod.WHITELIST and token.whitelist is WhitelistType.NEVER:
        yield found("auth-whitelist", "/auth_method", "the token must be asked for each time (whitelist NEVER)")


def currency(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """What it is paid in."""
    if not _CURRENCY.fullmatch(cdr.currency):
        yield found("currency-code", "/currency", f"{cdr.currency!r} is no ISO 4217 code")
    elif facts.currencies is not None and cdr.currency not in facts.currencies:
        message = f"the agreement is in {', '.join(sorted(facts.currencies))}, and no rate for {cdr.currency} is stated"
        yield found("currency-agreed", "/currency", message)


def overlap(cdr: Cdr, facts: Facts, limits: Limits) -> Iterator[Finding]:
    """Who else charged there, and where else this token did."""
    where = "/cdr_location/evse_uid"
    yield from _overlaps(cdr, facts.at_evse, limits, "overlap-evse", where, "at the same EVSE")
    yield from _overlaps(cdr, facts.with_token, limits, "overlap-token", "/cdr_token/uid", "with the same token")


def _overlaps(cdr: Cdr, others: Iterable[Other], limits: Limits, code: str, where: str, how: str) -> Iterator[Finding]:
    for other in others:
        shared = min(cdr.end_date_time, other.end) - max(cdr.start_date_time, other.begin)
        if shared > limits.time_tolerance:
            yield found(code, where, f"CDR {other.id} is {how} from {_text(other.begin)} to {_text(other.end)}")


def _is_reservation(cdr: Cdr) -> bool:
    """Whether it is of a reservation that nobody used."""
    return cdr.cdr_location.evse_id == "#NA" or (_reserves(cdr) and not cdr.total_energy and not cdr.total_time)


def _reserves(cdr: Cdr) -> bool:
    kinds = (dim.type for period in cdr.charging_periods for dim in period.dimensions)
    return CdrDimensionType.RESERVATION_TIME in kinds


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


CHECKS: tuple[Check, ...] = (
    sender,
    identity,
    place,
    unique,
    times,
    energy,
    signature_findings,
    authorization,
    price_findings,
    currency,
    overlap,
)
CREDIT_CHECKS: tuple[Check, ...] = (sender, credit_findings)
