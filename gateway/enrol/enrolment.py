"""The act of getting the gateway's own certificate: the first with a one-time code, each next one with the one before.

A new key is made for every certificate. What the PKI answers is verified, and only then put in the place of the pair
that was there. While the clock is unknown, or stands before the present certificate's life, nothing is asked for: no
date of an answer could be judged.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.clock import Moment
from gateway.config import Settings
from gateway.decide.dates import Dated, judged_at
from gateway.enrol.answer import load_backend_roots, own_leaf, verify_answer
from gateway.enrol.est import EST, Code, Label
from gateway.enrol.identity import OwnIdentity, load_identity, save_identity
from gateway.errors import ConfigurationError, EnrolmentError
from gateway.wording import reason
from pki.errors import PKIError
from pki.issue.keys import PrivateKey, generate_key, public_key_der, signing_hash
from pki.profiles import profile_named
from pki.verify.trust import TrustStore

BACKEND = Label("backend")
_PROFILE = "backend-client"


@dataclass(frozen=True, slots=True)
class PKI:
    """The PKI as the gateway knows it: the client, the context it connects with, and the roots of what it issues."""

    est: EST
    tls: ssl.SSLContext
    trust: TrustStore

    def show(self, path: Path) -> None:
        """Show the pair at `path` in every connection from here on.

        Raises:
            EnrolmentError: "identity-unusable".
        """
        try:
            self.tls.load_cert_chain(path)
        except (ssl.SSLError, OSError) as error:
            raise EnrolmentError("identity-unusable", f"{path}: cannot be used for TLS: {reason(error)}") from error


def open_pki(settings: Settings) -> PKI:
    """The PKI of [enrol]. Raises ConfigurationError: there is no such table, or its CA cannot be used."""
    table = settings.table.enrol
    if table is None:
        raise ConfigurationError("there is no [enrol] table: it names the PKI (`pnc-gateway init --pki URL` shows one)")
    ca = settings.file(table.ca, "[enrol] ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(ca)
        trust = load_backend_roots(ca)
    except (PKIError, ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"[enrol] ca {table.ca!r} cannot be used: {reason(error)}") from error
    return PKI(EST(table.est, context, table.timeout_s), context, trust)


class Enrolment:
    """Gets certificates for the gateway `gateway_id` and keeps the pair at `path`."""

    def __init__(self, pki: PKI, gateway_id: str, path: Path) -> None:
        self.pki, self.path, self._gateway_id = pki, path, gateway_id

    async def first(self, code: str, now: Moment) -> OwnIdentity:
        """The pair of a first enrolment, on disk. Raises EnrolmentError; what was there is untouched then."""
        require_clock(now)
        key = generate_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._gateway_id)])
        answered = await self.pki.est.enrol(_request(key, name), BACKEND, code=Code(self._gateway_id, code))
        return await self._take(key, answered, now)

    async def next(self, present: OwnIdentity, now: Moment) -> OwnIdentity:
        """The pair that follows `present`, for the same subject, on disk.

        Raises:
            EnrolmentError: "clock-unknown", "clock-behind", "certificate-expired", or as `first`.
        """
        require_clock(now)
        leaf = present.leaf
        if now.at < leaf.not_before:
            message = f"the clock says {now.at}, before the certificate's life begins ({leaf.not_before}): set it"
            raise EnrolmentError("clock-behind", message)
        if now.at > leaf.not_after:
            message = (
                f"the certificate expired {leaf.not_after}, the clock says {now.at}: if that is right, enrol again by "
                "`pnc-gateway enrol` and a new code"
            )
            raise EnrolmentError("certificate-expired", message)
        key = generate_key()
        answered = await self.pki.est.enrol(_request(key, leaf.parsed.subject), BACKEND, again=True)
        return await self._take(key, answered, now)

    async def _take(self, key: PrivateKey, answered: tuple[bytes, ...], now: Moment) -> OwnIdentity:
        leaf = own_leaf(answered, public_key_der(key))
        held = bool(self.pki.trust.named(leaf.issuer_der))
        above = () if held else await self.pki.est.authorities(BACKEND)
        chain = verify_answer(
            leaf,
            (*answered, *above),
            profile=profile_named(_PROFILE),
            common_name=self._gateway_id,
            trust=self.pki.trust,
            at=now.at,
        )
        save_identity(self.path, key, chain)
        return load_identity(self.path)


def require_clock(now: Moment) -> None:
    """Return when the clock may be right. Raises EnrolmentError: "clock-unknown"."""
    if judged_at(Dated.PAPER, now) is None:
        message = f"the clock says {now.at:%Y-%m-%d %H:%M}, which cannot be: set it, then try again"
        raise EnrolmentError("clock-unknown", message)


def _request(key: PrivateKey, subject: x509.Name) -> bytes:
    """A certification request for `subject`, signed by `key` (RFC 2986)."""
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, signing_hash(key))
    return made.public_bytes(Encoding.DER)
