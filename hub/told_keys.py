"""Meter keys in what a station says of its settings, which reach the hub as the answers to commands. Pure.

Source: OCA "Signed Meter Values in OCPP" 3.2.1: MeterPublicKey<connectorId> of OCPP 1.6, FiscalMetering.PublicKey of an
EVSE in 2.x.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from wire.commands import StationAnswer
from wire.errors import MeterRecordError
from wire.meter.keys import PublicKey, parse_public_key

MAX_TOLD = 64
"""Keys that one answer may tell."""
_KEY16 = re.compile(r"MeterPublicKey([1-9][0-9]{0,3})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ToldKey:
    """A key that a station has for the meter of one of its EVSEs."""

    evse_id: int
    key: PublicKey


class _Setting(msgspec.Struct):
    key: str = ""
    value: str | None = None


class _Named(msgspec.Struct):
    name: str = ""


class _EVSE(msgspec.Struct):
    id: int = 0


class _Component(msgspec.Struct):
    name: str = ""
    evse: _EVSE | None = None


class _Variable(msgspec.Struct, rename="camel"):
    component: _Component
    variable: _Named
    attribute_value: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    configuration_key: tuple[_Setting, ...] = ()
    get_variable_result: tuple[_Variable, ...] = ()


def told_keys(answers: Iterable[StationAnswer]) -> tuple[ToldKey, ...]:
    """The meter keys in a station's answers; what cannot be read, or names no EVSE, is none."""
    found = []
    for evse_id, text in _told(answers):
        try:
            found.append(ToldKey(evse_id, parse_public_key(text)))
        except MeterRecordError:
            continue
    return tuple(found[:MAX_TOLD])


def _told(answers: Iterable[StationAnswer]) -> Iterator[tuple[int, str]]:
    for answer in answers:
        try:
            fields = msgspec.json.decode(answer.answer, type=_Answer)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
        for setting in fields.configuration_key:
            match = _KEY16.fullmatch(setting.key)
            if match is not None and setting.value:
                yield int(match[1]), setting.value
        for one in fields.get_variable_result:
            name, evse = (one.component.name.casefold(), one.variable.name.casefold()), one.component.evse
            if name == ("fiscalmetering", "publickey") and evse is not None and evse.id > 0 and one.attribute_value:
                yield evse.id, one.attribute_value
