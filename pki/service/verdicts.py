"""A verdict as one object for machines. `judge` turns every refusal of the verifier into a value; nothing is accepted
but a `VerifiedChain`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from pki.certificate import parse_certificate
from pki.errors import (
    ChainRejected,
    Finding,
    MalformedCertificate,
    NoEvidence,
    PKIError,
    UnknownProfile,
)
from pki.profiles import Profile, profile_for, profile_named
from pki.service.naming import subjects
from pki.verify import ChainVerifier, RevocationState, VerifiedChain
from pki.verify.explain import StepOutcome, StepReport, explain
from pki.verify.lint import AUTO
from pki.verify.remedies import remedy
from pki.verify.rfc5280 import PROFILE_NAME as RFC5280, verify_path

DEFAULT_PROFILE = "iso15118-2-contract"


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


class ExplainedVerdict(Verdict, frozen=True, kw_only=True):
    """A verdict with what to do next, and the verifier's twelve steps; none for the profile "rfc5280", whose engine
    searches among paths."""

    remedy: str
    steps: tuple[StepReport, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked about one chain; `verifier` has the trust, the evidence and the policy, all else is as in
    `pki.verify.verify`. `max_intermediates` bounds the certificates between leaf and anchor that are not self-issued,
    where the profile lets more stand there."""

    chain: tuple[bytes, ...]
    profile: Profile
    verifier: ChainVerifier
    at: datetime
    emaid: str | None = None
    max_intermediates: int | None = None
    require_revocation: bool = False


def judge(question: Question) -> Verdict:
    """The verdict on a chain; never raises for what the chain holds."""
    return _verdict(_asked(question))


def judge_explained(question: Question) -> ExplainedVerdict:
    """The same verdict with every step explained."""
    result = _asked(question)
    steps = explain(result, names=subjects(question.chain), claimed=question.emaid is not None)
    return explained(_verdict(result), steps)


def explained_error(error: PKIError) -> ExplainedVerdict:
    """Input that could not be judged, with the steps when it was the chain itself, without them otherwise."""
    steps = explain(error, names=(), claimed=False)
    reached = any(step.outcome is not StepOutcome.NOT_REACHED for step in steps)
    return explained(refused_input(error), steps if reached else ())


def explained(verdict: Verdict, steps: tuple[StepReport, ...] = ()) -> ExplainedVerdict:
    """A verdict with its remedy and with steps where there are any. An accepted chain whose revocation state is not
    known gets the remedy for that."""
    unknown = verdict.code == "accepted" and verdict.revocation != RevocationState.GOOD
    code = f"revocation-{verdict.revocation}" if unknown else verdict.code
    fields = {name: getattr(verdict, name) for name in verdict.__struct_fields__}
    return ExplainedVerdict(**fields, remedy=remedy(code), steps=steps)


def profile_of(name: str, chain: Sequence[bytes]) -> Profile:
    """The profile of that name; "auto" is the contract profile of the generation that the leaf's key tells.

    Raises:
        UnknownProfile: "unknown-profile".
        MalformedCertificate: "auto", and the leaf cannot be read.
    """
    if name != AUTO:
        try:
            return profile_named(name)
        except UnknownProfile as error:
            raise UnknownProfile(error.code, f"{error}; besides: {AUTO}, {RFC5280}") from error
    if not chain:
        raise MalformedCertificate("empty-chain", "no certificate was presented")
    return profile_for(parse_certificate(chain[0], index=0))


def _asked(question: Question) -> VerifiedChain | PKIError:
    try:
        found = question.verifier.verify(
            question.chain,
            profile=question.profile,
            at=question.at,
            emaid=question.emaid,
            require_revocation=question.require_revocation,
        )
    except PKIError as error:
        return error
    limit, counted = question.max_intermediates, sum(not issuer.self_issued for issuer in found.path[1:-1])
    if limit is not None and counted > limit:
        return ChainRejected("depth", f"{counted} intermediate certificates, at most {limit} were asked for")
    return found


def _verdict(result: VerifiedChain | PKIError) -> Verdict:
    if isinstance(result, PKIError):
        return _refusal(result)
    name, role = result.profile, result.anchor_role.value
    return Verdict(
        verdict=Outcome.ACCEPT,
        code="accepted",
        message=f"{name} chain accepted, {role} anchor, valid until {result.not_after}",
        emaid=result.emaid.normal if result.emaid else None,
        revocation=result.revocation.value,
        findings=result.findings,
    )


def judge_path(
    chain: Sequence[bytes],
    *,
    anchors: Sequence[bytes],
    at: datetime,
    crls: Sequence[bytes] = (),
    ocsps: Sequence[bytes] = (),
    max_intermediates: int | None = None,
    require_revocation: bool = False,
) -> Verdict:
    """The verdict on a chain by RFC 5280 alone, without any rule of ISO 15118; the arguments are `verify_path`'s."""
    try:
        found = verify_path(
            chain,
            anchors=anchors,
            at=at,
            crls=crls,
            ocsps=ocsps,
            max_intermediates=max_intermediates,
            require_revocation=require_revocation,
        )
    except PKIError as error:
        return _refusal(error)
    return Verdict(
        verdict=Outcome.ACCEPT,
        code="accepted",
        message=f"path of {len(found.path) - 1} below its anchor accepted, valid until {found.not_after}",
        revocation=found.revocation.value,
        findings=found.findings,
    )


def refused_input(error: PKIError) -> Verdict:
    """The verdict for input that could not be judged at all."""
    return Verdict(
        verdict=Outcome.MALFORMED, code=error.code, clause=error.clause, index=error.index, message=str(error)
    )


_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
"""RFC 3339 5.6, and the same without an offset, which is refused with words of its own."""


def parse_instant(text: str) -> datetime:
    """The aware instant of an RFC 3339 text.

    Raises:
        MalformedCertificate: "malformed-instant".
    """
    try:
        if _RFC3339.fullmatch(text) is None:
            raise ValueError("expected the form 2026-11-23T00:00:00Z")
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedCertificate("malformed-instant", f"{text[:40]!a} is not an instant: {error}") from error
    if found.tzinfo is None:
        raise MalformedCertificate(
            "malformed-instant", f"{text[:40]!a} has no UTC offset; write it like 2026-11-23T00:00:00Z"
        )
    return found


def _refusal(error: PKIError) -> Verdict:
    verdict = refused_input(error)
    if isinstance(error, ChainRejected):
        revocation = "revoked" if error.code == "revoked" else "unknown"
        return msgspec.structs.replace(
            verdict,
            verdict=Outcome.REJECT,
            emaid=error.emaid,
            revocation=revocation,
            findings=error.findings,
        )
    if isinstance(error, NoEvidence):
        return msgspec.structs.replace(
            verdict,
            verdict=Outcome.NO_EVIDENCE,
            emaid=error.emaid,
            revocation=error.revocation,
            findings=error.findings,
        )
    return verdict
