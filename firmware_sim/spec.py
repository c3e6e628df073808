"""What kind of charger is simulated: its power and its timings, its limits, and what it does wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from firmware_sim.dialect import StationIdentity
from firmware_sim.local_list import ListLimits
from firmware_sim.meter_faults import MeterFault
from firmware_sim.meter_kind import MeterKind
from firmware_sim.misdeeds import Misdeed
from wire.meter.record import CurrentType


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargerSpec:
    """What kind of charger. `power_w` at the plug; a value every `sample_s`, every `signed_every`-th of them signed.

    `remote_s` is how long a charge lasts that the gateway started; `reboot_s` how long a reboot takes; `job_s` how long
    each part of a firmware update or an upload. `serial_number`: its id without one.
    """

    charger_id: str
    ocpp: str
    power_w: int
    current: CurrentType
    evse_id: int = 1
    connector_id: int = 1
    ramp_s: float = 1.0
    tick_s: float = 0.1
    sample_s: float = 0.5
    signed_every: int = 2
    message_timeout_s: float = 10.0
    retry_interval_s: float = 1.0
    max_failures: int | None = None
    remote_s: float = 3600.0
    reboot_s: float = 0.3
    job_s: float = 0.2
    security_profile: int = 1
    serial_number: str | None = None
    limits: ListLimits = field(default_factory=ListLimits)
    meter: MeterKind = field(default_factory=MeterKind)
    meter_faults: frozenset[MeterFault] = frozenset()
    faults: frozenset[Misdeed] = frozenset()

    @property
    def identity(self) -> StationIdentity:
        """What it tells of itself."""
        return StationIdentity(self.charger_id, self.serial_number or self.charger_id)
