"""Calls to a partner: one request, one answer read in both of its layers, HTTP and OCPI.

Rules
1. Only https and only the hosts registered for the partner are called; its token goes nowhere else, and no redirect is
   followed.
2. Every call has a new request id; the correlation id is the caller's, or new.
3. An answer is bounded in size and time. One that is no OCPI envelope is an error that says what came instead.
4. Nothing is tried twice here.

Source: OCPI 2.3.0 transport_and_format.
"""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from hub.errors import HubError
from hub.roaming.partners import Partner
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.authorization import authorization
from wire.ocpi.document import encode_document, parse_document, view
from wire.ocpi.envelope import Envelope
from wire.ocpi.headers import MessageIds
from wire.ocpi.routing import Routing
from wire.ocpi.types import InterfaceRole, Module
from wire.ocpi.urls import joined, require_registered

TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class CallFailed(HubError):
    """Raised when a partner could not be called, or did not do what was asked. `http` and `status` are what it
    answered, None as far as it did not."""

    def __init__(self, code: str, message: str, *, http: int | None = None, status: int | None = None) -> None:
        super().__init__(code, message)
        self.http, self.status = http, status


@dataclass(frozen=True, slots=True)
class Reply:
    """A partner's answer: its envelope, whose `data` stands here, parsed; None without any."""

    http: int
    envelope: Envelope
    data: object
    headers: Mapping[str, str]


def partner_context(ca: Path | None) -> ssl.SSLContext:
    """The TLS settings of calls to partners; with the roots in `ca`, those of the system without.

    Raises:
        CallFailed: `ca` cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise CallFailed("bad-ca", f"{ca}: cannot be used as roots of partners: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def partner_session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    """The connections to all partners. To be closed; belongs to the running event loop."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context, limit_per_host=8),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class PartnerClient:
    """Calls one partner. `token` stands in for the partner's own while credentials are exchanged."""

    def __init__(self, partner: Partner, session: aiohttp.ClientSession, token: str | None = None) -> None:
        self._partner, self._session = partner, session
        self._token = token or partner.token_out

    def at(self, url: str, *path: str, query: Mapping[str, str] | None = None) -> str:
        """A URL of the partner, or one below it, with a slash at its end if the partner wants one."""
        return joined(url, *path, query=query, slash=self._partner.quirks.trailing_slash)

    async def call(
        self,
        method: str,
        module: Module,
        role: InterfaceRole,
        *path: str,
        query: Mapping[str, str] | None = None,
        routing: Routing | None = None,
        document: object = None,
        correlation_id: str | None = None,
    ) -> Reply:
        """The good answer of one side of a module.

        Raises:
            CallFailed: there is none.
        """
        endpoint = self._partner.endpoint(module, role)
        if endpoint is None:
            message = f"partner {self._partner.id}: has no {role.value} side of {module.value}"
            raise CallFailed("no-endpoint", message)
        url = self.at(endpoint, *path, query=query)
        return await self.ask(method, url, routing=routing, document=document, correlation_id=correlation_id)

    async def ask(
        self,
        method: str,
        url: str,
        *,
        routing: Routing | None = None,
        document: object = None,
        correlation_id: str | None = None,
    ) -> Reply:
        """The good answer of a URL at the partner's.

        Raises:
            CallFailed: there is none; the URL is not at a registered host; the partner has no token of ours.
        """
        reply = await self.exchange(method, url, routing=routing, document=document, correlation_id=correlation_id)
        if not reply.envelope.succeeded:
            code, said = reply.envelope.status_code, reply.envelope.status_message or ""
            message = f"{self._told(method, url)}: OCPI status {code} {said[:200]}".rstrip()
            raise CallFailed("refused", message, http=reply.http, status=code)
        return reply

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        routing: Routing | None = None,
        document: object = None,
        correlation_id: str | None = None,
    ) -> Reply:
        """The answer of a URL at the partner's, whatever its envelope says. Raises CallFailed."""
        ids = MessageIds(str(uuid.uuid4()), correlation_id or str(uuid.uuid4()))
        try:
            require_registered(url, self._partner.hosts)
            headers = {**self._authorized(), **ids.headers(), **(routing.headers() if routing else {})}
        except OCPIRefused as error:
            raise CallFailed(error.code, f"partner {self._partner.id}: {error}") from error
        body = None
        if document is not None:
            body, headers["Content-Type"] = encode_document(document), "application/json"
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as found:
                content = await _bounded(found)
                return self._read(method, url, found.status, content, found.headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise CallFailed("unreachable", f"{self._told(method, url)}: {reason}") from error

    def _authorized(self) -> dict[str, str]:
        if self._token is None:
            raise OCPIRefused("no-token", "Authorization", "no token of this partner is known; register with it first")
        return {"Authorization": authorization(self._token, raw=self._partner.quirks.raw_token)}

    def _told(self, method: str, url: str) -> str:
        return f"partner {self._partner.id}: {method} {url[:200]}"

    def _read(self, method: str, url: str, http: int, content: bytes, headers: Mapping[str, str]) -> Reply:
        told = self._told(method, url)
        if 300 <= http < 400:
            where = headers.get("Location", "")[:200]
            message = f"{told}: HTTP {http} to {where!r}; if only a slash is missing, set the quirk trailing_slash"
            raise CallFailed("redirected", message, http=http)
        try:
            found = parse_document(content, "answer")
            data = found.pop("data", None) if isinstance(found, dict) else None
            envelope = view(found, Envelope, "answer")
        except MalformedValue as error:
            code = "unauthorized" if http in (401, 403) else "not-ocpi"
            message = f"{told}: HTTP {http} without an OCPI envelope: {error}"
            raise CallFailed(code, message, http=http) from error
        if http in (401, 403):
            raise CallFailed("unauthorized", f"{told}: HTTP {http}: our token is not known", http=http)
        if http >= 400 and envelope.succeeded:
            raise CallFailed("not-ocpi", f"{told}: HTTP {http} with OCPI status {envelope.status_code}", http=http)
        return Reply(http, envelope, data, headers)


async def _bounded(found: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in found.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"more than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)
