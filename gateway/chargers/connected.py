"""One station on one connection: what the blocks of a conversation share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

from gateway.authorizer import Authorizer
from gateway.chargers.calls import CALL_TIMEOUT_S, Calls, Rank
from gateway.chargers.cut_frames import CutFrames
from gateway.chargers.quirk_tally import QuirkTally
from gateway.clock import Clock
from gateway.errors import CallFailed
from gateway.store.ledger import Identity, append
from gateway.store.writer import Writer
from wire.chain import RecordKind
from wire.ocpp import v16, v21, v201
from wire.ocpp.frames import CallRejected
from wire.ocpp.payload import Message, read_message
from wire.ocpp.quirks import Quirk
from wire.records import AuditEntry

if TYPE_CHECKING:
    from gateway.chargers.certificates import CertificateService

MODULES: dict[str, ModuleType] = {module.VERSION: module for module in (v16, v201, v21)}
"""Version -> the module that has its messages."""


@dataclass(frozen=True, slots=True)
class Site:
    """What every station of the site shares."""

    owner: Identity
    clock: Clock
    writer: Writer
    ledger: sqlite3.Connection
    authorizer: Authorizer
    heartbeat_interval_s: int
    stored: Callable[[], None]
    """Called after each commit, so that the uplink knows there is something to send."""
    certificates: CertificateService
    quirks: QuirkTally
    cut_frames: CutFrames = field(default_factory=CutFrames)
    is_full: Callable[[], bool] = lambda: False
    """Whether no session is to begin, for want of room for the evidence."""
    turns_away: Callable[[str], bool] = lambda charger_id: False
    """Whether nobody new may charge at a station, for the same reason."""
    counts_values: Callable[[], bool] = lambda: False
    """Whether periodic values are counted and not stored, for the same reason."""

    async def audit(self, event: str, subject: str, message: str) -> None:
        """Enter into the chain of evidence what is no transaction and no decision. Raises StoreUnavailable."""
        entry = AuditEntry(event=event, subject=subject, message=message)
        now = self.clock.now()
        await self.writer.run(lambda connection: append(connection, self.owner, RecordKind.AUDIT, entry, now))
        self.stored()


@dataclass(frozen=True, slots=True)
class PriceShown:
    """What goes with an accepted Authorize at a station that shows prices: a text, in 2.1 a tariff, and who tells a 1.6
    station what the holder of a tag pays."""

    message: v201.MessageContent | None = None
    tariff: v21.Tariff | None = None
    told: Callable[[str], None] | None = None


@dataclass(slots=True)
class Connected:
    """A station that has proven who it is. `registered`: it was accepted once, ever. `serial_number`:
    what it must call itself there, because its TLS client certificate names it; None where nothing is known."""

    site: Site
    charger_id: str
    ocpp: str
    calls: Calls
    registered: bool
    serial_number: str | None = None
    shows_price: PriceShown | None = None

    def noticed(self, quirk: Quirk, where: str) -> None:
        """The station has done what is beyond its schema and was accepted: count it."""
        self.site.quirks.note(self.charger_id, quirk, where)

    def wants_again(self, payload: str) -> bool:
        """Whether what came cut short as `payload` should be sent again."""
        return self.site.cut_frames.wanted_again(self.charger_id, payload, self.site.clock.now().at)

    async def ask(self, request: Message, timeout_s: float = CALL_TIMEOUT_S, rank: Rank = Rank.UPKEEP) -> Message:
        """The station's answer to a request of its version, an instance of the type named like it with `Answer`.

        Not to be awaited by whoever answers the station's own CALLs: the answer comes through the same reader.

        Raises:
            CallFailed: as `Calls.exchange`, and "unreadable-answer": an answer that cannot be read.
        """
        action = type(request).__name__
        answer_type: type[Message] = getattr(MODULES[self.ocpp], f"{action}Answer")
        result = await self.calls.exchange(action, request, timeout_s, rank)
        try:
            return read_message(answer_type, result.payload, f"{action} answer", self.noticed)
        except CallRejected as error:
            if self.ocpp == v21.VERSION:
                await self.calls.refuse(result, error.ocpp_code, str(error))
            raise CallFailed("unreadable-answer", f"{self.charger_id}: {error}") from error
