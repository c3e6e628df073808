"""How a hub gives its token list to gateways: a signed head, a snapshot in parts, and a chain of deltas. Pure.

Rules
1. A list has versions, each greater than the one before. Every version has a chain value, the hash of all deltas that
   led to it: whoever holds a version with its chain value holds the hub's list, whichever way he came to it.
2. A `ListHead` says which version is the newest, for one gateway and not for ever; the hub signs it. A gateway takes no
   head of another key, another gateway, of before its own version, or that has ended.
3. A snapshot is whole as of one version. Its manifest, signed, names each part by its SHA-256: parts may be fetched in
   any order, again, and from anywhere. What has changed since comes as deltas.
4. A delta is a text that is hashed as it stands. One that does not begin where the list stands, or whose chain value is
   not the next, is refused before anything of it is read.
5. A part is bounded before it is unpacked: by its length, and by the length of what it unpacks to.

Source: OCPI 2.3.0 mod_tokens for what a token is; The Update Framework 1.0 for what signed metadata has to withstand;
docs/decisions/0011.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from wire.chain import GENESIS_HASH, Hex32, instant_text, require_within_calendar
from wire.errors import MalformedValue, WireError
from wire.records import Token, TokenType, Value, WhitelistType, encode
from wire.tree_head import Hex64, Line, SigningKey, require_signed

PATH_HEAD = "/sync/v1/whitelist/head"
PATH_MANIFEST = "/sync/v1/whitelist/manifest"
PATH_PARTS = "/sync/v1/whitelist/parts"
PATH_DELTAS = "/sync/v1/whitelist/deltas"

PART_TOKENS = 32_768
MAX_PARTS = 4096
MAX_PART_BYTES = 8 * 1024 * 1024
MAX_PART_UNPACKED = 32 * 1024 * 1024
MAX_DELTA_TOKENS = 10_000
GENESIS_CHAIN = GENESIS_HASH
"""The chain value of version 0, the empty list."""

_THE_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class ListError(WireError):
    """Raised when a head, a manifest, a part or a delta must not be taken: `list-gateway`, `list-ended`, `list-older`,
    `list-forked`, `list-manifest`, `list-part`, `list-delta`. Signatures that do not hold raise TreeHeadError."""


class ListHead(Value, frozen=True, kw_only=True):
    """The newest version of the hub's list with its chain value and length, as told to `gateway_id` from `issued_at`
    to `not_after`."""

    gateway_id: Line
    version: Version
    chain: Hex32
    tokens: Count
    issued_at: Annotated[datetime, msgspec.Meta(tz=True)]
    not_after: Annotated[datetime, msgspec.Meta(tz=True)]

    def __post_init__(self) -> None:
        require_within_calendar(self.issued_at)
        require_within_calendar(self.not_after)


class SignedListHead(Value, frozen=True, kw_only=True):
    """A head with the hub's signature; `public_key` (hex) is a claim until compared."""

    head: ListHead
    public_key: Hex32
    signature: Hex64


class PartRef(Value, frozen=True, kw_only=True):
    """One part of a snapshot: the SHA-256 of its octets (hex), how many octets and how many tokens."""

    sha256: Hex32
    octets: Annotated[int, msgspec.Meta(ge=1, le=MAX_PART_BYTES)]
    tokens: Annotated[int, msgspec.Meta(ge=1, le=PART_TOKENS)]


class Manifest(Value, frozen=True, kw_only=True):
    """What a snapshot consists of; `version` and `chain` as in the head, when the snapshot was made."""

    version: Version
    chain: Hex32
    parts: Annotated[tuple[PartRef, ...], msgspec.Meta(max_length=MAX_PARTS)]

    @property
    def tokens(self) -> int:
        """How many tokens the parts hold together."""
        return sum(part.tokens for part in self.parts)

    @property
    def octets(self) -> int:
        """How many octets the parts have together."""
        return sum(part.octets for part in self.parts)


class SignedManifest(Value, frozen=True, kw_only=True):
    """A manifest with the hub's signature; `public_key` (hex) is a claim until compared."""

    manifest: Manifest
    public_key: Hex32
    signature: Hex64


class TokenName(Value, frozen=True, kw_only=True):
    """What names a token that is on the list no longer (OCPI 2.3.0 mod_tokens: a token's key)."""

    country_code: str
    party_id: str
    type: TokenType
    uid: str


