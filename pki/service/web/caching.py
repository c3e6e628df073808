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
    """Octets that count from one instant to another, with their headers, which change by the second."""

    body: bytes
    etag: str
    modified_at: datetime
    modified: str
    expires: str
    expires_s: float
    _headers: CIMultiDict[str] | None = None
    _age: int = 0

    @classmethod
    def of(cls, body: bytes, modified_at: datetime, expires_at: datetime) -> Dated:
        """The octets with their dates (aware)."""
        return cls(
            body=body,
            etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
            modified_at=modified_at,
            modified=format_datetime(modified_at, usegmt=True),
            expires=format_datetime(expires_at, usegmt=True),
            expires_s=expires_at.timestamp(),
        )

    def headers(self, age_s: int, media_type: str) -> CIMultiDict[str]:
        """What caches are told; to be copied, not changed. The media type is always the same."""
        if self._headers is None or self._age != age_s:
            control = f"max-age={age_s},public,no-transform,must-revalidate" if age_s > 0 else "no-cache"
            self._age, self._headers = (
                age_s,
                CIMultiDict(
                    {
                        "Content-Type": media_type,
                        "ETag": self.etag,
                        "Last-Modified": self.modified,
                        "Expires": self.expires,
                        "Cache-Control": control,
                    }
                ),
            )
        return self._headers


def dated_response(
    request: web.Request, dated: Dated, media_type: str, *, now_s: float, until_s: float
) -> web.Response:
    """The octets, or 304 when the client has them. A cache may keep them until `until_s`, and not beyond their end;
    both are seconds since 1970.

    Source: RFC 5019 6.2; RFC 9110 13.1.
    """
    headers = dated.headers(int(min(until_s, dated.expires_s) - now_s), media_type)
    if _is_held(request, dated):
        return web.Response(status=304, headers=headers)
    return web.Response(body=dated.body, headers=headers)


def _is_held(request: web.Request, dated: Dated) -> bool:
    headers = request.headers
    if "If-None-Match" in headers:
        tags = [tag.strip().removeprefix("W/") for tag in headers["If-None-Match"].split(",")]
        return tags == ["*"] or dated.etag in tags
    if "If-Modified-Since" not in headers:
        return False
    since = request.if_modified_since
    return since is not None and dated.modified_at.replace(microsecond=0) <= since
