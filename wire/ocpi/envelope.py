"""What OCPI wraps an answer in, and the codes in it. Source: OCPI 2.3.0 transport_and_format, status_codes."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from wire.ocpi.types import Instant, OCPIValue


class StatusCode(IntEnum):
    """What became of a request that arrived; HTTP speaks of transport only."""

    SUCCESS = 1000
    CLIENT_ERROR = 2000
    INVALID_PARAMETERS = 2001
    NOT_ENOUGH_INFORMATION = 2002
    UNKNOWN_LOCATION = 2003
    UNKNOWN_TOKEN = 2004
    SERVER_ERROR = 3000
    CANNOT_USE_CLIENT_API = 3001
    UNSUPPORTED_VERSION = 3002
    NO_MATCHING_ENDPOINTS = 3003
    HUB_ERROR = 4000
    UNKNOWN_RECEIVER = 4001
    HUB_TIMEOUT = 4002
    RECEIVER_NOT_CONNECTED = 4003


class Envelope(OCPIValue, frozen=True, kw_only=True):
    """An answer. `data` is JSON as it is; `status_code` is open."""

    status_code: int
    timestamp: Instant
    data: msgspec.Raw = msgspec.Raw()
    status_message: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the request was done."""
        return 1000 <= self.status_code < 2000
