"""One JSON object per line on standard output: for journald, and for people with a pager."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime

from aiohttp.http_exceptions import HttpProcessingError


def say(event: str, *, level: str = "info", **facts: object) -> None:
    """Print one line. `event` is of a closed vocabulary; facts are JSON, so control characters cannot forge a line."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"ts": at, "level": level, "event": event, **facts}, default=str)
    print(line, file=sys.stdout, flush=True)


class _Unexpected(logging.Handler):
    """Turns what aiohttp logs about a failed request into one line. A malformed request is its sender's fault and is
    not logged; an error of ours is, with its trace."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or isinstance(error, HttpProcessingError):
            return
        trace = "".join(traceback.format_exception(error))
        say("unexpected-error", level="error", reason=repr(error), trace=trace)


def log_server_errors() -> None:
    """Let errors inside request handlers appear among our own lines, once."""
    logger = logging.getLogger("aiohttp.server")
    logger.propagate = False
    logger.handlers = [_Unexpected()]
