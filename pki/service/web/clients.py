"""Who calls: a certificate that was shown in the handshake, judged for every request.

OpenSSL has asked one thing only: whether a chain can be built to one of our roots. Here it is asked whether the
certificate was issued by this registry, whether it stands our own verifier now, and whether it or an authority above it
is revoked, by the registry itself: a client that is revoked is refused with its next request, whatever lists say.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache

from aiohttp import web
from cryptography.x509.oid import NameOID

from pki.certificate import Certificate, parse_certificate
from pki.errors import PKIError
from pki.profile import AnchorRole, Place
from pki.profiles import profile_named
from pki.service.registry import HeldAuthority, Registry
from pki.service.store.certificates import Held, find_by_hash
from pki.service.web.problems import Problem
from pki.verify.chain import verify
from pki.verify.path import identifiers_fit
from pki.verify.trust import TrustStore

_REMEDY = "Enrol again with a one-time code from the operator of this PKI."


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """The holder of a leaf of this registry that is valid and not revoked; only `verify_client` makes one."""

    certificate: Certificate
    held: Held
    common_name: str

    @property
    def who(self) -> str:
        """What the audit log calls this client."""
        return f"{self.held.profile} {self.held.identity}"


def shown_certificate(request: web.Request) -> bytes | None:
    """The DER of the certificate that the peer showed in the handshake; None when it showed none."""
    transport = request.transport
    connection = None if transport is None else transport.get_extra_info("ssl_object")
    if not isinstance(connection, ssl.SSLObject):
        return None
    return connection.getpeercert(True)


def verify_client(registry: Registry, der: bytes) -> Client:
    """The client that showed this certificate.

    Raises:
        Problem: 403 "client-unknown": not issued by this registry; "client-revoked": it, or an authority above it, is;
            "client-certificate": the verifier refuses it now.
    """
    try:
        certificate = parse_certificate(der)
    except PKIError as error:
        raise Problem(403, "client-certificate", f"the client certificate cannot be read: {error}") from error
    issuer = _issuer_of(registry, certificate)
    with registry.reading() as connection:
        held = find_by_hash(connection, bytes.fromhex(certificate.sha256))
    if issuer is None or held is None or held.place is not Place.LEAF:
        raise Problem(403, "client-unknown", "the client certificate was not issued by this registry", remedy=_REMEDY)
    _require_good(registry, held, issuer)
    try:
        verify(
            [certificate.der, *(authority.der for authority in issuer.chain)],
            profile=profile_named(held.profile),
            trust=_trust_of(registry),
            at=registry.now(),
        )
    except PKIError as error:
        detail = f"the client certificate is refused: {error}"
        raise Problem(403, "client-certificate", detail, clause=error.clause, remedy=_REMEDY) from error
    names = certificate.attributes(NameOID.COMMON_NAME)
    return Client(certificate=certificate, held=held, common_name=names[0] or "")


def _issuer_of(registry: Registry, certificate: Certificate) -> HeldAuthority | None:
    for authority in registry.authorities().values():
        own = authority.certificate
        if own.subject_der == certificate.issuer_der and identifiers_fit(certificate, own):
            return authority
    return None


def _require_good(registry: Registry, held: Held, issuer: HeldAuthority) -> None:
    """Refuse what is revoked: the certificate itself, or an authority on its path."""
    with registry.reading() as connection:
        above = [find_by_hash(connection, bytes.fromhex(authority.sha256)) for authority in issuer.chain]
    for entry in (held, *above):
        if entry is not None and entry.revoked_at is not None:
            what = "the client certificate" if entry is held else f"the authority {entry.identity!a} above it"
            raise Problem(
                403,
                "client-revoked",
                f"{what} is revoked since {entry.revoked_at:%Y-%m-%d %H:%M:%S} UTC: {entry.reason}",
                clause="RFC 5280 6.3",
                remedy=_REMEDY,
            )


def _trust_of(registry: Registry) -> TrustStore:
    roots = [held for held in registry.authorities().values() if held.is_root]
    return _trust(tuple((held.row.role, held.certificate) for held in roots if held.row.role is not None))


# The same roots for a long time: whether each is signed by its own key is asked once.
@lru_cache(maxsize=4)
def _trust(roots: tuple[tuple[AnchorRole, Certificate], ...]) -> TrustStore:
    return TrustStore({role: [root for held, root in roots if held is role] for role in AnchorRole})
