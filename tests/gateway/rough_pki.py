"""An honest PKI over real sockets, made of `pki.issue`: EST over TLS, revocation lists, an OCSP responder, a signed
list of roots; and moods, which answer in its place."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from aiohttp import BasicAuth, web
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pki.certificate import Certificate
from pki.issue.authority import Authority, LeafOrder, Subject, Validity, create_root
from pki.issue.keys import PrivateKey, PublicKey, encode_key_pem, fresh_serial, generate_key
from pki.issue.lists import Reason, Revocation
from pki.issue.request import verify_request
from pki.profile import Profile
from pki.profiles import profile_named
from pki.public_key import KeyKind
from pki.verify.trust import AnchorRole, TrustStore
from tests.servers import end_server

CLIENT, SERVER, SECC, CONTRACT = (
    profile_named(name) for name in ("backend-client", "backend-server", "iso15118-2-secc", "iso15118-2-contract")
)
PLAIN = {"application/pkix-crl", "application/ocsp-response"}

Mood = Callable[[web.Request, bytes], Awaitable[web.StreamResponse | None]]


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def life(days: float = 30.0, age: timedelta = timedelta(minutes=5), at: datetime | None = None) -> Validity:
    begin = (at or now()) - age
    return Validity(begin, begin + timedelta(days=days))


def root(common_name: str, profile: Profile, domain_component: str | None = None) -> Authority:
    subject = Subject(common_name=common_name, organization="Rough", country="DE", domain_component=domain_component)
    return create_root(subject, generate_key(), life(900, timedelta(days=400)), fresh_serial(), profile)


def below(authority: Authority, common_name: str) -> Authority:
    """A sub-CA. Its life is counted from its issuer's: one that is read off the clock would end after the issuer's when
    a second begins in between."""
    subject = Subject(common_name=common_name, organization="Rough", country="DE")
    above, day = authority.certificate, timedelta(days=1)
    within = Validity(above.not_before + day, above.not_after - day)
    return authority.sub_authority(subject, generate_key(), within, fresh_serial())


def leaf(
    authority: Authority,
    common_name: str,
    *,
    validity: Validity | None = None,
    public_key: PublicKey | None = None,
    domain_component: str | None = None,
) -> tuple[Certificate, PrivateKey]:
    """A leaf and its key; with a `public_key` of somebody else the key that is given back is of no use."""
    key = generate_key()
    made = authority.issue(
        LeafOrder(
            subject=Subject(
                common_name=common_name, organization="Rough", country="DE", domain_component=domain_component
            ),
            public_key=public_key or key.public_key(),
            validity=validity or life(),
            serial=fresh_serial(),
        )
    )
    return made, key


@dataclass
class Papers:
    """The authorities, made once for all tests: they are not changed."""

    backend: Authority = field(default_factory=lambda: root("Rough Backend Root", CLIENT))
    stranger: Authority = field(default_factory=lambda: root("Rough Backend Root", CLIENT))
    v2g: Authority = field(default_factory=lambda: root("Rough V2G Root", SECC, "V2G"))
    mo: Authority = field(default_factory=lambda: root("Rough MO Root", CONTRACT, "MO"))

    def __post_init__(self) -> None:
        self.cpo1 = below(self.v2g, "Rough CPO Sub1")
        self.cpo2 = below(self.cpo1, "Rough CPO Sub2")
        self.mo1 = below(self.mo, "Rough MO Sub1")
        self.mo2 = below(self.mo1, "Rough MO Sub2")

    def trust(self) -> TrustStore:
        return TrustStore(
            {
                AnchorRole.BACKEND: [self.backend.certificate],
                AnchorRole.V2G: [self.v2g.certificate],
                AnchorRole.MO: [self.mo.certificate],
            }
        )

    def write_trust(self, folder: Path) -> Path:
        """A trust folder with these roots."""
        for role in AnchorRole:
            for anchor in self.trust().anchors(role):
                (folder / role.value).mkdir(parents=True, exist_ok=True)
                (folder / role.value / "root.pem").write_text(anchor.pem())
        return folder

    def server(self, authority: Authority | None = None, validity: Validity | None = None) -> bytes:
        """PEM of a server's key and certificate for 127.0.0.1."""
        key = generate_key()
        made = (
            (authority or self.backend)
            .for_profile(SERVER)
            .issue(
                LeafOrder(
                    subject=Subject(common_name="rough-pki"),
                    public_key=key.public_key(),
                    validity=validity or life(),
                    serial=fresh_serial(),
                    addresses=(ip_address("127.0.0.1"),),
                )
            )
        )
        return encode_key_pem(key) + made.pem().encode()


