"""A charger's settings: read and changed by the gateway, kept in its folder over restarts.

Rules
1. A change is on the disk before it is answered.
2. What the charger itself knows (`facts`: its limits, its model, how many entries its list holds) is never kept.
3. A value that may only be written is never read back, and never shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from firmware_sim.lines import load_value, save_value
from firmware_sim.variables import VARIABLES, Access, Variable
from wire.records import Value


class _Kept(Value, frozen=True, kw_only=True):
    values: dict[str, str] = msgspec.field(default_factory=dict)


class Settings:
    """The settings in `folder`; `facts` gives the values that the charger itself knows, by the variable's name.

    Raises:
        StateError: no access to `folder`, also from `change`. MalformedValue: what is in it cannot be read.
    """

    def __init__(self, folder: Path, facts: Callable[[], Mapping[str, str]]) -> None:
        self._path, self._facts = folder / "settings.json", facts
        self._values = dict((load_value(_Kept, self._path) or _Kept()).values)

    def text(self, name: str) -> str:
        """The value of a setting, whoever may see it."""
        facts = self._facts()
        if name in facts:
            return facts[name]
        return self._values.get(name, _BY_NAME[name].default)

    def yes(self, name: str) -> bool:
        """The value of a boolean."""
        return self.text(name).casefold() == "true"

    def whole(self, name: str) -> int:
        """The value of a whole number."""
        return int(self.text(name) or "0")

    def change(self, variable: Variable, value: str) -> str:
        """OCPP's status: Accepted, Rejected (read only, or no value for it), RebootRequired."""
        if variable.access is Access.READ or not variable.takes(value):
            return "Rejected"
        self.keep(variable.name, value)
        return "RebootRequired" if variable.reboot else "Accepted"

    def keep(self, name: str, value: str) -> None:
        """Sets a value, whoever may; it is on the disk when this returns."""
        self._values[name] = value
        save_value(self._path, _Kept(values=self._values))

    def forget(self, name: str) -> None:
        """Drops a value that is kept elsewhere."""
        if self._values.pop(name, None) is not None:
            save_value(self._path, _Kept(values=self._values))


_BY_NAME = {variable.name: variable for variable in VARIABLES}
_BY_KEY = {variable.key.casefold(): variable for variable in VARIABLES if variable.key is not None}


def by_key(key: str) -> Variable | None:
    """The setting of a 1.6 key, which is compared without case."""
    return _BY_KEY.get(key.casefold())


def keyed() -> tuple[Variable, ...]:
    """All settings that 1.6 has a key for."""
    return tuple(_BY_KEY.values())


def named(component: str, variable: str, instance: str | None) -> Variable | None:
    """The setting of a 2.x variable; names are compared without case."""
    wanted = component.casefold(), variable.casefold(), (instance or "").casefold()
    for each in modelled():
        if wanted == (
            (each.component or "").casefold(),
            (each.variable or "").casefold(),
            (each.instance or "").casefold(),
        ):
            return each
    return None


def is_component(name: str) -> bool:
    """Whether the charger has a component of this name."""
    return any((each.component or "").casefold() == name.casefold() for each in modelled())


def modelled() -> tuple[Variable, ...]:
    """All settings that the device model of 2.x has."""
    return tuple(variable for variable in VARIABLES if variable.component is not None)
