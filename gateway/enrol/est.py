"""An EST client: asks for certificates, and for those of the authorities above them.

Rules
1. The PKI's server certificate must come from the configured CA and name the host. Redirects are not followed.
2. Every exchange has a time limit, every answer a bound. What came is not trusted here; `answer` verifies it.
3. Each exchange has a connection of its own, so that it shows the certificate that is there now.

Source: RFC 7030 3.2, 4.1, 4.2; RFC 8951 (bodies are base64); RFC 9457 (why it was refused).
"""

from __future__ import annotations

import base64
import binascii
import ssl
from dataclasses import dataclass, field

import aiohttp
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from gateway.errors import EnrolmentError

MAX_ANSWER = 128 * 1024
_MAX_CERTIFICATES = 64
_TEXT_MAX = 300
_RETRY_MAX_S = 86_400
_NOT_YET_VALID, _EXPIRED = 9, 10
"""OpenSSL's verify codes that a wrong clock causes."""


@dataclass(frozen=True, slots=True)
class Label:
    """What is asked for: the label in the path, and for ISO 15118-20 the namespace that says so."""

    name: str
    namespace: str | None = None

    def query(self) -> dict[str, str]:
        """The query of a path."""
        return {} if self.namespace is None else {"xsdMsgDefNamespace": self.namespace}


@dataclass(frozen=True, slots=True)
class Code:
    """A registered name and its one-time code."""

    name: str
    code: str = field(repr=False)


class _ProblemBody(msgspec.Struct):
    """RFC 9457, as far as it is told."""

    detail: str = ""
    code: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content_type: str
    retry_after: str | None
    body: bytes


