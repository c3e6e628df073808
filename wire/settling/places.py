"""Where things are mounted at a site."""

from __future__ import annotations

from dataclasses import dataclass

from wire.meter.registry import KeyPlace


@dataclass(frozen=True, slots=True)
class MeterPlace:
    """Where a meter is mounted."""

    gateway_id: str
    charger_id: str
    evse_id: int

    @property
    def named(self) -> KeyPlace:
        """The place as the registry of keys has it."""
        return KeyPlace(gateway_id=self.gateway_id, charger_id=self.charger_id.casefold(), evse_id=self.evse_id)
