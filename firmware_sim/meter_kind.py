"""What kind of meter a charger has: what it signs with, what it writes, and how the charger carries it.

Source: OCMF 1.4.1, tables 1 to 8, 22, 24, 25; OCA "Signed Meter Values in OCPP" v1.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import msgspec

from firmware_sim.errors import MeterKindError
from wire.meter.curves import CURVES, curve_named
from wire.meter.draft import SignatureEncoding
from wire.meter.obis import parse_obis
from wire.meter.record import LossCompensation
from wire.toml import Table

TRANSACTION_REGISTER, LIFETIME_REGISTER = "01-00:B2.08.00*FF", "01-00:B0.08.00*FF"
"""Import at the mains since OCMF 1.4, as a transaction's and as a meter's whole life."""

FORMAT_VERSIONS = ("0.1", "0.2", "0.3", "0.4", "0.5", "1.0", "1.1", "1.2", "1.3", "1.4")
_CHANGED = (0, 5)
"""From this format on: EF for EI, RT, CT and CI."""


class Records(StrEnum):
    """How many records a transaction makes: one for each reading (SR), or one at the end with all of them (MR)."""

    SINGLE = "sr"
    MULTIPLE = "mr"


class Signer(StrEnum):
    """Who signs, and is named therefore: the meter (MS), a gateway for it (GS), or both in one housing."""

    METER = "meter"
    GATEWAY = "gateway"
    BOTH = "both"


class Between(StrEnum):
    """What is signed between begin and end: nothing, readings of the transaction, or of the fiscal counter F."""

    NOTHING = "nothing"
    TRANSACTION = "transaction"
    FISCAL = "fiscal"


class ClockKind(StrEnum):
    """What the meter's clock is worth. `settling`: unknown in the first record, informative in the second, synchronised
    from then on."""

    SYNCHRONISED = "synchronised"
    INFORMATIVE = "informative"
    UNKNOWN = "unknown"
    RELATIVE = "relative"
    SETTLING = "settling"


class AlgorithmSpelling(StrEnum):
    """How SA stands in a record: as OCMF spells it, as OpenSSL does, in capitals, or not at all."""

    SPECIFIED = "specified"
    OPENSSL = "openssl"
    CAPITALS = "capitals"
    OMITTED = "omitted"


class ChargePoint(StrEnum):
    """What CT and CI say: the charge box and its connector, an EVSE id, or nothing."""

    CBIDC = "cbidc"
    EVSEID = "evseid"
    NONE = "none"


class Carrier(StrEnum):
    """In what a record travels. `standard`: base64 in 2.x, in 1.6 the JSON text of the 2.x type around it. `envelope`:
    that JSON text in 2.x too. The others are bare in 1.6, without a key."""

    STANDARD = "standard"
    ENVELOPE = "envelope"
    BARE = "bare"
    HEX = "hex"
    BASE64 = "base64"
    BASE64_TWICE = "base64-twice"
    BASE64_OF_HEX = "base64-of-hex"


class KeySpelling(StrEnum):
    """How publicKey is written."""

    OCA = "oca"
    OCA_BASE64 = "oca-base64"
    HEX = "hex"
    BASE64 = "base64"
    BASE64_OF_HEX = "base64-of-hex"
    PEM = "pem"
    POINT = "point"
    BARE_POINT = "bare-point"
    COMPRESSED = "compressed"


class KeySending(StrEnum):
    """When the key goes along (OCPP 2.x PublicKeyWithSignedMeterValue)."""

    NEVER = "Never"
    ONCE = "OncePerTransaction"
    EVERY = "EveryMeterValue"


_OPENSSL_NAMES = {
    "secp192r1": "prime192v1",
    "secp256r1": "prime256v1",
    "brainpool256r1": "brainpoolP256r1",
    "brainpool384r1": "brainpoolP384r1",
}


class Loss(Table, frozen=True, kw_only=True):
    """The cable whose loss the meter takes off: its resistance in milliohm, and the names that the meter gives it."""

    milliohm: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    name: Annotated[str, msgspec.Meta(max_length=20)] = "cable"
    number: int = 1


class MeterKind(Table, frozen=True, kw_only=True):
    """Everything that tells one meter from another; `[charger.meter]` of a scenario. The defaults are an everyday one.

    `registers` are written in each reading, the first one first; those of a transaction (B2, B3, 98) begin at 0 with
    each if `restarts`. `unit` and `digits` say how a value stands: kWh with four decimals. `carry_forward` leaves out
    what a reading has in common with the one before. `most_readings` bounds a record with several. After `tariff_next`
    is set, the first reading between begin and end is one of a tariff change. `evse_id` is CI for `evseid`.
    """

    curve: str = "secp256r1"
    signature_encoding: SignatureEncoding = SignatureEncoding.HEX
    format_version: str = "1.2"
    algorithm: AlgorithmSpelling = AlgorithmSpelling.SPECIFIED
    records: Records = Records.SINGLE
    between: Between = Between.TRANSACTION
    carry_forward: bool = False
    most_readings: Annotated[int, msgspec.Meta(ge=2, le=500)] = 8
    registers: tuple[str, ...] = (TRANSACTION_REGISTER,)
    restarts: bool = False
    unit: str = "kWh"
    digits: Annotated[int, msgspec.Meta(ge=0, le=6)] = 4
    clock: ClockKind = ClockKind.SYNCHRONISED
    loss: Loss | None = None
    tariff: Annotated[str, msgspec.Meta(max_length=250)] | None = None
    tariff_next: Annotated[str, msgspec.Meta(max_length=250)] | None = None
    controller_firmware: Annotated[str, msgspec.Meta(max_length=25)] | None = None
    signer: Signer = Signer.BOTH
    charge_point: ChargePoint = ChargePoint.CBIDC
    evse_id: str = "DE*8AA*E1*1"
    carrier: Carrier = Carrier.STANDARD
    key_spelling: KeySpelling = KeySpelling.OCA
    key_sending: KeySending = KeySending.EVERY

    @property
    def version(self) -> tuple[int, int]:
        """FV as two numbers."""
        major, minor = self.format_version.split(".")
        return int(major), int(minor)

    @property
    def is_older(self) -> bool:
        """Whether the format is one before 0.5, with other fields."""
        return self.version < _CHANGED

    @property
    def step_mwh(self) -> int:
        """The last digit shown, in mWh."""
        exponent: int = (6 if self.unit == "kWh" else 3) - self.digits
        return int(10**exponent)

    @property
    def loss_compensation(self) -> LossCompensation | None:
        """LC."""
        if self.loss is None:
            return None
        number, resistance = Decimal(self.loss.number), Decimal(self.loss.milliohm)
        return LossCompensation(resistance=resistance, unit="mOhm", name=self.loss.name, number=number)

    @property
    def algorithm_text(self) -> str:
        """SA as it shall stand, "" for none."""
        curve = curve_named(self.curve)
        name = self.curve if curve is None else curve.name
        if self.algorithm is AlgorithmSpelling.OMITTED:
            return ""
        if self.algorithm is AlgorithmSpelling.CAPITALS:
            return f"ECDSA-{name}-SHA256".upper()
        if self.algorithm is AlgorithmSpelling.OPENSSL:
            name = _OPENSSL_NAMES.get(name, name)
        return f"ECDSA-{name}-SHA256"

    def shown(self, mwh: int) -> Decimal:
        """What the display says of so many mWh, in `unit`: cut, never rounded up."""
        return Decimal(mwh // self.step_mwh).scaleb(-self.digits)

    def kwh_of(self, value: Decimal) -> Decimal:
        """A value in `unit` in kWh, with the same digits."""
        return value if self.unit == "kWh" else value.scaleb(-3)


def check_kind(kind: MeterKind) -> None:
    """Return if there can be such a meter.

    Raises:
        MeterKindError: a field that is no value, or two that do not fit each other; names both.
    """
    for problem in _problems(kind):
        raise MeterKindError("bad-meter", problem)


def _problems(kind: MeterKind) -> Iterator[str]:
    if curve_named(kind.curve) is None:
        yield f"curve {kind.curve!r} is none of {', '.join(curve.name for curve in CURVES)}"
    if kind.format_version not in FORMAT_VERSIONS:
        yield f"format_version {kind.format_version!r} is none of {', '.join(FORMAT_VERSIONS)}"
        return
    if kind.unit not in ("kWh", "Wh") or kind.step_mwh < 1:
        yield f"unit {kind.unit!r} with {kind.digits} digits: expected kWh with at most 6 or Wh with at most 3"
    codes = [parse_obis(register) for register in kind.registers]
    if not codes or any(code is None or not code.is_import for code in codes) or len(set(codes)) < len(codes):
        yield f"registers {', '.join(kind.registers)}: expected different registers of imported energy"
    compensated = any(code is not None and code.is_device_side for code in codes)
    if kind.loss is not None and not compensated:
        yield "loss: a meter that takes it off has a register at the vehicle's side: 98, B1 or B3"
    since = {"loss": (1, 2), "tariff": (1, 1), "tariff_next": (1, 1), "controller_firmware": (1, 3)}
    for name, version in since.items():
        if getattr(kind, name) is not None and kind.version < version:
            yield f"{name} exists since format {version[0]}.{version[1]}, not in {kind.format_version}"
    if (kind.tariff_next is not None) > (kind.tariff is not None):
        yield "tariff_next: there is no tariff that it could follow"
    default = curve_named(kind.curve) is curve_named("secp256r1") and kind.version >= (0, 4)
    if kind.algorithm is AlgorithmSpelling.OMITTED and not default:
        yield "algorithm omitted: the default is secp256r1, since format 0.4"
