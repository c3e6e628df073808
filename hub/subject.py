"""Whom an erasure is about, and whether a text names that person. Pure.

Rules
1. A text names somebody when it is an identifier of theirs as a whole, compared as tokens are (wire.tokens); or when an
   identifier of `MIN_BOUNDED` characters or more stands in it as a word of its own. A shorter one is looked for in
   whole texts only: it would be found in every number.
2. A record is searched as far as it can be read: its JSON, the OCPP frame inside, JSON inside that, and every signed
   value, whose bytes hold the identification that the meter was given. What is no JSON is searched as text.
3. Numbers that the protocol gives (transaction, message, session) are no identifiers, however they look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from hub.arrival import read_arrival
from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.chain import Record
from wire.errors import MeterRecordError
from wire.meter.carrier import unwrap
from wire.meter.formats import READERS
from wire.records import TokenType
from wire.tokens import compare_key

MIN_BOUNDED = 4
_LONGEST = 40
"""Of a contract id with its hyphens; OCPI has 36."""
_MAX_DEPTH = 24
_NUMBERED = frozenset(
    {
        *("transaction_id", "transactionId", "session_id", "message_id", "decision_id", "command_id"),
        *("charger_id", "ocpp", "action", "event", "kind", "type"),
    }
)


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
        # Most texts of a record are too short or too long to be tried.
        return MIN_BOUNDED <= len(bare) <= _LONGEST and compare_key(TokenType.EMAID, bare) in self.contracts

    def is_told_of(self, text: str) -> bool:
        """Whether `text` names the person, as a whole or somewhere in it. Rule 1."""
        return self.is_named(text) or (self.words is not None and self.words.search(text) is not None)

    def without(self, text: str, instead: str) -> str:
        """`text` with `instead` in place of every identifier in it."""
        if self.is_named(text):
            return instead
        return text if self.words is None else self.words.sub(instead, text)

    def is_in_json(self, text: str) -> bool:
        """Whether any text in a JSON document names the person. Rules 2 and 3."""
        return any(self.is_told_of(leaf) for leaf in _leaves(text, 0))


def subject_of(tokens: Sequence[str], contracts: Sequence[str]) -> Subject:
    """The person with these token uids and contract ids, in any spelling. A uid that is an EMAID is a contract too."""
    spelt = [text.strip() for text in (*tokens, *contracts) if text.strip()]
    keys = {compare_key(TokenType.EMAID, text.strip()) for text in contracts if text.strip()}
    keys |= {key for text in tokens if (key := _contract_key(text.strip())) is not None}
    patterns = [re.escape(text) for text in spelt if len(text) >= MIN_BOUNDED]
    patterns += ["-?".join(map(re.escape, key)) + "(?:-?[0-9A-Z])?" for key in keys if len(key) >= MIN_BOUNDED]
    words = re.compile(rf"(?<![\w-])(?:{'|'.join(patterns)})(?![\w-])", re.IGNORECASE) if patterns else None
    return Subject(frozenset(text.casefold() for text in spelt), frozenset(keys), words)


def is_named_in(subject: Subject, gateway_id: str, record: Record, received_at: datetime) -> bool:
    """Whether what a record holds names the person; False for one whose content was let go. About 0.1 ms."""
    if record.is_released:
        return False
    if subject.is_in_json(record.body):
        return True
    arrival = read_arrival(gateway_id, record, received_at)
    return any(is_signed_for(subject, value.signed.raw) for value in arrival.values)


def is_signed_for(subject: Subject, raw: str) -> bool:
    """Whether a signed meter value, in whatever carrier, names the person."""
    unwrapped = unwrap(raw)
    if subject.is_told_of(unwrapped.payload.decode("utf-8", "replace")):
        return True
    reader = READERS.get(unwrapped.format)
    if reader is None:
        return False
    try:
        data = reader(unwrapped.payload).user.data
    except MeterRecordError:
        return False
    return data is not None and subject.is_told_of(data)


def _contract_key(text: str) -> str | None:
    """An EMAID as it is compared, None for what is none."""
    try:
        return parse_emaid(text).normal
    except IdentifierError:
        return None


def _leaves(text: str, depth: int) -> Iterator[str]:
    """The texts inside a JSON document, JSON inside them opened; the text itself when it is none."""
    if text[:1] in ("{", "[") and depth <= _MAX_DEPTH:
        try:
            found = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            yield text
        else:
            # Of an OCPP frame only the payload: what stands before it numbers and names the message.
            framed = isinstance(found, list) and len(found) > 2 and isinstance(found[0], int)
            yield from _texts(found[2:] if framed and isinstance(found, list) else found, depth + 1)
    else:
        yield text


def _texts(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield from _leaves(value, depth)
    elif isinstance(value, list) and depth <= _MAX_DEPTH:
        for item in value:
            yield from _texts(item, depth + 1)
    elif isinstance(value, dict) and depth <= _MAX_DEPTH:
        for name, item in value.items():
            if name not in _NUMBERED:
                yield from _texts(item, depth + 1)
