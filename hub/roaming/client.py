"""Calls to a partner: one request, one answer read in both of its layers, HTTP and OCPI.

Rules
1. Only https and only the hosts registered for the partner are called; its token goes nowhere else, and no redirect is
   followed.
2. Every call has a new request id; the correlation id is the caller's, or new.
3. An answer is bounded in size and time. One that is no OCPI envelope is an error that says what came instead.
4. Nothing is tried twice here. What nobody can know to have arrived is `uncertain`; what never left is not.
5. An answer with another request or correlation id than was sent is none of ours; one without is borne, and said in
   the log unless that is a quirk of the partner.

Source: OCPI 2.3.0 transport_and_format.
"""

from __future__ import annotations

import logging
import ssl
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from hub.errors import HubError
from hub.roaming.partners import Partner
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.authorization import authorization
from wire.ocpi.document import encode_document, parse_document, view
from wire.ocpi.envelope import Envelope, StatusCode
from wire.ocpi.headers import CORRELATION_ID, REQUEST_ID, MessageIds, answers
from wire.ocpi.routing import Routing
from wire.ocpi.types import InterfaceRole, Module
from wire.ocpi.urls import joined, require_registered
from wire.records import decode

_log = logging.getLogger(__name__)

TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
CONNECTIONS_PER_HOST = 16
_UNROUTED = Routing()
_UNKNOWN = (StatusCode.UNKNOWN_LOCATION, StatusCode.UNKNOWN_TOKEN)


class CallFailed(HubError):
    """Raised when a partner could not be called, or did not do what was asked. `http` and `status` are what it
    answered, None as far as it did not. `uncertain`: it may have done it all the same;
    `timed_out`: no answer came in time."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        http: int | None = None,
        status: int | None = None,
        uncertain: bool = False,
        timed_out: bool = False,
    ) -> None:
        super().__init__(code, message)
        self.http, self.status = http, status
        self.uncertain, self.timed_out = uncertain, timed_out

    @property
    def unknown_there(self) -> bool:
        """Whether the partner says that it has no such object."""
        return self.http == 404 or self.status in _UNKNOWN


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked besides method and URL. `document` is sent as JSON, `content` as the octets that it is; at most
    one of them is given. `correlation_id` is new where it is None. A call may take `timeout_s`."""

    routing: Routing = _UNROUTED
    document: object = None
    content: bytes | None = None
    correlation_id: str | None = None
    timeout_s: float = TIMEOUT_S


