"""The revocation state of the certificates of a path, from OCSP answers.

The answers are verified by `pki.verify.ocsp`, as everywhere in this house; only the algorithms are this engine's. A
certificate that the profiles' reader does not take (a validity time in an odd form, say) has no answers here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from pki import der as outline
from pki.certificate import Certificate, parse_certificate
from pki.errors import MalformedCertificate, PKIError
from pki.verify.fields import read_oid
from pki.verify.revocation import RevocationEvidence, RevocationState
from pki.verify.rfc5280.budget import CERTIFICATE_CAP
from pki.verify.rfc5280.reading import PathCertificate, read_certificate
from pki.verify.rfc5280.revocation import Status
from pki.verify.rfc5280.signatures import check_algorithm, is_signed_by, signing_key
from pki.verify.rfc5280.validation import CandidatePath


@dataclass(frozen=True, slots=True)
class _Answer:
    """The signature of an answer, in the shape of a certificate's; without the parameters that RSASSA-PSS needs."""

    signature_algorithm_oid: x509.ObjectIdentifier
    signature: bytes
    signature_hash_algorithm: hashes.HashAlgorithm | None = None
    signature_algorithm_parameters: padding.PSS | padding.PKCS1v15 | ec.ECDSA | None = None


class AnswerEvidence:
    """The OCSP answers of one verdict."""

    def __init__(self, answers: Sequence[bytes], at: datetime) -> None:
        """Read `answers` (DER), without verifying them yet.

        Raises:
            TrustError: "malformed-ocsp" or "size-limit".
        """
        self._at = at
        self._evidence = RevocationEvidence(ocsps=answers, signed_by=is_signed) if answers else None

    def status(self, path: CandidatePath, position: int) -> Status:
        """The state of the certificate at `position` of a validated path. Every answer is verified once for an issuer,
        with at most five signatures."""
        if self._evidence is None:
            return Status(RevocationState.UNKNOWN)
        try:
            issuer, certificate = _profiled(path.issuer_of(position)), _profiled(path.certificates[position])
        except MalformedCertificate as error:
            return Status(RevocationState.UNKNOWN, notes=(f"{error.code}: {error}",))
        found = self._evidence.state(issuer, certificate, self._at)
        return Status(found.state, found.at, notes=tuple(note.text for note in found.notes))


def is_signed(signer: Certificate, algorithm: bytes, content: bytes, signature: bytes) -> bool:
    """Whether the signer's key signed, in any way that this engine accepts."""
    try:
        whole = outline.read_element(algorithm, 0, len(algorithm))
        oid = x509.ObjectIdentifier(read_oid(algorithm, outline.read_element(algorithm, whole.content, whole.end)))
        answer = _Answer(oid, signature)
        check_algorithm(answer, algorithm, None)
        return is_signed_by(signing_key(read_certificate(signer.der)), answer, content)
    except (PKIError, outline.MalformedDER):
        return False


def _profiled(certificate: PathCertificate) -> Certificate:
    return parse_certificate(certificate.der, max_bytes=CERTIFICATE_CAP)
