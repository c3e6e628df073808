"""One JSON object per line on standard output: for journald, and for people with a pager."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


def say(event: str, *, level: str = "info", **facts: object) -> None:
    """Print one line. `event` is of a closed vocabulary; facts are JSON, so control characters cannot forge a line."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"ts": at, "level": level, "event": event, **facts}, default=str)
    print(line, file=sys.stdout, flush=True)
