"""What can stop the gateway, or make it refuse.

GatewayError                   anything below; carries a stable kebab-case `code`
 +- ConfigurationError         the configuration cannot be used; names the file, the key and what to do
 +- StoreError                 the database cannot be opened or is not what it must be; the gateway does not start
 +- StoreUnavailable           a write was not made durable; nobody may be told that it was
 |   +- NoRoom                  the budget has no room for a record; others are not concerned
 +- UplinkError                the hub cannot be reached, or what answers is not a hub
 |   +- PeerRefused             an OCPI peer has answered, and said no
 +- EnrolmentError             a certificate was not obtained, or what was obtained is not what was asked for
 +- DownloadError              a list or an answer was not fetched: not allowed, not reachable, not in bounds
 +- PoolFailed                 a contract pool gave no contract: not reachable, not in time, refused, or not to be read
 +- CallFailed                 a station did not do what it was asked: refused, silent, or gone
 +- SigningRefused             a station's certificate request is not relayed; says why
 +- AdmissionRefused           whoever is at a station's port is not let in; says why
 +- RotationFailed             a station did not take a new password, or it is not known whether it did
 +- CommandRefused             a command is not sent to a station; carries the result to report
"""

from __future__ import annotations

from wire.commands import ResultCode


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


class NoRoom(StoreUnavailable):
    """Raised to the producer of a record for which the budget has no room; what others hand in is not concerned."""


class UplinkError(GatewayError):
    """Raised when an exchange with the hub failed; the uplink backs off and tries again. `status` is that of an answer
    which was not wanted, `retry_after_s` how long the hub asks to be left alone."""

    def __init__(
        self, code: str, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(code, message)
        self.status, self.retry_after_s = status, retry_after_s


class PeerRefused(UplinkError):
    """Raised when an OCPI peer refused what was asked; it is certain that it did not do it. `ocpi` is its OCPI status
    code, None where only the HTTP status says no."""

    def __init__(self, code: str, message: str, *, status: int | None = None, ocpi: int | None = None) -> None:
        super().__init__(code, message, status=status)
        self.ocpi = ocpi


class EnrolmentError(GatewayError):
    """Raised when no certificate was obtained; what was there before is untouched.

    `refused`: the PKI has decided, so that asking the same again is of no use. `retry_after_s`: when it said to come
    again.
    """

    def __init__(self, code: str, message: str, *, refused: bool = False, retry_after_s: int | None = None) -> None:
        super().__init__(code, message)
        self.refused, self.retry_after_s = refused, retry_after_s


class DownloadError(GatewayError):
    """Raised when something was not fetched; nothing of it was used."""


class PoolFailed(GatewayError):
    """Raised when the contract pool gave nothing that can be handed to a car."""


class CallFailed(GatewayError):
    """Raised when a CALL to a station has no CALLRESULT. `ocpp_code` is the CALLERROR's code, None without one."""

    def __init__(self, code: str, message: str, *, ocpp_code: str | None = None) -> None:
        super().__init__(code, message)
        self.ocpp_code = ocpp_code


class SigningRefused(GatewayError):
    """Raised when a station's certificate request is not relayed to the PKI."""


class AdmissionRefused(GatewayError):
    """Raised when a connection is not let in. `status` is the HTTP status to answer; `charger_id` whom it claims to be,
    None while that is no identity at all."""

    def __init__(self, code: str, message: str, status: int, charger_id: str | None = None) -> None:
        super().__init__(code, message)
        self.status, self.charger_id = status, charger_id


class FrameCut(GatewayError):
    """Raised when a transaction message ended in the middle: close the connection, so that it is sent again."""


class RotationFailed(GatewayError):
    """Raised when a station has no new password for certain; `code` says how it stands."""


class CommandRefused(GatewayError):
    """Raised when a command is not sent; `result` is what its sender is told."""

    def __init__(self, result: ResultCode, message: str) -> None:
        super().__init__(result.value.lower().replace("_", "-"), message)
        self.result = result
