"""Laws of the token list at both ends: the gateway means whom the hub means, and follows it through a restore."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import msgspec
from hypothesis import given, settings, strategies as st

from gateway.store.whitelist import Whitelist
from hub.store.schema import MIGRATIONS
from hub.store.whitelist import candidates, change_since, list_version, put_tokens
from wire.records import Token, TokenRef, TokenType, WhitelistChange, WhitelistType, decode, encode
from wire.tokens import choose, token_key

T0 = datetime(2026, 11, 23, tzinfo=UTC)

# Spellings of few tokens, so that they meet: hyphens, case and check character or not, and what only looks like one.
_UIDS = [
    "04A1",
    "04a1",
    "04-A1",
    "DE-ABC-C00000001-V",
    "deabcc00000001",
    "DEABCC00000002",
    "DE8AACD123ABCDEFGH",
    "ß",
    "SS",
]
uids = st.sampled_from(_UIDS)
types = st.sampled_from(TokenType)
tokens = st.builds(
    lambda party, country, uid, type_, contract, valid, day: Token(
        country_code=country,
        party_id=party,
        uid=uid,
        type=type_,
        contract_id=contract,
        issuer="issuer",
        valid=valid,
        whitelist=WhitelistType.ALLOWED,
        last_updated=T0 + timedelta(days=day),
    ),
    st.sampled_from(["ABC", "abc", "XYZ"]),
    st.sampled_from(["DE", "NL"]),
    uids,
    types,
    uids,
    st.booleans(),
    st.integers(0, 2),
)
puts = st.lists(tokens, min_size=1, max_size=6, unique_by=token_key)


def _without_offset(token: Token) -> Token:
    return msgspec.structs.replace(token, last_updated=token.last_updated.replace(tzinfo=None))


@contextmanager
def _hub() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for script in MIGRATIONS:
            connection.executescript(script)
        yield connection


@contextmanager
def _gateway() -> Iterator[Whitelist]:
    with tempfile.TemporaryDirectory() as folder, closing(Whitelist(Path(folder) / "whitelist.db")) as whitelist:
        yield whitelist


def _synchronise(hub: sqlite3.Connection, gateway: Whitelist) -> None:
    """What the link does: the change goes over the wire."""
    change = encode(change_since(hub, gateway.version))
    gateway.take(decode(WhitelistChange, change, "whitelist"))


def _equal(hub: sqlite3.Connection, gateway: Whitelist) -> bool:
    ours = sorted(encode(decode(Token, row[0], "token")) for row in hub.execute("SELECT token FROM tokens"))
    theirs = sorted(encode(each) for each in gateway.walk())
    return ours == theirs and gateway.version == list_version(hub)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(puts, st.booleans()), min_size=1, max_size=4))
def test_hub_and_gateway_mean_the_same_token(drawn: list[tuple[list[Token], bool]]) -> None:
    with _hub() as hub, _gateway() as gateway:
        for index, (put, synchronised) in enumerate(drawn):
            put_tokens(hub, put, T0 + timedelta(seconds=index))
            if synchronised:
                _synchronise(hub, gateway)
        _synchronise(hub, gateway)
        assert _equal(hub, gateway)
        for uid in _UIDS:
            for type_ in TokenType:
                presented = TokenRef(uid=uid, type=type_)
                assert gateway.find(presented) == choose(candidates(hub, presented)), presented


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(tokens, tokens.map(_without_offset)), max_size=6), st.randoms(use_true_random=False))
def test_which_token_is_meant_does_not_hang_on_the_order_they_came_in(found: list[Token], random: Random) -> None:
    """Tokens of one key cannot be held side by side; of all others exactly one is meant."""
    found = list({token_key(token): token for token in found}.values())
    meant = choose(found)
    shuffled = random.sample(found, len(found))
    assert choose(shuffled) == meant
    assert (meant is None) == (not found)
    assert meant is None or meant.valid == any(token.valid for token in found)


steps = st.lists(st.one_of(puts, st.sampled_from(["synchronise", "back up", "restore"])), max_size=12)


@settings(max_examples=100, deadline=None)
@given(steps, puts)
def test_gateway_ends_equal_to_a_hub_that_was_restored(drawn: list[list[Token] | str], last: list[Token]) -> None:
    """As often as the hub falls back to a backup, one change later the gateway holds its list, no more and no less.

    The clock goes on while a backup is restored; puts may come faster than it counts.
    """
    at = T0
    with _hub() as hub, _hub() as backup, _gateway() as gateway:
        for step in drawn:
            if step == "synchronise":
                _synchronise(hub, gateway)
            elif step == "back up":
                hub.backup(backup)
            elif step == "restore":
                backup.backup(hub)
                at += timedelta(seconds=1)
            else:
                put_tokens(hub, step, at)
        held = list_version(hub)
        if put_tokens(hub, last, at) == held:  # nothing of it was news: then a token that is
            fresh = msgspec.structs.replace(last[0], uid="new", contract_id="new")
            assert put_tokens(hub, [fresh], at) > held
        _synchronise(hub, gateway)
        assert _equal(hub, gateway)
