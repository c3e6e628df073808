"""Gathers what a decision rests on (chain, list, hub, earlier decision) and has it decided."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from gateway.clock import Clock
from gateway.decide.authorize import ContractEvidence, Question, decide_authorize, wants_hub
from gateway.decide.contract import JudgedContract, Trust, judge_contract, judge_hashes
from gateway.decide.offered import OfferedAnswer
from gateway.decide.policy import SitePolicy
from gateway.grants import Grants
from gateway.store.commands import granted_by
from gateway.store.transactions import latest_decision, normal_emaid, token_key
from gateway.store.variables import PRE_AUTHORIZE, is_off
from gateway.store.whitelist import Whitelist
from pki.certificate import Certificate
from pki.verify.bindings import Bindings
from pki.verify.conclusion import VerifiedChain
from pki.verify.hash_text import HashData
from wire.ids import random_id
from wire.ocpp.transaction import TransactionMessage
from wire.records import (
    AllowedType,
    AuthorizationInfo,
    ChainEvidence,
    Decision,
    TokenRef,
    TokenType,
    TransactionEvent,
    Verdict,
)


class Hub(Protocol):
    """The hub as a decision sees it."""

    @property
    def online(self) -> bool:
        """Whether the last exchange with the hub went well."""

    async def authorize(self, token: TokenRef) -> AuthorizationInfo | None:
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
        """The decision for a token inside a transaction message: the earlier one when it still counts, else a new one.

        A station may have let the driver start by itself, with old data; so a token without an earlier decision is
        decided like any other, and an eMAID without one by its list entry or the hub (OCPP 2.0.1 C12.FR.03, E02.FR.04).
        """
        granted = self._granted(charger_id, message)
        if granted is not None:
            return await self._decide(charger_id, Question(token=granted.token, earlier=granted), None)
        earlier = latest_decision(self._ledger, charger_id, token.uid)
        if earlier is not None and self._still_counts(earlier, message):
            question = Question(token=TokenRef(uid=token.uid, type=earlier.token.type), earlier=earlier)
            return await self._decide(charger_id, question, earlier.chain)
        return await self._decide(charger_id, Question(token=token, listed=self._whitelist.find(token)), None)

    async def for_remote_start(self, charger_id: str, message: TransactionMessage) -> Decision | None:
        """The decision of the command that a message without a token names by its remoteStartId."""
        granted = None if message.remote_start_id is None else self._granted(charger_id, message)
        if granted is None:
            return None
        return await self._decide(charger_id, Question(token=granted.token, earlier=granted), None)

    def _granted(self, charger_id: str, message: TransactionMessage) -> Decision | None:
        """The decision of the command that let the message's session start."""
        granted = self.grants.for_message(charger_id, message, self._clock.now().at)
        if granted is not None or message.remote_start_id is None:
            return granted
        kept = granted_by(self._ledger, message.remote_start_id)  # A message that was queued for long.
        if kept is None or kept.grant is None or kept.grant.charger_id.casefold() != charger_id.casefold():
            return None
        return kept.grant

    def _still_counts(self, earlier: Decision, message: TransactionMessage) -> bool:
        """Whether an earlier decision carries over: an accept, or a refusal that rests on a contract chain (only the
        chain can overturn it), made shortly before the message was written or arrived. An end is never refused."""
        if earlier.verdict is not Verdict.ACCEPTED and earlier.certificate_status is None:
            return False
        if message.event is TransactionEvent.ENDED:
            return True
        lifetime = timedelta(seconds=self._policy.earlier_decision_s)
        return any(abs(at - earlier.at) <= lifetime for at in (self._clock.now().at, message.at))

    async def _decide(self, charger_id: str, question: Question, chain: ChainEvidence | None) -> Decision:
        online = self._hub.online
        if online and wants_hub(question):
            answer = _for_token(question.token, await self._hub.authorize(question.token))
            online = answer is not None
            evses = self._evses.get(charger_id.casefold(), frozenset())
            question = replace(question, answer=answer, evses=evses)
        question = replace(question, starts_unasked=not is_off(self._ledger, charger_id, PRE_AUTHORIZE))
        outcome = decide_authorize(question, self._policy)
        now = self._clock.now()
        return Decision(
            decision_id=random_id(os.urandom(16)),
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
