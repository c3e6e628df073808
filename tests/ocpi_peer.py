"""An OCPI peer over real TLS for a gateway: an eMSP behind a hub, strict as the specification is, with moods.

It is written from the specification and uses none of our OCPI code, so that both ends do not share a mistake.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

TOKEN = "a-token-of-the-peer"
NOW = "2026-11-23T12:00:00Z"


def card(uid: str, *, valid: bool = True, whitelist: str = "ALLOWED", last_updated: str = NOW) -> dict[str, Any]:
    """A token as its eMSP publishes it."""
    return {
        "country_code": "NL",
        "party_id": "EMP",
        "uid": uid,
        "type": "RFID",
        "contract_id": f"NL-EMP-C{uid}-X",
        "issuer": "Empire",
        "valid": valid,
        "whitelist": whitelist,
        "last_updated": last_updated,
    }


@dataclass
class OCPIPeer:
    """`moods` are taken one by one by requests for CDRs: "store-then-500", "store-then-cut", "store-then-half",
    "store-then-hang", "busy", "500". `posts` has every body that was POSTed as a CDR; `cdrs` what is held, by id;
    `sessions` the same of PUTs."""

    lab: Path
    port: int
    version: str = "2.2.1"
    quirky: bool = False
    cards: list[dict[str, Any]] = field(default_factory=list)
    moods: deque[str] = field(default_factory=deque)
    posts: list[bytes] = field(default_factory=list)
    cdrs: dict[str, Any] = field(default_factory=dict)
    sessions: dict[str, Any] = field(default_factory=dict)
    puts: list[dict[str, Any]] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    crawled: list[dict[str, str]] = field(default_factory=list)
    page: Callable[[OCPIPeer, web.Request, list[dict[str, Any]]], web.StreamResponse] | None = None

    def __post_init__(self) -> None:
        self.changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    # --- its life

    def start(self) -> None:
        """Serve until `stop`, in a thread of its own."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(20)

    def stop(self) -> None:
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(self._ended.set)
            thread.join(20)
        self._loop = self._thread = None

    def wait(self, until: Callable[[], bool], within_s: float = 15.0) -> None:
        """Return when something has come that makes `until` true."""
        with self.changed:
            assert self.changed.wait_for(until, within_s), (len(self.cdrs), len(self.posts), self.wrong)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(middlewares=[self._guarded])
        app.router.add_get("/versions", self._versions)
        app.router.add_get("/details", self._details)
        app.router.add_get("/credentials", self._credentials)
        app.router.add_route("*", "/credentials", self._registered)
        app.router.add_get("/tokens", self._tokens)
        app.router.add_post("/tokens/{uid}/authorize", self._authorize)
        app.router.add_put("/sessions/{country}/{party}/{id}", self._put_session)
        app.router.add_post("/cdrs", self._post_cdr)
        app.router.add_get("/cdrs/{id}", self._get_cdr)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.lab / "backend" / "hub.pem", self.lab / "backend" / "hub.key.pem")
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=context, reuse_address=True).start()
        ready.set()
        await self._ended.wait()
        for connection in runner.server.connections if runner.server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()
        for _ in range(10):  # A TLS transport ends in some turns of the loop.
            await asyncio.sleep(0)

    # --- what every message has

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Any) -> web.StreamResponse:
        expected = TOKEN if self.quirky else base64.b64encode(TOKEN.encode()).decode()
        if request.headers.get("Authorization") != f"Token {expected}":
            self._complain(f"authorization {request.headers.get('Authorization')}")
            return web.json_response({"detail": "who are you?"}, status=403 if self.quirky else 401)
        for name in ("X-Request-ID", "X-Correlation-ID"):
            if name not in request.headers:
                self._complain(f"{request.path}: no {name}")
        routed = "OCPI-from-party-id" in request.headers
        if routed == (request.path in ("/versions", "/details", "/credentials")):
            self._complain(f"{request.path}: routing headers are {routed}")
        found: web.StreamResponse = await handler(request)
        if not self.quirky:
            for name in ("X-Request-ID", "X-Correlation-ID"):
                found.headers[name] = request.headers[name]
        with self.changed:
            self.changed.notify_all()
        return found

    def _complain(self, what: str) -> None:
        with self.changed:
            self.wrong.append(what)

    def said(self, data: Any = None, status: int = 1000, http: int = 200, **headers: str) -> web.Response:
        body = {"status_code": status, "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        if data is not None:
            body["data"] = [data] if self.quirky and isinstance(data, dict) else data
        return web.json_response(body, status=http, headers=headers)

    # --- modules

    async def _versions(self, request: web.Request) -> web.Response:
        return self.said(
            [{"version": "2.1.1", "url": f"{self.url}/old"}, {"version": self.version, "url": f"{self.url}/details"}]
        )

    async def _details(self, request: web.Request) -> web.Response:
        sides = {"credentials": "SENDER", "tokens": "SENDER", "sessions": "RECEIVER", "cdrs": "RECEIVER"}
        ends = [{"identifier": name, "role": role, "url": f"{self.url}/{name}"} for name, role in sides.items()]
        return self.said({"version": self.version, "endpoints": ends})

    def _own(self) -> dict[str, Any]:
        role = {"role": "HUB", "business_details": {"name": "Hub"}, "party_id": "HUB", "country_code": "NL"}
        own: dict[str, Any] = {"token": TOKEN, "url": f"{self.url}/versions", "roles": [role]}
        if self.version == "2.3.0":
            own |= {"hub_party_id": "NLHUB", "roles": [role | {"role": "EMSP", "party_id": "EMP"}]}
        return own

    async def _credentials(self, request: web.Request) -> web.Response:
        return self.said(self._own())

    async def _registered(self, request: web.Request) -> web.Response:
        self.puts.append({"method": request.method, "body": await request.json()})
        return self.said(self._own())

    async def _tokens(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        with self.changed:
            self.crawled.append(query)
        cards = [one for one in self.cards if one["last_updated"] >= query.get("date_from", "")]
        if self.page is not None:
            return self.page(self, request, cards)
        start, limit = int(query.get("offset", 0)), min(int(query.get("limit", 2)), 2)
        headers = {"X-Total-Count": str(len(cards)), "X-Limit": "2"}
        if start + limit < len(cards):
            following = {**query, "offset": str(start + limit), "limit": str(limit)}
            text = "&".join(f"{name}={value}" for name, value in following.items())
            headers["Link"] = f'<{self.url}/tokens?{text}>; rel="next"'
        return self.said(cards[start : start + limit], **headers)

    async def _authorize(self, request: web.Request) -> web.Response:
        uid = request.match_info["uid"]
        self.asked.append({"uid": uid, "query": dict(request.query), "body": await request.text()})
        found = next((one for one in self.cards if one["uid"] == uid), None)
        if found is None:
            return self.said(status=2004, http=404)
        return self.said({"allowed": "ALLOWED", "token": found, "authorization_reference": "ref-1"})

    async def _put_session(self, request: web.Request) -> web.Response:
        body = await request.json()
        self._check(body, request)
        with self.changed:
            self.sessions[request.match_info["id"]] = body
        return self.said(http=201)

    def _check(self, body: dict[str, Any], request: web.Request) -> None:
        """What the specification requires of both."""
        owner = (body["country_code"], body["party_id"])
        token = body["cdr_token"]
        ours = request.headers["OCPI-from-country-code"], request.headers["OCPI-from-party-id"]
        theirs = request.headers["OCPI-to-country-code"], request.headers["OCPI-to-party-id"]
        if owner != ("DE", "ABC") or ours != owner or theirs != (token["country_code"], token["party_id"]):
            self._complain(f"parties {owner} {ours} {theirs}")

    async def _post_cdr(self, request: web.Request) -> web.StreamResponse:
        octets = await request.read()
        mood = self.moods.popleft() if self.moods else ""
        with self.changed:
            self.posts.append(octets)
        if mood in ("500", "busy"):
            return web.Response(status=429 if mood == "busy" else 500, headers={"Retry-After": "0"}, text="later")
        body = json.loads(octets)
        self._check(body, request)
        held = self.cdrs.get(body["id"])
        if held is not None:
            self._complain(f"CDR {body['id']} came twice, {'alike' if held == body else 'different'}")
        with self.changed:
            self.cdrs[body["id"]] = body
            self.changed.notify_all()
        if mood == "store-then-500":
            return web.Response(status=500, text="<html>oops</html>")
        if mood == "store-then-cut" and request.transport is not None:
            request.transport.abort()
        answer = self.said(http=201, Location="garbage" if self.quirky else f"{self.url}/cdrs/{body['id']}")
        if mood == "store-then-hang":
            await self._ended.wait()
        if mood == "store-then-half":
            return web.Response(text='{"status_code": 10', content_type="application/json")
        return answer

    async def _get_cdr(self, request: web.Request) -> web.Response:
        held = self.cdrs.get(request.match_info["id"])
        return self.said(status=2000, http=404) if held is None else self.said(held)