class EST:
    """The PKI at `base` (https://HOST[:PORT]). `tls` trusts its CA only, and shows the gateway's certificate once there
    is one: it may be loaded anew at any time."""

    def __init__(self, base: str, tls: ssl.SSLContext, timeout_s: float) -> None:
        self.base, self._tls, self._timeout_s = base.rstrip("/"), tls, timeout_s

    async def enrol(
        self, request: bytes, label: Label, *, code: Code | None = None, again: bool = False
    ) -> tuple[bytes, ...]:
        """The certificates (DER) that the PKI answered to a certification request (DER): the new one among them.

        Raises:
            EnrolmentError: "pki-unreachable", "pki-hung-up", "pki-certificate", "timeout", "not-a-pki", "pending", or
                the code of the PKI's refusal.
        """
        act = "simplereenroll" if again else "simpleenroll"
        headers = {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64"}
        if code is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(code.name, code.code, encoding="utf-8")
        answer = await self._exchange("POST", act, label, base64.b64encode(request), headers)
        return _read(answer, act)

    async def authorities(self, label: Label) -> tuple[bytes, ...]:
        """The certificates of the authorities for a label, in no order, roots among them. Raises EnrolmentError."""
        return _read(await self._exchange("GET", "cacerts", label, None, {}), "cacerts")

    async def _exchange(
        self, method: str, act: str, label: Label, body: bytes | None, headers: dict[str, str]
    ) -> _Answer:
        url = f"{self.base}/.well-known/est/{label.name}/{act}"
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        connector = aiohttp.TCPConnector(ssl=self._tls, force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session,
                session.request(
                    method, url, params=label.query(), data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                return _Answer(
                    status=response.status,
                    content_type=response.content_type,
                    retry_after=response.headers.get("Retry-After"),
                    body=await _read_bounded(response, act),
                )
        except aiohttp.ClientConnectorCertificateError as error:
            raise _untrusted(self.base, error.certificate_error) from error
        except aiohttp.ClientError as error:
            raise _unreachable(self.base, error) from error
        except TimeoutError as error:
            message = f"{self.base}: no whole answer to {act} within {self._timeout_s:g} s"
            raise EnrolmentError("timeout", message) from error


async def _read_bounded(response: aiohttp.ClientResponse, act: str) -> bytes:
    body = bytearray()
    async for piece in response.content.iter_chunked(16 * 1024):
        body += piece
        if len(body) > MAX_ANSWER:
            raise EnrolmentError("not-a-pki", f"{act} answered more than {MAX_ANSWER} bytes")
    return bytes(body)


def _unreachable(base: str, error: aiohttp.ClientError) -> EnrolmentError:
    """No connection; or one that the PKI ended before it answered, as it does to certificates that it does not know."""
    said = str(error) or type(error).__name__
    if isinstance(error, aiohttp.ClientConnectorError) and not isinstance(error, aiohttp.ClientSSLError):
        return EnrolmentError("pki-unreachable", f"{base}: {said}")
    hint = "if it is the PKI: does it know the certificate of this gateway, and is that still valid?"
    return EnrolmentError("pki-hung-up", f"{base}: the connection was ended before an answer: {said}; {hint}")


def _untrusted(base: str, error: Exception) -> EnrolmentError:
    """Why the PKI's own certificate was refused; a wrong clock is the usual cause of two of the reasons."""
    code = error.verify_code if isinstance(error, ssl.SSLCertVerificationError) else 0
    hint = "; is it the PKI that [enrol] ca belongs to?"
    if code in (_NOT_YET_VALID, _EXPIRED):
        hint = "; is the clock of this box right?"
    return EnrolmentError("pki-certificate", f"{base}: the PKI's certificate is refused: {error}{hint}")


def _read(answer: _Answer, act: str) -> tuple[bytes, ...]:
    """The certificates of an answer. Raises EnrolmentError when it is another one."""
    if answer.status == 202:
        wait = _retry_after(answer.retry_after)
        message = f"the PKI has taken {act} down and a person has to approve it; ask again later"
        raise EnrolmentError("pending", message, retry_after_s=wait)
    if answer.status != 200:
        raise _refusal(answer, act)
    if answer.content_type != "application/pkcs7-mime":
        raise EnrolmentError("not-a-pki", f"{act} answered {answer.content_type[:80]!a}, not certificates")
    try:
        der = base64.b64decode(b"".join(answer.body.split()), validate=True)
        found = pkcs7.load_der_pkcs7_certificates(der)
        certificates = tuple(certificate.public_bytes(Encoding.DER) for certificate in found)
    except (binascii.Error, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise EnrolmentError("not-a-pki", f"{act} answered no certificates in base64 PKCS#7: {error}") from error
    if not 1 <= len(certificates) <= _MAX_CERTIFICATES:
        raise EnrolmentError("not-a-pki", f"{act} answered {len(certificates)} certificates")
    return certificates


def _refusal(answer: _Answer, act: str) -> EnrolmentError:
    """The error for a status that is no success. A 4xx is the PKI's decision, but for those that say "later"."""
    status = answer.status
    try:
        problem = msgspec.json.decode(answer.body, type=_ProblemBody)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        problem = _ProblemBody()
    code = problem.code if problem.code.replace("-", "").isalnum() and len(problem.code) <= 64 else f"http-{status}"
    said = ". ".join(_plain(text).rstrip(".") for text in (problem.detail, problem.remedy) if text)
    message = f"{act} was answered with {status}" + (f": {said}" if said else "")
    if 300 <= status < 400:
        return EnrolmentError("not-a-pki", f"{message}: redirects are not followed")
    refused = 400 <= status < 500 and status not in (408, 425, 429)
    return EnrolmentError(code, message, refused=refused, retry_after_s=_retry_after(answer.retry_after))


def _plain(text: str) -> str:
    """A foreign text on one line, without control characters."""
    return "".join(character if character.isprintable() else "?" for character in text[:_TEXT_MAX])


def _retry_after(text: str | None) -> int | None:
    """Seconds; a date, or anything else, is left to our own patience."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 9:
        return None
    return min(int(text), _RETRY_MAX_S)
