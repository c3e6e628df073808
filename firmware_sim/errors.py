"""What can go wrong in the simulator.

SimulatorError                 anything below; carries a stable kebab-case `code`
 +- ChargerError               a charger cannot do what it was asked: offline, refused by the gateway, no answer
 +- StateError                a charger's state folder cannot be read or written, or belongs to somebody else
 +- DaemonError                a daemon did not start, did not become ready in time, or ended by itself
 +- SiteError                  a command or an API of the site under test failed
 +- MeterKindError             a meter that cannot be: names the fields that do not fit
 +- ScenarioError              a scenario file that cannot be played; names the key and where it stands
"""

from __future__ import annotations

from pathlib import Path


class SimulatorError(Exception):
    """Raised when the simulator cannot go on; `code` is for machines, `str(error)` names what and where."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ChargerError(SimulatorError):
    """Raised when a charger cannot do what it was asked."""

    def __init__(self, code: str, charger_id: str, message: str) -> None:
        super().__init__(code, f"charger {charger_id}: {message}")
        self.charger_id = charger_id


class StateError(SimulatorError):
    """Raised when a charger's state cannot be kept or used; `path` is the file or folder."""

    def __init__(self, code: str, path: Path, message: str) -> None:
        super().__init__(code, f"the charger's state in {path}: {message}")
        self.path = path


class DaemonError(SimulatorError):
    """Raised when a daemon is not as it should be; the message holds the end of its log."""


class SiteError(SimulatorError):
    """Raised when a command or an API of the site under test failed."""


class MeterKindError(SimulatorError):
    """Raised for a kind of meter that there cannot be."""


class ScenarioError(SimulatorError):
    """Raised for a scenario that cannot be played."""
