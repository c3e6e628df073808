"""From a presented contract chain to evidence: the verifier's verdict, and policy on what that leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from gateway.clock import Moment
from gateway.decide.authorize import ContractEvidence
from gateway.decide.dates import Dated, judged_at
from gateway.decide.offered import OfferedAnswer, weigh_offered
from gateway.decide.policy import Choice, SitePolicy
from pki.certificate import parse_certificate
from pki.errors import ChainRejected, PKIError
from pki.pem import parse_chain_pem
from pki.profile import Profile
from pki.profiles import profile_for
from pki.verify.bindings import Bindings
from pki.verify.cache import ChainVerifier
from pki.verify.conclusion import VerifiedChain
from pki.verify.hash_data import check_names_path, judge_hash_data
from pki.verify.hash_text import HashData
from pki.verify.revocation import Evidence, Grace, RevocationEvidence, RevocationState
from pki.verify.trust import TrustStore
from wire.records import ChainEvidence


@dataclass(frozen=True, slots=True)
class Trust:
    """What contract chains are judged against: anchors by role and revocation lists. Replaced whole on reload, and with
    it what its verifier remembers."""

    anchors: TrustStore
    revocation: RevocationEvidence
    verifier: ChainVerifier = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "verifier", ChainVerifier(self.anchors, self.revocation))


@dataclass(frozen=True, slots=True)
class JudgedContract:
    """What was judged: for the decision, for the audit log, and the chain itself when it was accepted. `sound` is the
    chain too when policy alone refused it, for want of evidence."""

    evidence: ContractEvidence
    record: ChainEvidence
    chain: VerifiedChain | None = None
    sound: VerifiedChain | None = None


def judge_contract(
    pem: str,
    claimed_emaid: str | None,
    trust: Trust,
    now: Moment,
    policy: SitePolicy,
    entries: Sequence[HashData] = (),
    offered: Sequence[OfferedAnswer] = (),
) -> JudgedContract:
    """What the chain in `pem` proves about `claimed_emaid` (None: nothing is claimed). The leaf's key tells the
    generation. Never raises.

    `entries` are hashes that came beside the chain. They prove nothing that the chain does not, so it speaks alone; but
    where they name another contract or cannot be read the two contradict each other, and neither is believed
    (OCPP 2.0.1 C07.FR.02, FR.06, FR.17). `offered` are OCSP answers that came with the chain. By which instant all of
    it is judged, and whether it can be, says `gateway.decide.dates`.
    """
    at = judged_at(Dated.CONTRACT, now, policy.clock_unknown)
    if at is None:
        return _clock_unknown(now)
    try:
        ders = parse_chain_pem(pem)
        chain = trust.verifier.verify(ders, profile=_profile_of(ders[0]), at=at, emaid=claimed_emaid)
        if entries:
            check_names_path(entries, chain.path)
    except ChainRejected as error:
        return _refused(error.code, str(error), error.clause, error.emaid)
    except PKIError as error:
        return _refused(error.code, str(error), error.clause)
    if not offered:
        return _concluded(chain, _own_evidence(chain), [], at, policy)
    found, findings = weigh_offered(chain.path, offered, trust.revocation, at)
    if found.state is RevocationState.REVOKED:
        emaid = chain.emaid.normal if chain.emaid else None
        return _refused("revoked", "an OCSP answer that came with the chain says revoked", "RFC 6960 2.2", emaid)
    return _concluded(chain, found, findings, at, policy)


@lru_cache(maxsize=2048)
def _profile_of(leaf: bytes) -> Profile:
    """The contract profile of the generation that the leaf's key tells. Remembered, because the verifier remembers the
    leaf too and would be the quicker part. Raises MalformedCertificate."""
    return profile_for(parse_certificate(leaf, index=0), "contract")


def judge_hashes(
    entries: Sequence[HashData],
    claimed_emaid: str,
    trust: Trust,
    bindings: Bindings,
    now: Moment,
    policy: SitePolicy,
) -> JudgedContract:
    """What certificate hashes prove about `claimed_emaid`: nothing by themselves, but they may name a chain that was
    shown and verified here before (OCPP 2.0.1 C07.FR.01, FR.05). Evidence of revocation is always demanded. Never
    raises."""
    at = judged_at(Dated.CONTRACT, now, policy.clock_unknown)
    if at is None:
        return _clock_unknown(now)
    try:
        found = judge_hash_data(
            entries, claimed_emaid, bindings, trust.revocation, at, trust=trust.anchors, grace=_grace(policy)
        )
    except ChainRejected as error:
        return _refused(error.code, str(error), error.clause, error.emaid)
    except PKIError as error:
        return _refused(error.code, str(error), error.clause)
    record = ChainEvidence(
        code="accepted",
        message=f"named by hashes; the chain was verified {found.learned_at:%Y-%m-%d %H:%M:%S} UTC",
        leaf_sha256=found.leaf_sha256,
        revocation=found.revocation.value,
        findings=tuple(finding.code for finding in found.findings),
    )
    return JudgedContract(ContractEvidence(code="accepted", emaid=found.emaid.normal), record)


def _grace(policy: SitePolicy) -> Grace:
    return Grace(timedelta(hours=policy.revocation_stale_grace_h))


def _own_evidence(chain: VerifiedChain) -> Evidence:
    """What the verifier found with the evidence that is held here."""
    return Evidence(chain.revocation, chain.revocation_at, stale_since=chain.stale_since)


def _concluded(
    chain: VerifiedChain, evidence: Evidence, noted: Sequence[str], at: datetime, policy: SitePolicy
) -> JudgedContract:
    """Policy on what verification leaves open: evidence that is missing, or has run out."""
    code, message = "accepted", "chain verified"
    findings = [*(finding.code for finding in chain.findings), *noted]
    if evidence.state is RevocationState.UNKNOWN and policy.revocation_unknown is Choice.REFUSE:
        code, message = "revocation-unknown", "no revocation evidence for every certificate of the chain"
    elif evidence.state is RevocationState.STALE:
        leave = _grace(policy).finding(evidence, at)
        if leave is None:
            code = "revocation-stale"
            message = (
                f"revocation evidence ran out {evidence.stale_since}, more than {policy.revocation_stale_grace_h} h ago"
            )
        else:
            findings.append(leave.code)
    record = ChainEvidence(
        code=code,
        message=message,
        leaf_sha256=chain.leaf.sha256,
        revocation=evidence.state.value,
        findings=tuple(findings),
    )
    emaid = chain.emaid.normal if chain.emaid else None
    accepted = chain if code == "accepted" else None
    return JudgedContract(ContractEvidence(code=code, emaid=emaid), record, accepted, chain)


def _clock_unknown(now: Moment) -> JudgedContract:
    message = f"the gateway's clock says {now.at:%Y-%m-%d}; no certificate date can be judged before it is set"
    return _refused("clock-unknown", message, None)


def _refused(code: str, message: str, clause: str | None, emaid: str | None = None) -> JudgedContract:
    revocation = "revoked" if code == "revoked" else "unknown"
    record = ChainEvidence(code=code, message=message, clause=clause, revocation=revocation)
    return JudgedContract(ContractEvidence(code=code, emaid=emaid), record)
