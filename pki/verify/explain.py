"""A verdict for people: the twelve steps in order, what each of them met, and what to do next.

Nothing is judged here. The steps are those of `pki.verify.chain`; a finding says itself which of them met it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pki.errors import ChainRejected, Finding, MalformedCertificate, NoEvidence, PKIError, Severity
from pki.verify.chain import VerifiedChain
from pki.verify.remedies import remedy
from pki.verify.revocation import RevocationState

STEPS = (
    "number and size of the certificates",
    "each certificate can be read",
    "the profile's one key kind and signature algorithm throughout",
    "the path: order, depth, CA flags, path lengths, no foreign root",
    "each certificate by itself: key usage, extensions, attributes",
    "each issuer's name and key identifier",
    "a trusted root of the right role, valid itself",
    "signatures, from the root down",
    "validity of every certificate, inside its issuer's",
    "the subject of the leaf",
    "the EMAID of the request is the leaf's",
    "revocation of the leaf and its sub-CAs",
)
"""The steps of the verifier in a few words, the first one being step 1."""

_ANCHOR, _CLAIM, _REVOCATION = 7, 11, 12
_SECOND_OPINION, _SOUND = "second-opinion", 10
_FORM_CODES = frozenset({"empty-chain", "size-limit", "malformed-pem"})


class StepOutcome(StrEnum):
    """How a step ended. NO_EVIDENCE: nothing says whether a certificate was revoked, demanded or not."""

    PASSED = "passed"
    TOLERATED = "tolerated"
    REFUSED = "refused"
    NO_EVIDENCE = "no-evidence"
    NOT_ASKED = "not-asked"
    NOT_REACHED = "not-reached"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A finding with the name of its certificate and what to do next; fields that have nothing to say are None."""

    code: str
    severity: Severity
    clause: str | None
    index: int | None
    certificate: str | None
    message: str
    expected: str | None
    found: str | None
    switch: str | None
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One step: its number, its rule in a few words, how it ended, what it saw when it passed, and its findings."""

    step: int
    rule: str
    outcome: StepOutcome
    said: str | None
    findings: tuple[Explained, ...]


def explain(result: VerifiedChain | PKIError, *, names: Sequence[str], claimed: bool) -> tuple[StepReport, ...]:
    """All twelve steps, in order. `names` are the presented certificates' subjects, `claimed`: an EMAID was claimed.

    An error of the input around the chain (trust, lists, instant) leaves every step not reached. A second opinion is
    asked after step 10, and is none of the steps.
    """
    cause = _cause(result)
    findings = (*_noted(result), *([cause] if cause else []))
    passed = _passed(result, cause)
    return tuple(
        StepReport(
            step=number,
            rule=rule,
            outcome=_outcome(number, passed, cause, result, findings, claimed),
            said=_said(number, result, claimed) if isinstance(result, VerifiedChain) else None,
            findings=tuple(explain_finding(finding, names) for finding in findings if finding.step == number),
        )
        for number, rule in enumerate(STEPS, start=1)
    )


def explain_finding(finding: Finding, names: Sequence[str]) -> Explained:
    """The finding with its certificate's name; in step 7 the index after the last presented one is the root's."""
    return Explained(
        code=finding.code,
        severity=finding.severity,
        clause=finding.clause,
        index=finding.index,
        certificate=_name(finding, names),
        message=finding.message,
        expected=finding.expected,
        found=finding.found,
        switch=finding.switch,
        remedy=remedy(finding.code),
    )


def _name(finding: Finding, names: Sequence[str]) -> str | None:
    index = finding.index
    if index is None:
        return None
    if 0 <= index < len(names):
        return names[index]
    return "the trusted root" if finding.step == _ANCHOR else None


def _noted(result: VerifiedChain | PKIError) -> tuple[Finding, ...]:
    """What was found before the cause."""
    if isinstance(result, ChainRejected):
        return result.findings[:-1]
    return result.findings if isinstance(result, VerifiedChain | NoEvidence) else ()


def _cause(result: VerifiedChain | PKIError) -> Finding | None:
    """The finding that ended the judging; None when nothing did, or when the judging never began."""
    if isinstance(result, VerifiedChain):
        return None
    if isinstance(result, ChainRejected) and result.findings:
        return result.findings[-1]
    step = _step_of(result)
    if step is None:
        return None
    return Finding(result.code, Severity.REFUSED, result.clause, result.index, str(result), step=step)


def _step_of(error: PKIError) -> int | None:
    """The step that an error without findings comes from; None when the judging never began."""
    if isinstance(error, NoEvidence):
        return _REVOCATION
    if isinstance(error, MalformedCertificate) and error.code not in {"malformed-instant", "malformed-request"}:
        return 1 if error.code in _FORM_CODES else 2
    return None


def _passed(result: VerifiedChain | PKIError, cause: Finding | None) -> int:
    """The last step that was passed; 0 when the judging never began."""
    if isinstance(result, VerifiedChain):
        return len(STEPS)
    if result.code == _SECOND_OPINION:
        return _SOUND
    return 0 if cause is None or cause.step is None else cause.step - 1


def _outcome(
    number: int,
    passed: int,
    cause: Finding | None,
    result: VerifiedChain | PKIError,
    findings: Sequence[Finding],
    claimed: bool,
) -> StepOutcome:
    if number > passed:
        if cause is None or cause.step != number:
            return StepOutcome.NOT_REACHED
        return StepOutcome.NO_EVIDENCE if isinstance(result, NoEvidence) else StepOutcome.REFUSED
    if number == _CLAIM and not claimed:
        return StepOutcome.NOT_ASKED
    if number == _REVOCATION and isinstance(result, VerifiedChain) and result.revocation is not RevocationState.GOOD:
        return StepOutcome.NO_EVIDENCE
    return StepOutcome.TOLERATED if any(found.step == number for found in findings) else StepOutcome.PASSED


def _said(number: int, chain: VerifiedChain, claimed: bool) -> str | None:
    """What a step that passed saw; None where the rule says it all."""
    leaf = chain.leaf
    known = {
        3: f"{leaf.key_kind.value}, {leaf.signature_kind.value}",
        4: f"{len(chain.path) - 1} certificates below the root",
        7: f"role {chain.anchor_role.value}",
        9: f"until {chain.not_after:%Y-%m-%d %H:%M} UTC",
        10: str(chain.emaid) if chain.emaid else None,
        _CLAIM: str(chain.emaid) if claimed else None,
        _REVOCATION: chain.revocation.value
        if chain.revocation_at is None
        else f"{chain.revocation.value}, by evidence of {chain.revocation_at:%Y-%m-%d %H:%M} UTC",
    }
    return known.get(number)
