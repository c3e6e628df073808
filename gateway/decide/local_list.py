"""Which tokens a station's local list should hold, and by which messages it comes to hold them. Pure.

Which tokens
1. A station goes by its list while nobody can be asked, and where it may also while somebody can. So a token may stand
   in it only if its owner lets the list decide in every situation in which this station would let it decide
   (docs/decisions/0007-local-lists.md):

   | OCPI whitelist  | valid | may be given                                                                     |
   |-----------------|-------|----------------------------------------------------------------------------------|
   | ALWAYS, ALLOWED | yes   | yes, as Accepted                                                                 |
   | ALLOWED_OFFLINE | yes   | to 1.6 with LocalPreAuthorize known to be off; to 2.x only contracts, which are  |
   |                 |       | always asked about: with the others C14.FR.02 starts unasked                     |
   | all but NEVER   | no    | yes, as Blocked; ALLOWED_OFFLINE only where the station asks again about the bad |
   | NEVER           | any   | no                                                                               |

2. A blocked token is worth a place where it was used: the station may have it in its cache as a good one, and the list
   wins over the cache. Where unknown tokens are let in offline, every blocked one is worth a place.
3. Of those that may be given the most likely come first: used at this station, used at this site, newest. The list is
   cut where the station's limit is.
4. A contract is given only where the station checks chains by itself. The end of the certificate that was shown for it,
   as far as one was, goes with it; after that it is not given. A text that is too long for the version cannot be given.
   What is left out is counted by its reason.

Which messages: none, Differentials, or a Full and Differentials after it, each within the station's limits; deletions
come before additions, so that the list never outgrows its limit on the way.

Source: OCPI 2.3.0 mod_tokens WhitelistType; OCPP 1.6 3.5, 5.15; OCPP 2.0.1 Part 2 C13, C14, D01, D02.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum

from gateway.decide.offline import ACCEPTED, V16, Alone, AloneSettings, Listed, Presented, decide_alone
from wire.records import Token, TokenType, Value, WhitelistType
from wire.tokens import choose, compare_key

_BLOCKED = "Blocked"
ID_LENGTH = {"1.6": 20, "2.0.1": 36, "2.1": 255}
"""The longest token of each version: idTag, idToken."""
LARGEST_VERSION = 2**31 - 1
_HEX = re.compile(r"[0-9A-Fa-f]+")
_MAC = re.compile(r"[0-9A-Fa-f]{2}([:-]?[0-9A-Fa-f]{2}){5}")
_ISO15693_DIGITS = 16
"""An ISO 15693 UID has 8 bytes; those of ISO 14443 have 4, 7 or 10."""


class Used(Enum):
    """Where a token was used lately."""

    HERE = 0
    SITE = 1
    NOT = 2


class LeftOut(StrEnum):
    """Why a token is not given to a station."""

    NEVER = "must be asked about (whitelist NEVER)"
    MUST_ASK = "must be asked about while somebody can be (whitelist ALLOWED_OFFLINE)"
    NOT_PRESENTED = "is not presented at a station"
    CONTRACT = "is a contract, and the station does not check chains alone"
    TOO_LONG = "is too long for this version"
    ENDED = "has ended"
    REFUSED_ANYWAY = "is blocked and was not used here: it is refused as unknown"
    NO_ROOM = "does not fit"


@dataclass(frozen=True, slots=True)
class ListRules:
    """What a station does with its list. `pre_authorize` LocalPreAuthorize, None: not known. `contracts_offline`
    ContractValidationOffline. `asks_again`: False with LocalAuthListDisablePostAuthorize; `may_ask`: False with
    DisableRemoteAuthorization. `unknown_offline`: unknown tokens are let in while nobody can be asked."""

    version: str
    pre_authorize: bool | None = None
    contracts_offline: bool = False
    asks_again: bool = True
    may_ask: bool = True
    unknown_offline: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token in its place of the ranking. `presented`: the text that stations have shown for it, where one is known.
    `expires_at`: when what it stands for ends, as far as that is known."""

    token: Token
    used: Used = Used.NOT
    presented: str | None = None
    expires_at: datetime | None = None


class Entry(Value, frozen=True, kw_only=True):
    """One entry as a station holds it. `type` is the token's in 2.x, "" in 1.6; `group` parentIdTag or groupIdToken."""

    id: str
    type: str = ""
    status: str = ACCEPTED
    group: str | None = None
    expires_at: datetime | None = None

    @property
    def key(self) -> str:
        """What makes it one entry: its text without case, whatever its type (2.0.1 C01.FR.25)."""
        return self.id.casefold()


