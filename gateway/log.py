"""One JSON object per line on standard output: for journald, and for people with a pager."""

from __future__ import annotations

import json
import logging
import os
import traceback
from datetime import UTC, datetime

from aiohttp.http_exceptions import HttpProcessingError

_STDOUT = 1


def say(event: str, *, level: str = "info", **facts: object) -> None:
    """Print one line. `event` is of a closed vocabulary; facts are JSON, so control characters cannot forge a line.

    A line that cannot be written is lost: a full log disk or a closed pipe must not stop the charging.
    """
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"ts": at, "level": level, "event": event, **facts}, default=str) + "\n"
    try:
        # Not through sys.stdout: its buffer would keep the line and fail again at the next one, and at exit.
        os.write(_STDOUT, line.encode())
    except OSError:
        return


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
