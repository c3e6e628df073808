"""A hub's token list for the gateway's tests, made of wire's own parts; what it says can be altered on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from gateway.errors import UplinkError
from tests.parts import token
from wire.records import Token, encode
from wire.tokens import TokenKey, token_key
from wire.tree_head import SigningKey
from wire.whitelist import (
    GENESIS_CHAIN,
    PATH_DELTAS,
    PATH_HEAD,
    PATH_MANIFEST,
    PATH_PARTS,
    DeltaContent,
    ListDelta,
    ListDeltas,
    ListHead,
    Manifest,
    PartRef,
    TokenName,
    encode_part,
    make_delta,
    next_chain,
    sign_list_head,
    sign_manifest,
)

KEY, OTHER_KEY = SigningKey(b"\1" * 32), SigningKey(b"\2" * 32)
Lie = Callable[[bytes], bytes]


@dataclass
class ListHub:
    """A hub's list, in small pieces; `lies` alter what lies at a path, after `cut_after` answers there is none."""

    at: datetime
    key: SigningKey = KEY
    gateway_id: str = "site-1"
    version: int = 0
    chain: str = GENESIS_CHAIN
    tokens: dict[TokenKey, Token] = field(default_factory=dict)
    deltas: list[tuple[ListDelta, str]] = field(default_factory=list)
    parts: dict[str, bytes] = field(default_factory=dict)
    manifest: Manifest | None = None
    lies: dict[str, Lie] = field(default_factory=dict)
    cut_after: int | None = None
    asked: list[str] = field(default_factory=list)
    per_answer: int = 2

    def put(self, *tokens: Token, removed: tuple[Token, ...] = ()) -> None:
        names = tuple(TokenName(**{n: getattr(one, n) for n in TokenName.__struct_fields__}) for one in removed)
        delta = make_delta(self.version, self.version + 10, DeltaContent(tokens=tokens, removed=names))
        self.deltas.append((delta, self.chain))
        self.version, self.chain = delta.version, next_chain(self.chain, delta)
        self.tokens |= {token_key(one): one for one in tokens}
        for one in removed:
            del self.tokens[token_key(one)]

    def snapshot(self, *, each: int = 3) -> None:
        tokens, refs = [self.tokens[key] for key in sorted(self.tokens)], list[PartRef]()
        for first in range(0, len(tokens), each):
            ref, octets = encode_part(tokens[first : first + each])
            self.parts[ref.sha256] = octets
            refs.append(ref)
        self.manifest = Manifest(version=self.version, chain=self.chain, parts=tuple(refs))

    async def fetch(self, path: str, *, most: int) -> bytes:
        self.asked.append(path)
        if self.cut_after is not None and len(self.asked) > self.cut_after:
            raise UplinkError("unreachable", "cut")
        answer = self.answer(path)
        if len(answer) > most:
            raise UplinkError("too-long", path)
        return answer

    def answer(self, path: str) -> bytes:
        """What lies at `path`, with its query."""
        url = urlsplit(path)
        answer = self._answer(url.path, {name: values[0] for name, values in parse_qs(url.query).items()})
        for prefix, lie in self.lies.items():
            if url.path.startswith(prefix):
                answer = lie(answer)
        return answer

    def _answer(self, path: str, query: dict[str, str]) -> bytes:
        if path == PATH_HEAD:
            return encode(sign_list_head(self.key, self.head()))
        if path == PATH_MANIFEST:
            if self.manifest is None or self.manifest.version < int(query["least"]):
                self.snapshot()
            assert self.manifest is not None
            return encode(sign_manifest(self.key, self.manifest))
        if path == PATH_DELTAS:
            return encode(ListDeltas(deltas=self.since(int(query["since"]), query["chain"])))
        return self.parts[path.removeprefix(PATH_PARTS + "/")]

    def since(self, version: int, chain: str) -> tuple[ListDelta, ...] | None:
        for index, (delta, before) in enumerate(self.deltas):
            if (delta.since, before) == (version, chain):
                return tuple(delta for delta, _ in self.deltas[index : index + self.per_answer])
        return () if (version, chain) == (self.version, self.chain) else None

    def head(self) -> ListHead:
        until = self.at + timedelta(days=7)
        return ListHead(
            gateway_id=self.gateway_id,
            version=self.version,
            chain=self.chain,
            tokens=len(self.tokens),
            issued_at=self.at,
            not_after=until,
        )


def cards(first: int, last: int) -> list[Token]:
    return [token(f"{number:08X}") for number in range(first, last)]
