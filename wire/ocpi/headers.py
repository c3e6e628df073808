"""Headers that every OCPI message has: X-Request-ID and X-Correlation-ID.

Rules
1. Each request has a new request id; its answer carries the same. A hub forwards with a new one.
2. The correlation id is made where a request begins; answers carry it, hubs keep it.
3. A request without ids, or with unusable ones, is served all the same: its receiver makes what is missing.
4. Names of headers are compared without regard to case.

Source: OCPI 2.3.0 transport_and_format (Unique message IDs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

REQUEST_ID = "X-Request-ID"
CORRELATION_ID = "X-Correlation-ID"
_USABLE = re.compile(r"[\x21-\x7e]{1,64}")
"""UUIDs are advised, not required; what we keep and log is bounded."""


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The value of a header however its name is spelt, without white space at its ends."""
    value = headers.get(name)
    if value is None:
        folded = name.casefold()
        value = next((text for key, text in headers.items() if key.casefold() == folded), None)
    return None if value is None else value.strip()


@dataclass(frozen=True, slots=True)
class MessageIds:
    """The ids of a request and of its answer."""

    request_id: str
    correlation_id: str

    def headers(self) -> dict[str, str]:
        """As they are sent, with a request or with its answer."""
        return {REQUEST_ID: self.request_id, CORRELATION_ID: self.correlation_id}

    def forwarded(self, request_id: str) -> MessageIds:
        """Those of the request that a hub sends on; `request_id` is a new UUID."""
        return MessageIds(request_id, self.correlation_id)


def read_message_ids(headers: Mapping[str, str], made: str) -> MessageIds:
    """The ids of a request; `made`, a new UUID, stands for each that is missing or not 1 to 64 printable characters."""
    return MessageIds(_usable(headers, REQUEST_ID) or made, _usable(headers, CORRELATION_ID) or made)


def answers(headers: Mapping[str, str], sent: MessageIds, *, silent: bool = False) -> bool:
    """Whether an answer's headers belong to the request with the ids `sent`. A missing id passes when `silent` (quirk
    `no_request_id_echo`); another id than was sent never does."""
    for name, value in sent.headers().items():
        echoed = header(headers, name)
        if echoed is None and not silent:
            return False
        if echoed is not None and echoed.casefold() != value.casefold():
            return False
    return True


def _usable(headers: Mapping[str, str], name: str) -> str | None:
    value = header(headers, name)
    return value if value is not None and _USABLE.fullmatch(value) else None
