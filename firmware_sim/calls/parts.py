"""What the answers to CALLs work with: the parts of the charger that is asked."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime

from firmware_sim.credentials import Credentials
from firmware_sim.dialect import Stop
from firmware_sim.holdings import Holdings
from firmware_sim.link import Link
from firmware_sim.sessions import Sessions
from firmware_sim.spec import ChargerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of one charger. `reboot` ends what goes on for that reason, and boots again with OCPP 2.x's BootReason;
    `spawn` lets something go on beside; `new_password` keeps a password, and gives what is to follow the answer."""

    spec: ChargerSpec
    sessions: Sessions
    link: Link
    holdings: Holdings
    credentials: Credentials
    clock: Callable[[], datetime]
    reboot: Callable[[Stop, str], None]
    spawn: Callable[[Coroutine[None, None, None]], None]
    new_password: Callable[[bytes], Callable[[], None]]
