"""Whether fetched bytes may take the place of what is held: verified first, newer or equal, of now.

1. A revocation list: read; its issuer is a CA that is known here and stands behind it (`pki.verify.crl`); it has
   begun; it is not older than the list of the same scope that is held. One whose issuer is not known may only wait.
2. An OCSP answer: the issuer or its delegate stands behind it (`pki.verify.ocsp`); it speaks of the certificate that
   was asked about, by the hash that was asked with; it is fresh; the delegate is not revoked as far as is known.

Everything is an argument: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.store.evidence import CRLOrder, KeptAnswer, KeptCRL
from pki.certificate import Certificate
from pki.errors import TrustError
from pki.issue.der_writer import NULL, integer, object_identifier, octet_string, sequence
from pki.verify.certificate_id import HashAlgorithm, IssuerID, issuer_id
from pki.verify.crl import CRL, Scope, parse_crl, verify_crl
from pki.verify.ocsp import OCSP_SKEW, VerifiedOCSP, parse_ocsp, verify_ocsp
from pki.verify.ocsp_answer import OCSPStatus
from pki.verify.revocation import OCSP_AGE, RevocationEvidence, RevocationState, Subject

CRL_SKEW = timedelta(minutes=5)
"""How far the issuer's clock may be ahead of ours."""
_DIGESTS = {
    HashAlgorithm.SHA1: "1.3.14.3.2.26",
    HashAlgorithm.SHA256: "2.16.840.1.101.3.4.2.1",
    HashAlgorithm.SHA384: "2.16.840.1.101.3.4.2.2",
    HashAlgorithm.SHA512: "2.16.840.1.101.3.4.2.3",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A certificate by what an OCSP request names it with."""

    issuer: Certificate
    serial: int
    algorithm: HashAlgorithm = HashAlgorithm.SHA256

    @property
    def key(self) -> str:
        """One text for each certificate id."""
        return answer_key(issuer_id(self.issuer, self.algorithm), self.serial)


def answer_key(issuer: IssuerID, serial: int) -> str:
    """One text for a certificate id, the name that an answer is kept under."""
    return f"{issuer.algorithm.value}:{issuer.name_hash.hex()}:{issuer.key_hash.hex()}:{serial:x}"


def accept_crl(der: bytes, issuers: Iterable[Certificate], at: datetime) -> KeptCRL | None:
    """The list, once one of `issuers` (verified CAs) stands behind it; None when none of them has its name.

    Raises:
        TrustError: what `parse_crl` and `verify_crl` raise; "crl-dates" for a list from the future.
    """
    crl = parse_crl(der)
    if crl.this_update - at > CRL_SKEW:
        raise TrustError("crl-dates", f"CRL begins {crl.this_update}, judged at {at}", clause="RFC 5280 5.1.2.4")
    named = [issuer for issuer in issuers if issuer.subject_der == crl.issuer_der]
    fault: TrustError | None = None
    for issuer in named:
        try:
            return _kept(crl, issuer)
        except TrustError as error:
            fault = error
    if fault is not None:
        raise fault
    return None


def _kept(crl: CRL, issuer: Certificate) -> KeptCRL:
    verified = verify_crl(crl, issuer)
    kind = "full" if verified.base is None else "delta"
    return KeptCRL(
        issuer=issuer.sha256,
        scope=f"{kind} {_scope_text(verified.scope)}",
        order=CRLOrder(verified.number, verified.this_update),
        next_update=verified.next_update,
        der=crl.der,
    )


def _scope_text(scope: Scope) -> str:
    return " ".join((f"users={scope.users}", f"authorities={scope.authorities}", *sorted(scope.uris)))


def encode_ocsp_request(asked: Asked) -> bytes:
    """The DER of a request about one certificate, without a nonce, so that prepared answers may be given.

    Source: RFC 6960 4.1.1; RFC 5019 2.1.1.
    """
    found = issuer_id(asked.issuer, asked.algorithm)
    digest = sequence(object_identifier(_DIGESTS[asked.algorithm]), NULL)
    name = sequence(digest, octet_string(found.name_hash), octet_string(found.key_hash), integer(asked.serial))
    return sequence(sequence(sequence(sequence(name))))


def accept_answer(der: bytes, asked: Asked, revocation: RevocationEvidence, at: datetime) -> KeptAnswer:
    """The answer, once it is shown to be a fresh one about what was asked. `revocation` is what is known of delegates.

    Raises:
        TrustError: what `parse_ocsp` and `verify_ocsp` raise; "ocsp-issuer" for another certificate or hash;
            "ocsp-unknown" when the responder does not know it; "ocsp-dates" for one from the future or past its end;
            "ocsp-responder" for a delegate that is revoked, or not shown to be good where that is needed.
    """
    verified = verify_ocsp(parse_ocsp(der), asked.issuer)
    wanted = issuer_id(asked.issuer, asked.algorithm)
    entry = verified.entries.get(asked.serial)
    if entry is None or entry.issuer != wanted:
        message = f"the OCSP answer does not name serial number {asked.serial:x} by {asked.algorithm.value}"
        raise TrustError("ocsp-issuer", message, clause="RFC 6960 3.2 (1)")
    if entry.status is OCSPStatus.UNKNOWN:
        raise TrustError("ocsp-unknown", f"the responder does not know serial number {asked.serial:x}")
    ends = entry.this_update + OCSP_AGE
    if entry.next_update is not None:
        ends = min(ends, entry.next_update)
    if verified.delegate is not None:
        ends = min(ends, verified.delegate.not_after)
    if max(entry.this_update, verified.answer.produced_at) - at > OCSP_SKEW or at > ends:
        message = f"OCSP answer of {entry.this_update} counts until {ends}, judged at {at}"
        raise TrustError("ocsp-dates", message, clause="RFC 6960 4.2.2.1")
    _check_delegate(verified, revocation, at)
    return KeptAnswer(asked.key, entry.this_update, ends, der)


def _check_delegate(verified: VerifiedOCSP, revocation: RevocationEvidence, at: datetime) -> None:
    if verified.delegate is None:
        return
    state = revocation.history(verified.issuer, Subject.of(verified.delegate)).at(at).state
    if state is RevocationState.REVOKED or (state is not RevocationState.GOOD and not verified.checked):
        message = f"the revocation of the OCSP delegate is {state.value}"
        raise TrustError("ocsp-responder", message, clause="RFC 6960 4.2.2.2.1")
