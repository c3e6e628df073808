"""What is found on a CDR, and what follows from it for the CDR's state.

Rules
1. A finding has a code of `CODES`, which says how grave it is and what it rests on; nothing else is ever found.
2. One `reject` refuses the CDR, one `hold` holds it; a `warn` is only told.
3. A refused CDR goes back with its findings; a held one is kept and waits for somebody of ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from wire.records import Value


class Severity(StrEnum):
    """How grave a finding is."""

    REJECT = "reject"
    HOLD = "hold"
    WARN = "warn"


class State(StrEnum):
    """Where a CDR stands: only accepted ones are settled."""

    ACCEPTED = "accepted"
    ON_HOLD = "on hold"
    REFUSED = "refused"


class Finding(Value, frozen=True, kw_only=True):
    """What was found: `pointer` is the place in the CDR (RFC 6901), `message` says what was expected and found."""

    code: str
    pointer: str
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class Code:
    """How grave it is, what is asked of a CDR, and where that stands."""

    severity: Severity
    rule: str
    source: str


_REJECT, _HOLD, _WARN = Severity.REJECT, Severity.HOLD, Severity.WARN
_CDRS = "OCPI 2.3.0 mod_cdrs"
_PRACTICE = "practice of roaming hubs"

CODES: Mapping[str, Code] = {
    "malformed": Code(_REJECT, "a CDR can be read", _CDRS),
    "identity-party": Code(_REJECT, "the CDR's party is one that its sender speaks for", "OCPI 2.3.0 credentials"),
    "identity-token-owner": Code(_REJECT, "the token's eMSP is known here", f"{_CDRS}, CdrToken"),
    "identity-emaid": Code(_REJECT, "an EMAID has its form and its check digit", "ISO 15118-2 Annex H"),
    "identity-token": Code(_HOLD, "a token of ours is one that we issued", "OCPI 2.3.0 mod_tokens"),
    "identity-operator": Code(_HOLD, "the EVSE id begins with the CPO's party", "eMI3 EVSE id"),
    "identity-evse": Code(_HOLD, "the EVSE and its connector are of the location named", f"{_CDRS}, CdrLocation"),
    "unique-session": Code(_REJECT, "a session is billed once, unless credited before", _CDRS),
    "time-order": Code(_REJECT, "the end is not before the start", _CDRS),
    "time-periods": Code(_REJECT, "periods are in order, the first at the start", f"{_CDRS}, ChargingPeriod"),
    "time-future": Code(_REJECT, "nothing lies in the future", _PRACTICE),
    "time-old": Code(_HOLD, "a CDR comes in time to be paid", _PRACTICE),
    "time-total": Code(_HOLD, "total_time is the time from start to end", _CDRS),
    "meter-sum": Code(_REJECT, "ENERGY of the periods sums to total_energy", _CDRS),
    "meter-negative": Code(_REJECT, "energy is not negative", _CDRS),
    "meter-too-much": Code(_HOLD, "a session takes what a vehicle can take", _PRACTICE),
    "meter-power": Code(_HOLD, "energy is what the connector can deliver in that time", _PRACTICE),
    "meter-short": Code(_WARN, "a session is worth billing", _PRACTICE),
    "signature-missing": Code(_HOLD, "signed values come where they are agreed", f"{_CDRS}, SignedData"),
    "signature-invalid": Code(_HOLD, "the signatures of begin and end verify", "OCMF 1.4.1"),
    "signature-key": Code(_HOLD, "the key is one that the registry knows for the meter", "PTB 50.7"),
    "signature-session": Code(_HOLD, "the signed values make one session, with the token of the CDR", "OCMF 1.4.1"),
    "signature-energy": Code(_HOLD, "the signed registers make total_energy", "OCMF 1.4.1"),
    "ledger-verdict": Code(_HOLD, "the site's own records give no reason not to bill", "wire.settling.signed"),
    "auth-reference": Code(_HOLD, "authorization_reference is one that we gave for the token", "OCPI 2.3.0 mod_tokens"),
    "auth-whitelist": Code(_HOLD, "WHITELIST is for tokens that may be accepted unasked", "OCPI 2.3.0 mod_tokens"),
    "tariff-missing": Code(_HOLD, "a price has a tariff", f"{_CDRS}, tariffs"),
    "tariff-several": Code(_WARN, "one tariff is recomputed", f"{_CDRS}, step_size"),
    "tariff-unusable": Code(_HOLD, "the tariff can be computed with", "OCPI 2.3.0 mod_tariffs"),
    "tariff-zone": Code(_WARN, "local times of a tariff have a known time zone", "OCPI 2.3.0 mod_tariffs"),
    "tariff-price": Code(_HOLD, "total_cost is what the tariff says", "OCPI 2.3.0 mod_tariffs"),
    "tariff-span": Code(_WARN, "no period spans a change of price", f"{_CDRS}, ChargingPeriod"),
    "tariff-changed": Code(_HOLD, "the tariff is the one that was published", "OCPI 2.3.0 mod_tariffs"),
    "cost-parts": Code(_HOLD, "the partial costs sum to total_cost", _CDRS),
    "currency-code": Code(_REJECT, "the currency is an ISO 4217 code", _CDRS),
    "currency-tariff": Code(_HOLD, "CDR and tariff have one currency", f"{_CDRS}, currency"),
    "currency-agreed": Code(_HOLD, "the currency is one of the agreement", "the agreement"),
    "overlap-evse": Code(_HOLD, "one vehicle charges at an EVSE at a time", _PRACTICE),
    "overlap-token": Code(_WARN, "one token charges one vehicle at a time", _PRACTICE),
    "credit-unknown": Code(_REJECT, "a credit names a CDR of the same party that is held", f"{_CDRS}, Credit CDRs"),
    "credit-twice": Code(_REJECT, "a CDR is credited once, and a credit not at all", f"{_CDRS}, Credit CDRs"),
    "credit-amount": Code(_REJECT, "a credit is the exact negative of total_cost", f"{_CDRS}, Credit CDRs"),
    "credit-differs": Code(_REJECT, "a credit is otherwise the CDR it takes back", f"{_CDRS}, Credit CDRs"),
}
"""Every finding there is. Rule 1."""


def found(code: str, pointer: str, message: str) -> Finding:
    """A finding, as grave as its code says."""
    return Finding(code=code, pointer=pointer, severity=CODES[code].severity, message=message)


def state_of(findings: Iterable[Finding]) -> State:
    """What follows for the CDR. Rule 2."""
    severities = {finding.severity for finding in findings}
    if Severity.REJECT in severities:
        return State.REFUSED
    return State.ON_HOLD if Severity.HOLD in severities else State.ACCEPTED
