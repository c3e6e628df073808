"""From a presented contract chain to evidence: the verifier's verdict, and policy on what that leaves open."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from gateway.clock import Moment
from gateway.decide.authorize import ContractEvidence
from gateway.decide.policy import Choice, SitePolicy
from pki.certificate import parse_chain_pem
from pki.errors import ChainRejected, MalformedCertificate, PKIError
from pki.profiles import profile_named
from pki.verify.cache import ChainVerifier
from pki.verify.conclusion import VerifiedChain
from pki.verify.revocation import RevocationEvidence, RevocationState
from pki.verify.trust import TrustStore
from wire.records import ChainEvidence, ClockState

_PROFILE = profile_named("iso15118-2-contract")


@dataclass(frozen=True, slots=True)
class Trust:
    """What contract chains are judged against: anchors by role and revocation lists. Replaced whole on reload, and with
    it what its verifier remembers."""

    anchors: TrustStore
    revocation: RevocationEvidence
    verifier: ChainVerifier = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "verifier", ChainVerifier(self.anchors, self.revocation))


def judge_contract(
    pem: str, claimed_emaid: str, trust: Trust, now: Moment, policy: SitePolicy
) -> tuple[ContractEvidence, ChainEvidence]:
    """What the chain in `pem` proves about `claimed_emaid`, for the decision and for the audit log. Never raises.

    While the clock is unknown no chain is accepted: its dates mean nothing then.
    """
    if now.clock is ClockState.UNKNOWN:
        message = f"the gateway's clock says {now.at:%Y-%m-%d}; no certificate date can be judged before it is set"
        return _refused("clock-unknown", message, None)
    try:
        chain = trust.verifier.verify(parse_chain_pem(pem), profile=_PROFILE, at=now.at, emaid=claimed_emaid)
    except ChainRejected as error:
        return _refused(error.code, str(error), error.clause, error.emaid)
    except MalformedCertificate as error:
        return _refused(error.code, str(error), error.clause)
    except PKIError as error:  # A claimed eMAID that is none, for one.
        return _refused(error.code, str(error), error.clause)
    return _accepted(chain, now, policy)


def _accepted(chain: VerifiedChain, now: Moment, policy: SitePolicy) -> tuple[ContractEvidence, ChainEvidence]:
    code, message = "accepted", "chain verified"
    if chain.revocation is RevocationState.UNKNOWN and policy.revocation_unknown is Choice.REFUSE:
        code, message = "revocation-unknown", "no revocation evidence for every certificate of the chain"
    elif chain.revocation is RevocationState.STALE:
        age = now.at - chain.revocation_at if chain.revocation_at else timedelta.max
        if age > timedelta(hours=policy.revocation_stale_grace_h):
            code = "revocation-stale"
            message = f"revocation evidence is {age} old, {policy.revocation_stale_grace_h} h are allowed"
    emaid = str(chain.emaid) if chain.emaid else None
    evidence = ChainEvidence(
        code=code,
        message=message,
        leaf_sha256=chain.leaf.sha256,
        revocation=chain.revocation.value,
        findings=tuple(finding.code for finding in chain.findings),
    )
    return ContractEvidence(code=code, emaid=emaid), evidence


def _refused(
    code: str, message: str, clause: str | None, emaid: str | None = None
) -> tuple[ContractEvidence, ChainEvidence]:
    revocation = "revoked" if code == "revoked" else "unknown"
    evidence = ChainEvidence(code=code, message=message, clause=clause, revocation=revocation)
    return ContractEvidence(code=code, emaid=emaid), evidence
