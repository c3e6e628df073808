"""What HTTP caches are told about things that are signed and dated: RFC 5019 for OCSP answers, the same for lists.

`max-age` is counted to the instant at which there may be a newer one, never beyond nextUpdate.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Dated:
    """Octets that count from one instant to another, with the parts of their headers that do not change."""

    body: bytes
    etag: str
    modified_at: datetime
    modified: str
    expires: str
    expires_s: float

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


def dated_response(
    request: web.Request, dated: Dated, media_type: str, *, now_s: float, until_s: float
) -> web.Response:
    """The octets, or 304 when the client has them. A cache may keep them until `until_s`, and not beyond their end;
    both are seconds since 1970.

    Source: RFC 5019 6.2; RFC 9110 13.1.
    """
    age = int(min(until_s, dated.expires_s) - now_s)
    headers = {
        "ETag": dated.etag,
        "Last-Modified": dated.modified,
        "Expires": dated.expires,
        "Cache-Control": f"max-age={age},public,no-transform,must-revalidate" if age > 0 else "no-cache",
    }
    if request.method != "POST" and _is_held(request, dated):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = media_type
    return web.Response(body=dated.body, headers=headers)


def _is_held(request: web.Request, dated: Dated) -> bool:
    tags = request.headers.get("If-None-Match")
    if tags is not None:
        return tags.strip() == "*" or dated.etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    since = request.if_modified_since
    return since is not None and dated.modified_at.replace(microsecond=0) <= since
