"""The token list on the wire: parts that come back as they were, and what bounds and binds them."""

from __future__ import annotations

import hashlib
import zlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from wire.errors import MalformedValue
from wire.records import Token, TokenType, WhitelistType
from wire.tree_head import SigningKey, TreeHeadError
from wire.whitelist import (
    GENESIS_CHAIN,
    MAX_PART_UNPACKED,
    PART_TOKENS,
    DeltaContent,
    Form,
    ListDelta,
    ListError,
    ListHead,
    Manifest,
    Part,
    PartRef,
    Row,
    TokenName,
    encode_part,
    make_delta,
    next_chain,
    parse_delta,
    parse_part,
    require_chain,
    sign_list_head,
    sign_manifest,
    verify_list_head,
    verify_manifest,
)

T0 = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
KEY = SigningKey(b"\1" * 32)
texts = st.text(min_size=1, max_size=36)
tokens = st.builds(
    Token,
    country_code=st.sampled_from(["DE", "nl"]),
    party_id=texts,
    uid=texts,
    type=st.sampled_from(TokenType),
    contract_id=texts,
    issuer=st.sampled_from(["A", "B"]),
    valid=st.booleans(),
    whitelist=st.sampled_from(WhitelistType),
    last_updated=st.integers(-(10**15), 10**16).map(lambda micros: T0 + timedelta(microseconds=micros)),
    visual_number=st.none() | texts,
    group_id=st.none() | texts,
    language=st.none() | texts,
)


def _part(unpacked: bytes, count: int = 1) -> tuple[PartRef, bytes]:
    octets = zlib.compress(unpacked, 9)
    return PartRef(sha256=hashlib.sha256(octets).hexdigest(), octets=len(octets), tokens=count), octets


@settings(max_examples=100, deadline=None)
@given(st.lists(tokens, min_size=1, max_size=20))
def test_a_part_gives_its_tokens_back(given_tokens: list[Token]) -> None:
    ref, octets = encode_part(given_tokens)
    assert list(parse_part(ref, octets).tokens()) == given_tokens
    assert (ref.tokens, ref.octets) == (len(given_tokens), len(octets))


@settings(max_examples=50, deadline=None)
@given(st.lists(tokens, min_size=1, max_size=3), st.data())
def test_a_part_with_any_octet_changed_or_missing_is_refused(given_tokens: list[Token], data: st.DataObject) -> None:
    ref, octets = encode_part(given_tokens)
    where = data.draw(st.integers(0, len(octets) - 1))
    for altered in (
        octets[:where],
        octets[:where] + bytes([octets[where] ^ 1]) + octets[where + 1 :],
        octets + octets[where:],
    ):
        with pytest.raises(ListError, match="not those of the manifest"):
            parse_part(ref, altered)


@pytest.mark.parametrize(
    ("unpacked", "told"),
    [
        (bytes(MAX_PART_UNPACKED + 1), "longer than a part may be"),
        (b"", "truncated"),
        (msgspec.msgpack.encode([[], [[0, "04A1", "DE-ABC", 0]]]), "has a form that is not there"),
        (msgspec.msgpack.encode([[], []]), "0 tokens, its manifest says 1"),
        (msgspec.msgpack.encode({"forms": []}), "Expected `array`"),
    ],
)
def test_what_is_no_part_is_refused_whatever_the_manifest_says(unpacked: bytes, told: str) -> None:
    with pytest.raises(ListError, match=told) as refused:
        parse_part(*_part(unpacked))
    assert refused.value.code == "list-part"


def test_a_part_is_no_part_with_something_behind_it() -> None:
    row = msgspec.msgpack.encode(
        Part((Form("DE", "ABC", TokenType.RFID, "A", True, WhitelistType.ALWAYS),), [Row(0, "04A1", "DE-ABC", 0)])
    )
    octets = zlib.compress(row) + b"more"
    ref = PartRef(sha256=hashlib.sha256(octets).hexdigest(), octets=len(octets), tokens=1)
    with pytest.raises(ListError, match="cut off"):
        parse_part(ref, octets)


