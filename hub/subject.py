"""Whom an erasure is about, and whether a text names that person. Pure.

Rules
1. A field for an identification names somebody when it is an identifier of theirs as a whole, compared as tokens are
   (wire.tokens): `04A1:B` is not `04A1`. So does the identification in a signed value.
2. Any other text names them when an identifier of `MIN_BOUNDED` characters or more stands in it as a word of its own. A
   shorter one is not looked for there: it would be found in the numbers and words of other people's records.
3. A record is searched as far as it can be read: its JSON, the OCPP frame inside, JSON inside that, and every signed
   value. What is no JSON, and a signed value that cannot be read, is searched as text.
4. Numbers that the protocol gives (transaction, message, session), registers, units and closed sets of words are no
   identifiers, however they look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.chain import Record, RecordKind
from wire.errors import MalformedValue, MeterRecordError
from wire.meter.carrier import Unwrapped, unwrap
from wire.meter.formats import READERS
from wire.meter.record import MeterFormat
from wire.records import TokenType, TransactionEntry, decode
from wire.settling.carried import salvaged_values
from wire.tokens import compare_key

MIN_BOUNDED = 6
_LONGEST = 40
"""Of a contract id with its hyphens; OCPI has 36."""
_WITH_CHECK = 15
"""Characters of an EMAID with its check character (ISO 15118-2 Annex H)."""
_IN_TROUBLE = re.compile('"quarantine"|"unreadable"')
_SHORTEST_SIGNED = 40
"""Characters. No signed meter value is as short."""
_MAX_DEPTH = 24
_NUMBERED = frozenset(
    {
        *("transaction_id", "transactionId", "session_id", "message_id", "decision_id", "command_id"),
        *("charger_id", "gateway_id", "ocpp", "action", "event", "kind", "type"),
    }
)
_IDENTIFYING = frozenset(
    {
        *("uid", "idtoken", "idtag", "parentidtag", "groupidtoken", "additionalidtoken", "tokenuid", "groupid"),
        *("contractid", "emaid", "visualnumber"),
    }
)
"""Fields that hold an identification, in small letters without underscores: rule 1."""
_TERMS = frozenset(
    {
        *("value", "context", "measurand", "unit", "format", "phase", "location", "status", "verdict", "basis"),
        *("auth_method", "clock", "eventType", "triggerReason", "chargingState", "stoppedReason", "currency"),
        *("encodingMethod", "signingMethod", "encoding_method", "nature"),
    }
)
"""Fields of numbers and closed words: rule 4. A signed value may stand in the first."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One person, by the identifiers that their tokens and contracts have. Made by `subject_of`."""

    whole: frozenset[str]
    contracts: frozenset[str]
    words: re.Pattern[str] | None

    def is_named(self, text: str) -> bool:
        """Whether `text` is one of the identifiers, whatever its case; a contract's hyphens and check character count
        for nothing."""
        bare = text.strip()
        if bare.casefold() in self.whole:
            return True
        if not self.contracts or len(bare) > _LONGEST:
            return False
        plain = bare.replace("-", "").upper()
        return plain in self.contracts or (len(plain) == _WITH_CHECK and plain[:-1] in self.contracts)

    def is_told_of(self, text: str) -> bool:
        """Whether a text that is no field for an identification names the person. Rule 2."""
        return self.words is not None and self.words.search(text) is not None

    def without(self, text: str, instead: str) -> str:
        """`text` with `instead` in place of every identifier that `is_told_of` finds."""
        return text if self.words is None else self.words.sub(instead, text)

    def is_in_json(self, text: str) -> bool:
        """Whether any text in a JSON document names the person, or any signed value in it. Rules 1 to 4."""
        return any(self._is_in_field(name, leaf) for name, leaf in _leaves("", text, 0))

    def _is_in_field(self, name: str, text: str) -> bool:
        if name.replace("_", "").casefold() in _IDENTIFYING:
            return self.is_named(text)
        signed = _unwrapped(text)
        if signed is not None:
            return self._is_signed_for(signed)
        return name not in _TERMS and self.is_told_of(text)

    def is_signed_for(self, text: str) -> bool:
        """Whether `text` is a signed meter value, in whatever carrier, that names the person."""
        signed = _unwrapped(text)
        return signed is not None and self._is_signed_for(signed)

    def _is_signed_for(self, signed: Unwrapped) -> bool:
        reader = READERS.get(signed.format)
        try:
            record = None if reader is None else reader(signed.payload)
        except MeterRecordError:
            record = None
        if record is None:
            return self.is_told_of(signed.payload.decode("utf-8", "replace"))
        data = record.user.data
        if data is not None and (
            self.is_named(data) or (signed.format is not MeterFormat.OCMF and self.is_told_of(data))
        ):
            return True  # in other formats the identification may be padded, or stand beside its kind
        return record.tariff_text is not None and self.is_told_of(record.tariff_text)