@dataclass(frozen=True, slots=True)
class Reply:
    """A partner's answer, good or not: its envelope, in which `data` is JSON as it came."""

    http: int
    envelope: Envelope
    headers: Mapping[str, str]

    @property
    def data(self) -> Any:
        """What `data` holds; None without any. Raises MalformedValue."""
        raw = bytes(self.envelope.data)
        return parse_document(raw, "answer") if raw else None


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
        connector=aiohttp.TCPConnector(ssl=context, limit_per_host=CONNECTIONS_PER_HOST, keepalive_timeout=60.0),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class PartnerClient:
    """Calls one partner. `token` stands in for the partner's own while credentials are exchanged."""

    def __init__(self, partner: Partner, session: aiohttp.ClientSession, token: str | None = None) -> None:
        self._partner, self._session = partner, session
        self._token = token or partner.token_out

    async def call(
        self,
        method: str,
        module: Module,
        role: InterfaceRole,
        *path: str,
        query: Mapping[str, str] | None = None,
        question: Question = Question(),
    ) -> Reply:
        """The good answer of one side of a module.

        Raises:
            CallFailed: there is none.
        """
        return await self.ask(method, self.url(module, role, *path, query=query), question)

    def at(self, url: str) -> str:
        """A URL of the partner, with a slash at its end if the partner wants one."""
        return joined(url, slash=self._partner.quirks.trailing_slash)

    def url(self, module: Module, role: InterfaceRole, *path: str, query: Mapping[str, str] | None = None) -> str:
        """The URL of an object, or of the whole, at one side of a module.

        Raises:
            CallFailed: the partner has no such side (`no-endpoint`), or no URL names this object (`bad-segment`).
        """
        endpoint = self._partner.endpoint(module, role)
        if endpoint is None:
            message = f"partner {self._partner.id} has no {role.value} side of {module.value}"
            if not self._partner.registered:
                message = f"partner {self._partner.id} is not registered, so none of its sides are known"
            raise CallFailed("no-endpoint", message)
        try:
            return joined(endpoint, *path, query=query, slash=self._partner.quirks.trailing_slash)
        except OCPIRefused as error:
            raise CallFailed(error.code, f"partner {self._partner.id}: {error}") from error

    async def ask(self, method: str, url: str, question: Question = Question()) -> Reply:
        """The good answer of a URL at the partner's.

        Raises:
            CallFailed: there is none; the URL is not at a registered host; the partner has no token of ours.
        """
        reply = await self.exchange(method, url, question)
        if reply.http in (401, 403):
            told = self._told(method, url)
            raise CallFailed("unauthorized", f"{told}: HTTP {reply.http}: our token is not known", http=reply.http)
        if not reply.envelope.succeeded:
            code, said = reply.envelope.status_code, reply.envelope.status_message or ""
            message = f"{self._told(method, url)}: OCPI status {code} {said[:200]}".rstrip()
            raise CallFailed("refused", message, http=reply.http, status=code)
        if reply.http >= 400:
            message = f"{self._told(method, url)}: HTTP {reply.http} with OCPI status {reply.envelope.status_code}"
            raise CallFailed("not-ocpi", message, http=reply.http)
        return reply

    async def exchange(self, method: str, url: str, question: Question = Question()) -> Reply:
        """The answer of a URL at the partner's, whatever its status and its envelope say. Raises CallFailed."""
        ids = MessageIds(str(uuid.uuid4()), question.correlation_id or str(uuid.uuid4()))
        try:
            require_registered(url, self._partner.hosts)
            headers = {**self._authorized(), **ids.headers(), **question.routing.headers()}
        except OCPIRefused as error:
            raise CallFailed(error.code, f"partner {self._partner.id}: {error}") from error
        body = question.content
        if question.document is not None:
            body = encode_document(question.document)
        if body is not None:
            headers["Content-Type"] = "application/json"
        told = self._told(method, url)
        try:
            async with self._session.request(
                method, URL(url, encoded=True), data=body, headers=headers, allow_redirects=False,
                timeout=_timeout(question.timeout_s),
            ) as found:  # fmt: skip
                content = await _bounded(found)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise CallFailed("unreachable", f"{told}: {_reason(error)}") from error
        except TimeoutError as error:
            message = f"{told}: no answer within {question.timeout_s:g} s"
            raise CallFailed("timeout", message, uncertain=True, timed_out=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise CallFailed("unreachable", f"{told}: {_reason(error)}", uncertain=True) from error
        self._check_ids(told, found.headers, ids)
        return self._read(told, found.status, content, found.headers)

    def _authorized(self) -> dict[str, str]:
        if self._token is None:
            raise OCPIRefused("no-token", "Authorization", "no token of this partner is known; register with it first")
        return {"Authorization": authorization(self._token, raw=self._partner.quirks.raw_token)}

    def _told(self, method: str, url: str) -> str:
        return f"partner {self._partner.id}: {method} {url[:200]}"

    def _check_ids(self, told: str, headers: Mapping[str, str], sent: MessageIds) -> None:
        """Rule 5."""
        if not answers(headers, sent, silent=True):
            message = f"{told}: the answer has another {REQUEST_ID} or {CORRELATION_ID} than was sent"
            raise CallFailed("foreign-answer", message, uncertain=True)
        if not self._partner.quirks.no_request_id_echo and not answers(headers, sent):
            _log.info("ocpi-no-echo", extra={"fields": {"partner": self._partner.id, "asked": told[:200]}})

    def _read(self, told: str, http: int, content: bytes, headers: Mapping[str, str]) -> Reply:
        if 300 <= http < 400:
            where = headers.get("Location", "")[:200]
            message = f"{told}: HTTP {http} to {where!r}; if only a slash is missing, set the quirk trailing_slash"
            raise CallFailed("redirected", message, http=http)
        try:
            return Reply(http, _envelope(content), headers)
        except MalformedValue as error:
            if http in (401, 403):
                raise CallFailed("unauthorized", f"{told}: HTTP {http}: our token is not known", http=http) from error
            if http >= 400 and self._partner.quirks.status_in_http:
                raise CallFailed("refused", f"{told}: HTTP {http}", http=http, uncertain=http >= 500) from error
            message = f"{told}: HTTP {http} without an OCPI envelope: {error}"
            raise CallFailed("not-ocpi", message, http=http, uncertain=http < 300 or http >= 500) from error


def _envelope(content: bytes) -> Envelope:
    """The envelope, its `data` as it came; an instant without an offset is borne. Raises MalformedValue."""
    try:
        return decode(Envelope, content, "answer")
    except MalformedValue:
        found = parse_document(content, "answer")
        data = found.pop("data", None) if isinstance(found, dict) else None
        envelope = view(found, Envelope, "answer")
        raw = msgspec.Raw() if data is None else msgspec.Raw(encode_document(data))
        return msgspec.structs.replace(envelope, data=raw)


def _timeout(total_s: float) -> aiohttp.ClientTimeout:
    connect_s = min(CONNECT_TIMEOUT_S, total_s)
    return aiohttp.ClientTimeout(total=total_s, connect=connect_s, sock_connect=connect_s)


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        return f"no connection: {error.os_error.strerror or error.os_error}"
    return str(error) or type(error).__name__


async def _bounded(found: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in found.content.iter_any():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"more than {MAX_ANSWER_BYTES} bytes")
    return bytes(content)
