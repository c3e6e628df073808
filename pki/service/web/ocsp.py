"""The OCSP responder over HTTP: POST, and GET with the request in the path (RFC 6960 A.1, RFC 5019 5).

Most requests ask about one certificate without a nonce. The octets in front of the certificate id are the same in all
of them: they are recognised by that, and the answer is looked up. Everything else is read with care.

What goes wrong is an OCSP answer too: malformedRequest, unauthorized, tryLater. A request about several certificates is
malformed here, as RFC 5019 2.1.1 has it. Only what is wrong with the HTTP around it is an HTTP error.
"""

from __future__ import annotations

import binascii
import logging

from aiohttp import web
from multidict import CIMultiDict

from pki.errors import PKIError
from pki.issue.answers import NONCE_OCTETS, Refusal, encode_refusal
from pki.service.registry import Actor
from pki.service.web.answers import Answers, Prepared, Unauthorized
from pki.service.web.caching import dated_response
from pki.service.web.desk import Desk
from pki.service.web.journal import tell
from pki.service.web.ocsp_request import REQUEST_CAP, CertificateID, MalformedRequest, OCSPRequest, parse_request
from pki.service.web.problems import Problem, problem_response, read_arrived, read_body, require_media_type
from pki.service.web.refusals import Caller, Kind, RefusalLog
from pki.service.web.standing import Standing

_log = logging.getLogger(__name__)

PATH = "/ocsp"
REQUEST_TYPE, ANSWER_TYPE = "application/ocsp-request", "application/ocsp-response"
MAX_TEXT = REQUEST_CAP // 3 * 4
"""Characters of a request in base64."""
BODY_TIMEOUT_S = 10.0
_PLAIN_HEAD = 8
"""Octets in front of the certificate id of a plain request: four SEQUENCEs around it, each shorter than 128 octets."""
_ANSWER_HEADERS = CIMultiDict({"Content-Type": ANSWER_TYPE})
_REFUSALS = {each: encode_refusal(each) for each in Refusal}


class OCSP:
    """Answers OCSP clients. Of one event loop."""

    def __init__(self, answers: Answers, standing: Standing, refusals: RefusalLog, desk: Desk) -> None:
        self._answers, self._standing, self._refusals, self._desk = answers, standing, refusals, desk

    def add_routes(self, app: web.Application) -> None:
        """POST /ocsp, GET /ocsp/{base64}."""
        # In the order in which they are tried.
        app.router.add_get(f"{PATH}/{{request:.+}}", self.get)
        for path in (PATH, f"{PATH}/"):
            app.router.add_post(path, self.post)

    async def post(self, request: web.Request) -> web.Response:
        """The request is the body."""
        try:
            if request.headers.get("Content-Type") != REQUEST_TYPE:
                require_media_type(request, REQUEST_TYPE)
            body = read_arrived(request, REQUEST_CAP)
            if body is None:
                body = await read_body(request, REQUEST_CAP, BODY_TIMEOUT_S)
            return self._answered(request, body)
        except PKIError as error:
            return await self._refused(request, error)

    async def get(self, request: web.Request) -> web.Response:
        """The request is base64 in the path, percent-encoded where need be."""
        try:
            return self._answered(request, _decoded(request.match_info["request"]))
        except PKIError as error:
            return await self._refused(request, error)

    def _answered(self, request: web.Request, der: bytes) -> web.Response:
        now_s = self._standing.now_s()
        found = self._answers.prepared(der[_PLAIN_HEAD:], now_s) if _is_plain(der) else None
        if found is None:
            parsed = parse_request(der)
            asked = _only(parsed)
            if parsed.nonce is not None and len(parsed.nonce) <= NONCE_OCTETS:
                return _fresh(self._answers.signed_for(asked, parsed.nonce))
            found = self._answers.prepared(asked.der, now_s) or self._answers.make(asked)
        return _told(request, found, now_s)

    async def _refused(self, request: web.Request, error: PKIError) -> web.Response:
        """The answer that tells of `error`; what the client did wrong is noted, what fails here is logged."""
        if not isinstance(error, Problem | MalformedRequest | Unauthorized):
            tell(_log, "ocsp-unanswered", level=logging.ERROR, code=error.code, reason=str(error))
            return _fresh(_REFUSALS[Refusal.TRY_LATER])
        peer = request.remote or "unknown"
        caller, actor = Caller(Kind.OCSP, peer), Actor(who=f"peer {peer}", why=f"OCSP request from {peer}")
        await self._refusals.note_from_loop(self._desk, caller, actor, "ocsp", "OCSP request", error)
        if isinstance(error, Problem):
            return problem_response(error)
        malformed = isinstance(error, MalformedRequest)
        return _fresh(_REFUSALS[Refusal.MALFORMED_REQUEST if malformed else Refusal.UNAUTHORIZED])


def _decoded(text: str) -> bytes:
    """The DER of a request in a path. Raises Problem (400, 414)."""
    if len(text) > MAX_TEXT:
        raise Problem(414, "too-large", f"what follows {PATH}/ has more than {MAX_TEXT} characters")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise Problem(
            400,
            "not-base64",
            f"what follows {PATH}/ is not base64: {error}",
            clause="RFC 6960 A.1",
            remedy="Put the base64 of the DER request there, with / + and = percent-encoded.",
        ) from error


def _is_plain(der: bytes) -> bool:
    """Whether the octets are four SEQUENCEs, one in the other and each to the last octet, around something."""
    size = len(der)
    return _PLAIN_HEAD < size <= 129 and der[:_PLAIN_HEAD] == bytes(
        (0x30, size - 2, 0x30, size - 4, 0x30, size - 6, 0x30, size - 8)
    )


def _only(request: OCSPRequest) -> CertificateID:
    if len(request.ids) != 1:
        raise MalformedRequest(f"{len(request.ids)} certificates are asked about; this responder answers for one")
    return request.ids[0]


def _told(request: web.Request, found: Prepared, now_s: float) -> web.Response:
    if found.status is None:
        return _fresh(found.dated.body)
    if request.method == "POST":
        # No cache keeps answers to POST (RFC 9110 9.3.3), so the headers for caches are left out.
        return web.Response(body=found.dated.body, headers=_ANSWER_HEADERS)
    return dated_response(request, found.dated, ANSWER_TYPE, now_s=now_s, until_s=found.renewed_s)


def _fresh(der: bytes) -> web.Response:
    """An answer that is for this one request, or may be another one soon."""
    return web.Response(body=der, headers={"Content-Type": ANSWER_TYPE, "Cache-Control": "no-store"})
