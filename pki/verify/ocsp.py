"""An OCSP answer, verified against the CA whose certificates it speaks of.

The ten steps. One that fails refuses the whole answer (`TrustError`), so it says nothing: neither good nor revoked.
 1. the responder answered, with the basic type                                                 ocsp-status
 2. at most OCSP_CAP bytes, one DER structure, nothing behind it                    size-limit, malformed-ocsp
 3. an entry whose id is the one recomputed from our issuer (SHA-1, -256, -384, -512)             ocsp-issuer
 4. the responder is the issuer, or a delegate that this issuer signed, with OCSPSigning       ocsp-responder
 5. the responder id names it, by name or by key                                               ocsp-responder
 6. the signature, by the one algorithm that goes with the responder's key                     ocsp-signature
 7. thisUpdate, producedAt, nextUpdate and the delegate's life fit together                        ocsp-dates
 8. the nonce is the one that was sent                                                             ocsp-nonce
 9. no critical extension that is not processed here                                           ocsp-extension
10. what it says, and at which instants that counts: `pki.verify.statements`. There too: a delegate's own revocation
    (skipped only with id-pkix-ocsp-nocheck), and that an older answer never takes a newer one back

Source: RFC 6960 3.2, 4.2.2; RFC 5019 4; V2G20-1021 (one week).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from pki import der as outline
from pki.certificate import Certificate, KeyKind, KeyUsageBit, parse_certificate
from pki.errors import MalformedCertificate, TrustError
from pki.profile import OCSP_NO_CHECK, OCSP_SIGNING
from pki.verify.certificate_id import HashAlgorithm, issuer_id
from pki.verify.fields import OCTET_STRING, ExtensionField, SignatureCheck, content_of, pinned_signature, whole
from pki.verify.ocsp_answer import OCSP_CAP as OCSP_CAP, OCSPAnswer, OCSPEntry, OCSPStatus, parse_ocsp as parse_ocsp

OCSP_SKEW = timedelta(minutes=5)
"""How far the responder's clock may be ahead of ours, or producedAt before thisUpdate."""
DELEGATES_SENT = 4
"""Certificates of one answer that are looked at."""

_NONCE = "1.3.6.1.5.5.7.48.1.2"
_PROCESSED = frozenset({_NONCE})
# Key usage, basic constraints, extended key usage, key identifiers; pointers change nothing about who signed.
_UNDERSTOOD = frozenset({f"2.5.29.{arc}" for arc in (14, 15, 19, 31, 35, 37)} | {"1.3.6.1.5.5.7.1.1", OCSP_NO_CHECK})
_SEVERITY = (OCSPStatus.GOOD, OCSPStatus.UNKNOWN, OCSPStatus.REVOKED)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VerifiedOCSP:
    """An answer that `issuer` stands behind. `entries`: what it says of this issuer's certificates, by serial number.

    `delegate` None: the issuer answered itself. `checked`: the delegate's own revocation need not be asked.
    """

    sha256: str
    issuer: Certificate
    answer: OCSPAnswer
    entries: Mapping[int, OCSPEntry]
    delegate: Certificate | None
    checked: bool


def verify_ocsp(
    answer: OCSPAnswer,
    issuer: Certificate,
    *,
    nonce: bytes | None = None,
    signed_by: SignatureCheck = pinned_signature,
) -> VerifiedOCSP:
    """The answer, once `issuer` (whose own certificate the caller has verified) is shown to stand behind it.

    `nonce` is what the request carried; None: there was no request, or it had none, and any answer will do.
    Whether the answer is fresh depends on the instant of use and is judged there. Cost: one signature verification;
    one more when a delegate is met for the first time.

    Raises:
        TrustError: "ocsp-issuer", "ocsp-extension", "ocsp-nonce", "ocsp-dates", "ocsp-responder", "ocsp-signature".
    """
    entries = _entries_of(answer, issuer)  # 3
    if not entries:
        raise TrustError("ocsp-issuer", "no entry of the OCSP answer names this issuer", clause="RFC 6960 3.2 (1)")
    for extensions in (answer.extensions, *(entry.extensions for entry in entries.values())):  # 9
        _check_extensions(extensions)
    _check_nonce(answer, nonce)  # 8
    _check_dates(answer, entries)  # 7
    signer = _responder(answer, issuer, signed_by)  # 4, 5
    if not signed_by(signer, answer.algorithm, answer.signed, answer.signature):  # 6
        raise TrustError("ocsp-signature", "OCSP answer is not signed by its responder", clause="RFC 6960 3.2 (2)")
    delegate = None if signer is issuer else signer
    if delegate is not None and not delegate.not_before <= answer.produced_at <= delegate.not_after:  # 7
        raise TrustError("ocsp-dates", "OCSP answer was made outside its responder's life", clause="RFC 6960 4.2.2.2")
    return VerifiedOCSP(
        sha256=answer.sha256,
        issuer=issuer,
        answer=answer,
        entries=entries,
        delegate=delegate,
        checked=delegate is None or any(extension.oid == OCSP_NO_CHECK for extension in delegate.extensions),
    )