@dataclass
class RoughPKI:
    """Serves `papers`. `mood` answers in its place, or gives None. `client_life` is for certificates it issues."""

    papers: Papers
    codes: dict[str, str] = field(default_factory=dict)
    mood: Mood | None = None
    client_life: Callable[[], Validity] = life
    crls: dict[str, bytes] = field(default_factory=dict)
    trust_list: bytes = b""
    answer_ocsp: Callable[[bytes], bytes] | None = None
    asked: list[str] = field(default_factory=list)
    issued: list[Certificate] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    https: str = ""
    http: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(request.path)
        try:
            moody = None if self.mood is None else await self.mood(request, body)
            return moody if moody is not None else self.behave(request, body)
        finally:
            async with self.news:
                self.news.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; looked at whenever something was asked."""
        async with self.news, asyncio.timeout(60):
            await self.news.wait_for(condition)

    def behave(self, request: web.Request, body: bytes) -> web.Response:
        path = request.path
        if path.startswith("/crls/"):
            return web.Response(body=self.crls[path.removeprefix("/crls/")], content_type="application/pkix-crl")
        if path == "/ocsp" and self.answer_ocsp is not None:
            return web.Response(body=self.answer_ocsp(body), content_type="application/ocsp-response")
        if path == "/ctl":
            return web.Response(body=self.trust_list, content_type="application/pkcs7-mime")
        if path.endswith("/cacerts"):
            held = (self.papers.cpo2, self.papers.cpo1, self.papers.v2g) if "/cpo/" in path else (self.papers.backend,)
            return certificates([authority.certificate for authority in held])
        assert path.startswith("/.well-known/est/"), path
        return self.enrol(request, body)

    def enrol(self, request: web.Request, body: bytes) -> web.Response:
        checked = verify_request(base64.b64decode(body), kinds=(KeyKind.P256,))
        shown = self.shown_by(request)
        header = request.headers.get("Authorization")
        if header is not None:
            basic = BasicAuth.decode(header, encoding="utf-8")
            if self.codes.pop(basic.login, None) != basic.password:
                return refused(401, "enrolment-code", "no such enrolment code for that name")
        elif shown is None:
            return refused(401, "not-authenticated", "neither a code nor a certificate was shown")
        if "/cpo/" in request.path:
            issuer, role, validity = self.papers.cpo2, "CPO", life()
        else:
            issuer, role, validity = self.papers.backend, None, self.client_life()
        made, _ = leaf(
            issuer, checked.common_name, validity=validity, public_key=checked.public_key, domain_component=role
        )
        self.issued.append(made)
        return certificates([made])

    def shown_by(self, request: web.Request) -> str | None:
        assert request.transport is not None
        found = request.transport.get_extra_info("peercert")
        if not found:
            return None
        serial = str(found["serialNumber"]).lower().lstrip("0")
        self.shown.append(serial)
        return serial


def certificates(held: list[Certificate]) -> web.Response:
    der = pkcs7.serialize_certificates([each.parsed for each in held], Encoding.DER)
    headers = {"Content-Type": "application/pkcs7-mime; smime-type=certs-only", "Content-Transfer-Encoding": "base64"}
    return web.Response(body=base64.encodebytes(der), headers=headers)


def refused(status: int, code: str, detail: str) -> web.Response:
    return web.json_response(
        {"type": f"urn:x:{code}", "title": "no", "status": status, "detail": detail, "code": code},
        status=status,
        content_type="application/problem+json",
    )


@asynccontextmanager
async def rough_pki(papers: Papers, folder: Path, server: bytes | None = None) -> AsyncIterator[RoughPKI]:
    """`papers` served over HTTPS and HTTP; `server` is the PEM of key and certificate, an honest one when left out."""
    pki = RoughPKI(papers)
    pair = folder / "rough-server.pem"
    pair.write_bytes(server or papers.server())
    (folder / "rough-ca.pem").write_text(papers.backend.certificate.pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    context.load_verify_locations(folder / "rough-ca.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", pki.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        (_, first), (_, second) = (address[:2] for address in runner.addresses)
        pki.https, pki.http = f"127.0.0.1:{first}", f"127.0.0.1:{second}"
        yield pki
    finally:
        await end_server(runner)


def crl(
    authority: Authority,
    number: int,
    *,
    begun: timedelta = timedelta(minutes=1),
    lasts: timedelta = timedelta(days=7),
    revoked: tuple[int, ...] = (),
) -> bytes:
    """A list of `authority`."""
    begin = now() - begun
    entries = [Revocation(serial, begin, Reason.UNSPECIFIED) for serial in revoked]
    return authority.crl(number, entries, begin, begin + lasts)


def impostor(authority: Authority) -> Authority:
    """A stranger with the name of `authority`."""
    return replace(authority, key=generate_key())
