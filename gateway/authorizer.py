"""Gathers what a decision rests on (chain, list, hub, earlier decision) and has it decided."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from msgspec.structs import replace

from gateway.clock import Clock
from gateway.decide.authorize import NOBODY, ContractEvidence, Question, decide_authorize, wants_hub
from gateway.decide.contract import JudgedContract, Trust, judge_contract, judge_hashes
from gateway.decide.dates import list_is_stale
from gateway.decide.offered import OfferedAnswer
from gateway.decide.policy import SitePolicy
from gateway.grants import Grants, grant_of
from gateway.store.commands import granted_by
from gateway.store.sessions import tag_of
from gateway.store.transactions import latest_decision, normal_emaid, token_key
from gateway.store.variables import PRE_AUTHORIZE, is_off
from gateway.store.whitelist import Whitelist
from pki.certificate import Certificate
from pki.verify.bindings import Bindings
from pki.verify.conclusion import VerifiedChain
from pki.verify.hash_text import HashData
from wire.ids import random_id
from wire.ocpp.transaction import TransactionMessage, Unnamed
from wire.records import (
    AllowedType,
    AuthorizationInfo,
    ChainEvidence,
    Decision,
    TokenRef,
    TokenType,
    TransactionEvent,
    Verdict,
    WhitelistType,
)
from wire.sync_messages import AuthorizeRequest

QUEUED_WHEN_SAID = timedelta(days=7)
QUEUED_IN_16 = timedelta(days=1)
CLOCKS_DIFFER = timedelta(minutes=5)
"""How far a station's clock may be off without anybody being told."""


class Hub(Protocol):
    """The hub as a decision sees it."""

    @property
    def online(self) -> bool:
        """Whether the last exchange with the hub went well."""

    async def authorize(self, asked: AuthorizeRequest) -> AuthorizationInfo | None:
        """The hub's answer, or None when there is none in time."""


