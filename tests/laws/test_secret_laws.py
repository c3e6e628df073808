"""Secrets in whatever JSON a station tells or a command holds: none is left where its name says what it is, and nothing
else is touched."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, strategies as st

from wire.commands.secrets import HIDDEN, hidden, holds_secret

MARK = "5EC12E7"
NAMES = st.sampled_from(("AuthorizationKey", "basicauthpassword ", "SharedSecret", "Apn-Password", "VPNKEY", "simPin"))
PLAIN = st.sampled_from(("HeartbeatInterval", "value", "key", "vpn", "Name", "status"))
LEAVES: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
HARMLESS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3), max_leaves=8
)
TELLING: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda name, more: {"key": name, "value": MARK, "more": more}, NAMES, HARMLESS),
    st.builds(lambda name: {"variable": {"name": name}, "attributeValue": MARK}, NAMES),
    st.builds(lambda name: {"variable": {"name": name}, "variableAttribute": [{"value": MARK}]}, NAMES),
    st.builds(lambda name: {name: MARK}, NAMES),
    st.builds(lambda name: {name: [MARK, {"x": 1}]}, NAMES),
    st.just({"vpn": {"key": MARK}}),
)
MIXED = st.recursive(
    TELLING,
    lambda inner: st.lists(inner | LEAVES, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=6,
)


@given(MIXED)
def test_no_secret_is_left(told: Any) -> None:
    text = json.dumps(told)
    assert MARK not in json.dumps(hidden(told))
    assert holds_secret(text.encode()) == (MARK in text)
    assert hidden(hidden(told)) == hidden(told)
    assert json.dumps(hidden(told)).count(HIDDEN) >= text.count(MARK), "it is told that there was one"


@given(LEAVES | st.lists(st.dictionaries(st.sampled_from(("name", "status", "x")), LEAVES, max_size=3), max_size=3))
def test_what_is_no_secret_stays_as_it_is(told: Any) -> None:
    assert hidden(told) == told
    assert not holds_secret(json.dumps(told).encode())
