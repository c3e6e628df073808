"""The one authorization decision: a pure function over one truth table.

Order: what the contract chain proves, then the list entry, then the hub's answer in real time, then site policy.

| list entry       | valid | asks the hub | hub answers  | no answer                                  |
|------------------|-------|--------------|--------------|--------------------------------------------|
| ends its group's | yes   | never        | -            | accept                                     |
| ALWAYS           | yes   | never        | -            | accept                                     |
| ALWAYS           | no    | never        | -            | refuse: Blocked                            |
| ALLOWED          | yes   | no (site's choice: local) | - | accept                                     |
|  ... not fresh   | yes   | when possible | as it says  | accept, or as stale_list_offline has it    |
| ALLOWED          | no    | when possible | as it says  | refuse: Blocked                            |
| ALLOWED_OFFLINE  | yes   | yes          | as it says   | accept                                     |
| ALLOWED_OFFLINE  | no    | yes          | as it says   | refuse: Blocked                            |
| NEVER            | any   | yes          | as it says   | refuse: Unknown                            |
| none             | -     | yes          | as it says   | verified contract: policy contract_offline |
| none             | -     | yes          | as it says   | other token: policy unknown_token_offline  |

A list that was not confirmed for too long is not fresh (`gateway.decide.dates`). By policy stale_list_offline its
entries hold all the same, or those that let a driver in count as none: the hub is asked, and what holds for a driver
without an entry decides where it does not answer. What refuses (not valid, NEVER) holds in any case.

"As it says": ALLOWED is Accepted, but NotAllowedTypeEVSE where the hub names EVSEs and none of them is this station's;
BLOCKED, EXPIRED and NO_CREDIT are Blocked, Expired and NoCredit; NOT_ALLOWED is NotAtThisLocation, and Unknown without
a token.

A token without a character asks nobody: Invalid. A start without a driver (NoAuthorization) is policy no_authorization.

A contract chain that was presented and rejected ends the matter before the table. A decision made for the same token at
the same charger a moment ago carries over to its transaction: the chain is presented only once. An accept does not
where the list has an entry that is not valid, or NEVER: then the table is asked anew (`gateway.authorizer`).

A session is ended by the token that began it, and by any valid one of its group, listed or named by the hub; nobody has
to be asked about that, or have credit. That an end is stored and answered whoever ends it is no matter of this table.

Source: OCPI 2.3.0 mod_tokens WhitelistType, group_id; OCPP 2.0.1 Part 2 C07.FR.13-17, C12.FR.03.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gateway.decide.policy import Choice, SitePolicy
from wire.ocpp.transaction import Unnamed
from wire.records import (
    AllowedType,
    AuthMethod,
    AuthorizationInfo,
    Basis,
    CertificateStatus,
    Decision,
    Token,
    TokenRef,
    TokenType,
    Verdict,
    WhitelistType,
)

NOBODY = TokenRef(uid="", type=TokenType.OTHER)
"""What a decision names where no token was shown."""


@dataclass(frozen=True, slots=True)
class ContractEvidence:
    """What came of judging a presented contract chain. `code` is "accepted" only when the verifier returned a chain and
    policy was content with its revocation state; otherwise it is the reason, kebab-case."""

    code: str
    emaid: str | None

    @property
    def accepted(self) -> bool:
        """Whether the chain proves that the car holds this contract."""
        return self.code == "accepted"


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision may rest on. `answer` is None when the hub was not asked or did not answer in time. `evses`
    are the EVSE ids of the station that asks, as `evse_key` writes them. `unnamed`: `token` is NOBODY, and why.
    `starts_unasked`: a station that remembers a good answer starts by it without asking again, or it is not known that
    it does not (LocalPreAuthorize). `stale`: the list that `listed` is of is not fresh. `ends_group`: the group of the
    session that the token is to end, None when it ends none, or one without a group."""

    token: TokenRef
    contract: ContractEvidence | None = None
    listed: Token | None = None
    answer: AuthorizationInfo | None = None
    earlier: Decision | None = None
    evses: frozenset[str] = frozenset()
    unnamed: Unnamed | None = None
    starts_unasked: bool = True
    stale: bool = False
    ends_group: str | None = None

    @property
    def nobody(self) -> Unnamed | None:
        """Why no token can be decided on; None for a token, and for what a chain or a decision speaks for."""
        if self.contract is not None or self.earlier is not None:
            return None
        return self.unnamed or (None if self.token.uid.strip() else Unnamed.EMPTY_TOKEN)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The decision without its circumstances. `transient`: it holds only now; see `_holds_only_now`."""

    verdict: Verdict
    reason: str
    basis: Basis
    auth_method: AuthMethod
    certificate_status: CertificateStatus | None = None
    contract_id: str | None = None
    group_id: str | None = None
    authorization_reference: str | None = None
    transient: bool = False


_CHAIN_ANSWERS = {
    "expired": (Verdict.EXPIRED, CertificateStatus.CERTIFICATE_EXPIRED),
    "revoked": (Verdict.INVALID, CertificateStatus.CERTIFICATE_REVOKED),
}
_HUB_VERDICTS = {
    AllowedType.ALLOWED: Verdict.ACCEPTED,
    AllowedType.BLOCKED: Verdict.BLOCKED,
    AllowedType.EXPIRED: Verdict.EXPIRED,
    AllowedType.NO_CREDIT: Verdict.NO_CREDIT,
    AllowedType.NOT_ALLOWED: Verdict.NOT_AT_THIS_LOCATION,
}
GROUP_ENDS = "group-ends"
"""The reason of an accept that lets a token end a session, and start none: a station must not remember it."""
_SPENT = (AllowedType.BLOCKED, AllowedType.EXPIRED)
"""What a hub says of a token that may not even end a session of its group."""
CONTRACT_STANDS = frozenset(
    {
        Verdict.ACCEPTED,
        Verdict.CONCURRENT_TX,
        Verdict.NO_CREDIT,
        Verdict.NOT_ALLOWED_TYPE_EVSE,
        Verdict.NOT_AT_THIS_LOCATION,
        Verdict.NOT_AT_THIS_TIME,
    }
)
"""The verdicts that leave the contract itself whole: certificateStatus Accepted (C07.FR.14), ContractCancelled else."""


def evse_key(evse_id: str) -> str:
    """An EVSE id as two of them are compared: in capitals, without separators."""
    return evse_id.replace("*", "").replace("-", "").upper()


def wants_hub(question: Question, policy: SitePolicy) -> bool:
    """Whether the truth table asks the hub for this question, so that it is asked only when its answer counts."""
    if question.contract is not None and not question.contract.accepted:
        return False
    if question.earlier is not None or question.nobody is not None:
        return False
    if _ends_with_group(question, question.listed):
        return False
    listed = _entry(question, policy)
    if listed is None or listed.whitelist in (WhitelistType.NEVER, WhitelistType.ALLOWED_OFFLINE):
        return True
    return listed.whitelist is WhitelistType.ALLOWED and (question.stale or not listed.valid)


def _entry(question: Question, policy: SitePolicy) -> Token | None:
    """The list entry, if it counts."""
    listed = question.listed
    if listed is None or not question.stale or policy.stale_list_offline is Choice.ACCEPT:
        return listed
    return None if listed.valid and listed.whitelist is not WhitelistType.NEVER else listed


def _ends_with_group(question: Question, token: Token | None) -> bool:
    """Whether the token is of the group of the session that it ends."""
    if question.ends_group is None or token is None or token.group_id is None or not token.valid:
        return False
    return token.group_id.casefold() == question.ends_group.casefold()


def decide_authorize(question: Question, policy: SitePolicy) -> Outcome:
    """The outcome for `question` under `policy`. Total: every combination has an answer, and no doubt is an accept."""
    contract = question.contract
    if contract is not None and not contract.accepted:
        return _chain_refused(contract)
    if contract is None and question.earlier is not None:
        return _carried_over(question.earlier)
    if question.nobody is not None:
        return _nobody(question.nobody, policy)
    verdict, reason, basis, method = _token_verdict(question, policy)
    status: CertificateStatus | None = None
    if contract is not None:
        stands = verdict in CONTRACT_STANDS
        status = CertificateStatus.ACCEPTED if stands else CertificateStatus.CONTRACT_CANCELLED
    token = question.listed or (question.answer.token if question.answer else None)
    return Outcome(
        verdict=verdict,
        reason=reason,
        basis=basis,
        auth_method=method,
        certificate_status=status,
        contract_id=contract.emaid if contract is not None else token.contract_id if token else None,
        group_id=token.group_id if token else None,
        authorization_reference=question.answer.authorization_reference if question.answer else None,
        transient=verdict is Verdict.ACCEPTED
        and (reason == GROUP_ENDS or _holds_only_now(basis, token, question.starts_unasked)),
    )


def _holds_only_now(basis: Basis, token: Token | None, starts_unasked: bool) -> bool:
    """Whether an accept must not be remembered: a station that did would let the driver in while nobody can be asked.

    So it is with a token whose owner wants to be asked each time (OCPI WhitelistType NEVER), and with one that was let
    in because nobody knew it (as OCPP 2.0.1 C15.FR.01 has it for what a station lets in by itself). One whose owner
    wants to be asked whenever it is possible (ALLOWED_OFFLINE) may be remembered by stations that ask all the same.
    """
    if basis is Basis.SITE_POLICY:
        return True
    asked_always = (WhitelistType.NEVER, WhitelistType.ALLOWED_OFFLINE) if starts_unasked else (WhitelistType.NEVER,)
    return token is not None and token.whitelist in asked_always


def _chain_refused(contract: ContractEvidence) -> Outcome:
    verdict, status = _CHAIN_ANSWERS.get(contract.code, (Verdict.INVALID, CertificateStatus.CERT_CHAIN_ERROR))
    return Outcome(
        verdict=verdict,
        reason=contract.code,
        basis=Basis.CONTRACT_CHAIN,
        auth_method=AuthMethod.WHITELIST,
        certificate_status=status,
        contract_id=contract.emaid,
    )


def _nobody(unnamed: Unnamed, policy: SitePolicy) -> Outcome:
    allowed = unnamed is Unnamed.NO_AUTHORIZATION and policy.no_authorization is Choice.ACCEPT
    return Outcome(
        verdict=Verdict.ACCEPTED if allowed else Verdict.INVALID,
        reason="no-authorization-allowed" if allowed else unnamed.value,
        basis=Basis.SITE_POLICY,
        auth_method=AuthMethod.WHITELIST,
        transient=allowed,
    )


def _carried_over(earlier: Decision) -> Outcome:
    return Outcome(
        verdict=earlier.verdict,
        reason=earlier.reason,
        basis=Basis.EARLIER_DECISION,
        auth_method=earlier.auth_method,
        contract_id=earlier.contract_id,
        group_id=earlier.group_id,
        authorization_reference=earlier.authorization_reference,
        transient=earlier.transient,
    )


def _token_verdict(question: Question, policy: SitePolicy) -> tuple[Verdict, str, Basis, AuthMethod]:
    listed, answer = _entry(question, policy), question.answer
    if _ends_with_group(question, question.listed):
        return Verdict.ACCEPTED, GROUP_ENDS, Basis.WHITELIST, AuthMethod.WHITELIST
    if answer is not None and wants_hub(question, policy):
        not_blocked = answer.allowed not in _SPENT and (listed is None or listed.valid)
        if not_blocked and _ends_with_group(question, answer.token):
            return Verdict.ACCEPTED, GROUP_ENDS, Basis.HUB, AuthMethod.AUTH_REQUEST
        return _hub_verdict(answer, question.evses)
    if listed is None:
        return _unlisted_verdict(question, policy)
    if listed.whitelist is WhitelistType.NEVER:
        return Verdict.UNKNOWN, "hub-must-be-asked", Basis.WHITELIST, AuthMethod.WHITELIST
    if not listed.valid:
        return Verdict.BLOCKED, "token-blocked", Basis.WHITELIST, AuthMethod.WHITELIST
    # An eMAID without chain comes here only from a transaction that the station let start by itself.
    vouched = question.contract is None and question.token.type is TokenType.EMAID
    reason = "station-validated" if vouched else "token-listed"
    return Verdict.ACCEPTED, reason, Basis.WHITELIST, AuthMethod.WHITELIST


def _hub_verdict(answer: AuthorizationInfo, evses: frozenset[str]) -> tuple[Verdict, str, Basis, AuthMethod]:
    """What the hub's answer means here. NOT_ALLOWED speaks of the location, not of the token (OCPI AllowedType)."""
    if answer.token is None and answer.allowed is not AllowedType.ALLOWED:
        return Verdict.UNKNOWN, "token-unknown", Basis.HUB, AuthMethod.AUTH_REQUEST
    allowed = () if answer.location is None else answer.location.evse_uids
    if answer.allowed is AllowedType.ALLOWED and allowed and evses.isdisjoint(map(evse_key, allowed)):
        return Verdict.NOT_ALLOWED_TYPE_EVSE, "hub-other-evse", Basis.HUB, AuthMethod.AUTH_REQUEST
    verdict = _HUB_VERDICTS[answer.allowed]
    reason = "hub-" + answer.allowed.value.lower().replace("_", "-")
    return verdict, reason, Basis.HUB, AuthMethod.AUTH_REQUEST


def _unlisted_verdict(question: Question, policy: SitePolicy) -> tuple[Verdict, str, Basis, AuthMethod]:
    if question.contract is not None:
        if policy.contract_offline is Choice.ACCEPT:
            return Verdict.ACCEPTED, "contract-verified", Basis.CONTRACT_CHAIN, AuthMethod.WHITELIST
        reason = "contract-unknown-offline" if question.listed is None else "list-stale"
        return Verdict.UNKNOWN, reason, Basis.SITE_POLICY, AuthMethod.WHITELIST
    if policy.unknown_token_offline is Choice.ACCEPT:
        return Verdict.ACCEPTED, "unknown-token-allowed", Basis.SITE_POLICY, AuthMethod.WHITELIST
    reason = "token-unknown-offline" if question.listed is None else "list-stale"
    return Verdict.UNKNOWN, reason, Basis.SITE_POLICY, AuthMethod.WHITELIST
