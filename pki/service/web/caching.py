"""What HTTP caches are told about things that are signed and dated: RFC 5019 for OCSP answers, the same for lists.

`max-age` is counted to the instant at which there may be a newer one, never beyond nextUpdate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from aiohttp import web
from multidict import CIMultiDict


@dataclass(slots=True)
class Dated:
    """Octets that count from one instant to another (aware), with their headers once they were asked for."""

    body: bytes
    modified_at: datetime
    expires_at: datetime
    _headers: CIMultiDict[str] | None = None
    _age_s: int = 0

    def headers(self, age_s: int, media_type: str) -> CIMultiDict[str]:
        """What caches are told, made once a second; to be copied, not changed. The media type is always the same."""
        headers = self._headers
        if headers is None:
            headers = self._headers = CIMultiDict(
                {
                    "Content-Type": media_type,
                    "ETag": f'"{hashlib.sha256(self.body).hexdigest()[:32]}"',
                    "Last-Modified": format_datetime(self.modified_at, usegmt=True),
                    "Expires": format_datetime(self.expires_at, usegmt=True),
                    "Cache-Control": _control(age_s),
                }
            )
        elif self._age_s != age_s:
            headers["Cache-Control"] = _control(age_s)
        self._age_s = age_s
        return headers


def _control(age_s: int) -> str:
    return f"max-age={age_s},public,no-transform,must-revalidate" if age_s > 0 else "no-cache"


def dated_response(
    request: web.Request, dated: Dated, media_type: str, *, now_s: float, until_s: float
) -> web.Response:
    """The octets, or 304 when the client has them. A cache may keep them until `until_s`, which is not beyond their
    end; both are seconds since 1970.

    Source: RFC 5019 6.2; RFC 9110 13.1.
    """
    headers = dated.headers(int(until_s - now_s), media_type)
    if _is_held(request, dated, headers["ETag"]):
        return web.Response(status=304, headers=headers)
    return web.Response(body=dated.body, headers=headers)


def _is_held(request: web.Request, dated: Dated, etag: str) -> bool:
    headers = request.headers
    if "If-None-Match" in headers:
        tags = [tag.strip().removeprefix("W/") for tag in headers["If-None-Match"].split(",")]
        return tags == ["*"] or etag in tags
    if "If-Modified-Since" not in headers:
        return False
    since = request.if_modified_since
    return since is not None and dated.modified_at.replace(microsecond=0) <= since
