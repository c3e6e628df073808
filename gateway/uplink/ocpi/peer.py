"""Calls to the OCPI peer: one request, one answer, read in both of its layers, HTTP and OCPI.

Rules
1. Only https, and only the place of `versions_url` and those of the endpoints that its versions named; no redirect is
   followed, so the token goes nowhere else.
2. Every call has a new request id and a correlation id. An answer with another id than was sent is nobody's answer.
3. An answer is bounded in size and time. One that is no OCPI envelope says nothing of what became of the request.
4. Nothing is tried twice here.

Source: OCPI 2.3.0 transport_and_format, status_codes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from gateway.errors import PeerRefused, UplinkError
from gateway.uplink.exchange import LinkSettings, read_bounded
from gateway.uplink.ocpi.settings import OCPISettings
from gateway.uplink.trouble import broken, retry_after_s
from wire.errors import MalformedValue, OCPIRefused
from wire.ocpi.authorization import authorization
from wire.ocpi.document import encode_document, parse_document, view
from wire.ocpi.envelope import Envelope, StatusCode
from wire.ocpi.headers import MessageIds, answers
from wire.ocpi.routing import Routing
from wire.ocpi.urls import joined, require_registered

MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_CONNECTIONS = 4
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: its `data`, parsed, None without any; and its headers."""

    data: object
    headers: Mapping[str, str]


class Peer:
    """The way to the peer. `token` and `places` (URLs of whose hosts may be called) change when it is met or registered
    with. Opens with the first call; `close` it in the same loop."""

    def __init__(self, way: LinkSettings, settings: OCPISettings, token: str) -> None:
        self._way, self._settings = way, settings
        self._session: aiohttp.ClientSession | None = None
        self.token = token
        self.places: tuple[str, ...] = (settings.versions_url,)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def at(self, url: str, *path: str, query: Mapping[str, str] | None = None) -> str:
        """A URL below an endpoint, with a slash at its end if the peer wants one. Raises UplinkError."""
        try:
            return joined(url, *path, query=query, slash=self._settings.quirks.trailing_slash)
        except OCPIRefused as error:
            raise UplinkError(error.code, str(error)) from error

    async def ask(
        self,
        method: str,
        url: str,
        *,
        document: object = None,
        routing: Routing | None = None,
        correlation_id: str | None = None,
    ) -> Answer:
        """The peer's good answer.

        Raises:
            PeerRefused: the peer said no, in OCPI's terms or by an HTTP status that says so.
            UplinkError: there is no answer, or none that tells what became of the request.
        """
        ids = MessageIds(str(uuid.uuid4()), correlation_id or str(uuid.uuid4()))
        try:
            require_registered(url, self.places)
            headers = {"Authorization": authorization(self.token, raw=self._settings.quirks.raw_token), **ids.headers()}
        except OCPIRefused as error:
            raise UplinkError(error.code, str(error)) from error
        headers |= {} if routing is None else routing.headers()
        body = None
        if document is not None:
            body, headers["Content-Type"] = encode_document(document), "application/json"
        told = f"{method} {url.partition('?')[0][:_SHOWN]}"
        try:
            async with self._opened().request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                proxy=None if self._way.proxy is None else self._way.proxy.url,
                proxy_headers=None if self._way.proxy is None else self._way.proxy.headers,
            ) as response:
                octets = await read_bounded(response, url, MAX_ANSWER_BYTES)
                answered = answers(response.headers, ids, silent=self._settings.quirks.no_request_id_echo)
                return self._read(told, response.status, octets, response.headers, answered=answered)
        except TimeoutError as error:
            raise UplinkError("timeout", f"{told}: no answer in time") from error
        except aiohttp.ClientError as error:
            raise broken(error, told) from error

    def _read(self, told: str, http: int, octets: bytes, headers: Mapping[str, str], *, answered: bool) -> Answer:
        """Rules 2 and 3."""
        self._require_heard(told, http, headers)
        try:
            found = parse_document(octets, "answer")
            data = found.pop("data", None) if isinstance(found, dict) else None
            envelope = view(found, Envelope, "answer")
        except MalformedValue as error:
            if http == 404 or (self._settings.quirks.status_in_http and 400 <= http < 500):
                raise PeerRefused("refused", f"{told}: HTTP {http}", status=http) from error
            message = f"{told}: HTTP {http} without an OCPI envelope: {error}"
            raise UplinkError("not-ocpi", message, status=http) from error
        status, said = envelope.status_code, (envelope.status_message or "")[:_SHOWN]
        message = f"{told}: HTTP {http}, OCPI status {status} {said}".rstrip()
        if http >= 500 or status >= StatusCode.SERVER_ERROR or (envelope.succeeded and http >= 400):
            raise UplinkError("peer-fault", message, status=http)
        if not answered:
            raise UplinkError("other-answer", f"{told}: the answer has not the X-Request-ID that was sent", status=http)
        if not envelope.succeeded:
            raise PeerRefused("refused", message, status=http, ocpi=status)
        return Answer(data, headers)

    def _require_heard(self, told: str, http: int, headers: Mapping[str, str]) -> None:
        """Return unless the status alone says that the request did not get as far as OCPI. Raises UplinkError."""
        if http in (429, 503):
            message = f"{told}: HTTP {http}, the peer asks for patience"
            raise UplinkError("busy", message, status=http, retry_after_s=retry_after_s(headers))
        if http == 401 or (http == 403 and self._settings.quirks.forbidden_for_unauthorized):
            message = f"{told}: HTTP {http}: the peer does not know our token; see `pnc-gateway ocpi register`"
            raise UplinkError("unauthorized", message, status=http)
        if 300 <= http < 400:
            where = headers.get("Location", "")[:_SHOWN]
            message = f"{told}: HTTP {http} to {where!a}; if only a slash is missing, set the quirk trailing_slash"
            raise UplinkError("redirected", message, status=http)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._way.tls, limit=MAX_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=self._way.request_timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session
