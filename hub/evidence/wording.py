"""What the findings of an evidence file mean to a driver. Pure.

Rules
1. The meaning stands first; the code that a support desk asks for follows in small letters, and is never left out.
2. A sentence that is not known here is shown as it is.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from wire.meter.registry import KeyOrigin, KeyState, RegisteredKey
from wire.meter.verdict import Severity
from wire.records import Basis, TokenType, Verdict


class PlainWords(NamedTuple):
    """A sentence for people, and the codes behind it; `code` is empty where it says nothing more."""

    words: str
    code: str = ""


_FINDING = re.compile(
    r"(?P<before>the bill itself says: |settled since the bill was made: )?"
    r"(?P<code>[a-z][a-z0-9]*(?:-[a-z0-9]+)*): (?P<message>.*?)"
    r"(?: \[(?P<severity>fatal|hold|note)\])?(?P<more>, and \d+ more like it)?",
    re.DOTALL,
)
_DECISION = re.compile(
    r"(?P<record>record \d+: )(?P<verdict>\w+) at (?P<at>.*), (?P<reason>[\w-]+), by (?P<basis>[\w-]+)"
)
_SIGNED = re.compile(r"(?P<where>.*): signed by meter (?P<meter>.*), byte for byte")
_CHAIN = re.compile(r"contract chain: accepted, revocation (?P<revocation>[\w-]+), certificate (?P<certificate>.*)")
_WEIGHTS = {
    Severity.FATAL.value: "does not fit",
    Severity.HOLD.value: "somebody has to look at it before it counts",
}
_MEANINGS = {
    "unsigned-energy": "the energy in the bill is not signed by the meter",
    "no-decision": "nothing is known that allowed this charge",
    "no-token": "nobody was named for this charge",
    "key-learned": "the meter's key came from the charging station, and nobody has compared it with the meter yet",
    "key-claimed": "the meter's key came along with its values, and nobody has compared it with the meter yet",
    "clock-informative": "the meter's clock was not set by an official time, so its times are for information only",
    "time-unusable": "the meter says that its time must not be billed",
    "identification-absent": "the meter's values do not name who charged",
    "identification-hashed": "the meter's values name who charged in a scrambled form, which cannot be compared",
}
_ALLOWED_BY = {
    Basis.WHITELIST.value: "the card or contract is on the list of those that may charge here",
    Basis.CONTRACT_CHAIN.value: "the contract in the vehicle was checked",
    Basis.HUB.value: "the hub was asked",
    Basis.SITE_POLICY.value: "by the rules of this site",
    Basis.EARLIER_DECISION.value: "as it was decided before",
    Basis.COMMAND.value: "it was started from afar",
}
_TOKENS = {
    TokenType.EMAID: "contract in the vehicle",
    TokenType.RFID: "card",
    TokenType.APP_USER: "app",
    TokenType.AD_HOC_USER: "payment on the spot",
    TokenType.OTHER: "other means",
}
_ORIGINS = {
    KeyOrigin.NAMEPLATE: "read off the meter",
    KeyOrigin.COMMISSIONING_FILE: "from the papers of its installation",
    KeyOrigin.BNETZA: "from the register of the authority",
    KeyOrigin.CONFIGURATION: "entered by the operator",
    KeyOrigin.OCPP_FIELD: "told by the charging station",
    KeyOrigin.CONFIG_KEY: "told by the charging station",
    KeyOrigin.DATA_TRANSFER: "told by the charging station",
}


def plain_words(text: str) -> PlainWords:
    """What a detail of a check or a finding of the bill says, for a driver."""
    if match := _FINDING.fullmatch(text):
        return _finding(text, match)
    if match := _DECISION.fullmatch(text):
        allowed = match["verdict"] == Verdict.ACCEPTED.value
        why = _ALLOWED_BY.get(match["basis"], match["basis"])
        words = f"allowed at {match['at']}: {why}" if allowed else f"refused at {match['at']}"
        return PlainWords(match["record"] + words, f"{match['reason']}, {match['basis']}")
    if match := _SIGNED.fullmatch(text):
        return PlainWords(f"signed by meter {match['meter']}, and nothing in it was changed since", match["where"])
    if match := _CHAIN.fullmatch(text):
        words = "the contract's certificate was checked and accepted"
        return PlainWords(words, f"revocation {match['revocation']}, certificate {match['certificate']}")
    return PlainWords(text)


def _finding(text: str, match: re.Match[str]) -> PlainWords:
    code, severity, before = match["code"], match["severity"], match["before"] or ""
    if severity is None and code not in _MEANINGS:
        return PlainWords(text)
    words = _MEANINGS.get(code, match["message"])
    if severity in _WEIGHTS and not before.startswith("settled"):
        words = f"{words}; {_WEIGHTS[severity]}"
    told = f"{code}: {match['message']}" if code in _MEANINGS else code
    return PlainWords(before + words + (match["more"] or ""), told)


def token_words(kind: TokenType, uid: str) -> PlainWords:
    """By what somebody was recognised: `card 04A1` and OCPI's word for it."""
    return PlainWords(f"{_TOKENS[kind]} {uid}", kind.value)


def key_words(key: RegisteredKey) -> PlainWords:
    """Where the hub has a meter's key from, and whether somebody vouches for it."""
    words = _ORIGINS[key.source]
    if key.state is KeyState.QUARANTINED:
        words += ", in place of another one: it is not used"
    elif key.state is KeyState.LEARNED and key.confirmed_at is None:
        words += ", and nobody has confirmed it"
    elif key.state is KeyState.RETIRED:
        words += ", and no longer in use"
    else:
        words += ", and the operator vouches for it"
    return PlainWords(words, f"{key.state.value}, {key.source.value}, curve {key.curve}")