def _unwrapped(text: str) -> Unwrapped | None:
    """The signed meter value that `text` is, in whatever carrier; None for any other text."""
    if len(text) < _SHORTEST_SIGNED:
        return None
    found = unwrap(text)
    return None if found.format is MeterFormat.UNKNOWN else found


def subject_of(tokens: Sequence[str], contracts: Sequence[str]) -> Subject:
    """The person with these token uids and contract ids, in any spelling. A uid that is an EMAID is a contract too."""
    spelt = [text.strip() for text in (*tokens, *contracts) if text.strip()]
    keys = {compare_key(TokenType.EMAID, text.strip()) for text in contracts if text.strip()}
    keys |= {key for text in tokens if (key := _contract_key(text.strip())) is not None}
    patterns = [re.escape(text) for text in spelt if len(text) >= MIN_BOUNDED]
    # Only an EMAID may have one more character, its check: behind another contract's id it makes somebody else's.
    ends = {key: "(?:-?[0-9A-Z])?" if _contract_key(key) is not None else "" for key in keys}
    patterns += ["-?".join(map(re.escape, key)) + end for key, end in ends.items() if len(key) >= MIN_BOUNDED]
    words = re.compile(rf"(?<![\w-])(?:{'|'.join(patterns)})(?![\w-])", re.IGNORECASE) if patterns else None
    return Subject(frozenset(text.casefold() for text in spelt), frozenset(keys), words)


def is_named_in(subject: Subject, record: Record) -> bool:
    """Whether what a record holds names the person; False for one whose content was let go. About 0.1 ms."""
    if record.is_released:
        return False
    return subject.is_in_json(record.body) or any(subject.is_signed_for(text) for text in _salvaged(record))


def _salvaged(record: Record) -> Iterator[str]:
    """The signed values in a message that nobody could read as JSON."""
    if record.kind is not RecordKind.TRANSACTION or not _IN_TROUBLE.search(record.body):
        return
    try:
        entry = decode(TransactionEntry, record.body, "transaction entry")
    except MalformedValue:
        return
    yield from (value.signed.raw for value in salvaged_values(entry))


def _contract_key(text: str) -> str | None:
    """An EMAID as it is compared, None for what is none."""
    try:
        return parse_emaid(text).normal
    except IdentifierError:
        return None


def _leaves(name: str, text: str, depth: int) -> Iterator[tuple[str, str]]:
    """The texts inside a JSON document, each with the name of its field, JSON inside them opened; the text itself when
    it is none."""
    if text[:1] in ("{", "[") and depth <= _MAX_DEPTH:
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            yield name, text
        else:
            # Of an OCPP frame only the payload: what stands before it numbers and names the message.
            framed = isinstance(found, list) and len(found) > 2 and isinstance(found[0], int)
            yield from _texts(name, found[2:] if framed and isinstance(found, list) else found, depth + 1)
    else:
        yield name, text


def _texts(name: str, value: object, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield from _leaves(name, value, depth)
    elif isinstance(value, list) and depth <= _MAX_DEPTH:
        for item in value:
            yield from _texts(name, item, depth + 1)
    elif isinstance(value, dict) and depth <= _MAX_DEPTH:
        for inner, item in value.items():
            if inner not in _NUMBERED:
                yield from _texts(inner, item, depth + 1)