@dataclass(frozen=True, slots=True)
class Wanted:
    """The list a station should hold, most likely first, and how many tokens are left out for which reason."""

    entries: tuple[Entry, ...]
    left_out: Mapping[LeftOut, int]


def choose_wanted(candidates: Iterable[Candidate], rules: ListRules, limit: int, at: datetime) -> Wanted:
    """The list from the instant `at` on for a station that holds at most `limit` entries, from candidates in any order.

    Of several tokens with one text the one is meant that `wire.tokens.choose` takes; it stands where the most likely of
    them does. An entry's place in the ranking follows rule 3.
    """
    left_out: Counter[LeftOut] = Counter()
    by_key: dict[str, list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda each: _likely(each, rules)):
        ended = candidate.expires_at is not None and candidate.expires_at <= at
        reason = LeftOut.ENDED if ended else left_out_for(candidate, rules)
        if reason is None:
            by_key.setdefault(entry_of(candidate, rules.version).key, []).append(candidate)
        else:
            left_out[reason] += 1
    entries = [entry_of(_meant(group), rules.version) for group in by_key.values()]
    if len(entries) > limit:
        left_out[LeftOut.NO_ROOM] += len(entries) - limit
    return Wanted(tuple(entries[:limit]), dict(left_out))


def _likely(candidate: Candidate, rules: ListRules) -> tuple[int, bool]:
    """Rule 3; what was used keeps its order, of the others the blocked come first where unknown ones are let in."""
    unused = candidate.used is Used.NOT
    return candidate.used.value, unused and candidate.token.valid is rules.unknown_offline


def _meant(candidates: Sequence[Candidate]) -> Candidate:
    meant = choose([each.token for each in candidates])
    return next(each for each in candidates if each.token == meant)


def left_out_for(candidate: Candidate, rules: ListRules) -> LeftOut | None:
    """Why the token may not, or need not, stand in the station's list; None: it may."""
    token = candidate.token
    if token.whitelist is WhitelistType.NEVER:
        return LeftOut.NEVER
    if token.type in (TokenType.AD_HOC_USER, TokenType.APP_USER):
        return LeftOut.NOT_PRESENTED
    if token.type is TokenType.EMAID and not rules.contracts_offline:
        return LeftOut.CONTRACT
    if len(_text(candidate)) > ID_LENGTH[rules.version]:
        return LeftOut.TOO_LONG
    if token.whitelist is WhitelistType.ALLOWED_OFFLINE and not _would_ask(token, rules):
        return LeftOut.MUST_ASK
    if not token.valid and candidate.used is Used.NOT and not rules.unknown_offline:
        return LeftOut.REFUSED_ANYWAY
    return None


def _would_ask(token: Token, rules: ListRules) -> bool:
    """Whether the station, when it can ask, asks about the token although it is listed: never in doubt. Rule 1."""
    settings = AloneSettings(
        pre_authorize=rules.pre_authorize is not False, list_asks_again=rules.asks_again, may_ask=rules.may_ask
    )
    listed = Listed(ACCEPTED if token.valid else _BLOCKED)
    # In 2.x what is listed as eMAID comes with a chain, and is asked about for that (C07.FR.01); 1.6 has no types.
    contract = True if token.type is TokenType.EMAID and rules.version != V16 else None
    shown = Presented(contract=contract)
    found = decide_alone(rules.version, shown, listed, None, settings, online=True, at=token.last_updated)
    return found.alone in (Alone.ASK, Alone.ASK_AGAIN)


def entry_of(candidate: Candidate, version: str) -> Entry:
    """The entry for a token. A group that is too long is left out: the driver then ends what the driver began."""
    token, longest = candidate.token, ID_LENGTH[version]
    group = token.group_id if token.group_id and len(token.group_id) <= longest else None
    text = _text(candidate)
    return Entry(
        id=text,
        type="" if version == V16 else _type_of(token, text),
        status=ACCEPTED if token.valid else _BLOCKED,
        group=group,
        expires_at=candidate.expires_at,
    )


def _text(candidate: Candidate) -> str:
    """The text a station will compare with: a card's uid as it was published, a contract as it was presented, or else
    in its normal form."""
    token = candidate.token
    if token.type is not TokenType.EMAID:
        return token.uid
    return candidate.presented or compare_key(TokenType.EMAID, token.uid)


def _type_of(token: Token, text: str) -> str:
    """The IdTokenType that a station will most likely present; OCPI's RFID does not tell the kinds of cards apart."""
    if token.type is TokenType.EMAID:
        return "eMAID"
    if token.type is TokenType.RFID:
        return "ISO15693" if len(text) == _ISO15693_DIGITS and _HEX.fullmatch(text) else "ISO14443"
    if _MAC.fullmatch(text):
        return "MacAddress"
    return "KeyCode" if text.isascii() and text.isdigit() else "Local"


