"""A partner that none of our code is in: it answers our calls by the standard library's server, right or odd, and asks
a platform with what it was given."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.parse import parse_qsl, urlencode

from hub.roaming.client import MAX_ANSWER_BYTES
from tests.hub.conftest import LittleCA
from tests.hub.ocpi.platforms import Platform, Told

ALL_SIDES = [
    (module, role)
    for module in ("locations", "tariffs", "tokens", "sessions", "cdrs", "commands", "hubclientinfo")
    for role in ("SENDER", "RECEIVER")
]


@dataclass
class Odd:
    """What this partner does otherwise than OCPI says."""

    wraps_in_array: bool = False
    redirects: bool = False
    bare_errors: bool = False
    no_timestamp_zone: bool = False
    links_nothing: bool = False
    links_elsewhere: bool = False
    counts_nothing: bool = False
    token_with_newline: bool = False
    token_raw: bool = False
    token_unknown: bool = False
    no_json: bool = False
    endless: bool = False
    other_versions: bool = False
    no_endpoints: bool = False
    foreign_endpoints: bool = False


@dataclass
class Posted:
    """A request that the partner got from us."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Partner:
    """The partner: its party and role, the tokens of both directions, what came to it."""

    ca: LittleCA
    role: str = "EMSP"
    country_code: str = "DE"
    party_id: str = "EMS"
    version: str = "2.3.0"
    hub_party_id: str | None = None
    token: str = "B-token-of-the-partner"
    odd: Odd = field(default_factory=Odd)
    listed: Queue[tuple[str, dict[str, str]]] = field(default_factory=Queue)
    got: Queue[Posted] = field(default_factory=Queue)
    theirs: str = ""
    stopped: bool = False
    lists: dict[str, list[Any]] = field(default_factory=dict)
    pages: dict[str, dict[str, str]] = field(default_factory=dict)
    answers: dict[str, Callable[[BaseHTTPRequestHandler, Posted], None]] = field(default_factory=dict)

    def start(self) -> Partner:
        """Serve, on a free port."""
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                if partner.stopped:
                    self.close_connection = True
                    return
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                partner.serve(self, json.loads(text) if text else None)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        certificate, key = self.ca.issue(f"partner-{self.party_id}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        """End the server; connections that are kept open get no more answers."""
        self.stopped = True
        self.server.shutdown()
        self.server.server_close()

    # --- what it answers

    def serve(self, request: BaseHTTPRequestHandler, body: Any) -> None:
        path = request.path
        if self.odd.redirects and not path.partition("?")[0].endswith("/"):
            self.reply(request, 307, b"", {"Location": f"{self.url}{path}/"})
            return
        if self.odd.no_json:
            self.reply(request, 200, b"<html>welcome</html>")
            return
        if self.odd.endless:
            self.reply(request, 200, b" " * (MAX_ANSWER_BYTES + 1))
            return
        if self.odd.token_unknown or request.headers.get("Authorization") not in self.headers_known():
            status, text = (403, b'{"detail": "no"}') if self.odd.bare_errors else (401, b'{"status_code": 2000}')
            self.reply(request, status, text)
            return
        path = path.rstrip("/")
        if path == "/versions":
            version = "2.1.1" if self.odd.other_versions else self.version
            self.tell(request, [{"version": version, "url": f"{self.url}/{version}"}])
        elif path == f"/{self.version}":
            self.tell(request, {"version": self.version, "endpoints": self.endpoints()})
        elif request.command == "GET" and path.partition("?")[0].startswith(f"/{self.version}/sender/"):
            _, _, _, module, *below = path.partition("?")[0].split("/")
            if below and below[-1] in self.answers:
                self.answers[below[-1]](request, Posted("GET", path, {}, None))
            else:
                self.tell(request, *self.page(module, path))
        else:
            posted = Posted(request.command, path, dict(request.headers.items()), body)
            self.got.put(posted)
            answer = self.answers.get(path.partition("?")[0].rpartition("/")[2])
            if answer is not None:
                answer(request, posted)
            else:
                self.tell(request, self.credentials() if path.endswith("/credentials") else None)

    def page(self, module: str, path: str) -> tuple[list[Any], dict[str, str]]:
        """What is listed there, in pages of two, and the headers with it; `listed` tells how it was asked for."""
        query = dict(parse_qsl(path.partition("?")[2]))
        self.listed.put((module, query))
        if module in self.pages:
            return [], self.pages[module]
        all_, offset = self.lists.get(module, []), int(query.get("offset", 0))
        headers = {} if self.odd.counts_nothing else {"X-Total-Count": str(len(all_))}
        if offset + 2 < len(all_) and not self.odd.links_nothing:
            base = "http://inner.example:8080" if self.odd.links_elsewhere else f"{self.url}/{self.version}"
            headers["Link"] = f'<{base}/sender/{module}?{urlencode(query | {"offset": str(offset + 2)})}>; rel="next"'
        return all_[offset : offset + 2], headers

    def headers_known(self) -> set[str]:
        """Its token in base64, or as it is."""
        raw = self.odd.token_raw
        return {f"Token {self.token if raw else base64.b64encode(self.token.encode()).decode()}"}

    def endpoints(self) -> list[dict[str, str]]:
        base = (
            f"https://elsewhere.example/{self.version}" if self.odd.foreign_endpoints else f"{self.url}/{self.version}"
        )
        if self.odd.no_endpoints:
            return []
        found = [{"identifier": "credentials", "role": "RECEIVER", "url": f"{base}/credentials"}]
        return found + [
            {"identifier": module, "role": role, "url": f"{base}/{role.lower()}/{module}"} for module, role in ALL_SIDES
        ]

    def tell(
        self, request: BaseHTTPRequestHandler, data: Any, headers: dict[str, str] | None = None, status: int = 1000
    ) -> None:
        if self.odd.wraps_in_array and isinstance(data, dict):
            data = [data]
        timestamp = "2026-11-29T22:00:00" if self.odd.no_timestamp_zone else "2026-11-29T22:00:00Z"
        body: dict[str, Any] = {"status_code": status, "timestamp": timestamp}
        if data is not None:
            body["data"] = data
        self.reply(request, 200, json.dumps(body).encode(), headers)

    def hang_up(self, request: BaseHTTPRequestHandler) -> None:
        """Answer nothing, and close."""
        request.close_connection = True

    def reply(
        self, request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None
    ) -> None:
        request.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)

    # --- what it asks

    def credentials(self) -> dict[str, Any]:
        role = {
            "role": self.role,
            "party_id": self.party_id,
            "country_code": self.country_code,
            "business_details": {"name": "Partner"},
        }
        found: dict[str, Any] = {"token": self.token, "url": f"{self.url}/versions", "roles": [role]}
        return found | ({"hub_party_id": self.hub_party_id} if self.hub_party_id else {})

    def register(self, platform: Platform, id_: str = "partner", quirks: str = "") -> Partner:
        """Exchange credentials with a platform."""
        status, added = platform.api(
            "POST", "/api/v1/partners", {"id": id_, "hosts": [f"localhost:{self.port}"], "quirks": quirks}
        )
        assert status == 201, added
        told = platform.ask("POST", f"/{self.version}/credentials", added["token"], self.credentials())
        assert (told.http, told.status) == (200, 1000), told
        self.theirs, self.platform = told.data["token"], platform
        return self

    def next(self, method: str = "", where: str = "") -> Posted:
        """The next request of this method that came, with `where` in its path; others before it are passed over."""
        while True:
            found = self.got.get(timeout=20)
            if method in ("", found.method) and where in found.path:
                return found

    def ask(self, method: str, path: str, document: object = None, **more: Any) -> Told:
        """What the platform answers; `path` below its version."""
        below = path if path.startswith("https:") else f"/{self.version}{path}"
        header = None
        if self.odd.token_with_newline:
            header = f"Token {base64.b64encode(f'{self.theirs}{chr(10)}'.encode()).decode()}"
        if self.odd.token_raw:
            header = f"Token {self.theirs}"
        return self.platform.ask(method, below, self.theirs, document, header=header, **more)