@pytest.mark.parametrize("count", [0, PART_TOKENS + 1])
def test_a_part_has_at_least_one_token_and_not_too_many(count: int) -> None:
    token = Token(
        country_code="DE",
        party_id="ABC",
        uid="04A1",
        type=TokenType.RFID,
        contract_id="C",
        issuer="A",
        valid=True,
        whitelist=WhitelistType.ALWAYS,
        last_updated=T0,
    )
    with pytest.raises(ValueError, match="a part holds"):
        encode_part([token] * count)


# --- heads, manifests, deltas


def _head(**changes: object) -> ListHead:
    head = ListHead(
        gateway_id="site-1",
        version=7,
        chain="ab" * 32,
        tokens=3,
        issued_at=T0,
        not_after=T0 + timedelta(days=7),
    )
    return msgspec.structs.replace(head, **changes)


def test_every_field_of_a_head_is_signed() -> None:
    signed = sign_list_head(KEY, _head())
    assert verify_list_head(signed, KEY.public_key, "site-1", T0) == _head()
    for changes in (
        {"version": 8},
        {"chain": "cd" * 32},
        {"tokens": 4},
        {"issued_at": T0 + timedelta(seconds=1)},
        {"not_after": T0 + timedelta(days=8)},
        {"gateway_id": "site-2"},
    ):
        with pytest.raises(TreeHeadError, match="does not hold"):
            verify_list_head(msgspec.structs.replace(signed, head=_head(**changes)), KEY.public_key, "site-1", T0)


def test_a_head_is_for_one_gateway_and_ends() -> None:
    signed = sign_list_head(KEY, _head())
    with pytest.raises(ListError, match="for gateway site-1, this is site-2"):
        verify_list_head(signed, KEY.public_key, "site-2", T0)
    with pytest.raises(ListError, match="has ended"):
        verify_list_head(signed, KEY.public_key, "site-1", T0 + timedelta(days=7, microseconds=1))


def test_a_manifest_is_signed_with_all_its_parts_in_order() -> None:
    parts = tuple(PartRef(sha256=f"{n:064x}", octets=n + 1, tokens=n + 1) for n in range(3))
    manifest = Manifest(version=7, chain="ab" * 32, parts=parts)
    signed = sign_manifest(KEY, manifest)
    assert verify_manifest(signed, KEY.public_key) == manifest
    assert (manifest.tokens, manifest.octets) == (6, 6)
    for other in (parts[:2], parts[::-1], (*parts, parts[0]), ()):
        altered = msgspec.structs.replace(manifest, parts=other)
        with pytest.raises(TreeHeadError):
            verify_manifest(msgspec.structs.replace(signed, manifest=altered), KEY.public_key)


def test_deltas_lead_to_a_head_or_are_refused() -> None:
    name = TokenName(country_code="DE", party_id="ABC", type=TokenType.RFID, uid="04A1")
    contents = [DeltaContent(removed=(name,), salt=str(n)) for n in range(3)]
    deltas = [make_delta(n, n + 1, content) for n, content in enumerate(contents)]
    assert [parse_delta(delta) for delta in deltas] == contents
    chains = [GENESIS_CHAIN]
    for delta in deltas:
        chains.append(next_chain(chains[-1], delta))
    head = _head(version=3, chain=chains[3])
    require_chain(0, GENESIS_CHAIN, deltas, head)
    require_chain(1, chains[1], deltas[1:], head)
    altered = msgspec.structs.replace(deltas[1], content=deltas[1].content + " ")
    for version, chain, offered in (
        (0, GENESIS_CHAIN, deltas[:2]),
        (0, GENESIS_CHAIN, deltas[1:]),
        (0, GENESIS_CHAIN, [deltas[0], altered, deltas[2]]),
        (0, GENESIS_CHAIN, deltas[::-1]),
        (1, chains[2], deltas[1:]),
        (0, GENESIS_CHAIN, [ListDelta(since=0, version=0, content="{}")]),
    ):
        with pytest.raises(ListError) as refused:
            require_chain(version, chain, offered, head)
        assert refused.value.code == "list-delta"


def test_a_delta_that_says_nothing_is_malformed() -> None:
    for content in ("", "[]", '{"tokens":[{}]}', "[" * 100_000):
        with pytest.raises(MalformedValue):
            parse_delta(ListDelta(since=0, version=1, content=content))