def _entries_of(answer: OCSPAnswer, issuer: Certificate) -> dict[int, OCSPEntry]:
    """Step 3. Of several entries for one certificate (one for each hash, say) the worst counts."""
    ours = {algorithm: issuer_id(issuer, algorithm) for algorithm in HashAlgorithm}
    found: dict[int, OCSPEntry] = {}
    for entry in answer.entries:
        if entry.issuer is None or entry.issuer != ours[entry.issuer.algorithm]:
            continue
        held = found.get(entry.serial)
        if held is None or _SEVERITY.index(held.status) < _SEVERITY.index(entry.status):
            found[entry.serial] = entry
    return found


def _check_extensions(extensions: Mapping[str, ExtensionField]) -> None:
    for oid, extension in extensions.items():
        if extension.critical and oid not in _PROCESSED:
            message = f"OCSP answer carries critical extension {oid}, which is not processed"
            raise TrustError("ocsp-extension", message, clause="RFC 6960 4.4")


def _check_nonce(answer: OCSPAnswer, nonce: bytes | None) -> None:
    if nonce is None:
        return
    content = answer.extensions[_NONCE].content if _NONCE in answer.extensions else b""
    try:
        found = content_of(content, whole(content, OCTET_STRING))
    except outline.MalformedDER:
        found = None
    if found != nonce:
        raise TrustError("ocsp-nonce", "OCSP answer does not carry the nonce that was sent", clause="RFC 9654 2.1")


def _check_dates(answer: OCSPAnswer, entries: Mapping[int, OCSPEntry]) -> None:
    for entry in entries.values():
        if entry.this_update - answer.produced_at > OCSP_SKEW:
            message = f"produced {answer.produced_at}, before its thisUpdate {entry.this_update}"
        elif entry.next_update is not None and entry.next_update < max(entry.this_update, answer.produced_at):
            message = f"nextUpdate {entry.next_update} is before thisUpdate or producedAt"
        else:
            continue
        raise TrustError("ocsp-dates", f"OCSP answer: {message}", clause="RFC 6960 4.2.2.1")


def _responder(answer: OCSPAnswer, issuer: Certificate, signed_by: SignatureCheck) -> Certificate:
    """Steps 4 and 5: the issuer, or the first delegate that the responder id names and that stands every question."""
    if _is_named(answer, issuer):
        return issuer
    fault = TrustError(
        "ocsp-responder", "the responder is neither the issuer nor a delegate sent along", clause="RFC 6960 4.2.2.2"
    )
    for der in answer.certificates[:DELEGATES_SENT]:
        try:
            candidate = _read_delegate(der)
            if _is_named(answer, candidate):
                check_delegate(candidate, issuer, signed_by)
                return candidate
        except TrustError as error:
            fault = error
    raise fault


def _is_named(answer: OCSPAnswer, responder: Certificate) -> bool:
    if answer.responder_name is not None:
        return answer.responder_name == responder.subject_der
    return answer.responder_key_hash == issuer_id(responder, HashAlgorithm.SHA1).key_hash


@lru_cache(maxsize=64)
def _read_delegate(der: bytes) -> Certificate:
    try:
        return parse_certificate(der)
    except MalformedCertificate as error:
        raise TrustError("ocsp-responder", f"a certificate of the OCSP answer cannot be read: {error}") from error


# One responder answers for many certificates, so its own certificate is judged once.
@lru_cache(maxsize=64)
def check_delegate(delegate: Certificate, issuer: Certificate, signed_by: SignatureCheck = pinned_signature) -> None:
    """Step 4: that `issuer` made `delegate` a signer of answers about what it issued.

    Raises:
        TrustError: "ocsp-responder".
    """
    for fault in _delegate_faults(delegate, issuer):
        raise TrustError("ocsp-responder", f"the OCSP delegate {fault}", clause="RFC 6960 4.2.2.2")
    _, _, algorithm, _ = outline.read_signed(delegate.der)
    if not signed_by(issuer, algorithm, delegate.tbs, delegate.signature):
        raise TrustError("ocsp-responder", "the OCSP delegate was not signed by the issuer", clause="RFC 6960 4.2.2.2")


def _delegate_faults(delegate: Certificate, issuer: Certificate) -> Iterator[str]:
    usage, named = delegate.key_usage, delegate.authority_key_identifier
    if delegate.issuer_der != issuer.subject_der:
        yield "was issued by another CA"
    wanted = (None, issuer.subject_key_identifier)
    if named is not None and wanted[1] is not None and named.key_identifier not in wanted:
        yield "names another key of its issuer"
    if OCSP_SIGNING not in delegate.extended_key_usage:
        yield "has no extended key usage OCSPSigning"
    if usage is not None and KeyUsageBit.DIGITAL_SIGNATURE not in usage.bits:
        yield "may not sign (key usage)"
    if issuer.key_kind not in (KeyKind.OTHER, delegate.key_kind):
        yield f"has a {delegate.key_kind.value} key under a {issuer.key_kind.value} issuer"
    if any(extension.critical and extension.oid not in _UNDERSTOOD for extension in delegate.extensions):
        yield "carries a critical extension that is not processed"
