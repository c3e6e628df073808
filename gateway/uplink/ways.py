"""The ways by which lists and answers come: of the hub, which has fetched them for its gateways, and of the PKI itself.

Rules
1. Where the hub is asked, it is asked first. What it has not, or what of it is refused, is asked of the PKI itself.
2. The hub's word is no evidence: what it gives goes through the same verification as what comes from the PKI, and what
   is refused is counted, said and noted in the audit log, once for each kind of trouble with a source.
3. The hub is asked for what it gave last only if it has another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from types import TracebackType
from typing import Protocol

from gateway.errors import DownloadError, UplinkError
from gateway.log import say
from gateway.store.evidence import EvidenceStore
from gateway.uplink.download import Downloader
from gateway.uplink.exchange import HubExchange
from pki.errors import PKIError, TrustError
from wire.revocation import LIMITS, BadEvidenceQuestion, EvidenceKind, EvidenceSource, etag_of

MAX_TAGS = 1024
"""More than there are lists; beyond it, all is asked for whole once more."""
Audit = Callable[[str, str], Awaitable[None]]


class Way(Protocol):
    """Where octets come from."""

    async def fetch(self, kind: EvidenceKind, url: str, request: bytes = b"") -> bytes:
        """What lies at a URL; with OCSP, the answer to a request. Raises DownloadError."""


Fetch = Callable[[Way, datetime], Awaitable[datetime | None]]
"""Fetches by a way, at an instant, and puts it in force: until when it lasts, None when that is not known.
Raises GatewayError, PKIError."""


class Direct:
    """The PKI itself."""

    def __init__(self, downloader: Downloader) -> None:
        self._downloader = downloader

    async def fetch(self, kind: EvidenceKind, url: str, request: bytes = b"") -> bytes:
        """As Way.fetch."""
        if kind is EvidenceKind.OCSP:
            media = "application/ocsp-request"
            return await self._downloader.fetch(url, LIMITS[kind], body=request, content_type=media)
        return await self._downloader.fetch(url, LIMITS[kind])


class ByHub:
    """The hub, whose tags are remembered for what the store holds."""

    def __init__(self, exchange: HubExchange, store: EvidenceStore) -> None:
        self._exchange, self._store = exchange, store
        self._tags: dict[str, str] = {}

    async def fetch(self, kind: EvidenceKind, url: str, request: bytes = b"") -> bytes:
        """As Way.fetch. Raises DownloadError, with the code of what keeps the hub away, `not-held` when it has none."""
        try:
            source = EvidenceSource(kind, url, request)
        except BadEvidenceQuestion as error:
            raise DownloadError(error.code, f"the hub cannot be asked: {error}") from error
        try:
            tag = self._tags.get(source.name, "")
            found = await self._exchange.fetch_unless(source.path, tag, most=LIMITS[kind])
            if found is None:
                held = await asyncio.to_thread(self._held, kind, tag)
                found = held or await self._exchange.fetch(source.path, most=LIMITS[kind])
        except UplinkError as error:
            raise DownloadError("not-held" if error.status == 404 else error.code, f"by the hub: {error}") from error
        if kind is not EvidenceKind.OCSP:
            if len(self._tags) >= MAX_TAGS:
                self._tags.clear()
            self._tags[source.name] = etag_of(found)
        return found

    def forget(self) -> None:
        """Ask for everything whole again."""
        self._tags.clear()

    async def close(self) -> None:
        """Close the connections."""
        await self._exchange.close()

    def _held(self, kind: EvidenceKind, tag: str) -> bytes | None:
        roots = self._store.trust_list()
        held: Iterable[bytes] = (
            self._store.crls() if kind is EvidenceKind.CRL else () if roots is None else (roots.der,)
        )
        return next((der for der in held if etag_of(der) == tag), None)


class Ways:
    """The way by the hub, where there is one, before that to the PKI."""

    def __init__(self, direct: Way, hub: ByHub | None, audit: Audit) -> None:
        self._direct, self._hub, self._audit = direct, hub, audit
        self._trouble: dict[str, str] = {}
        self.refused = Counter[str]()
        """How often something of the hub was refused since the start, by code."""

    async def fetched(self, name: str, fetch: Fetch, at: datetime, *, shown: bool = True) -> datetime | None:
        """Fetch a source by the first way that brings what is good. Of one that is not `shown` nothing is said, only
        counted. Raises GatewayError, PKIError, of the last way."""
        if self._hub is None:
            return await _lasting(fetch, self._direct, at)
        try:
            until = await _lasting(fetch, self._hub, at)
        except DownloadError as error:
            trouble: DownloadError | PKIError = error
        except PKIError as error:
            trouble = error
            self._hub.forget()
            self.refused[error.code] += 1
        else:
            self._trouble.pop(name, None)
            return until
        if shown:
            await self._tell(name, trouble)
        try:
            return await _lasting(fetch, self._direct, at)
        except DownloadError as error:
            if isinstance(trouble, PKIError):
                raise trouble from error
            raise DownloadError(error.code, f"{error}; and {trouble}") from error

    def forget(self, name: str) -> None:
        """A source is no more."""
        self._trouble.pop(name, None)

    async def __aenter__(self) -> Ways:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._hub is not None:
            await self._hub.close()

    async def _tell(self, name: str, trouble: DownloadError | PKIError) -> None:
        if self._trouble.get(name) == trouble.code:
            return
        self._trouble[name] = trouble.code
        if isinstance(trouble, PKIError):
            counted = self.refused[trouble.code]
            say(
                "hub-evidence-refused",
                level="error",
                source=name,
                code=trouble.code,
                reason=str(trouble),
                count=counted,
            )
            await self._audit("evidence-refused", f"{name}, by the hub: {trouble.code}: {trouble}")
        else:
            say("hub-has-none", level="info", source=name, code=trouble.code, reason=str(trouble))


async def _lasting(fetch: Fetch, way: Way, at: datetime) -> datetime | None:
    until = await fetch(way, at)
    if until is not None and until <= at:
        # It was taken, because it is the newest there is; but whoever makes it has stopped to.
        raise TrustError("stale", f"what was fetched ran out {until}")
    return until
