"""Identifiers: what is made here, and what a peer may call itself."""

from __future__ import annotations

import uuid

import pytest

from wire.ids import is_charger_id, is_gateway_id, random_id, session_id


def test_a_session_id_depends_on_its_arguments_only() -> None:
    """A fixed vector: sessions stored by one version must be found by the next."""
    expected = uuid.uuid5(uuid.UUID("6f7d3b0e-53a1-5d2c-9f57-6c1c3a1f0c55"), "site-1\ncp-1\nT-1")
    assert session_id("site-1", "CP-1", "T-1") == str(expected) == "e137d79f-83f9-52a4-9888-681dc77f5fb4"
    assert len(session_id("site-1", "CP-1", "T" * 255)) == 36


def test_charger_names_ignore_case_everything_else_does_not() -> None:
    base = session_id("site-1", "CP-1", "T-1")
    assert session_id("site-1", "cp-1", "T-1") == base
    others = [
        ("SITE-1", "CP-1", "T-1"),
        ("site-1", "CP-2", "T-1"),
        ("site-1", "CP-1", "t-1"),
        ("site-1", "CP-1", "T-1 "),
    ]
    assert len({base, *(session_id(*names) for names in others)}) == 5


def test_a_random_id_is_a_version_4_uuid_of_its_entropy() -> None:
    made = uuid.UUID(random_id(bytes(range(16))))
    assert (made.version, made.variant) == (4, uuid.RFC_4122)
    assert random_id(b"\xff" * 16) == "ffffffff-ffff-4fff-bfff-ffffffffffff"
    assert random_id(bytes(range(32))) == str(made)
    with pytest.raises(ValueError):
        random_id(b"short")


@pytest.mark.parametrize("text", ["CP-1", "RDAM 123", "a*b_c=d+e|f@g.h", "x" * 48, "1", "...a", "-"])
def test_charger_ids(text: str) -> None:
    assert is_charger_id(text)


@pytest.mark.parametrize(
    "text", ["", "x" * 49, "a:b", "a/b", "..", ".", "a\n", "\na", "a\0", "ä", "a%20b", 'a"', "a\\b", "a\tb", "\u0661"]
)
def test_what_cannot_be_a_charger_id(text: str) -> None:
    assert not is_charger_id(text)


@pytest.mark.parametrize("text", ["site-1", "A", "0", "a.b_c-d", "x" * 48])
def test_gateway_ids(text: str) -> None:
    assert is_gateway_id(text)


@pytest.mark.parametrize("text", ["", "x" * 49, "-a", ".a", "_a", "a b", "a/b", "a:b", "a\n", "ä", "\u0661"])
def test_what_cannot_be_a_gateway_id(text: str) -> None:
    assert not is_gateway_id(text)
