"""The values that travel: one text each, the hash that chains them, and what is said of a text that is none of them."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from wire.chain import GENESIS_HASH, Record, RecordKind, chain_hash, released
from wire.errors import MalformedValue
from wire.records import ClockState, Session, SessionStatus, TokenRef, TokenType, decode, encode

AT = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
RECORD = Record(
    seq=7,
    kind=RecordKind.TRANSACTION,
    at=AT,
    boot_id="3f8d6b1e",
    mono_ns=123456789,
    clock=ClockState.TRUSTED,
    body='{"charger_id":"CP-1","note":"\u00e4"}',
    hash="",
)
SESSION = Session(
    id="s-1",
    gateway_id="site-1",
    charger_id="CP-1",
    evse_id=1,
    transaction_id="T-1",
    status=SessionStatus.ACTIVE,
    start_date_time=AT,
    last_updated=AT,
    kwh=Decimal("10.500"),
)


def test_the_text_of_a_value_is_the_one_that_is_documented() -> None:
    assert encode(SESSION) == (
        b'{"id":"s-1","gateway_id":"site-1","charger_id":"CP-1","evse_id":1,"transaction_id":"T-1","status":"ACTIVE",'
        b'"start_date_time":"2026-11-23T12:00:00.250000Z","last_updated":"2026-11-23T12:00:00.250000Z","kwh":10.500}'
    )
    assert decode(Session, encode(SESSION), "session") == SESSION
    assert decode(Session, encode(SESSION).decode(), "session").kwh.as_tuple() == Decimal("10.500").as_tuple()


def test_unknown_fields_are_ignored() -> None:
    assert decode(TokenRef, b'{"uid":"A","type":"RFID","new":{"a":[1]}}', "token") == TokenRef(
        uid="A", type=TokenType.RFID
    )


MALFORMED = [
    (b"", "$", "not JSON"),
    (b"{", "$", "not JSON"),
    (b'{"uid":"\xff","type":"RFID"}', "$", "not JSON"),
    ('{"uid":"\ud800","type":"RFID"}', "$", "not JSON"),
    (b'{"uid":"\\ud800","type":"RFID"}', "$", "not JSON"),
    (b'{"x":' + b"[" * 50_000, "$", "not JSON"),
    (b'{"uid":"A","type":"RFID"} x', "$", "not JSON"),
    (b"[]", "$", "Expected `object`, got `array`"),
    (b"null", "$", "Expected `object`, got `null`"),
    (b'{"type":"RFID"}', "$", "Object missing required field `uid`"),
    (b'{"uid":5,"type":"RFID"}', "$.uid", "Expected `str`, got `int`"),
    (b'{"uid":"A","type":"rfid"}', "$.type", "Invalid enum value 'rfid'"),
    (b'{"uid":"A","type":"x - at `y`"}', "$.type", "Invalid enum value 'x - at `y`'"),
]


@pytest.mark.parametrize(("data", "where", "named"), MALFORMED)
def test_what_is_wrong_is_named_with_its_path(data: bytes | str, where: str, named: str) -> None:
    with pytest.raises(MalformedValue) as caught:
        decode(TokenRef, data, "token reference")
    error = caught.value
    assert (error.what, error.where, error.code) == ("token reference", where, "malformed-value")
    assert str(error).startswith(f"token reference: {named}")
    assert str(error).endswith(f"(at {where})")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("seq", "1.5"),
        ("seq", "9" * 5000),
        ("mono_ns", "null"),
        ("at", '"2026-11-23T12:00:60Z"'),
        ("at", '"yesterday"'),
        ("kind", '"gossip"'),
        ("clock", '"Trusted"'),
        ("body", "{}"),
        ("boot_id", '"a\\nb"'),
        ("boot_id", '"a\\n"'),
    ],
)
def test_a_record_with_a_wrong_field_is_malformed(field: str, value: str) -> None:
    fields = msgspec.json.decode(encode(RECORD), type=dict[str, msgspec.Raw]) | {field: msgspec.Raw(value.encode())}
    with pytest.raises(MalformedValue, match=rf"\(at \$\.{field}\)$"):
        decode(Record, msgspec.json.encode(fields), "record")


def by_hand(gateway_id: str, epoch: str, prev_hash: str, lines: list[str], body: str) -> str:
    """The hash as the documentation lays it out, written down once more."""
    digest = hashlib.sha256()
    digest.update(bytes.fromhex(prev_hash))
    for line in [gateway_id, epoch, *lines]:
        digest.update(line.encode("utf-8") + b"\x0a")
    digest.update(body.encode("utf-8"))
    return digest.hexdigest()


def test_the_chain_hash_is_laid_out_as_documented() -> None:
    lines = ["7", "transaction", "2026-11-23T12:00:00.250000+00:00", "3f8d6b1e", "123456789", "trusted"]
    for prev_hash in (GENESIS_HASH, "ab" * 32):
        expected = by_hand("site-1", "2026-11-23", prev_hash, lines, RECORD.body)
        assert chain_hash("site-1", "2026-11-23", prev_hash, RECORD) == expected


def test_the_chain_hash_of_a_known_record_never_changes() -> None:
    """A fixed vector, so that a change of the layout cannot pass as long as the test changes with it."""
    assert GENESIS_HASH == "0" * 64
    assert chain_hash("site-1", "e1", GENESIS_HASH, RECORD) == VECTOR


VECTOR = "d68c7aeed1a22a6e9be0db997c3790dfd1a339bc8246091bc677287c90b64eba"


def test_a_salted_record_is_hashed_by_its_commitment() -> None:
    salted = msgspec.structs.replace(RECORD, salt="0f" * 16)
    lines = [b"pncgate record 2", b"site-1", b"e1", b"7", b"transaction", b"2026-11-23T12:00:00.250000+00:00"]
    header = b"".join(line + b"\n" for line in [*lines, b"3f8d6b1e", b"123456789", b"trusted"])
    commitment = hmac.new(bytes.fromhex("0f" * 16), RECORD.body.encode(), "sha256").digest()
    expected = hashlib.sha256(bytes(32) + header + commitment).hexdigest()
    assert chain_hash("site-1", "e1", GENESIS_HASH, salted) == expected


def test_a_record_without_its_content_holds_its_place() -> None:
    salted = msgspec.structs.replace(RECORD, salt="0f" * 16)
    bare = released(salted)
    assert (bare.body, bare.salt, bare.is_released) == ("", "", True)
    assert chain_hash("site-1", "e1", GENESIS_HASH, bare) == chain_hash("site-1", "e1", GENESIS_HASH, salted)
    assert released(bare) == bare
    assert decode(Record, encode(bare), "record") == bare


def test_a_record_of_the_first_form_cannot_let_its_content_go() -> None:
    with pytest.raises(ValueError, match="record 7 covers its body"):
        released(RECORD)


def test_a_record_does_not_carry_content_and_commitment() -> None:
    text = encode(released(msgspec.structs.replace(RECORD, salt="0f" * 16))).replace(b'"body":""', b'"body":"{}"')
    with pytest.raises(MalformedValue, match="commitment"):
        decode(Record, text, "record")


def test_whole_seconds_are_hashed_with_microseconds_too() -> None:
    record = msgspec.structs.replace(RECORD, at=AT.replace(microsecond=0))
    lines = ["7", "transaction", "2026-11-23T12:00:00.000000+00:00", "3f8d6b1e", "123456789", "trusted"]
    assert chain_hash("site-1", "e1", GENESIS_HASH, record) == by_hand("site-1", "e1", GENESIS_HASH, lines, record.body)


def test_values_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        RECORD.seq = 8
