"""Signed tree heads: a gateway says how long its log is and what is in it, a hub says that it saw the same. Pure.

Rules
1. A gateway signs (gateway, epoch, size, root, time) with the key of its log, which lives as long as the log's epoch.
   Whoever holds two heads that are not consistent (`wire.merkle`) holds the proof that the log was cut or forked.
2. A hub countersigns a head only after it recomputed the root from the records that it holds itself.
3. Each signature covers a text that names what it is for, so none can be used for anything else.
4. Keys are Ed25519: one form, one signature for each text. Which key is the right one is the caller's knowledge.

Source: RFC 6962 3.5 for the idea; RFC 8032; design of this project, docs/decisions/0009.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wire.chain import Hex32, instant_text, require_within_calendar
from wire.errors import WireError
from wire.records import Value

Hex64 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]
Line = Annotated[str, msgspec.Meta(pattern=r"\A[^\n]{1,128}\Z")]


class TreeHeadError(WireError):
    """Raised when a signature does not stand behind a tree head: `tree-head-signature`, or `tree-head-key` when it is
    another key's than the one that was expected."""


class TreeHead(Value, frozen=True, kw_only=True):
    """What a log is at an instant: `size` entries under `root` (hex), as `gateway_id` says of its `epoch`."""

    gateway_id: Line
    epoch: Line
    size: Annotated[int, msgspec.Meta(ge=0)]
    root: Hex32
    at: Annotated[datetime, msgspec.Meta(tz=True)]

    def __post_init__(self) -> None:
        require_within_calendar(self.at)


class SignedTreeHead(Value, frozen=True, kw_only=True):
    """A tree head with the gateway's signature; `public_key` is the log's (32 bytes, hex), a claim until compared."""

    head: TreeHead
    public_key: Hex32
    signature: Hex64


class Countersignature(Value, frozen=True, kw_only=True):
    """A hub's word that it holds the very log of a signed head; `public_key` is the hub's, a claim until compared."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    public_key: Hex32
    signature: Hex64

    def __post_init__(self) -> None:
        require_within_calendar(self.at)


class SigningKey:
    """An Ed25519 key that signs tree heads: a log's or a hub's."""

    def __init__(self, secret: bytes) -> None:
        """Takes the 32 secret bytes. Raises ValueError for another length."""
        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.public_key = self._key.public_key().public_bytes_raw().hex()

    def sign(self, statement: bytes) -> str:
        """The signature (hex) over a statement, whose first line says what it is for (rule 3)."""
        return self._key.sign(statement).hex()

    def sign_head(self, head: TreeHead) -> SignedTreeHead:
        """The head with this log's signature. About 50 us."""
        return SignedTreeHead(head=head, public_key=self.public_key, signature=self.sign(_head_text(head)))

    def countersign(self, signed: SignedTreeHead, at: datetime) -> Countersignature:
        """This hub's signature under a head that it has verified."""
        return Countersignature(at=at, public_key=self.public_key, signature=self.sign(_countersigned_text(signed, at)))


def verify_tree_head(signed: SignedTreeHead, log_key: str) -> TreeHead:
    """The head, if the log with the public key `log_key` (hex) signed it.

    Raises:
        TreeHeadError: `tree-head-key`, `tree-head-signature`.
    """
    require_signed(signed.public_key, log_key, signed.signature, _head_text(signed.head), "tree head")
    return signed.head


def verify_countersignature(signed: SignedTreeHead, counter: Countersignature, hub_key: str) -> datetime:
    """When the hub with the public key `hub_key` (hex) saw the log of `signed`. The head's own signature is not looked
    at here.

    Raises:
        TreeHeadError: `tree-head-key`, `tree-head-signature`.
    """
    text = _countersigned_text(signed, counter.at)
    require_signed(counter.public_key, hub_key, counter.signature, text, "countersignature")
    return counter.at


def require_signed(named: str, expected: str, signature: str, statement: bytes, what: str) -> None:
    """Return if the key that is `named` is the `expected` one (hex) and made `signature` (hex) over `statement`.

    Raises:
        TreeHeadError: `tree-head-key`, `tree-head-signature`; names `what` was signed.
    """
    if named != expected:
        message = f"the {what} names the key {named[:16]}, expected {expected[:16]}"
        raise TreeHeadError("tree-head-key", message)
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(named)).verify(bytes.fromhex(signature), statement)
    except (InvalidSignature, ValueError) as error:
        raise TreeHeadError("tree-head-signature", f"the signature of the {what} does not hold") from error


def _head_text(head: TreeHead) -> bytes:
    lines = ("pncgate tree head 1", head.gateway_id, head.epoch, str(head.size), head.root, instant_text(head.at))
    return "\n".join(lines).encode() + b"\n"


def _countersigned_text(signed: SignedTreeHead, at: datetime) -> bytes:
    lines = ("pncgate countersigned tree head 1", signed.public_key, signed.signature, instant_text(at))
    return "\n".join(lines).encode() + b"\n" + _head_text(signed.head)