# --- from what a station holds to what it should hold


Size = Callable[[Entry], int]
"""The bytes that an entry takes in a message."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a station can take: `entries` in all, `per_message` items in one message, `message_bytes` of JSON (None: as
    many as the items make). Without `differential` a list is one Full message, and so no longer than one."""

    entries: int
    per_message: int
    message_bytes: int | None = None
    differential: bool = True


class Piece(Value, frozen=True, kw_only=True):
    """One SendLocalList: the version of the list after it, whether it begins anew, what is taken out and put in."""

    version: int
    full: bool
    drop: tuple[Entry, ...] = ()
    put: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """What a station is known to hold, by key."""

    version: int
    entries: Mapping[str, Entry]


def apply_piece(entries: Mapping[str, Entry], piece: Piece) -> dict[str, Entry]:
    """What a station holds after it accepted `piece`."""
    after = {} if piece.full else dict(entries)
    for entry in piece.drop:
        after.pop(entry.key, None)
    after.update({entry.key: entry for entry in piece.put})
    return after


def what_is_held(version: int, entries: Mapping[str, Entry], offer: Piece | None, reported: int) -> Held | None:
    """What a station holds that says its list has version `reported`, when it acknowledged `entries` as `version` and
    was sent `offer` after that without a word of what came of it; None: nobody knows, so only a Full helps.

    0 is a list that is empty (1.6 5.10) or not there (2.0.1 D02.FR.03).
    """
    if offer is not None and reported == offer.version:
        return Held(reported, apply_piece(entries, offer))
    if reported == 0:
        return Held(0, {})
    return Held(version, dict(entries)) if reported == version else None


def next_version(highest: int, reported: int, first: int) -> int:
    """A version that the station has not seen: after the `highest` that was given, the one it reports, and `first`. At
    the end of the numbers they begin anew, for which only a Full will do."""
    version = max(highest, reported, first) + 1
    return version if version < LARGEST_VERSION - 2**20 else 1


def fitting(wanted: Sequence[Entry], limits: Limits, size: Size) -> tuple[Entry, ...]:
    """As many of `wanted`, the most likely first, as the limits let the station hold."""
    room = wanted[: limits.entries]
    if limits.differential:
        return tuple(room)
    return next(iter(_split(room, limits, size)), ())


def plan_pieces(
    wanted: Sequence[Entry], held: Held | None, limits: Limits, version: int, size: Size
) -> tuple[Piece, ...]:
    """The messages after which the station holds `wanted`, numbered from `version`; none when it holds it already.

    Differentials unless what is held is not known, or a Full takes fewer messages. `wanted` is within the limits
    (`fitting`).
    """
    whole = _full(wanted, limits, version, size)
    if held is None:
        return whole
    target = {entry.key: entry for entry in wanted}
    drop = [entry for key, entry in held.entries.items() if key not in target]
    put = [entry for key, entry in target.items() if held.entries.get(key) != entry]
    if not drop and not put:
        return ()
    # A station may tell entries apart by type too, so an entry whose type has changed cannot be mended in place.
    retyped = any(entry.key in held.entries and held.entries[entry.key].type != entry.type for entry in put)
    if not limits.differential or not target or retyped or not 0 < held.version < version:
        return whole
    gone = {entry.key for entry in drop}
    parts = _split([*drop, *put], limits, size)
    changes = tuple(
        Piece(
            version=version + number,
            full=False,
            drop=tuple(entry for entry in part if entry.key in gone),
            put=tuple(entry for entry in part if entry.key not in gone),
        )
        for number, part in enumerate(parts)
    )
    return whole if len(whole) < len(changes) else changes


def _full(wanted: Sequence[Entry], limits: Limits, version: int, size: Size) -> tuple[Piece, ...]:
    """A Full with what one message takes, and Differentials with the rest; an empty list is a Full without entries."""
    parts = _split(wanted, limits, size) or [()]
    return tuple(Piece(version=version + number, full=number == 0, put=part) for number, part in enumerate(parts))


def _split(entries: Sequence[Entry], limits: Limits, size: Size) -> list[tuple[Entry, ...]]:
    """The entries in parts that fit into one message each; an entry that is too big alone goes alone."""
    parts: list[tuple[Entry, ...]] = []
    part: list[Entry] = []
    taken = 0
    for entry in entries:
        needs = size(entry)
        over = limits.message_bytes is not None and taken + needs > limits.message_bytes
        if part and (over or len(part) >= limits.per_message):
            parts.append(tuple(part))
            part, taken = [], 0
        part.append(entry)
        taken += needs
    return [*parts, tuple(part)] if part else parts
