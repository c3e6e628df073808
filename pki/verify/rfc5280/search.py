"""Finding paths: from a certificate upwards, depth first, every alternative in turn.

Anchors are tried before intermediates, and nothing costs a signature before everything cheaper has passed: name, key
identifier, what an issuer must be, validity. A path never holds one subject with one key twice, so that cross-signed
CAs cannot lead in circles; how many issuers are tried at all is limited by the budget.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from enum import IntEnum

from cryptography import x509

from pki.errors import ChainRejected, MalformedCertificate, NoEvidence
from pki.verify.rfc5280.budget import PATH_LENGTH, Budget
from pki.verify.rfc5280.conformance import check_anchor, check_certificate, check_issuer, check_validity
from pki.verify.rfc5280.names import Name
from pki.verify.rfc5280.reading import PathCertificate
from pki.verify.rfc5280.refusal import refuse
from pki.verify.rfc5280.signatures import Signed, is_signed_by, signing_key
from pki.verify.rfc5280.validation import CandidatePath


class Weight(IntEnum):
    """How much a refusal tells: the further a candidate came, the more."""

    NO_ISSUER = 0
    UNREADABLE = 1
    NOT_SIGNED = 2
    UNFIT_ISSUER = 3
    CONSTRAINT = 4
    REVOKED = 5
    NO_EVIDENCE = 6


class Refusals:
    """The most telling of the refusals met on the way; of equals, the first."""

    __slots__ = ("_error", "_weight")

    def __init__(self) -> None:
        self._error: ChainRejected | NoEvidence | None = None
        self._weight = Weight.NO_ISSUER

    def note(self, error: ChainRejected | NoEvidence, weight: Weight) -> None:
        """Keep it if it tells more than what is kept. A spent budget is no refusal of a candidate: it is raised."""
        if error.code == "budget":
            raise error
        if self._error is None or weight > self._weight:
            self._error, self._weight = error, weight

    def most_telling(self) -> ChainRejected | NoEvidence:
        """What to tell when no path was accepted."""
        return self._error or ChainRejected("anchor-unknown", "no path leads to an anchor", clause="RFC 5280 6.1")


class PathSearch:
    """The certificates that one verdict may use, and what was found out about them. Nothing outlives the verdict."""

    def __init__(
        self,
        presented: Sequence[PathCertificate],
        anchors: Sequence[PathCertificate],
        *,
        at: datetime,
        budget: Budget,
        refusals: Refusals,
        max_intermediates: int | None = None,
    ) -> None:
        """`presented`: what may stand between leaf and anchor; `max_intermediates` does not count self-issued ones."""
        held = {anchor.der for anchor in anchors}
        self.at, self.budget, self.refusals = at, budget, refusals
        self._anchors = _by_subject(anchors)
        self._presented = _by_subject(certificate for certificate in presented if certificate.der not in held)
        self._max_intermediates = PATH_LENGTH if max_intermediates is None else min(max_intermediates, PATH_LENGTH)
        self._fitness: dict[PathCertificate, ChainRejected | None] = {}
        self._signed: dict[tuple[bytes, bytes], bool] = {}

    def paths(self, target: PathCertificate) -> Iterator[CandidatePath]:
        """Every chain of signatures from `target` to an anchor; its constraints are still to be validated."""
        yield from self._extend((target,), 0)

    def subjects(self, name: Name) -> tuple[PathCertificate, ...]:
        """Every presented certificate and anchor of one name."""
        return (*self._presented.get(name, ()), *self._anchors.get(name, ()))

    def is_signed(self, issuer: PathCertificate, signed: Signed, content: bytes) -> bool:
        """Whether the issuer's key signed; each pair is verified once.

        Raises:
            ChainRejected: "budget"; "algorithm" or "unsupported": the issuer's key cannot be used.
        """
        pair = (signed.signature + content, issuer.spki)
        if pair not in self._signed:
            key = signing_key(issuer)
            self.budget.spend_signature()
            self._signed[pair] = is_signed_by(key, signed, content)
        return self._signed[pair]

    def _extend(self, below: tuple[PathCertificate, ...], counted: int) -> Iterator[CandidatePath]:
        """`counted`: the intermediates among `below` that count for the depth."""
        top = below[-1]
        named = self._anchors.get(top.issuer, ()), self._presented.get(top.issuer, ())
        if not any(named):
            message = "no anchor and no certificate is held for its issuer"
            error = ChainRejected("anchor-unknown", message, clause="RFC 5280 6.1", index=top.index)
            self.refusals.note(error, Weight.NO_ISSUER)
        for anchor in named[0]:
            if self._may_issue(anchor, top):
                yield CandidatePath(below, anchor)
        for issuer in named[1]:
            if any(issuer.subject == held.subject and issuer.spki == held.spki for held in below):
                continue
            further = counted + (not issuer.self_issued)
            if self._fits_depth(issuer, further, len(below)) and self._may_issue(issuer, top):
                yield from self._extend((*below, issuer), further)

    def _fits_depth(self, issuer: PathCertificate, counted: int, length: int) -> bool:
        if counted <= self._max_intermediates and length <= PATH_LENGTH:
            return True
        message = f"more than {self._max_intermediates} intermediate certificates"
        self.refusals.note(ChainRejected("depth", message, index=issuer.index), Weight.CONSTRAINT)
        return False

    def _may_issue(self, issuer: PathCertificate, certificate: PathCertificate) -> bool:
        self.budget.spend_step()
        unfit = self._unfit(issuer)
        if unfit is not None:
            self.refusals.note(unfit, Weight.UNFIT_ISSUER)
            return False
        try:
            _check_key_identifier(certificate, issuer)
            if not self.is_signed(issuer, certificate.parsed, certificate.tbs):
                refuse("signature", "not signed by its issuer's key", clause="6.1.3", index=certificate.index)
        except ChainRejected as error:
            self.refusals.note(error, Weight.NOT_SIGNED)
            return False
        return True

    def _unfit(self, issuer: PathCertificate) -> ChainRejected | None:
        """Why a certificate may not stand above any other one; found out once."""
        if issuer not in self._fitness:
            self._fitness[issuer] = None
            try:
                check_issuer(issuer)
                if issuer.index is None:
                    check_anchor(issuer, self_signed=self._is_self_signed(issuer))
                else:
                    check_certificate(issuer)
                check_validity(issuer, self.at)
            except ChainRejected as error:
                self._fitness[issuer] = error
        return self._fitness[issuer]

    def _is_self_signed(self, anchor: PathCertificate) -> bool:
        """Whether its own key signed an anchor; asked only where it matters, of one that does not name its signer."""
        if anchor.find(x509.AuthorityKeyIdentifier) is not None or anchor.self_issued:
            return anchor.self_issued
        return self.is_signed(anchor, anchor.parsed, anchor.tbs)


def as_rejection(error: MalformedCertificate, what: str) -> ChainRejected:
    """An unreadable certificate, named by `what`, as the reason why no path was found."""
    return ChainRejected(error.code, f"{what}: {error}", clause=error.clause, index=error.index)


def _check_key_identifier(certificate: PathCertificate, issuer: PathCertificate) -> None:
    """Refuse an authority key identifier that is not the issuer's. RFC 5280 4.2.1.2 binds the CA to it and leaves the
    check to the application; a certificate that names another key of its issuer is not meant for this path."""
    named = certificate.find(x509.AuthorityKeyIdentifier)
    if named is None:
        return
    same_key = named.key_identifier is None or named.key_identifier == issuer.subject_key
    if not same_key or named.authority_cert_serial_number not in (None, issuer.serial):
        message = "authorityKeyIdentifier names another key of its issuer"
        refuse("key-identifier", message, clause="4.2.1.2", index=certificate.index)


def _by_subject(certificates: Iterable[PathCertificate]) -> dict[Name, tuple[PathCertificate, ...]]:
    found: dict[Name, dict[bytes, PathCertificate]] = {}
    for certificate in certificates:
        found.setdefault(certificate.subject, {}).setdefault(certificate.der, certificate)
    return {name: tuple(same.values()) for name, same in found.items()}
