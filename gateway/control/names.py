"""Names as they are typed on a command line: of variables, instants, settings."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from wire.commands import Setting, VariableName

_NAME = re.compile(
    r"(?:(?P<component>[^.\[\]@:#=]+)(?:\[(?P<c_instance>[^\]]*)\])?(?:@(?P<evse>[0-9]+)(?::(?P<connector>[0-9]+))?)?\.)?"
    r"(?P<variable>[^.\[\]@#=]+)(?:\[(?P<v_instance>[^\]]*)\])?(?:#(?P<attribute>Actual|Target|MinSet|MaxSet))?"
)


def parse_variable(text: str) -> VariableName:
    """The variable that COMPONENT[INSTANCE]@EVSE:CONNECTOR.VARIABLE[INSTANCE]#ATTRIBUTE names; in 1.6 a KEY alone.

    Raises:
        ValueError: it names none; says how it is written.
    """
    found = _NAME.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r}: write Component.Variable, as in OCPPCommCtrlr.HeartbeatInterval, or a key of OCPP 1.6"
        )
    return VariableName(
        variable=found["variable"],
        component=found["component"],
        component_instance=found["c_instance"],
        variable_instance=found["v_instance"],
        evse_id=int(found["evse"]) if found["evse"] else None,
        connector_id=int(found["connector"]) if found["connector"] else None,
        attribute=found["attribute"],
    )


def parse_setting(text: str) -> Setting:
    """The setting that NAME=VALUE gives; the value may hold more `=`. Raises ValueError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r}: write NAME=VALUE")
    return Setting(name=parse_variable(name), value=value)


def parse_instant(text: str) -> datetime:
    """The instant in RFC 3339; without an offset it is UTC. Raises ValueError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r}: write an instant as 2026-11-29T12:00:00Z") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
