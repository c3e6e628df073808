"""The tokens most likely to be shown at a station, out of a whitelist that may hold millions: bounded looks only.

A `Ranking` is made once for a version of the whitelist and the latest sessions, and serves all stations. Making one
takes some tenths of a second for a large list, so it belongs in a thread, one at a time.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from gateway.decide.local_list import Candidate, LeftOut, ListRules, Used, Wanted, choose_wanted, left_out_for
from gateway.store.whitelist import Whitelist
from gateway.store.whitelist_rows import kind_of
from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.records import Token, TokenRef, TokenType, WhitelistType
from wire.tokens import compare_key

USED_HERE = 500
USED_AT_SITE = 1000
"""Tokens that are looked up because they were used, at most."""
_TYPES = (TokenType.RFID, TokenType.OTHER, TokenType.EMAID)
_NO_ENDS: Mapping[str, datetime] = MappingProxyType({})
_AGES = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Given:
    """Used at the site, the newest, how many others there are and why, and how many might be given."""

    site: list[Candidate]
    newest: list[Candidate]
    left_out: dict[LeftOut, int]
    eligible: int


class Ranking:
    """What stations may be given, most likely first. Immutable but for what it remembers of its own answers."""

    def __init__(
        self, whitelist: Whitelist, uses: Sequence[tuple[str, str]], depth: int, ends: Mapping[str, datetime] = _NO_ENDS
    ) -> None:
        """`uses`: charger and token, the latest first. `depth`: the most entries any station is given. `ends`: when
        contracts end, by normal EMAID. Raises sqlite3.Error."""
        self.version = whitelist.version
        self._whitelist, self._depth, self._ends = whitelist, depth, ends
        self._found: dict[str, Token | None] = {}
        self._here: dict[str, list[str]] = {}
        site: dict[str, None] = {}
        for charger_id, text in uses:
            here = self._here.setdefault(charger_id.casefold(), [])
            if len(here) < USED_HERE and text not in here:
                here.append(text)
            site[text] = None
        self._site = list(itertools.islice(site, USED_AT_SITE))
        for text in {*self._site, *itertools.chain.from_iterable(self._here.values())}:
            self._found[text] = self._find(text)
        self._known: dict[ListRules, _Given] = {}

    def _find(self, text: str) -> Token | None:
        """The listed token that a station showed as `text`: a card, or else a contract."""
        found = self._whitelist.look_up(TokenRef(uid=text, type=TokenType.OTHER))
        if found is not None:
            return found
        try:
            parse_emaid(text)
        except IdentifierError:
            return None
        return self._whitelist.look_up(TokenRef(uid=text, type=TokenType.EMAID))

    def wanted(self, charger_id: str, rules: ListRules, limit: int, at: datetime) -> tuple[Wanted, int]:
        """The list at the instant `at` for a station of these rules that holds at most `limit` entries, and how many
        tokens of the whitelist it might be given."""
        given = self._given(rules)
        texts = self._here.get(charger_id.casefold(), [])
        here = self._used(texts, Used.HERE)
        # Of what is used nowhere and of what is used elsewhere the first `limit` are enough to fill the list.
        chosen = choose_wanted([*here, *given.site[:limit], *given.newest[:limit]], rules, limit, at)
        return Wanted(chosen.entries, given.left_out), max(given.eligible, len(chosen.entries))

    def not_good_here(self, charger_id: str) -> dict[str, Token]:
        """The tokens that were used at the station and are good by themselves no longer: blocked, or to be asked about
        each time (NEVER); by the text that the station showed."""
        texts = self._here.get(charger_id.casefold(), [])
        found = {text: self._found[text] for text in texts}
        return {
            text: token
            for text, token in found.items()
            if token is not None and (not token.valid or token.whitelist is WhitelistType.NEVER)
        }

    def _used(self, texts: Sequence[str], used: Used) -> list[Candidate]:
        return [self._candidate(token, used, text) for text in texts if (token := self._found[text]) is not None]

    def _candidate(self, token: Token, used: Used, text: str | None) -> Candidate:
        if token.type is not TokenType.EMAID:
            return Candidate(token, used, text)
        return Candidate(token, used, text, self._ends.get(compare_key(TokenType.EMAID, token.contract_id)))

    def _given(self, rules: ListRules) -> _Given:
        """What all stations of these rules may be given."""
        known = self._known.get(rules)
        if known is None:
            used = [
                Candidate(token, Used.SITE, text) for text in self._site if (token := self._found[text]) is not None
            ]
            site = [each for each in used if left_out_for(each, rules) is None]
            newest, left_out, eligible = self._look(rules)
            known = self._known[rules] = _Given(site, newest, left_out, eligible)
        return known

    def _look(self, rules: ListRules) -> tuple[list[Candidate], dict[LeftOut, int], int]:
        tokens: list[Token] = []
        left_out: Counter[LeftOut] = Counter()
        eligible = 0
        for type_, whitelist, valid in itertools.product(_TYPES, WhitelistType, (True, False)):
            kind = kind_of(type_, whitelist, valid=valid)
            reason = left_out_for(Candidate(_example(type_, whitelist, valid=valid)), rules)
            count = self._whitelist.count(kind)
            if reason is None:
                tokens += self._whitelist.newest(kind, self._depth)
                eligible += count
            elif count:
                left_out[reason] += count
        tokens.sort(key=lambda token: (token.valid is not rules.unknown_offline, _instant(token)), reverse=True)
        newest = []
        for candidate in (self._candidate(token, Used.NOT, None) for token in tokens[: self._depth]):
            reason = left_out_for(candidate, rules)
            if reason is not None:
                left_out[reason] += 1
            elif candidate.token.valid or not self._vouched(candidate.token):
                newest.append(candidate)
        return newest, dict(left_out), eligible

    def _vouched(self, blocked: Token) -> bool:
        """Whether another party vouches for the same text, so that it is not the blocked token that is meant."""
        meant = self._whitelist.look_up(TokenRef(uid=blocked.uid, type=blocked.type))
        return meant is not None and meant.valid


def _instant(token: Token) -> datetime:
    at = token.last_updated
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _example(type_: TokenType, whitelist: WhitelistType, *, valid: bool) -> Token:
    """A token of the kind, for a question whose answer all of the kind share."""
    return Token(
        country_code="",
        party_id="",
        uid="",
        type=type_,
        contract_id="",
        issuer="",
        valid=valid,
        whitelist=whitelist,
        last_updated=_AGES,
    )
