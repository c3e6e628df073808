"""What ends a demo before its account is made."""

from __future__ import annotations

from hub.errors import HubError


class DemoFailed(HubError):
    """Raised when the demo cannot go on: `program-ended`, `not-in-time`, `gateway-refused`."""
