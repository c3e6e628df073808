"""The URLs of partners: joined, taken apart, and held to the hosts that a partner registered.

Rules
1. Parts are joined with exactly one slash, each percent-encoded as one segment; no slash at the end unless a partner
   wants one (quirk `trailing_slash`). The query of an endpoint stays at the end.
2. URLs that a partner names (`response_url`, `Link`, `Location`, versions) are called only when they are https and
   lie on a host and port registered for that partner; its token never goes to another.
3. A URL with a user, white space, a control character or a backslash is none: readers differ on where its host ends.

Source: OCPI 2.3.0 transport_and_format (Interface endpoints, Client Owned Object Push); RFC 3986.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from wire.errors import OCPIRefused

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_IN_QUERY = _UNRESERVED | frozenset(b":*,")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?",
    re.IGNORECASE,
)
_SPOILT = re.compile(r"[^\x21-\x7e]|[\\<>\"`{}|^]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
LONGEST = 2048
"""Characters of a URL at most; OCPI gives 255 to its URL type, paged links with filters run longer."""


class Place(NamedTuple):
    """Where a URL leads: scheme and host in lower case, the port as it is or as the scheme has it."""

    scheme: str
    host: str
    port: int


def quoted(text: str, safe: frozenset[int] = _UNRESERVED) -> str:
    """`text` percent-encoded as UTF-8, all but RFC 3986's unreserved characters."""
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def unquoted(text: str) -> str:
    """`text` without percent-encoding; what is no UTF-8 becomes U+FFFD."""
    if "%" not in text:
        return text
    raw = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text.encode("utf-8").decode("latin-1"))
    return raw.encode("latin-1").decode("utf-8", "replace")


def joined(base: str, *segments: str, query: Mapping[str, str] | None = None, slash: bool = False) -> str:
    """`base` and the segments below it, then the query of `base` and `query`. `slash` ends the path with one.

    Raises:
        OCPIRefused: a segment is empty, `.` or `..` (`bad-segment`): no server could tell which object is meant.
    """
    head, _, old = base.partition("?")
    for segment in segments:
        if segment in ("", ".", ".."):
            raise OCPIRefused("bad-segment", base, f"{segment!r} cannot be a part of a URL")
    path = "/".join([head.rstrip("/"), *(quoted(segment) for segment in segments)]) + ("/" if slash else "")
    return with_query(f"{path}?{old}" if old else path, query or {})


def with_query(url: str, query: Mapping[str, str]) -> str:
    """`url` with these parameters in its query; those of the same name are replaced, all others stay."""
    head, _, old = url.partition("?")
    kept = [part for part in old.split("&") if part and unquoted(part.partition("=")[0]) not in query]
    new = [f"{quoted(name, _IN_QUERY)}={quoted(value, _IN_QUERY)}" for name, value in query.items()]
    return "?".join([head, "&".join(kept + new)]) if kept or new else head


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL's query, decoded; of several with one name the last."""
    parts = (part.partition("=") for part in url.partition("#")[0].partition("?")[2].split("&") if part)
    return {unquoted(name.replace("+", " ")): unquoted(value.replace("+", " ")) for name, _, value in parts}


def place_of(url: str) -> Place:
    """Where a URL leads.

    Raises:
        OCPIRefused: it is no absolute http(s) URL that all read alike, or longer than LONGEST (`bad-url`).
    """
    match = None if len(url) > LONGEST or _SPOILT.search(url) else _URL.fullmatch(url)
    if match is None or not 0 < int(match["port"] or 1) < 65536:
        raise OCPIRefused("bad-url", url[:120], "no absolute http or https URL")
    scheme = match["scheme"].lower()
    return Place(scheme, match["host"].lower().rstrip("."), int(match["port"] or (443 if scheme == "https" else 80)))


def require_registered(url: str, registered: Iterable[str], *, plain: bool = False) -> str:
    """`url`, which leads to the place of one of the `registered` URLs. `plain` lets http pass: for a lab only.

    Raises:
        OCPIRefused: it is no URL (`bad-url`), not https (`not-https`) or leads elsewhere (`foreign-host`).
    """
    place = place_of(url)
    if place.scheme != "https" and not plain:
        raise OCPIRefused("not-https", url[:120], "only https is called")
    if place not in {place_of(known) for known in registered}:
        raise OCPIRefused("foreign-host", url[:120], f"{place.host}:{place.port} is not registered for this partner")
    return url


def resolved(base: str, reference: str) -> str:
    """`reference` as an absolute URL: itself, or its path or query in the place of `base`.

    Raises:
        OCPIRefused: it is none of these (`bad-url`).
    """
    place_of(base)
    if reference.startswith("?"):
        return base.partition("?")[0] + reference
    if reference.startswith("/") and not reference.startswith("//"):
        match = _URL.fullmatch(base)
        end = match.start("path") if match and match["path"] else len(base.partition("?")[0])
        return base[:end] + reference
    place_of(reference)
    return reference
