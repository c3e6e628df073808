"""What stands between the gateway and its hub, named as what it is. Pure.

| code | what it is |
|---|---|
| unreachable | no connection, or one that broke |
| timeout | a connection and no answer: half open, or a hub that hangs |
| wrong-certificate | what answers cannot prove that it is the hub: a portal, a proxy that opens TLS, another host |
| not-tls | what answers does not speak TLS: a captive portal, or a port that is something else's |
| own-certificate | the other end does not take this gateway's certificate |
| captive-portal | a page, or the way to one, where the hub's answer belongs |
| proxy | the proxy does not let us through |
| busy | the hub asks for patience (429, 503); `retry_after_s` as it said |
| not-a-hub | any other answer that is none of a hub |
| too-long | an answer beyond its bound |
| ... | what the hub itself calls it, in a problem body |
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import aiohttp
import msgspec

from gateway.errors import UplinkError

MAX_RETRY_AFTER_S = 3600.0
"""No hub silences a site for longer than that, by mistake or otherwise."""
MAX_PROBLEM_BYTES = 16 * 1024
_PROBLEM = "application/problem+json"
_CODE = re.compile(r"urn:pncgate:problem:([a-z][a-z0-9-]{0,40})\Z")
_SHOWN = 300
_NOT_YET, _EXPIRED = 9, 10
_LOGIN = "a captive portal or a proxy answers in its place: log in there, or let this box through"
_NOT_ITS_CA = "[uplink] ca or hub is not right, or a captive portal or a proxy that opens TLS stands in between"
_NOT_ITS_PORT = "[uplink] hub names a wrong port, or a captive portal answers in its place: log in there"
_HUNG_UP = (
    "hung up without an answer: it stops, something cut the connection, or it does not take this gateway's certificate"
)
"""A refused certificate mostly looks like that: the alert comes together with the end, and is lost."""


class _Problem(msgspec.Struct):
    type: str = ""
    detail: str = ""


def broken(error: aiohttp.ClientError, hub: str) -> UplinkError:
    """The trouble that a failed exchange is."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        wants = "asks for a name and password ([uplink] proxy)" if error.status == 407 else "does not let us through"
        return UplinkError("proxy", f"{hub}: the proxy answered {error.status} and {wants}", status=error.status)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return UplinkError("proxy", f"{hub}: the proxy at {error.host}:{error.port} cannot be reached: {_os(error)}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return UplinkError("wrong-certificate", f"{hub}: {_untrusted(error.certificate_error)}")
    if isinstance(error, aiohttp.ClientSSLError):
        return _tls(error.os_error, hub)
    if isinstance(error, aiohttp.ClientOSError):
        cause = error.__cause__
        if isinstance(cause, ssl.SSLError):
            return _tls(cause, hub)
        return UplinkError("unreachable", f"{hub}: {_os(error) if error.errno else _HUNG_UP}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return UplinkError("unreachable", f"{hub}: {_HUNG_UP}")
    return UplinkError("unreachable", f"{hub}: {str(error) or type(error).__name__}")


def _os(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _tls(error: Exception, hub: str) -> UplinkError:
    told = str(error)
    if "ALERT" in told:
        return UplinkError("own-certificate", f"{hub}: does not take this gateway's certificate: {told}")
    return UplinkError("not-tls", f"{hub}: what answers does not speak TLS ({told}): {_NOT_ITS_PORT}")


def _untrusted(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (_NOT_YET, _EXPIRED):
            said = "not valid yet" if error.verify_code == _NOT_YET else "expired"
            return f"the hub's certificate is {said} by this box's clock: look at the clock, then at the certificate"
        return f"what answers cannot prove that it is the hub ({error.verify_message}): {_NOT_ITS_CA}"
    return f"what answers cannot prove that it is the hub ({error})"


def refused(path: str, status: int, media: str, headers: Mapping[str, str], body: bytes) -> UplinkError:
    """The trouble that an answer is which was not asked for; `body` is its beginning."""
    shown = path.partition("?")[0]
    said = _problem(media, body)
    wait_s = retry_after_s(headers)
    if status in (429, 503) and (said is not None or wait_s is not None):
        until = "" if wait_s is None else f"; it is asked again in {wait_s:g} s at the earliest"
        detail = "" if said is None else f": {said[1]}"
        return UplinkError("busy", f"{shown} answered {status}{detail}{until}", status=status, retry_after_s=wait_s)
    if said is not None:
        return UplinkError(said[0], f"{shown} answered {status}: {said[1]}", status=status)
    if 300 <= status < 400:
        target = headers.get("Location", "")[:_SHOWN]
        message = f"{shown} was sent on to {target!a}; {_LOGIN}"
        return UplinkError("captive-portal", message, status=status)
    if media in ("text/html", "application/xhtml+xml") and status in (200, 511):
        return UplinkError("captive-portal", f"{shown} was answered with a page; {_LOGIN}", status=status)
    return UplinkError("not-a-hub", f"{shown} answered {status} {media[:80]!a}, not a hub's answer", status=status)


def _problem(media: str, body: bytes) -> tuple[str, str] | None:
    """Code and detail of a hub's problem body."""
    if media != _PROBLEM:
        return None
    try:
        found = msgspec.json.decode(body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    code = _CODE.match(found.type)
    return None if code is None else (code[1], ascii(found.detail[:_SHOWN])[1:-1])


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What Retry-After asks for, in seconds, at most MAX_RETRY_AFTER_S; None without one that can be read. A date is
    measured from the answer's own Date: this box's clock may be wrong. Source: RFC 9110 10.2.3."""
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        wait_s = (parsedate_to_datetime(text) - parsedate_to_datetime(headers["Date"])).total_seconds()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