class DeltaContent(Value, frozen=True, kw_only=True):
    """What a delta changes: tokens that are new or different, and tokens that are gone. `salt` is random: once the text
    is let go, nobody finds out from the chain value what stood in it by trying."""

    tokens: Annotated[tuple[Token, ...], msgspec.Meta(max_length=MAX_DELTA_TOKENS)] = ()
    removed: Annotated[tuple[TokenName, ...], msgspec.Meta(max_length=MAX_DELTA_TOKENS)] = ()
    salt: str = ""


class ListDelta(Value, frozen=True, kw_only=True):
    """What brings the list from version `since` to `version`; `content` is the text of a `DeltaContent`."""

    since: Version
    version: Version
    content: str


class ListDeltas(Value, frozen=True, kw_only=True):
    """Deltas in order, the first of them `since` what was asked for, as many as fit into an answer; None when the hub
    knows no such version with that chain value, or not that far back: then a snapshot is needed."""

    deltas: tuple[ListDelta, ...] | None


class Form(msgspec.Struct, frozen=True, array_like=True):
    """What many tokens of a part have in common."""

    country_code: str
    party_id: str
    type: TokenType
    issuer: str
    valid: bool
    whitelist: WhitelistType
    group_id: str | None = None
    language: str | None = None


class Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One token of a part: the number of its form, and what is its own; `updated` in microseconds since 1970."""

    form: int
    uid: str
    contract_id: str
    updated: int
    visual_number: str | None = None


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A part, unpacked: every row's form is one of `forms`."""

    forms: tuple[Form, ...]
    rows: list[Row]

    def tokens(self) -> Iterator[Token]:
        """The tokens, in the order of the rows."""
        for row in self.rows:
            yield token_of(self.forms[row.form], row)


_part_encoder = msgspec.msgpack.Encoder()
_part_decoder = msgspec.msgpack.Decoder(Part)


def form_of(token: Token) -> Form:
    """What `token` may have in common with others."""
    return Form(
        token.country_code,
        token.party_id,
        token.type,
        token.issuer,
        token.valid,
        token.whitelist,
        token.group_id,
        token.language,
    )


