"""What must not be kept: passwords and keys in variables, as commands name them and stations tell them.

Commands and their reports are kept, and told to the hub. So a command that would set a secret is refused where it is
read, and a secret that a station tells is hidden before its answer is kept. What a vendor calls a secret is one too, as
far as its name says so.

Source: OCPP 1.6 Improved Security 4.1 (AuthorizationKey is write-only); OCPP 2.0.1 Part 2 A01.FR.09, B09; appendix 3.
"""

from __future__ import annotations

import msgspec

HIDDEN = "(hidden)"
_ENDINGS = ("authorizationkey", "password", "passwd", "passphrase", "secret", "privatekey", "simpin", "vpnkey")
_VALUES = frozenset({"value", "attributeValue"})


def is_secret(name: str) -> bool:
    """Whether the variable, configuration key or field of this name holds a secret, however it is spelled."""
    return _plain(name).endswith(_ENDINGS)


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def hidden(value: object) -> object:
    """JSON without the secrets in it: `HIDDEN` stands for the value of each variable and field that `is_secret`."""
    return _hidden(value, "", secret=False)


def _hidden(value: object, name: str, *, secret: bool) -> object:
    """`name`: of the field that holds the value. `secret`: whether it belongs to a variable that is one."""
    if isinstance(value, list):
        return [_hidden(one, name, secret=secret) for one in value]
    if isinstance(value, dict):
        inside = secret or _names_secret(value)
        in_vpn = _plain(name) == "vpn"
        return {
            key: _hidden(one, key, secret=inside) if not (in_vpn and key == "key") else HIDDEN
            for key, one in value.items()
        }
    if value is None or not (is_secret(name) or (secret and name in _VALUES)):
        return value
    return HIDDEN


def _names_secret(fields: dict[str, object]) -> bool:
    """Whether the object speaks of a variable that is a secret: by `key` (1.6), or `variable` with its name (2.x)."""
    variable = fields.get("variable")
    names = (fields.get("key"), variable.get("name") if isinstance(variable, dict) else None)
    return any(isinstance(name, str) and is_secret(name) for name in names)


def holds_secret(text: bytes) -> bool:
    """Whether a secret is in the JSON text; also in what is no JSON, if it speaks of one."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return any(ending in _plain(text.decode("utf-8", "replace")) for ending in _ENDINGS)
    try:
        return bool(hidden(value) != value)
    except RecursionError:
        return True


def require_no_secret(text: bytes) -> None:
    """Return if no secret is in the JSON text. Raises ValueError."""
    if holds_secret(text):
        raise ValueError(NOT_BY_COMMAND)


NOT_BY_COMMAND = (
    "passwords and keys are not set by a command, which is kept; `pnc-gateway command rotate` gives a station a new"
    " password and keeps no copy of it"
)
