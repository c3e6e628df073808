"""Whether a token may charge at a charger: by what it holds itself, or by asking the gateway.

Rules of this file
1. What the charger can decide itself is decided by `local_auth`; a question that gets no answer is decided as offline.
2. Every answer of the gateway is remembered in the cache, if that is enabled; in 1.6 not for a token of the list.
3. An answer that contradicts the list is told (1.6 StatusNotification LocalListConflict).
4. Contracts are always asked about while there is a connection. Offline the charger checks the chain with the MO roots
   it holds, if it may, and goes on with list and cache (C07.FR.07 to 12).
5. A charger that holds a chain's root sends hashes, else the chain if that is allowed (C07.FR.01, 06).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from firmware_sim.dialect import Answer, Dialect, Presented, Transaction
from firmware_sim.errors import ChargerError
from firmware_sim.holdings import Holdings
from firmware_sim.link import Link
from firmware_sim.local_auth import Ruling, Source, decide_locally, same_group
from firmware_sim.local_list import token_key
from firmware_sim.misdeeds import misnamed
from wire.errors import MalformedValue


@dataclass(frozen=True, slots=True)
class Permit:
    """What was decided about a token, and by what."""

    answer: Answer
    source: Source

    def __str__(self) -> str:
        return str(self.answer) if self.source is Source.GATEWAY else f"{self.answer} (by {self.source.value})"


class Permits:
    """The decisions of one charger."""

    def __init__(self, link: Link, dialect: Dialect, holdings: Holdings, clock: Callable[[], datetime]) -> None:
        self._link, self._dialect, self._holdings, self._clock = link, dialect, holdings, clock

    async def authorize(self, presented: Presented) -> Answer:
        """What the gateway says of a token.

        Raises:
            ChargerError: offline, a CALLERROR, no answer, or one that cannot be read.
        """
        action, payload = self._dialect.authorize(self._as_sent(presented))
        answered = await self._link.ask(action, misnamed(payload, self._link.spec.faults))
        try:
            answer = self._dialect.read_authorization(presented, answered)
        except MalformedValue as error:
            raise ChargerError("unreadable-answer", self._link.spec.charger_id, str(error)) from error
        self.learn(presented, answer)
        return answer

    async def permit(self, presented: Presented) -> Permit:
        """The decision, by the charger itself where its rules let it. Never raises ChargerError."""
        if self._link.online:
            own = self._ruling(presented, online=True)
            if not own.asks and presented.chain_pem is None:
                return _permit(own)
            refused = self._unsent(presented)
            if refused is not None:
                return refused
            try:
                return Permit(await self.authorize(presented), Source.GATEWAY)
            except ChargerError:
                pass  # Rule 1.
        return self._offline(presented)

    def learn(self, presented: Presented, answer: Answer) -> None:
        """Takes an answer of the gateway about a token. Rules 2 and 3. Raises StateError."""
        listed = self._holdings.local_list.find(presented.uid)
        rules = self._holdings.rules()
        if rules.cache_enabled and not (rules.ocpp == "1.6" and listed is not None):
            self._holdings.cache.learn(presented, answer, self._clock())
        if listed is not None and rules.ocpp == "1.6" and (listed.status == "Accepted") != answer.accepted:
            fields = {"connectorId": 0, "errorCode": "LocalListConflict", "status": "Available"}
            self._link.say("StatusNotification", fields)

    async def may_stop(self, tx: Transaction, presented: Presented) -> bool:
        """Whether a token may end a charge: the one that began it, or an accepted one of its group."""
        if token_key(presented.uid) == token_key(tx.presented.uid):
            return True
        master = self._holdings.settings.text("AuthCtrlr.MasterPassGroupId")
        ruling = self._ruling(presented, online=self._link.online)
        group = ruling.group_id
        if master and same_group(group, master):
            return True
        if ruling.asks or (self._link.online and not ruling.accepted):
            try:
                answer = await self.authorize(presented)
            except ChargerError:
                ruling = self._ruling(presented, online=False)
                return ruling.accepted and same_group(tx.group_id, ruling.group_id)
            return (answer.accepted and same_group(tx.group_id, answer.group_id)) or (
                bool(master) and same_group(answer.group_id, master)
            )
        return ruling.accepted and same_group(tx.group_id, group)

    def is_master(self, presented: Presented) -> bool:
        """Whether a token is listed or cached as one of the master pass group (C16)."""
        master = self._holdings.settings.text("AuthCtrlr.MasterPassGroupId")
        return bool(master) and same_group(self._ruling(presented, online=False).group_id, master)

    def _ruling(self, presented: Presented, *, online: bool) -> Ruling:
        listed = self._holdings.local_list.find(presented.uid)
        cached = self._holdings.cache.find(presented.uid)
        return decide_locally(listed, cached, self._holdings.rules(), online=online, at=self._clock())

    def _offline(self, presented: Presented) -> Permit:
        """Rule 4 for a chain, and the table for everything else."""
        if presented.chain_pem is not None:
            if not self._holdings.settings.yes("ISO15118Ctrlr.ContractValidationOffline"):
                return Permit(Answer("Invalid"), Source.CHAIN)
            if not self._holdings.roots.vouch_for(presented.chain_pem, self._clock()):
                return Permit(Answer("Invalid", "CertChainError"), Source.CHAIN)
        return _permit(self._ruling(presented, online=False))

    def _as_sent(self, presented: Presented) -> Presented:
        """Rule 5."""
        if presented.chain_pem is None:
            return presented
        hashes = self._holdings.roots.chain_hashes(presented.chain_pem)
        return replace(presented, chain_pem=None, hashes=hashes) if hashes else presented

    def _unsent(self, presented: Presented) -> Permit | None:
        """The refusal of a chain that the charger can neither judge nor send (C07.FR.06); None when it may be sent."""
        if presented.chain_pem is None or self._as_sent(presented).hashes:
            return None
        if self._holdings.settings.yes("ISO15118Ctrlr.CentralContractValidationAllowed"):
            return None
        return Permit(Answer("Invalid", "CertChainError"), Source.CHAIN)


def _permit(ruling: Ruling) -> Permit:
    return Permit(Answer(ruling.status or "Unknown", group_id=ruling.group_id), ruling.source)
