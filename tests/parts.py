"""The only fakes of this project: a clock that is set, a hub that says what it was told, a link that can be cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.clock import Moment
from wire.records import AllowedType, AuthorizationInfo, ClockState, Token, TokenRef, TokenType, WhitelistType

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@dataclass
class SetClock:
    """A clock that stands still until it is moved."""

    at: datetime = NOON
    mono_ns: int = 0
    state: ClockState = ClockState.TRUSTED
    boot_id: str = "boot-1"
    earliest: datetime | None = None

    def now(self) -> Moment:
        return Moment(at=self.at, boot_id=self.boot_id, mono_ns=self.mono_ns, clock=self.state, earliest=self.earliest)

    def keep(self) -> None:
        """Nothing: this clock is not kept."""

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.mono_ns += int(seconds * 1e9)


@dataclass
class ScriptedHub:
    """A hub that answers from a table, and remembers what it was asked."""

    online: bool = False
    answers: dict[str, AuthorizationInfo] = field(default_factory=dict)
    silent: bool = False
    asked: list[TokenRef] = field(default_factory=list)

    async def authorize(self, token: TokenRef) -> AuthorizationInfo | None:
        self.asked.append(token)
        if self.silent:
            return None
        return self.answers.get(token.uid, AuthorizationInfo(allowed=AllowedType.NOT_ALLOWED))


def token(
    uid: str = "04A1B2C3",
    *,
    type_: TokenType = TokenType.RFID,
    valid: bool = True,
    whitelist: WhitelistType = WhitelistType.ALLOWED,
    contract_id: str = "DEABCCRD000001",
    group_id: str | None = None,
) -> Token:
    """A token as an eMSP publishes it."""
    return Token(
        country_code="DE",
        party_id="ABC",
        uid=uid,
        type=type_,
        contract_id=contract_id,
        issuer="ABC Mobility",
        valid=valid,
        whitelist=whitelist,
        last_updated=NOON,
        group_id=group_id,
    )
