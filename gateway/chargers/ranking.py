"""The tokens most likely to be shown at a station, out of a whitelist that may hold millions: bounded looks only.

A `Ranking` is made once for a version of the whitelist and the latest sessions, and serves all stations. Making one
takes some tenths of a second for a large list, so it belongs in a thread, one at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime

from gateway.decide.local_list import Candidate, LeftOut, ListRules, Used, Wanted, choose_wanted, left_out_for
from gateway.store.whitelist import Whitelist, kind_of
from pki.errors import IdentifierError
from pki.identifiers import parse_emaid
from wire.records import Token, TokenRef, TokenType, WhitelistType

USED_HERE = 500
USED_AT_SITE = 1000
"""Tokens that are looked up because they were used, at most."""
_TYPES = (TokenType.RFID, TokenType.OTHER, TokenType.EMAID)
_AGES = datetime(1970, 1, 1, tzinfo=UTC)


class Ranking:
    """What stations may be given, most likely first. Immutable but for what it remembers of its own answers."""

    def __init__(self, whitelist: Whitelist, uses: Sequence[tuple[str, str]], depth: int) -> None:
        """`uses`: charger and token, the latest first. `depth`: the most entries any station is given. Raises
        sqlite3.Error."""
        self.version = whitelist.version
        self._whitelist, self._depth = whitelist, depth
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
        self._newest: dict[ListRules, tuple[list[Candidate], dict[LeftOut, int], int]] = {}

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

    def wanted(self, charger_id: str, rules: ListRules) -> tuple[Wanted, int]:
        """The list for the station, cut at `depth`, and how many tokens of the whitelist it might be given."""
        newest, left_out, eligible = self._for(rules)
        texts = self._here.get(charger_id.casefold(), [])
        here = [Candidate(token, Used.HERE, text) for text in texts if (token := self._found[text]) is not None]
        site = [Candidate(token, Used.SITE, text) for text in self._site if (token := self._found[text]) is not None]
        chosen = choose_wanted([*here, *site, *newest], rules, self._depth)
        gone = dict(left_out)
        if chosen.left_out.get(LeftOut.TOO_LONG):
            gone[LeftOut.TOO_LONG] = chosen.left_out[LeftOut.TOO_LONG]
        return Wanted(chosen.entries, gone), max(eligible, len(chosen.entries))

    def blocked_here(self, charger_id: str) -> dict[str, Token]:
        """The tokens that were used at the station and are blocked now, by the text that the station showed."""
        texts = self._here.get(charger_id.casefold(), [])
        found = {text: self._found[text] for text in texts}
        return {text: token for text, token in found.items() if token is not None and not token.valid}

    def _for(self, rules: ListRules) -> tuple[list[Candidate], dict[LeftOut, int], int]:
        """The newest that stations of these rules may be given, how many of the others there are and why, and how many
        of these."""
        known = self._newest.get(rules)
        if known is not None:
            return known
        tokens: list[Token] = []
        left_out: dict[LeftOut, int] = {}
        eligible = 0
        for type_, whitelist, valid in itertools.product(_TYPES, WhitelistType, (True, False)):
            kind = kind_of(type_, whitelist, valid=valid)
            reason = left_out_for(Candidate(_example(type_, whitelist, valid=valid)), rules)
            count = self._whitelist.count(kind)
            if reason is None:
                tokens += self._whitelist.newest(kind, self._depth)
                eligible += count
            elif count:
                left_out[reason] = left_out.get(reason, 0) + count
        tokens.sort(key=lambda token: (token.valid is not rules.unknown_offline, _instant(token)), reverse=True)
        newest = [Candidate(token) for token in tokens[: self._depth]]
        self._newest[rules] = newest, left_out, eligible
        return self._newest[rules]


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
