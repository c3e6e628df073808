"""The running gateway and the charging stations at it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from gateway.config import Settings
from gateway.control.client import Control, ControlError
from gateway.control.seen import ChargerView
from gateway.doctor.finding import Finding, fault, good, note, warning
from gateway.wording import counted, instant

_ANSWER_WITHIN_S = 3.0
_LONG_GONE = timedelta(minutes=15)


class _Chargers(msgspec.Struct):
    chargers: tuple[ChargerView, ...]


def stations(settings: Settings, at: datetime) -> Iterator[Finding]:
    """Whether the gateway runs, and who is connected to it."""
    if not settings.table.charger:
        yield warning(
            "stations",
            "no station is configured",
            "add one with `pnc-gateway password --charger ID --config gateway.toml`, and restart",
        )
        return
    try:
        answer = Control(settings.state_dir, _ANSWER_WITHIN_S).get("chargers")
        found = msgspec.json.decode(answer, type=_Chargers).chargers
    except ControlError as error:
        if error.code == "not-running":
            yield warning("gateway", "no gateway runs on this state folder", "start it with `pnc-gateway run`")
        else:
            yield fault("gateway", f"it runs, and does not answer: {error}", "look at its log; restart it if it hangs")
        return
    except msgspec.MsgspecError:
        yield fault("gateway", "another version of it runs than this program is", "restart the gateway")
        return
    yield good("gateway", "runs, and answers at its control socket")
    yield from _connected(found, at)


def _connected(found: tuple[ChargerView, ...], at: datetime) -> Iterator[Finding]:
    connected = sum(one.connected for one in found)
    text = f"{connected} of {counted(len(found), 'station')} connected"
    yield (good if connected == len(found) else note)("stations", text)
    for one in found:
        if one.connected:
            continue
        if one.pending:
            yield warning(
                "stations",
                f"{one.charger_id} has never booted here",
                "look at the address and password it was given; the log says who was refused and why",
            )
        elif one.last_heard is None or at - one.last_heard > _LONG_GONE:
            heard = "" if one.last_heard is None else f", last heard {instant(one.last_heard)}"
            yield warning("stations", f"{one.charger_id} is away{heard}", "look at its power and its network")
    for one in found:
        for connector in one.connectors:
            if connector.error is not None or connector.status == "Faulted":
                said = connector.error or connector.status
                yield warning(
                    "stations",
                    f"{one.charger_id} connector {connector.connector_id} reports {said} since {instant(connector.at)}",
                    f"`pnc-gateway charger {one.charger_id}` shows what else it told",
                )