class Authorizer:
    """Makes decisions; stores none of them. `trust` may be replaced at any time."""

    def __init__(
        self,
        clock: Clock,
        policy: SitePolicy,
        trust: Trust,
        whitelist: Whitelist,
        hub: Hub,
        ledger: sqlite3.Connection,
        evses: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        """`evses`: the EVSE ids of each station (by its case-folded id), as `evse_key` writes them."""
        self._clock, self._policy, self._whitelist, self._hub = clock, policy, whitelist, hub
        self._ledger, self._evses = ledger, evses or {}
        self._bindings = Bindings()
        self.grants = Grants()
        self.trust = trust
        self.met: Callable[[VerifiedChain], None] = lambda chain: None
        """Hears of every chain whose path is sound, also when evidence of its revocation is wanting."""

    async def for_token(self, charger_id: str, token: TokenRef) -> Decision:
        """The decision for a token alone. An eMAID without its chain proves nothing: it is printed on invoices. A token
        that a command was given for a moment ago is not asked about again."""
        granted = self.grants.for_authorize(charger_id, token.uid, self._clock.now().at)
        if granted is not None:
            return await self._decide(charger_id, Question(token=granted.token, earlier=granted), None)
        if token.type is TokenType.EMAID:
            message = "an eMAID was presented with neither a certificate chain nor certificate hashes"
            refused = ContractEvidence(code="no-chain", emaid=None), ChainEvidence(code="no-chain", message=message)
            return await self._decide(charger_id, Question(token=token, contract=refused[0]), refused[1])
        return await self._decide(charger_id, Question(token=token, listed=self._whitelist.find(token)), None)

    async def for_contract(
        self,
        charger_id: str,
        emaid: str,
        pem: str,
        entries: Sequence[HashData] = (),
        offered: Sequence[OfferedAnswer] = (),
    ) -> Decision:
        """The decision for a Plug & Charge contract chain presented with `emaid`, and perhaps hashes and OCSP answers
        beside it."""
        judged = judge_contract(pem, emaid, self.trust, self._clock.now(), self._policy, entries, offered)
        self._remember(judged)
        return await self._for_judged(charger_id, emaid, judged)

    async def for_hashes(self, charger_id: str, emaid: str, entries: Sequence[HashData]) -> Decision:
        """The decision for a contract that is only named, by the hashes of a chain that was shown here before."""
        now = self._clock.now()
        judged = judge_hashes(entries, emaid, self.trust, self._bindings, now, self._policy)
        return await self._for_judged(charger_id, emaid, judged)

    def learn(self, pem: str) -> bool:
        """Learn a chain that was accepted before a restart, if it is still acceptable; says whether it is."""
        judged = judge_contract(pem, None, self.trust, self._clock.now(), self._policy)
        self._remember(judged)
        return judged.chain is not None

    def _remember(self, judged: JudgedContract) -> None:
        if judged.chain is not None:
            self._bindings = self._bindings.learn(judged.chain)
        if judged.sound is not None:
            self.met(judged.sound)

    def contract_ends(self) -> dict[str, datetime]:
        """When the contracts end that were shown here, by normal EMAID."""
        return self._bindings.ends()

    def issuers(self) -> frozenset[Certificate]:
        """The sub-CAs and anchors above the contracts that were verified."""
        return self._bindings.issuers()

    async def _for_judged(self, charger_id: str, emaid: str, judged: JudgedContract) -> Decision:
        token = TokenRef(uid=emaid, type=TokenType.EMAID)
        question = Question(token=token, contract=judged.evidence, listed=self._whitelist.find(token))
        return await self._decide(charger_id, question, judged.record)

    async def for_transaction(self, charger_id: str, token: TokenRef, message: TransactionMessage) -> Decision:
        """The decision for a token inside a transaction message: the earlier one when it still counts and the list does
        not overrule it, else a new one.

        A station may have let the driver start by itself, with old data; so a token without an earlier decision is
        decided like any other, and an eMAID without one by its list entry or the hub (OCPP 2.0.1 C12.FR.03, E02.FR.04).
        """
        granted = self._granted(charger_id, message)
        if granted is not None:
            return await self._decide(charger_id, Question(token=granted.token, earlier=granted), None)
        earlier = latest_decision(self._ledger, charger_id, token.uid)
        if earlier is not None:
            meant = TokenRef(uid=token.uid, type=earlier.token.type)
            if self._still_counts(earlier, message) and not self._overruled(earlier, meant):
                return await self._decide(charger_id, Question(token=meant, earlier=earlier), earlier.chain)
        group = self._ended_group(charger_id, token, message)
        question = Question(token=token, listed=self._whitelist.find(token), ends_group=group)
        return await self._decide(charger_id, question, None)

    def _ended_group(self, charger_id: str, token: TokenRef, message: TransactionMessage) -> str | None:
        """The group of the session that `message` ends with another token than began it; None where there is none."""
        if message.event is not TransactionEvent.ENDED or message.transaction_id is None:
            return None
        began = tag_of(self._ledger, charger_id, message.transaction_id)
        if began is None or token_key(began) == token_key(token.uid):
            return None
        decision = latest_decision(self._ledger, charger_id, began)
        return None if decision is None else decision.group_id

    async def for_nobody(self, charger_id: str, unnamed: Unnamed) -> Decision:
        """The decision for a transaction whose token names nobody."""
        return await self._decide(charger_id, Question(token=NOBODY, unnamed=unnamed), None)

    async def for_remote_start(self, charger_id: str, message: TransactionMessage) -> Decision | None:
        """The decision of the command that a message without a token names by its remoteStartId."""
        granted = None if message.remote_start_id is None else self._granted(charger_id, message)
        if granted is None:
            return None
        return await self._decide(charger_id, Question(token=granted.token, earlier=granted), None)

    def _granted(self, charger_id: str, message: TransactionMessage) -> Decision | None:
        """The decision of the command that let the message's session start."""
        number = message.remote_start_id
        if number is not None and not self.grants.holds(charger_id, number):
            kept = granted_by(self._ledger, charger_id, number)  # A message that was queued for long.
            if kept is not None:
                self.grants.add(grant_of(kept))
        return self.grants.for_message(charger_id, message, self._clock.now().at)

    def _still_counts(self, earlier: Decision, message: TransactionMessage) -> bool:
        """Whether an earlier decision carries over: an accept, or a refusal that rests on a contract chain (only the
        chain can overturn it), made shortly before the message arrived, or before it was written where it was queued.
        """
        if earlier.verdict is not Verdict.ACCEPTED and earlier.certificate_status is None:
            return False
        lifetime, now = timedelta(seconds=self._policy.earlier_decision_s), self._clock.now().at
        if message.event is TransactionEvent.ENDED or abs(now - earlier.at) <= lifetime:
            return True
        waited = now - message.at
        return -CLOCKS_DIFFER <= message.at - earlier.at <= lifetime and -CLOCKS_DIFFER <= waited <= _queued_at_most(
            message
        )

    def _overruled(self, earlier: Decision, meant: TokenRef) -> bool:
        """Whether the list says no to what was accepted earlier (it may have been blocked since), or that its owner
        wants to be asked each time."""
        listed = self._whitelist.find(meant)
        if earlier.verdict is not Verdict.ACCEPTED or listed is None:
            return False
        return not listed.valid or listed.whitelist is WhitelistType.NEVER

    async def _decide(self, charger_id: str, question: Question, chain: ChainEvidence | None) -> Decision:
        online, begun = self._hub.online, self._clock.now()
        if question.listed is not None:
            max_age = timedelta(hours=self._policy.list_max_age_h)
            question = replace(question, stale=list_is_stale(self._whitelist.confirmed_at, begun, max_age))
        decision_id = random_id(os.urandom(16))
        if online and wants_hub(question, self._policy):
            token = question.token
            asked = AuthorizeRequest(uid=token.uid, type=token.type, charger_id=charger_id, correlation_id=decision_id)
            answer = _for_token(token, await self._hub.authorize(asked))
            online = answer is not None
            evses = self._evses.get(charger_id.casefold(), frozenset())
            question = replace(question, answer=answer, evses=evses)
        if _asked_unless_alone(question) and is_off(self._ledger, charger_id, PRE_AUTHORIZE):
            question = replace(question, starts_unasked=False)
        outcome = decide_authorize(question, self._policy)
        now = self._clock.now()
        return Decision(
            decision_id=decision_id,
            at=now.at,
            charger_id=charger_id,
            token=question.token,
            verdict=outcome.verdict,
            reason=outcome.reason,
            basis=outcome.basis,
            auth_method=outcome.auth_method,
            online=online,
            clock=now.clock,
            certificate_status=outcome.certificate_status,
            contract_id=outcome.contract_id,
            group_id=outcome.group_id,
            whitelist_version=self._whitelist.version,
            authorization_reference=outcome.authorization_reference,
            chain=chain,
            command_id=None if question.earlier is None else question.earlier.command_id,
            transient=outcome.transient,
        )


def _asked_unless_alone(question: Question) -> bool:
    """Whether the token is one that stations must ask about while they can; only then their settings matter."""
    token = question.listed or (question.answer.token if question.answer is not None else None)
    return token is not None and token.whitelist is WhitelistType.ALLOWED_OFFLINE


def _queued_at_most(message: TransactionMessage) -> timedelta:
    """How long a message may have waited in its station, so that the time it was written counts. 2.x says `offline`.
    1.6 cannot, and a clock that stands still looks like a queue that grows; so it is believed for less long."""
    if message.offline is not None or message.seq_no is not None:
        return QUEUED_WHEN_SAID if message.offline else timedelta(0)
    return QUEUED_IN_16


def _for_token(asked: TokenRef, answer: AuthorizationInfo | None) -> AuthorizationInfo | None:
    """The answer if it speaks of the token that was asked about, and allows only a valid one; None otherwise."""
    if answer is None or answer.token is None:
        return None if answer is not None and answer.allowed is AllowedType.ALLOWED else answer
    token = answer.token
    read = normal_emaid if asked.type is TokenType.EMAID else token_key
    named = {read(uid) for uid in (token.uid, token.contract_id)} - {None}
    if read(asked.uid) not in named or (answer.allowed is AllowedType.ALLOWED and not token.valid):
        return None
    return answer
