"""Signed tree heads: what is signed, by whose key, and that nothing else passes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wire.errors import MalformedValue
from wire.records import Value, decode, encode
from wire.tree_head import (
    Countersignature,
    SignedTreeHead,
    SigningKey,
    TreeHead,
    TreeHeadError,
    verify_countersignature,
    verify_tree_head,
)

LOG, HUB, OTHER = (SigningKey(bytes([number]) * 32) for number in (1, 2, 3))
AT = datetime(2026, 11, 29, 10, 0, 0, 250000, UTC)
HEAD = TreeHead(gateway_id="site-1", epoch="e1", size=7, root="ab" * 32, at=AT)
SIGNED = LOG.sign_head(HEAD)
COUNTERSIGNED = HUB.countersign(SIGNED, AT + timedelta(seconds=1))


def test_the_signed_text_is_laid_out_as_documented() -> None:
    text = f"pncgate tree head 1\nsite-1\ne1\n7\n{'ab' * 32}\n2026-11-29T10:00:00.250000+00:00\n".encode()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(LOG.public_key))
    key.verify(bytes.fromhex(SIGNED.signature), text)
    lines = (
        f"pncgate countersigned tree head 1\n{LOG.public_key}\n{SIGNED.signature}\n2026-11-29T10:00:01.250000+00:00\n"
    )
    hub = Ed25519PublicKey.from_public_bytes(bytes.fromhex(HUB.public_key))
    hub.verify(bytes.fromhex(COUNTERSIGNED.signature), lines.encode() + text)


def test_what_was_signed_verifies_in_any_offset_and_after_travel() -> None:
    assert verify_tree_head(SIGNED, LOG.public_key) == HEAD
    shifted = msgspec.structs.replace(HEAD, at=AT.astimezone(timezone(timedelta(hours=2))))
    assert verify_tree_head(msgspec.structs.replace(SIGNED, head=shifted), LOG.public_key).at == AT
    travelled = decode(SignedTreeHead, encode(SIGNED), "tree head")
    assert verify_countersignature(travelled, COUNTERSIGNED, HUB.public_key) == AT + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("gateway_id", "site-2"), ("epoch", "e2"), ("size", 8), ("root", "ac" * 32), ("at", AT + timedelta(seconds=1))],
)
def test_no_field_of_a_head_can_be_changed(field: str, value: object) -> None:
    changed = msgspec.structs.replace(SIGNED, head=msgspec.structs.replace(HEAD, **{field: value}))
    with pytest.raises(TreeHeadError) as refused:
        verify_tree_head(changed, LOG.public_key)
    assert refused.value.code == "tree-head-signature"
    with pytest.raises(TreeHeadError):
        verify_countersignature(changed, COUNTERSIGNED, HUB.public_key)


def test_another_key_does_not_pass_whatever_it_signed() -> None:
    for signed in (OTHER.sign_head(HEAD), msgspec.structs.replace(OTHER.sign_head(HEAD), public_key=LOG.public_key)):
        with pytest.raises(TreeHeadError):
            verify_tree_head(signed, LOG.public_key)
    with pytest.raises(TreeHeadError, match="names the key"):
        verify_countersignature(SIGNED, OTHER.countersign(SIGNED, AT), HUB.public_key)
    with pytest.raises(TreeHeadError, match="does not hold"):
        verify_countersignature(SIGNED, msgspec.structs.replace(COUNTERSIGNED, at=AT), HUB.public_key)


def test_a_head_is_one_line_a_field() -> None:
    text = encode(SIGNED).replace(b'"site-1"', b'"site\\n1"')
    with pytest.raises(MalformedValue, match="gateway_id"):
        decode(SignedTreeHead, text, "tree head")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
@pytest.mark.parametrize(("type_", "value"), [(TreeHead, HEAD), (Countersignature, COUNTERSIGNED)])
def test_an_instant_that_utc_does_not_have_is_malformed(type_: type[Value], value: Value, at: str) -> None:
    text = json.dumps({**json.loads(encode(value)), "at": at})
    with pytest.raises(MalformedValue, match="at an end of the calendar"):
        decode(type_, text, "value")
