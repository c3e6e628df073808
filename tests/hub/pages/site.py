"""A hub with pages in its own process, people of every role, and a browser that keeps its cookie."""

from __future__ import annotations

import http.client
import re
import ssl
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

from hub.config import load_config
from hub.passwords import hash_password
from hub.roles import Role
from hub.store import users
from tests.hub.conftest import HubProcess, LittleCA, write_config

PASSWORD = "a password of some length"
VOID = {"meta", "link", "input", "br"}


@cache
def hashed() -> str:
    return hash_password(PASSWORD)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")


@dataclass
class Browser:
    """One browser: one cookie, no redirects followed."""

    address: str
    ca: Path
    cookie: str = ""
    token: str = ""
    seen: list[str] = field(default_factory=list)

    def ask(
        self, method: str, path: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.check_hostname = False
        host, _, port = self.address.rpartition(":")
        sent = dict(headers or {})
        if self.cookie:
            sent["Cookie"] = f"__Host-pncgate={self.cookie}"
        body = None
        if form is not None:
            sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
            body = urlencode(form, errors="surrogatepass").encode()
        with closing(http.client.HTTPSConnection(host, int(port), context=context, timeout=30)) as connection:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        for line in answer.headers.get_all("Set-Cookie") or ():
            self.seen.append(line)
            self.cookie = line.partition("=")[2].partition(";")[0].strip('"')
        found = re.search(r'name="form_token" value="([0-9a-f]{64})"', answer.body.decode("utf-8", "replace"))
        self.token = found[1] if found else self.token
        return answer

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, **fields: str) -> Answer:
        return self.ask("POST", path, {"form_token": self.token, **fields})

    def sign_in(self, name: str, password: str = PASSWORD, goal: str = "") -> Answer:
        self.get("/sign-in")
        answer = self.post("/sign-in", name=name, password=password, next=goal)
        if answer.status == 303:
            self.get("/account")
        return answer


@dataclass
class PageSite:
    """The hub, and browsers for it."""

    hub: HubProcess

    def browser(self) -> Browser:
        return Browser(self.hub.listen["pages"], self.hub.ca.path)

    def signed_in(self, role: Role) -> Browser:
        browser = self.browser()
        assert browser.sign_in(role.value).status == 303
        return browser


def make_site(folder: Path, more: str = "") -> HubProcess:
    """A hub that is not started, with a person of each role; each is called as the role is."""
    ca = LittleCA(folder)
    config = write_config(folder, ca, ["site-1", "site-2"])
    with config.open("a") as file:
        file.write(f'[pages]\nlisten = "127.0.0.1:0"\ntime_zone = "Europe/Berlin"\n{more}')
    loaded = load_config(config)
    loaded.state_dir.mkdir(mode=0o700)
    with closing(loaded.engine().open_writer()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for role in Role:
            users.add_user(connection, role.value, role, hashed(), datetime.now(UTC))
        connection.execute("COMMIT")
    return HubProcess(folder, ca, config)


class Page(HTMLParser):
    """A page as it is parsed: every element closed as it was opened, labels of fields, headings in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append(f"left open: {self.open}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]
