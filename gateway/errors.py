"""What can stop the gateway, or make it refuse.

GatewayError                   anything below; carries a stable kebab-case `code`
 +- ConfigurationError         the configuration cannot be used; names the file, the key and what to do
 +- StoreError                 the database cannot be opened or is not what it must be; the gateway does not start
 +- StoreUnavailable           a write was not made durable; nobody may be told that it was
 +- UplinkError                the hub cannot be reached, or what answers is not a hub
"""

from __future__ import annotations


class GatewayError(Exception):
    """Raised by the gateway; `code` is for machines, `str(error)` says to a person what, where and what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ConfigurationError(GatewayError):
    """Raised when the configuration, or a file it names, cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__("bad-configuration", message)


class StoreError(GatewayError):
    """Raised when the database cannot be opened safely."""

    def __init__(self, message: str) -> None:
        super().__init__("store-unusable", message)


class StoreUnavailable(GatewayError):
    """Raised to every producer of a batch whose commit failed: nothing of it is durable or may be acknowledged."""

    def __init__(self, message: str) -> None:
        super().__init__("store-unavailable", message)


class UplinkError(GatewayError):
    """Raised when an exchange with the hub failed; the uplink backs off and tries again."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
