"""The options that say what kind of meter there is, the same for a charger and for a meter on a bench."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeVar

import click
import msgspec

from firmware_sim.errors import MeterKindError
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import (
    FORMAT_VERSIONS,
    AlgorithmSpelling,
    Between,
    Carrier,
    ChargePoint,
    ClockKind,
    KeySending,
    KeySpelling,
    MeterKind,
    Records,
    Signer,
    check_kind,
)
from wire.meter.curves import CURVES
from wire.meter.draft import SignatureEncoding

Command = TypeVar("Command", bound=Callable[..., object])

_PARAMETER = "meter_kind_"


def _names(kind: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([member.value for member in kind])


_OPTIONS: Mapping[str, tuple[click.ParamType[object] | click.ParamType[str] | click.ParamType[int], str]] = {
    "curve": (click.Choice([curve.name for curve in CURVES]), "what it signs on"),
    "format_version": (click.Choice(FORMAT_VERSIONS), "FV"),
    "signature_encoding": (_names(SignatureEncoding), "SE"),
    "algorithm": (_names(AlgorithmSpelling), "how SA is spelled"),
    "records": (_names(Records), "a record for each reading (sr), or one for the transaction (mr)"),
    "between": (_names(Between), "what is signed between begin and end"),
    "registers": (click.STRING, "OBIS codes, apart by commas"),
    "unit": (click.Choice(["kWh", "Wh"]), "RU"),
    "digits": (click.IntRange(0, 6), "decimals of RV"),
    "most_readings": (click.IntRange(2, 500), "readings of one record"),
    "clock": (_names(ClockKind), "what its time is worth"),
    "loss": (click.IntRange(1, 1000), "milliohm of a cable whose loss it takes off"),
    "tariff": (click.STRING, "TT"),
    "tariff_next": (click.STRING, "TT after a tariff change in each transaction"),
    "controller_firmware": (click.STRING, "CF"),
    "signer": (_names(Signer), "who signs: MS, GS or both"),
    "charge_point": (_names(ChargePoint), "CT"),
    "evse_id": (click.STRING, "CI for an EVSE id"),
    "carrier": (_names(Carrier), "in what a record travels"),
    "key_spelling": (_names(KeySpelling), "how its key is written"),
    "key_sending": (_names(KeySending), "when its key goes along"),
}
_SWITCHES = {
    "carry_forward": "leave out what a reading has in common with the one before",
    "restarts": "a transaction's register begins at 0",
}


def meter_options(prefix: str) -> Callable[[Command], Command]:
    """A decorator that adds `--PREFIXcurve` and the others, and `--PREFIXfault`; `kind_of` and `faults_of` read what
    they give."""

    def decorate(command: Command) -> Command:
        names = [fault.value for fault in MeterFault]
        fault = click.option(
            f"--{prefix}fault",
            "meter_faults",
            multiple=True,
            type=click.Choice(names),
            metavar="NAME",
            help="a fault by the name it has in `pnc-sim meter --list`; may be given several times",
        )
        command = fault(command)
        for name, text in reversed(list(_SWITCHES.items())):
            option = f"--{prefix}{name.replace('_', '-')}"
            command = click.option(option, _PARAMETER + name, is_flag=True, default=None, help=text)(command)
        for name, (type_, text) in reversed(list(_OPTIONS.items())):
            option = f"--{prefix}{name.replace('_', '-')}"
            metavar = None
            if isinstance(type_, click.Choice):  # The names stand in the text: as a metavar they would not be wrapped.
                metavar, text = "NAME", f"{text}: {', '.join(type_.choices)}"
            command = click.option(option, _PARAMETER + name, type=type_, metavar=metavar, help=text)(command)
        return command

    return decorate


def kind_of(given: Mapping[str, object]) -> MeterKind:
    """The kind of meter that the options say.

    Raises:
        MeterKindError: there cannot be such a meter.
    """
    told = {name.removeprefix(_PARAMETER): value for name, value in given.items() if name.startswith(_PARAMETER)}
    fields = {name: value for name, value in told.items() if value is not None}
    if isinstance(registers := fields.get("registers"), str):
        fields["registers"] = tuple(register.strip() for register in registers.split(","))
    if "loss" in fields:
        fields["loss"] = {"milliohm": fields["loss"]}
    try:
        kind = msgspec.convert(fields, MeterKind)
    except msgspec.ValidationError as error:
        raise MeterKindError("bad-meter", str(error)) from error
    check_kind(kind)
    return kind
