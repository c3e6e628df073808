"""Transaction messages that end in the middle: whether to have them sent again.

A text that stops short is no message that a station made, but what its line or a buffer made of one. To acknowledge it
would lose what was cut off, and CALLERROR would count as an attempt. So the connection is closed: a station without one
keeps its queue and counts nothing (OCPP 2.0.1 E13), and sends the message whole when it is back. What comes cut in the
same way again, or too often, is how this station sends it: it is stored and acknowledged like anything unreadable.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

WINDOW = timedelta(hours=1)
CLOSINGS = 3
"""How often the connection of one station is closed for this within the window."""


class CutFrames:
    """What came cut short lately, by station; bounded by the stations that are configured."""

    def __init__(self) -> None:
        self._lately: dict[str, list[tuple[datetime, bytes]]] = {}

    def wanted_again(self, charger_id: str, payload: str, at: datetime) -> bool:
        """Whether the station should send again what came as `payload`."""
        name, digest = charger_id.casefold(), hashlib.sha256(payload.encode()).digest()
        lately = [(when, held) for when, held in self._lately.get(name, []) if abs(at - when) < WINDOW]
        if len(lately) >= CLOSINGS or any(held == digest for _, held in lately):
            return False
        self._lately[name] = [*lately, (at, digest)]
        return True
