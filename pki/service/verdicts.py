"""A verdict as one object for machines. `judge` turns every refusal of the verifier into a value; nothing is accepted
but a `VerifiedChain`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from pki.errors import (
    ChainRejected,
    Finding,
    MalformedCertificate,
    NoEvidence,
    PKIError,
    Severity,
)
from pki.profiles import Profile
from pki.verify import RevocationEvidence, TrustStore, verify
from pki.verify.rfc5280 import verify_path

DEFAULT_PROFILE = "iso15118-2-contract"
OCSP_CAP = 16 * 1024
"""Bytes of one OCSP answer."""


class Outcome(StrEnum):
    """The four ways a verification ends."""

    ACCEPT = "accept"
    REJECT = "reject"
    NO_EVIDENCE = "no-evidence"
    MALFORMED = "malformed"


EXIT_CODES = {Outcome.ACCEPT: 0, Outcome.REJECT: 1, Outcome.MALFORMED: 2, Outcome.NO_EVIDENCE: 3}
"""What `pnc-pki verify` ends with."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one chain. `code` is "accepted" or the error's; `emaid` is normalised, and None until the subject
    was read; `revocation` is "unknown" whenever the judging ended before it was asked for."""

    verdict: Outcome
    code: str
    clause: str | None = None
    index: int | None = None
    message: str
    emaid: str | None = None
    revocation: str = "unknown"
    findings: tuple[Finding, ...] = ()


def judge(
    chain: Sequence[bytes],
    *,
    profile: Profile,
    trust: TrustStore,
    at: datetime,
    revocation: RevocationEvidence,
    ocsp_answers: int = 0,
    emaid: str | None = None,
    require_revocation: bool = False,
) -> Verdict:
    """The verdict on a chain; never raises for what the chain holds. `ocsp_answers`: how many were supplied."""
    said = _ocsp_findings(ocsp_answers)
    try:
        found = verify(
            chain,
            profile=profile,
            trust=trust,
            at=at,
            revocation=revocation,
            emaid=emaid,
            require_revocation=require_revocation,
        )
    except PKIError as error:
        return _refusal(error, said)
    return Verdict(
        verdict=Outcome.ACCEPT,
        code="accepted",
        message=f"{profile.name} chain accepted, {found.anchor_role.value} anchor, valid until {found.not_after}",
        emaid=found.emaid.normal if found.emaid else None,
        revocation=found.revocation.value,
        findings=(*found.findings, *said),
    )


def judge_path(
    chain: Sequence[bytes],
    *,
    anchors: Sequence[bytes],
    at: datetime,
    crls: Sequence[bytes] = (),
    ocsp_answers: int = 0,
    max_intermediates: int | None = None,
    require_revocation: bool = False,
) -> Verdict:
    """The verdict on a chain by RFC 5280 alone, without any rule of ISO 15118; the arguments are `verify_path`'s."""
    said = _ocsp_findings(ocsp_answers)
    try:
        found = verify_path(
            chain,
            anchors=anchors,
            at=at,
            crls=crls,
            max_intermediates=max_intermediates,
            require_revocation=require_revocation,
        )
    except PKIError as error:
        return _refusal(error, said)
    return Verdict(
        verdict=Outcome.ACCEPT,
        code="accepted",
        message=f"path of {len(found.path) - 1} below its anchor accepted, valid until {found.not_after}",
        revocation=found.revocation.value,
        findings=(*found.findings, *said),
    )


def refused_input(error: PKIError) -> Verdict:
    """The verdict for input that could not be judged at all."""
    return Verdict(
        verdict=Outcome.MALFORMED, code=error.code, clause=error.clause, index=error.index, message=str(error)
    )


def parse_instant(text: str) -> datetime:
    """The aware instant of an RFC 3339 text.

    Raises:
        MalformedCertificate: "malformed-instant".
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedCertificate("malformed-instant", f"{text[:40]!a} is not an instant: {error}") from error
    if found.tzinfo is None:
        raise MalformedCertificate(
            "malformed-instant", f"{text[:40]!a} has no UTC offset; write it like 2026-11-23T00:00:00Z"
        )
    return found


def _ocsp_findings(answers: int) -> tuple[Finding, ...]:
    if not answers:
        return ()
    message = f"{answers} OCSP answers were supplied; they are not judged and say nothing here"
    return (Finding("ocsp-not-judged", Severity.TOLERATED, None, None, message),)


def _refusal(error: PKIError, said: tuple[Finding, ...]) -> Verdict:
    verdict = refused_input(error)
    if isinstance(error, ChainRejected):
        revocation = "revoked" if error.code == "revoked" else "unknown"
        return msgspec.structs.replace(
            verdict,
            verdict=Outcome.REJECT,
            emaid=error.emaid,
            revocation=revocation,
            findings=(*said, *error.findings),
        )
    if isinstance(error, NoEvidence):
        return msgspec.structs.replace(
            verdict,
            verdict=Outcome.NO_EVIDENCE,
            emaid=error.emaid,
            revocation=error.revocation,
            findings=(*said, *error.findings),
        )
    return verdict
