"""What a partner commands, as the order of a gateway that the desk hands out. Pure.

Rules
1. A command names a location of ours and, if it can, an EVSE and a connector. Without an EVSE the location's only one
   is meant; of several none is chosen for the driver.
2. A reservation's id is its eMSP's and unique for it alone; ours names the eMSP too, so that two never meet at a
   station.
3. What a station says comes back in OCPI's words; what OCPI has none for becomes the nearest, with the text beside it.

Source: OCPI 2.3.0 mod_commands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hub.roaming.own import RoamingConfig
from wire.commands import (
    CancelReservation,
    Command,
    CommandReport,
    CommandToken,
    ReserveNow,
    ResultCode,
    StartSession,
    StopSession,
    UnlockConnector,
)
from wire.errors import OCPIRefused
from wire.ocpi import commands as ocpi
from wire.ocpi.commands import CommandResult, CommandResultType, CommandType
from wire.ocpi.document import utc
from wire.ocpi.envelope import StatusCode
from wire.ocpi.keys import same
from wire.ocpi.listing import token_type
from wire.ocpi.tokens import Token
from wire.ocpi.types import DisplayText, PartyKey
from wire.records import Session
from wire.settling.objects import OwnEVSE

_MOST = 36


@dataclass(frozen=True, slots=True)
class Ordered:
    """A command and the gateway that it goes to."""

    gateway_id: str
    command: Command


Request: TypeAlias = (
    ocpi.CancelReservation | ocpi.ReserveNow | ocpi.StartSession | ocpi.StopSession | ocpi.UnlockConnector
)
"""What the body of a command is."""
REQUESTS: Mapping[CommandType, type[Request]] = {
    CommandType.CANCEL_RESERVATION: ocpi.CancelReservation,
    CommandType.RESERVE_NOW: ocpi.ReserveNow,
    CommandType.START_SESSION: ocpi.StartSession,
    CommandType.STOP_SESSION: ocpi.StopSession,
    CommandType.UNLOCK_CONNECTOR: ocpi.UnlockConnector,
}


def start_order(wanted: ocpi.StartSession, config: RoamingConfig, owner: PartyKey | None) -> Ordered:
    """Raises OCPIRefused: 2003, or no single EVSE is meant."""
    found = _evse(config, owner, wanted.location_id, wanted.evse_uid)
    if wanted.connector_id is None and "START_SESSION_CONNECTOR_REQUIRED" in found.evse.capabilities:
        raise OCPIRefused("no-connector", "/connector_id", f"EVSE {found.evse.uid} needs it (capability)")
    command = StartSession(
        charger_id=found.place.charger_id,
        token=_token(wanted.token),
        evse_id=found.place.evse_id,
        connector_id=None if wanted.connector_id is None else _connector(found, wanted.connector_id),
        authorization_reference=_short("/authorization_reference", wanted.authorization_reference),
    )
    return Ordered(found.place.gateway_id, command)


def reserve_order(wanted: ocpi.ReserveNow, config: RoamingConfig, owner: PartyKey | None) -> Ordered:
    """Raises OCPIRefused: 2003, or no single EVSE is meant."""
    found = _evse(config, owner, wanted.location_id, wanted.evse_uid)
    command = ReserveNow(
        charger_id=found.place.charger_id,
        token=_token(wanted.token),
        expiry_date=utc(wanted.expiry_date),
        reservation_id=reservation_id(wanted.token.owner, wanted.reservation_id),
        evse_id=found.place.evse_id,
        authorization_reference=_short("/authorization_reference", wanted.authorization_reference),
    )
    return Ordered(found.place.gateway_id, command)


def unlock_order(wanted: ocpi.UnlockConnector, config: RoamingConfig, owner: PartyKey | None) -> Ordered:
    """Raises OCPIRefused: 2003."""
    found = _evse(config, owner, wanted.location_id, wanted.evse_uid)
    connector = _connector(found, wanted.connector_id)
    command = UnlockConnector(charger_id=found.place.charger_id, evse_id=found.place.evse_id, connector_id=connector)
    return Ordered(found.place.gateway_id, command)


def stop_order(session: Session) -> Ordered:
    """The order that stops a session."""
    return Ordered(session.gateway_id, StopSession(charger_id=session.charger_id, session_id=session.id))


def cancel_order(gateway_id: str, charger_id: str, reservation: str) -> Ordered:
    """The order that gives up a reservation, named as `reservation_id` names it."""
    return Ordered(gateway_id, CancelReservation(charger_id=charger_id, reservation_id=reservation))


def reservation_id(emsp: PartyKey, theirs: str) -> str:
    """Our id of a reservation. Rule 2."""
    plain = f"{emsp}*{theirs}"
    return plain if len(plain) <= _MOST else hashlib.sha256(plain.encode()).hexdigest()[:_MOST]


def _evse(config: RoamingConfig, owner: PartyKey | None, location_id: str, evse_uid: str | None) -> OwnEVSE:
    here = config.evses_of(owner, location_id)
    if not here:
        message = f"no location {location_id!r} here"
        raise OCPIRefused("unknown-location", "/location_id", message, status=StatusCode.UNKNOWN_LOCATION)
    if evse_uid is not None:
        here = tuple(one for one in here if same(one.evse.uid, evse_uid))
        if not here:
            message = f"location {location_id!r} has no EVSE {evse_uid!r}"
            raise OCPIRefused("unknown-evse", "/evse_uid", message, status=StatusCode.UNKNOWN_LOCATION)
    if len(here) > 1:
        message = f"location {location_id!r} has {len(here)} EVSEs; name one"
        raise OCPIRefused("no-evse", "/evse_uid", message, status=StatusCode.NOT_ENOUGH_INFORMATION)
    return here[0]


def _connector(found: OwnEVSE, id_: str) -> int:
    for number, known in found.connectors.items():
        if same(known, id_):
            return number
    message = f"EVSE {found.evse.uid} has no connector {id_!r}"
    raise OCPIRefused("unknown-connector", "/connector_id", message, status=StatusCode.UNKNOWN_LOCATION)


def _token(token: Token) -> CommandToken:
    return CommandToken(
        uid=_needed("/token/uid", token.uid),
        type=token_type(token.type),
        contract_id=_short("/token/contract_id", token.contract_id),
        group_id=_short("/token/group_id", token.group_id),
        country_code=token.country_code.upper(),
        party_id=token.party_id.upper(),
    )


def _needed(where: str, text: str) -> str:
    if not 1 <= len(text) <= _MOST:
        raise OCPIRefused("bad-length", where, f"1 to {_MOST} characters are expected")
    return text


def _short(where: str, text: str | None) -> str | None:
    return None if text is None else _needed(where, text)


_RESULTS: Mapping[ResultCode, CommandResultType] = {
    **{ResultCode(one.value): one for one in CommandResultType},
    ResultCode.UNKNOWN_SESSION: CommandResultType.FAILED,
    ResultCode.CHARGER_OFFLINE: CommandResultType.EVSE_INOPERATIVE,
    ResultCode.CHARGER_PENDING: CommandResultType.EVSE_INOPERATIVE,
    ResultCode.UNKNOWN_CHARGER: CommandResultType.EVSE_INOPERATIVE,
    ResultCode.EXPIRED: CommandResultType.TIMEOUT,
    ResultCode.MALFORMED: CommandResultType.FAILED,
}


def result_of(report: CommandReport | None) -> CommandResult:
    """What is posted to the response_url; TIMEOUT without a report. Rule 3."""
    if report is None:
        return CommandResult(result=CommandResultType.TIMEOUT)
    texts = (DisplayText(language="en", text=report.message[:512]),) if report.message else ()
    return CommandResult(result=_RESULTS[report.result], message=texts)
