"""What somebody presents to be let charge, at a station or by the local interface, and the decision on it: the same for
both, and durable in the audit log before anybody hears of it.

A chain speaks for itself, and hashes beside it may only agree; hashes alone name a chain that was shown here before; an
eMAID alone proves nothing.

Source: OCPP 2.0.1 Part 2 C07.FR.01, FR.05, FR.06, FR.17.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from gateway.authorizer import Authorizer
from gateway.clock import Clock
from gateway.decide.offered import OfferedAnswer
from gateway.store.chains import remember_chain
from gateway.store.ledger import Identity, append
from gateway.store.transactions import remember_decision
from gateway.store.writer import Writer
from pki.verify.hash_text import HashData
from wire.chain import RecordKind
from wire.records import Basis, Decision, TokenRef, Verdict

SITE_FULL = "site-full"
"""The reason where the room for evidence is spent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A token, and the contract's chain (PEM) or the hashes of its certificates that came with it, and OCSP answers
    about the chain."""

    token: TokenRef
    pem: str | None = None
    entries: tuple[HashData, ...] = ()
    offered: tuple[OfferedAnswer, ...] = ()


class Deciding(Protocol):
    """The parts of a site that a decision needs."""

    @property
    def owner(self) -> Identity:
        """Whose audit log it is."""

    @property
    def clock(self) -> Clock:
        """The clock."""

    @property
    def writer(self) -> Writer:
        """The store's writer."""

    @property
    def authorizer(self) -> Authorizer:
        """Who decides."""

    @property
    def turns_away(self) -> Callable[[str], bool]:
        """Whether nobody new may charge at a station, for want of room for the evidence."""

    @property
    def stored(self) -> Callable[[], None]:
        """To be called after each commit."""


async def decide_presented(site: Deciding, charger_id: str, presented: Presented) -> Decision:
    """The decision on what was presented at a charger, once it is durable.

    Raises:
        StoreUnavailable: it could not be stored; nobody may be told.
    """
    authorizer, token, pem = site.authorizer, presented.token, presented.pem
    if pem is not None:
        decision = await authorizer.for_contract(charger_id, token.uid, pem, presented.entries, presented.offered)
    elif presented.entries:
        decision = await authorizer.for_hashes(charger_id, token.uid, presented.entries)
    else:
        decision = await authorizer.for_token(charger_id, token)
    is_full = decision.verdict is Verdict.ACCEPTED and site.turns_away(charger_id)
    if is_full:
        decision = msgspec.structs.replace(
            decision, verdict=Verdict.NOT_AT_THIS_TIME, reason=SITE_FULL, basis=Basis.SITE_POLICY, transient=False
        )

    def log(connection: sqlite3.Connection) -> None:
        append(connection, site.owner, RecordKind.DECISION, decision, site.clock.now())
        if not is_full:  # It says nothing of the token, and is over as soon as there is room.
            remember_decision(connection, decision)
        # With it the chain that was accepted, so that hashes may name it later.
        if pem is not None and decision.chain is not None and decision.chain.leaf_sha256 is not None:
            remember_chain(connection, decision.chain.leaf_sha256, pem, decision.at)

    await site.writer.run(log)
    site.stored()
    return decision