def updated_of(token: Token) -> int:
    """When the token was updated, in microseconds since 1970; an instant without an offset counts as UTC (OCPI)."""
    at = token.last_updated
    return ((at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - _THE_EPOCH) // _MICROSECOND


def token_of(form: Form, row: Row) -> Token:
    """The token that a form and a row make. Raises OverflowError for an instant outside the calendar."""
    return Token(
        country_code=form.country_code,
        party_id=form.party_id,
        uid=row.uid,
        type=form.type,
        contract_id=row.contract_id,
        issuer=form.issuer,
        valid=form.valid,
        whitelist=form.whitelist,
        last_updated=_THE_EPOCH + timedelta(microseconds=row.updated),
        visual_number=row.visual_number,
        group_id=form.group_id,
        language=form.language,
    )


def encode_part(tokens: Iterable[Token]) -> tuple[PartRef, bytes]:
    """A part of at most PART_TOKENS tokens, in their order, and what names it. Raises ValueError for none, too many,
    and a part that would be too long."""
    forms: dict[Form, int] = {}
    rows = []
    for token in tokens:
        number = forms.setdefault(form_of(token), len(forms))
        rows.append(Row(number, token.uid, token.contract_id, updated_of(token), token.visual_number))
    if not 1 <= len(rows) <= PART_TOKENS:
        raise ValueError(f"a part holds 1 to {PART_TOKENS} tokens, not {len(rows)}")
    unpacked = _part_encoder.encode(Part(tuple(forms), rows))
    octets = zlib.compress(unpacked, 3)
    if len(unpacked) > MAX_PART_UNPACKED or len(octets) > MAX_PART_BYTES:
        raise ValueError(f"a part of {len(rows)} tokens would have {len(octets)} octets, {len(unpacked)} unpacked")
    return PartRef(sha256=hashlib.sha256(octets).hexdigest(), octets=len(octets), tokens=len(rows)), octets


def parse_part(ref: PartRef, octets: bytes) -> Part:
    """The part that `ref` names, if `octets` are that. Rule 5.

    Raises:
        ListError: `list-part`: other octets, not unpackable, too long, or not what a part is.
    """
    if len(octets) != ref.octets or hashlib.sha256(octets).hexdigest() != ref.sha256:
        raise ListError("list-part", f"part {ref.sha256[:16]}: {len(octets)} octets that are not those of the manifest")
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(octets, MAX_PART_UNPACKED)
        if not unpacking.eof or unpacking.unused_data:
            raise ListError("list-part", f"part {ref.sha256[:16]}: longer than a part may be, or cut off")
        part = _part_decoder.decode(unpacked)
    except (zlib.error, msgspec.DecodeError, UnicodeError) as error:
        raise ListError("list-part", f"part {ref.sha256[:16]}: {error}") from error
    if len(part.rows) != ref.tokens:
        raise ListError("list-part", f"part {ref.sha256[:16]}: {len(part.rows)} tokens, its manifest says {ref.tokens}")
    known = len(part.forms)
    if not all(0 <= row.form < known for row in part.rows):
        raise ListError("list-part", f"part {ref.sha256[:16]}: a token has a form that is not there")
    return part


def next_chain(chain: str, delta: ListDelta) -> str:
    """The chain value (hex) after `delta`, from the one before: SHA-256 over a line that says what it is for, the chain
    value before, both versions, each with a line feed, then the delta's text."""
    head = f"pncgate list delta 1\n{chain}\n{delta.since}\n{delta.version}\n"
    return hashlib.sha256(head.encode() + delta.content.encode()).hexdigest()


def make_delta(since: int, version: int, content: DeltaContent) -> ListDelta:
    """The delta with that content."""
    return ListDelta(since=since, version=version, content=encode(content).decode())


def parse_delta(delta: ListDelta) -> DeltaContent:
    """What a delta changes; that it is the hub's is told by its chain value. Raises MalformedValue."""
    try:
        return msgspec.json.decode(delta.content, type=DeltaContent)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedValue("whitelist delta", "$", str(error)) from error


def require_chain(version: int, chain: str, deltas: Sequence[ListDelta], head: ListHead) -> None:
    """Return if `deltas` lead from a list at `version` with chain value `chain` to `head`, one after the other.

    Raises:
        ListError: `list-delta`; nothing of the deltas may be used.
    """
    for delta in deltas:
        if delta.since != version or delta.version <= version:
            message = f"a delta from version {delta.since} to {delta.version} does not continue version {version}"
            raise ListError("list-delta", message)
        version, chain = delta.version, next_chain(chain, delta)
    if (version, chain) != (head.version, head.chain):
        message = f"the deltas lead to version {version}, chain {chain[:16]}"
        raise ListError("list-delta", f"{message}; the head says {head.version}, {head.chain[:16]}")


def sign_list_head(key: SigningKey, head: ListHead) -> SignedListHead:
    """The head with the hub's signature."""
    return SignedListHead(head=head, public_key=key.public_key, signature=key.sign(_head_text(head)))


def verify_list_head(signed: SignedListHead, hub_key: str, gateway_id: str, at: datetime) -> ListHead:
    """The head, if the hub with the public key `hub_key` (hex) signed it for this gateway and it has not ended.

    Raises:
        TreeHeadError: `tree-head-key`, `tree-head-signature`.
        ListError: `list-gateway`, `list-ended`.
    """
    require_signed(signed.public_key, hub_key, signed.signature, _head_text(signed.head), "whitelist head")
    head = signed.head
    if head.gateway_id != gateway_id:
        raise ListError("list-gateway", f"the whitelist head is for gateway {head.gateway_id}, this is {gateway_id}")
    if head.not_after < at:
        message = f"the whitelist head has ended at {instant_text(head.not_after)}, judged at {instant_text(at)}"
        raise ListError("list-ended", message)
    return head


def sign_manifest(key: SigningKey, manifest: Manifest) -> SignedManifest:
    """The manifest with the hub's signature."""
    signature = key.sign(_manifest_text(manifest))
    return SignedManifest(manifest=manifest, public_key=key.public_key, signature=signature)


def verify_manifest(signed: SignedManifest, hub_key: str) -> Manifest:
    """The manifest, if the hub with the public key `hub_key` (hex) signed it.

    Raises:
        TreeHeadError: `tree-head-key`, `tree-head-signature`.
    """
    text = _manifest_text(signed.manifest)
    require_signed(signed.public_key, hub_key, signed.signature, text, "whitelist manifest")
    return signed.manifest


def _head_text(head: ListHead) -> bytes:
    until = (instant_text(head.issued_at), instant_text(head.not_after))
    lines = ("pncgate whitelist head 1", head.gateway_id, str(head.version), head.chain, str(head.tokens), *until)
    return "\n".join(lines).encode() + b"\n"


def _manifest_text(manifest: Manifest) -> bytes:
    parts = (f"{part.sha256} {part.octets} {part.tokens}" for part in manifest.parts)
    lines = ("pncgate whitelist manifest 1", str(manifest.version), manifest.chain, *parts)
    return "\n".join(lines).encode() + b"\n"
