"""Sending events to webhook endpoints: signed, again after an hour when the receiver fails, never anywhere else.

| Answer                          | then                                                                      |
|---------------------------------|---------------------------------------------------------------------------|
| 2xx                             | delivered; what a car maker was told, the operator learns                 |
| 400, 409, any redirect          | failed at once (OPCP: the maker rejects)                                  |
| anything else, none, too slow   | again one hour later, three times; then failed                            |

Rules of this file
1. What waits is in the database, so a restart loses nothing. An event may arrive twice (the service dies between the
   answer and the note of it); its eventId is the same.
2. The host must be on the operator's list now, whatever it was at registration. Redirects are not followed. Addresses
   are checked where the connection is made: every address of a name must be public, unless the operator says that this
   host's need not be. So a name that answers differently the second time gains nothing.
3. Of the answer only the status is read.

Source: OPCP 1.0, webhook notification service.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import hmac
import socket
import ssl
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from pki.errors import PoolRefused
from pki.service.pool.endpoints import check_url
from pki.service.pool.events import SENT_TO_MAKER, About, EventType, tell_of_contract
from pki.service.pool.pools import Pools
from pki.service.store.tables import stamp

RETRIES, RETRY_AFTER = 3, timedelta(hours=1)
_TIMEOUT = aiohttp.ClientTimeout(total=10, connect=5)
_BATCH = 32
_IDLE_S = 30.0
_REFUSED = frozenset({400, 409})
_TRANSITION = tuple(ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
SIGNATURE_HEADERS = ("X-Hubject-Signature", "X-Operator-Signature", "payload-signature")
"""OPCP names the header in three ways; each carries the same value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A delivery whose time has come."""

    number: int
    kind: EventType
    url: str
    secret: str
    body: bytes
    about: str
    attempts: int


def sign_body(secret: str, body: bytes) -> str:
    """The value of the signature header: `sha256=` and the hexadecimal HMAC-SHA256 over the body as it is sent."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_public(text: str) -> bool:
    """Whether an address is reachable by everyone: not private, local, shared, reserved or multicast, and not one that
    carries an IPv4 address for a translator."""
    address: IPv4Address | IPv6Address = ip_address(text.split("%", 1)[0])
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif any(address in network for network in _TRANSITION):
            return False
    return address.is_global and not address.is_multicast


class PublicResolver(AbstractResolver):
    """Names to addresses; a name of which one address is not public has none."""

    def __init__(self, private_hosts: frozenset[str]) -> None:
        self._private_hosts = private_hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses to connect to. Raises OSError when there is none that may be."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        addresses = [(str(entry[4][0]), entry[0]) for entry in found]
        if host not in self._private_hosts:
            for address, _ in addresses:
                if not is_public(address):
                    raise OSError(errno.EACCES, f"{host} has the address {address}, which is not public")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for address, kind in addresses
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Courier:
    """Sends what is due. `tls` is the context that receivers are verified with (None: the system's authorities)."""

    def __init__(self, pools: Pools, tls: ssl.SSLContext | None = None) -> None:
        self._pools = pools
        self._tls = tls or ssl.create_default_context()

    async def run(self) -> None:
        """Deliver until cancelled; looks for work twice a minute."""
        while True:
            if not await self.deliver_due():
                await asyncio.sleep(_IDLE_S)

    async def deliver_due(self) -> int:
        """Send every event that is due now, at most 32; the answer is how many were tried."""
        due = await asyncio.to_thread(self._due)
        if due:
            resolver = PublicResolver(self._pools.settings.private_hosts)
            connector = aiohttp.TCPConnector(resolver=resolver, ssl=self._tls, use_dns_cache=False, limit=8)
            async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session:
                said = await asyncio.gather(*(self._send(session, one) for one in due))
            for one, (status, words) in zip(due, said, strict=True):
                await asyncio.to_thread(self._record, one, status, words)
        return len(due)

    async def _send(self, session: aiohttp.ClientSession, due: Due) -> tuple[int, str]:
        """The status (0: there was none) and what to note."""
        signature = sign_body(due.secret, due.body)
        headers = {"Content-Type": "application/json", **dict.fromkeys(SIGNATURE_HEADERS, signature)}
        try:
            check_url(self._pools, due.url)
            async with session.post(due.url, data=due.body, headers=headers, allow_redirects=False) as answer:
                return answer.status, f"HTTP {answer.status}"
        except PoolRefused as error:
            return 400, f"{error.code}: {error}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return 0, f"{type(error).__name__}: {error}"[:200]

    def _due(self) -> list[Due]:
        with self._pools.reading() as connection:
            rows = connection.execute(
                "SELECT number, event_type, url, secret, body, about, attempts FROM delivery "
                "JOIN endpoint ON endpoint.id = delivery.endpoint "
                "WHERE outcome = 'waiting' AND due_at <= ? AND enabled = 1 ORDER BY due_at, number LIMIT ?",
                (stamp(self._pools.now()), _BATCH),
            ).fetchall()
        return [
            Due(number=number, kind=EventType(kind), url=url, secret=secret, body=body, about=about, attempts=attempts)
            for number, kind, url, secret, body, about, attempts in rows
        ]

    def _record(self, due: Due, status: int, words: str) -> None:
        """Note the outcome, and tell the operator what became of an event to the maker, in one transaction."""
        attempts, now = due.attempts + 1, self._pools.now()
        outcome, due_at = "failed", None
        if 200 <= status < 300:
            outcome = "delivered"
        elif status not in _REFUSED and not 300 <= status < 400 and attempts <= RETRIES:
            outcome, due_at = "waiting", stamp(now + RETRY_AFTER)
        with self._pools.writing() as connection:
            connection.execute(
                "UPDATE delivery SET attempts = ?, outcome = ?, due_at = ?, last_said = ? WHERE number = ?",
                (attempts, outcome, due_at, words, due.number),
            )
            follow = _follow(due.kind, outcome, attempts)
            if follow is not None:
                tell_of_contract(connection, follow, now, msgspec.json.decode(due.about, type=About))


def _follow(kind: EventType, outcome: str, attempts: int) -> EventType | None:
    """What the operator is told after an attempt to tell the maker."""
    if kind not in SENT_TO_MAKER:
        return None
    if outcome == "delivered":
        return SENT_TO_MAKER[kind]
    if outcome == "failed":
        return EventType.REJECTED
    return EventType.QUEUED if attempts == 1 else None
