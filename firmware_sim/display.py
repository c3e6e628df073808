"""What a charger's screen shows a driver: messages, prices, running cost, tariffs, payment links. Kept in its folder.

Source: OCPP 2.0.1 Part 2 O01 to O06, I01 to I03; OCPP 2.1 Part 2 I07, I08, C25; OCA "OCPP & California Pricing
Requirements" for what 1.6 carries in DataTransfer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from firmware_sim.lines import load_value, save_value
from wire.records import Value

MOST = 20


class Shown(Value, frozen=True, kw_only=True):
    """One message of the gateway; `raw` is the JSON object as it came."""

    id: int
    text: str
    priority: str
    state: str | None = None
    raw: msgspec.Raw = msgspec.Raw(b"{}")


class _Kept(Value, frozen=True, kw_only=True):
    messages: tuple[Shown, ...] = ()
    tariffs: dict[int, msgspec.Raw] = msgspec.field(default_factory=dict)


class Display:
    """The screen of a charger with its memory in `folder` (`display.json`); `show` hears each new text.

    Raises:
        StateError: no access, also when something is kept. MalformedValue: what is kept cannot be read.
    """

    def __init__(self, folder: Path, show: Callable[[str], None]) -> None:
        self._path, self._show = folder / "display.json", show
        kept = load_value(_Kept, self._path) or _Kept()
        self.messages = {shown.id: shown for shown in kept.messages}
        """What the gateway wants shown, by number."""
        self.tariffs = dict(kept.tariffs)
        """The default tariff of each EVSE (0: of all), as JSON."""
        self.lines: list[str] = []
        """All that was shown since power-up."""

    def show(self, text: str) -> None:
        """Shows a text now."""
        self.lines.append(text)
        self._show(text)

    def keep(self, message: Shown) -> bool:
        """Whether there is room for it; it is shown and kept then."""
        if message.id not in self.messages and len(self.messages) >= MOST:
            return False
        self.messages[message.id] = message
        self._save()
        self.show(message.text)
        return True

    def clear(self, number: int) -> bool:
        """Whether there was such a message."""
        found = self.messages.pop(number, None) is not None
        if found:
            self._save()
        return found

    def set_tariff(self, evse_id: int, tariff: msgspec.Raw) -> None:
        """Keeps the default tariff of an EVSE."""
        self.tariffs[evse_id] = tariff
        self._save()

    def clear_tariffs(self, evse_ids: tuple[int, ...]) -> None:
        """Forgets default tariffs."""
        for evse_id in evse_ids:
            self.tariffs.pop(evse_id, None)
        self._save()

    def _save(self) -> None:
        save_value(self._path, _Kept(messages=tuple(self.messages.values()), tariffs=self.tariffs))
