"""The contract pool: what a car asks for is handed on unread, what the pool answers is handed back unread.

Rules
1. Requests and contracts are opaque, and gone once they are handed on: neither stored nor logged. They are sealed for
   the car, and signed by who provisions them (ISO 15118-2 7.9.2.5, ISO 15118-20 7.9.2).
2. One time limit holds for everything, a token included: the car waits 5 s and no longer.
3. So many requests are under way at most; one more fails at once, since waiting its turn would only fail it late.
4. A token is asked for when there is none, is near its end, or was refused; once for all who wait.
5. Redirects are not followed, nothing is decompressed, and so many bytes are read at most.

Source: OPCP 1.0 ccp.v1 (POST /v1/ccp/signedContractData), accessToken.v1; RFC 6749 4.4.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import msgspec

from gateway.errors import PoolFailed

PATH = "/v1/ccp/signedContractData"
TOKEN_PATH = "/oauth/token"
MAX_ANSWER = 1024 * 1024
UNDER_WAY = 16
"""Requests of all stations at one time."""
_TOKEN_MARGIN_S = 60.0
_TOKEN_LIFE_S = 3600.0
_TEXT_MAX = 200
_BASE64 = re.compile(r"[0-9A-Za-z+/\r\n]+={0,2}\s*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolAccess:
    """Where the pool is, and who asks. `timeout_s` is for a request with all that belongs to it."""

    url: str
    token_url: str
    audience: str
    client_id: str
    secret: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class SealedContract:
    """A contract as the pool gave it: the EXI of an installation response in base64, and its EMAID, if told."""

    exi: str
    emaid: str | None


class _Token(msgspec.Struct, frozen=True):
    access_token: str
    expires_in: float = _TOKEN_LIFE_S


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    certificate_installation_res: str
    emaid: str | None = None


class _Content(msgspec.Struct, frozen=True, rename="camel"):
    message_def: _Message


class _Contents(msgspec.Struct, frozen=True, rename="camel"):
    emaid_content: list[_Content]


class _Answer(msgspec.Struct, frozen=True):
    contents: _Contents = msgspec.field(name="CCPResponse")


class _Refusal(msgspec.Struct, frozen=True, rename="camel"):
    error_messages: list[str] = []


class ContractPool:
    """The pool, asked by this gateway. Belongs to the event loop; `close` it."""

    def __init__(self, access: PoolAccess, tls: ssl.SSLContext | None) -> None:
        """`tls` None: the pool's certificate is verified against the system's CAs."""
        self._access, self._tls = access, tls
        self._session: aiohttp.ClientSession | None = None
        self._token: tuple[str, float] | None = None
        self._asking_token = asyncio.Lock()
        self._under_way = 0

    async def contracts(self, exi_request: str, namespace: str) -> tuple[SealedContract, ...]:
        """The contracts that the pool has for the car behind a request, at least one, in the pool's order.

        Raises:
            PoolFailed: "pool-busy", "pool-timeout", "pool-unreachable", "pool-credentials", "pool-refused",
                "pool-failed" (it says that it cannot now), "pool-answer" (not to be read).
        """
        if self._under_way >= UNDER_WAY:
            raise PoolFailed("pool-busy", f"{UNDER_WAY} requests to the pool are under way")
        self._under_way += 1
        try:
            async with asyncio.timeout(self._access.timeout_s):
                return await self._contracts(exi_request, namespace)
        except TimeoutError as error:
            message = f"{self._access.url}: no whole answer within {self._access.timeout_s:g} s"
            raise PoolFailed("pool-timeout", message) from error
        except aiohttp.ClientError as error:
            said = str(error) or type(error).__name__
            raise PoolFailed("pool-unreachable", f"{self._access.url}: {said}") from error
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _contracts(self, exi_request: str, namespace: str) -> tuple[SealedContract, ...]:
        body = msgspec.json.encode({"certificateInstallationReq": exi_request, "xsdMsgDefNamespace": namespace})
        token = await self._bearer(None)
        status, answer = await self._post(self._access.url + PATH, body, {"Authorization": f"Bearer {token}"})
        if status == 401:  # Rule 4: a pool that was restarted, or that took the client's rights away.
            token = await self._bearer(token)
            status, answer = await self._post(self._access.url + PATH, body, {"Authorization": f"Bearer {token}"})
        if status != 200:
            raise _refusal(status, answer)
        try:
            contents = msgspec.json.decode(answer, type=_Answer).contents.emaid_content
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise PoolFailed("pool-answer", f"the pool's answer cannot be read: {error}") from error
        found = tuple(
            SealedContract(content.message_def.certificate_installation_res, content.message_def.emaid)
            for content in contents
        )
        if not found:
            raise PoolFailed("pool-refused", "the pool has no contract for this car")
        if not all(_BASE64.fullmatch(contract.exi) for contract in found):
            raise PoolFailed("pool-answer", "the pool's answer holds a contract that is not base64")
        return found

    async def _bearer(self, refused: str | None) -> str:
        """A token that is not the `refused` one. Raises PoolFailed "pool-credentials"."""
        loop = asyncio.get_running_loop()
        async with self._asking_token:
            if self._token is not None and self._token[0] != refused and loop.time() < self._token[1]:
                return self._token[0]
            self._token = None
            asked = {
                "client_id": self._access.client_id,
                "client_secret": self._access.secret,
                "audience": self._access.audience,
                "grant_type": "client_credentials",
            }
            status, answer = await self._post(self._access.token_url, msgspec.json.encode(asked), {})
            if status >= 500:
                raise PoolFailed("pool-failed", f"{self._access.token_url} answered {status}")
            try:
                given = msgspec.json.decode(answer, type=_Token) if status == 200 else None
            except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                raise PoolFailed("pool-answer", f"the pool's token cannot be read: {error}") from error
            if given is None or not (given.access_token.isascii() and given.access_token.isprintable()):
                message = f"{self._access.token_url} answered {status}; look at [pool] client_id and secret_file"
                raise PoolFailed("pool-credentials", message)
            life_s = max(given.expires_in - _TOKEN_MARGIN_S, given.expires_in / 2)
            self._token = given.access_token, loop.time() + life_s
            return given.access_token

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body. Raises PoolFailed "pool-answer" for one that is too long, and what aiohttp raises."""
        sent = {"Content-Type": "application/json", "Accept": "application/json", **headers}
        async with self._connected().post(url, data=body, headers=sent, allow_redirects=False) as response:
            found = bytearray()
            async for piece in response.content.iter_chunked(64 * 1024):
                found += piece
                if len(found) > MAX_ANSWER:
                    raise PoolFailed("pool-answer", f"{url} answered more than {MAX_ANSWER} bytes")
            return response.status, bytes(found)

    def _connected(self) -> aiohttp.ClientSession:
        """Connections are kept: a handshake would take its part of the car's time."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._tls or True, limit=UNDER_WAY, keepalive_timeout=120)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept-Encoding": "identity"},
            )
        return self._session


def _refusal(status: int, body: bytes) -> PoolFailed:
    try:
        said = "; ".join(msgspec.json.decode(body, type=_Refusal).error_messages)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        said = ""
    shown = "".join(character if character.isprintable() else "?" for character in said[:_TEXT_MAX])
    message = f"the pool answered {status}" + (f": {shown}" if shown else "")
    return PoolFailed("pool-failed" if status >= 500 else "pool-refused", message)
