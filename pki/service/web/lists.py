"""Revocation lists and the certificates of authorities, for everybody: they are signed by themselves.

`/crls/NAME.crl`, `/crls/NAME-delta.crl`, `/ca/NAME.cer` (DER), `/ca/NAME.pem` (with the authorities above, root last).

Source: RFC 5280 4.2.1.13, 4.2.2.1; RFC 2585 4; RFC 8555 9.1 for the media type of PEM.
"""

from __future__ import annotations

from aiohttp import web

from pki.errors import StateError
from pki.service.registry import HeldAuthority
from pki.service.store.publications import ListKind, find_list, list_number
from pki.service.web.caching import Dated, dated_response
from pki.service.web.problems import Problem, shown, telling
from pki.service.web.standing import Standing

LIST_TYPE, CERTIFICATE_TYPE, CHAIN_TYPE = (
    "application/pkix-crl",
    "application/pkix-cert",
    "application/pem-certificate-chain",
)
LIST_AGE_S = 3600
"""How long a cache may keep a list: a new one is made at once when something is revoked."""
CERTIFICATE_AGE_S = 86_400
_NAME = "{name:[A-Za-z0-9][A-Za-z0-9._-]{0,63}?}"
_DELTA_SUFFIX = "-delta"


class Lists:
    """Answers with what was published last. Of one event loop."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._kept: dict[tuple[str, ListKind], tuple[int, Dated]] = {}

    def add_routes(self, app: web.Application) -> None:
        """The paths that stand in certificates."""
        app.router.add_get(f"/crls/{_NAME}.crl", telling(self.revocation_list))
        app.router.add_get(f"/ca/{_NAME}.cer", telling(self.certificate))
        app.router.add_get(f"/ca/{_NAME}.pem", telling(self.chain))

    async def revocation_list(self, request: web.Request) -> web.Response:
        """The complete list of an authority, or with `-delta` behind its name what changed since."""
        name = request.match_info["name"]
        try:
            dated = self._current(name, ListKind.FULL)
            if dated is None and name.endswith(_DELTA_SUFFIX):
                dated = self._current(name.removesuffix(_DELTA_SUFFIX), ListKind.DELTA)
        except StateError as error:
            raise Problem(503, error.code, str(error), retry_after_s=30) from error
        if dated is None:
            raise Problem(404, "no-list", f"no list {shown(name)} is published here")
        now_s = self._standing.now_s()
        until_s = min(now_s + LIST_AGE_S, dated.expires_at.timestamp())
        return dated_response(request, dated, LIST_TYPE, now_s=now_s, until_s=until_s)

    async def certificate(self, request: web.Request) -> web.Response:
        """The certificate of an authority."""
        return self._certificate(request, self._held(request).certificate.der, CERTIFICATE_TYPE)

    async def chain(self, request: web.Request) -> web.Response:
        """The certificate of an authority and those above it."""
        held = self._held(request)
        certificates = dict.fromkeys((held.certificate, *held.above, held.root))
        text = "".join(certificate.pem() for certificate in certificates)
        return self._certificate(request, text.encode(), CHAIN_TYPE)

    def _certificate(self, request: web.Request, body: bytes, media_type: str) -> web.Response:
        held, now_s = self._held(request), self._standing.now_s()
        dated = Dated(body, held.certificate.not_before, held.certificate.not_after)
        return dated_response(request, dated, media_type, now_s=now_s, until_s=now_s + CERTIFICATE_AGE_S)

    def _held(self, request: web.Request) -> HeldAuthority:
        name = request.match_info["name"]
        try:
            held = self._standing.authorities().get(name)
        except StateError as error:
            raise Problem(503, error.code, str(error), retry_after_s=30) from error
        if held is None:
            raise Problem(404, "authority-unknown", f"no authority {shown(name)} here")
        return held

    def _current(self, name: str, kind: ListKind) -> Dated | None:
        """The last list of an authority; its octets are read again only when there is a newer one."""
        kept = self._kept.get((name, kind))
        with self._standing.store.reading() as connection:
            number = list_number(connection, name, kind)
            if kept is not None and kept[0] == number:
                return kept[1]
            made = find_list(connection, name, kind) if number is not None else None
        if made is None:
            self._kept.pop((name, kind), None)
            return None
        dated = Dated(made.der, made.this_update, made.next_update)
        self._kept[name, kind] = made.number, dated
        return dated
