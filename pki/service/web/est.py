"""EST: CA certificates, request attributes, enrolment and re-enrolment, by RFC 7030, RFC 8951 and the paths of OPCP.

Bodies are base64 whatever Content-Transfer-Encoding says (RFC 8951 2); white space in them is passed over. An answer
holds the new certificate alone (RFC 7030 4.2.3); the authorities above it come with `cacerts`. Who is given what is
decided in `pki.service.web.enrolment`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

from aiohttp import BasicAuth, web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7

from pki.certificate import Certificate
from pki.errors import StateError
from pki.issue.request import REQUEST_CAP
from pki.profile import Profile
from pki.public_key import KeyKind
from pki.service.registry import Actor, HeldAuthority
from pki.service.web.attributes import csr_attributes
from pki.service.web.clients import shown_certificate
from pki.service.web.desk import Desk
from pki.service.web.enrolment import Asked, Enrolment
from pki.service.web.labels import ALGORITHMS, LABEL_PATTERN, profile_of
from pki.service.web.problems import Problem, read_body, require_media_type, shown
from pki.service.web.refusals import RefusalLog, caller_of
from pki.service.web.standing import Standing

REQUEST_TYPE, ATTRIBUTES_TYPE = "application/pkcs10", "application/csrattrs"
CERTIFICATES_TYPE = "application/pkcs7-mime; smime-type=certs-only"
MAX_BODY = 2 * REQUEST_CAP
"""Bytes of a body: base64 of the largest request, with line feeds."""
BODY_TIMEOUT_S = 10.0
WELL_KNOWN = "/.well-known/est"
_LABEL = "{label:[A-Za-z0-9_-]{1,48}}"
_VERSION = "{version}"
_LINE = 64
_WITHOUT_SPACE = bytes.maketrans(b"", b"")


class EST:
    """Answers EST clients. Its methods run in the event loop; enrolments wait their turn at the desk."""

    def __init__(self, standing: Standing, enrolment: Enrolment, desk: Desk, refusals: RefusalLog) -> None:
        self._standing, self._enrolment, self._desk, self._refusals = standing, enrolment, desk, refusals

    def add_routes(self, app: web.Application) -> None:
        """Every path of EST, and those of OPCP."""
        for prefix in (WELL_KNOWN, f"{WELL_KNOWN}/{_LABEL}"):
            app.router.add_get(f"{prefix}/cacerts", self.ca_certificates)
            app.router.add_get(f"{prefix}/csrattrs", self.attributes)
            app.router.add_post(f"{prefix}/simpleenroll", self.enrol)
            app.router.add_post(f"{prefix}/simplereenroll", self.enrol_again)
            app.router.add_post(f"{prefix}/serverkeygen", self.make_key)
            app.router.add_post(f"{prefix}/fullcmc", self.full_request)
        labelled = f"{WELL_KNOWN}/{_LABEL}"
        app.router.add_get(f"{labelled}/csrattrs/{_VERSION}", self.attributes)
        app.router.add_post(f"{labelled}/simpleenroll/{_VERSION}", self.enrol)
        app.router.add_post(f"{labelled}/simplereenroll/{_VERSION}", self.enrol_again)
        app.router.add_get(f"/{{label:{LABEL_PATTERN}}}/cacerts/{_VERSION}/{{algorithm}}/", self.ca_certificates)

    async def ca_certificates(self, request: web.Request) -> web.Response:
        """The authorities that sign what the label asks for, up to their roots."""
        algorithm = request.match_info.get("algorithm")
        if algorithm is not None and algorithm not in ALGORITHMS:
            remedy = f"Use one of {', '.join(ALGORITHMS)}."
            raise Problem(404, "algorithm-unknown", f"no algorithm {shown(algorithm)}", remedy=remedy)
        able = self._issuing(_profile(request))
        if algorithm is not None:
            able = {kind: held for kind, held in able.items() if kind is ALGORITHMS[algorithm]}
            if not able:
                raise Problem(
                    404, "no-authority", f"no authority with a key of {algorithm} signs what this label asks for"
                )
        lines = [(*held.chain, held.root) for held in able.values()]
        return _certificates(dict.fromkeys(each for line in lines for each in line))

    async def attributes(self, request: web.Request) -> web.Response:
        """What a request has to hold."""
        body = _encoded(csr_attributes(self._issuing(_profile(request))))
        return web.Response(body=body, headers={"Content-Type": ATTRIBUTES_TYPE, **_TRANSFER})

    async def enrol(self, request: web.Request) -> web.Response:
        """A certificate for a name that is registered, for its one-time code; or what a registrar asks for."""
        return await self._enrolled(request, again=False)

    async def enrol_again(self, request: web.Request) -> web.Response:
        """The next certificate of whoever shows the present one."""
        return await self._enrolled(request, again=True)

    async def make_key(self, _request: web.Request) -> web.Response:
        """Refused: a private key is made where it is used, and never travels.

        Raises:
            Problem: 501 "server-keygen".
        """
        raise Problem(
            501,
            "server-keygen",
            "this service makes no keys for others: a private key must never leave the device that uses it",
            clause="RFC 7030 4.4",
            remedy="Make the key pair on the device and send a request to simpleenroll.",
        )

    async def full_request(self, _request: web.Request) -> web.Response:
        """Not implemented. Raises Problem (501)."""
        raise Problem(501, "full-cmc", "Full CMC is not implemented", clause="RFC 7030 4.3", remedy="Use simpleenroll.")

    async def _enrolled(self, request: web.Request, *, again: bool) -> web.Response:
        try:
            asked = await _asked(request, again=again)
        except Problem as problem:
            await self._note(request, "simplereenroll" if again else "simpleenroll", problem)
            raise
        issued = await self._desk.run(self._enrolment.enrol, asked)
        return _certificates([issued.certificate])

    async def _note(self, request: web.Request, act: str, problem: Problem) -> None:
        """What is refused before the registry is asked stands in the audit log too."""
        peer = request.remote or "unknown"
        caller, actor = caller_of(peer, shown_certificate(request)), Actor(who=f"peer {peer}", why=f"{act} from {peer}")
        await self._refusals.note_from_loop(self._desk, caller, actor, act, shown(request.path), problem)

    def _issuing(self, profile: Profile) -> dict[KeyKind, HeldAuthority]:
        try:
            able = self._standing.issuing(profile)
        except StateError as error:
            raise Problem(503, error.code, str(error), retry_after_s=30) from error
        if not able:
            raise Problem(404, "no-authority", f"no authority of this service signs {profile.name}")
        return able


_TRANSFER = {"Content-Transfer-Encoding": "base64"}


def decode_request(body: bytes) -> bytes:
    """The DER of a request in base64.

    Raises:
        Problem: 400 "not-base64"; says when PEM or plain DER was sent.

    Source: RFC 8951 2, 3.1; RFC 4648 4.
    """
    found = "what was sent is not base64"
    if body.lstrip()[:5] == b"-----":
        found = "the body is PEM"
    elif body[:1] == b"\x30" and len(body) > 1 and body[1] >= 0x80:
        found = "the body is DER as it is"
    else:
        try:
            return base64.b64decode(body.translate(_WITHOUT_SPACE, b" \t\r\n"), validate=True)
        except (binascii.Error, ValueError) as error:
            found = f"{found}: {error}"
    raise Problem(
        400,
        "not-base64",
        found,
        clause="RFC 8951 2",
        remedy="Send the base64 of the DER request, without the BEGIN and END lines of PEM.",
    )


async def _asked(request: web.Request, *, again: bool) -> Asked:
    """The enrolment that a request asks for. Raises Problem."""
    profile = None if again and "label" not in request.match_info else _profile(request)
    require_media_type(request, REQUEST_TYPE)
    code = _code(request)
    body = await read_body(request, MAX_BODY, BODY_TIMEOUT_S)
    return Asked(
        profile=profile,
        body=body,
        again=again,
        certificate=shown_certificate(request),
        user=None if code is None else code.login,
        code=None if code is None else code.password,
        peer=request.remote or "unknown",
    )


def _profile(request: web.Request) -> Profile:
    return profile_of(
        request.match_info.get("label"),
        request.match_info.get("version"),
        request.query.get("xsdMsgDefNamespace"),
    )


def _code(request: web.Request) -> BasicAuth | None:
    """The name and the code of HTTP Basic; None without. Raises Problem (401) for another scheme or a malformed one."""
    header = request.headers.get("Authorization")
    if header is None:
        return None
    try:
        return BasicAuth.decode(header, encoding="utf-8")
    except ValueError as error:
        raise Problem(
            401,
            "authorization",
            "the Authorization header is not HTTP Basic with a name and a code in UTF-8",
            clause="RFC 7617 2",
            remedy="Send the registered name as user and the one-time code as password.",
        ) from error


def _certificates(certificates: Iterable[Certificate]) -> web.Response:
    """These certificates as a certs-only answer. Their order is lost: it is a SET."""
    parsed = [certificate.parsed for certificate in certificates]
    der = pkcs7.serialize_certificates(parsed, serialization.Encoding.DER)
    headers = {"Content-Type": CERTIFICATES_TYPE, "Cache-Control": "no-store", **_TRANSFER}
    return web.Response(body=_encoded(der), headers=headers)


def _encoded(der: bytes) -> bytes:
    """Base64 in lines, which every reader must pass over, and some need."""
    text = base64.b64encode(der)
    return b"".join(text[at : at + _LINE] + b"\n" for at in range(0, len(text), _LINE))
