"""The OCSP answers of this PKI: made beforehand for every certificate that lives, kept in memory, made anew when half
of their life is over.

Rules of this file
1. An answer is given out only if the store has not changed since it was last compared with it. After any commit, of
   whichever process, an answer is compared when it is next asked for: a revocation counts with the next request, one
   by another process 10 ms later at the latest.
2. Of a serial number that this PKI did not issue it is said that it is unknown, never that it is good. Such an answer
   is not kept, so that nobody can fill the memory with numbers he made up.
3. An answer that has run out is never given out, and none promises more than its signer's own life.
4. When the store cannot be read nothing is answered (tryLater): what is in memory may be old.

All of it runs in the event loop; the store is read beside its writer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, product

from pki.certificate import parse_certificate
from pki.errors import PKIError
from pki.issue.answers import ANSWER_LIFE, GOOD, UNKNOWN, AnswerSigner, Standing, revoked
from pki.issue.lists import Reason
from pki.service.registry import HeldAuthority, Registry
from pki.service.store.publications import Responder, find_responder
from pki.service.store.status import SerialStatus, serials_alive, status_of
from pki.service.web.caching import Dated
from pki.service.web.ocsp_request import CertificateID, encode_id
from pki.service.web.standing import Standing as Registered
from pki.verify.certificate_id import HashAlgorithm, IssuerID, issuer_id

MAX_KEPT = 100_000
"""Answers in memory, some 1.4 kB each and 0.7 kB more once they were asked for by GET: two for each of 50,000
certificates. With more certificates the answers that were made last are kept."""
_EAGER = (HashAlgorithm.SHA1, HashAlgorithm.SHA256)
"""The hashes for which answers are made beforehand: what OpenSSL asks with, and what OCPP and ISO 15118 ask with."""


@dataclass(slots=True)
class Prepared:
    """An answer about one certificate, and what it was made of (None: unknown). `change` is the store's when the answer
    was last compared with it, `renewed_s` when it is to be made anew (seconds since 1970)."""

    dated: Dated
    asked: CertificateID
    status: SerialStatus | None
    change: int
    renewed_s: float


class Unauthorized(PKIError):
    """Raised for a certificate of an issuer that is not known, or not answered for here."""

    def __init__(self, message: str) -> None:
        super().__init__("unauthorized", message, clause="RFC 6960 2.3")


class Answers:
    """Makes, keeps and renews answers. Of one event loop."""

    def __init__(self, registry: Registry, standing: Registered, *, max_kept: int = MAX_KEPT) -> None:
        self._registry, self._standing, self.max_kept = registry, standing, max_kept
        self._life = min(timedelta(hours=registry.settings.lists.answer_hours), ANSWER_LIFE)
        self._kept: dict[bytes, Prepared] = {}
        self._issuers: dict[IssuerID, HeldAuthority] = {}
        self._known: object = None
        self._signers: dict[str, tuple[int, Responder, AnswerSigner]] = {}

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    def __contains__(self, asked: CertificateID) -> bool:
        """Whether there is an answer about exactly this id, however old."""
        return asked.der in self._kept

    def prepared(self, id_der: bytes, now_s: float) -> Prepared | None:
        """The answer about the certificate of exactly this id, if it is kept, in time, and as the store has it now.

        Raises:
            StateError: the store cannot be read.
        """
        found = self._kept.get(id_der)
        if found is None:
            return None
        change = self._standing.change()
        if found.change != change:
            if self._status(found.asked) != found.status:
                del self._kept[id_der]
                return None
            found.change = change
        return found if now_s < found.renewed_s else None

    def make(self, asked: CertificateID) -> Prepared:
        """A new answer as the store has it now; kept unless the certificate is unknown.

        Raises:
            Unauthorized: of an issuer that is not answered for here.
            PKIError: the store cannot be read, or the answer cannot be signed.
        """
        change, status = self._standing.change(), self._status(asked)
        der, begin, end = self._signed(asked, status, None)
        renewed_s = (begin + (end - begin) / 2).timestamp()
        made = Prepared(Dated(der, begin, end), asked, status, change, renewed_s)
        self._kept.pop(asked.der, None)
        if status is not None:
            while len(self._kept) >= self.max_kept:
                del self._kept[next(iter(self._kept))]
            self._kept[asked.der] = made
        return made

    def signed_for(self, asked: CertificateID, nonce: bytes) -> bytes:
        """An answer that carries this nonce (1 to 32 octets), for one request only. Raises as `make`."""
        kept = self._kept.get(asked.der)
        known = kept is not None and kept.change == self._standing.change()
        return self._signed(asked, kept.status if kept is not None and known else self._status(asked), nonce)[0]

    def renew(self, now_s: float, most: int) -> int:
        """Make the oldest answers anew, as far as they are due, `most` of them; how many were due. Those of expired
        certificates are let go. Raises as `make`."""
        # Whatever is made anew goes to the end, so the front is the oldest.
        due = [each for each in islice(self._kept.values(), most) if each.renewed_s <= now_s]
        for each in due:
            if each.status is not None and each.status.not_after.timestamp() < now_s:
                del self._kept[each.asked.der]
            else:
                self.make(each.asked)
        return len(due)

    def living(self) -> Iterator[CertificateID]:
        """Every certificate that is not expired, of each authority that is answered for, with the usual hashes. Raises
        StateError."""
        now = self._standing.now()
        for authority in self._standing.authorities().values():
            after: bytes | None = b"" if self._signer(authority) is not None else None
            while after is not None:
                with self._standing.store.reading() as connection:
                    page = serials_alive(connection, authority.name, now, after)
                for serial, algorithm in product(page.serials, _EAGER):
                    yield encode_id(issuer_id(authority.certificate, algorithm), serial)
                after = page.next

    def _signed(
        self, asked: CertificateID, status: SerialStatus | None, nonce: bytes | None
    ) -> tuple[bytes, datetime, datetime]:
        """The answer, and from when to when it counts."""
        authority = self._authority(asked)
        signer = self._signer(authority)
        if signer is None or asked.issuer is None:
            raise Unauthorized(f"{authority.name} has no OCSP responder")
        begin = self._standing.now()
        end = min(begin + self._life, signer.delegate.not_after)
        der = signer.answer(
            asked.serial,
            _said(status),
            this_update=begin,
            next_update=end,
            algorithm=asked.issuer.algorithm,
            nonce=nonce,
        )
        return der, begin, end

    def _status(self, asked: CertificateID) -> SerialStatus | None:
        authority = self._authority(asked)
        with self._standing.store.reading() as connection:
            return status_of(connection, authority.name, asked.serial)

    def _authority(self, asked: CertificateID) -> HeldAuthority:
        held = self._standing.authorities()
        if held is not self._known:
            self._issuers = {
                issuer_id(each.certificate, algorithm): each for each in held.values() for algorithm in HashAlgorithm
            }
            self._known = held
        found = None if asked.issuer is None else self._issuers.get(asked.issuer)
        if found is None:
            raise Unauthorized("the certificate is of an issuer that is not answered for here")
        return found

    def _signer(self, authority: HeldAuthority) -> AnswerSigner | None:
        """Who signs for an authority; None when nobody does. The row of its responder is read again after a commit, the
        key once for each responder."""
        change, kept = self._standing.change(), self._signers.get(authority.name)
        if kept is not None and kept[0] == change:
            return kept[2]
        with self._standing.store.reading() as connection:
            row = find_responder(connection, authority.name)
        if row is None:
            return None
        if kept is None or kept[1] != row or kept[2].issuer != authority.certificate:
            key = self._registry.key(row.key_name)
            signer = AnswerSigner(authority.certificate, parse_certificate(row.certificate), key)
        else:
            signer = kept[2]
        self._signers[authority.name] = change, row, signer
        return signer


def _said(status: SerialStatus | None) -> Standing:
    if status is None:
        return UNKNOWN
    if status.revoked_at is None:
        return GOOD
    return revoked(status.revoked_at, Reason(status.reason or Reason.UNSPECIFIED))
