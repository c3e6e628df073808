"""The service's log: one JSON object per line on standard output, {"ts", "level", "event", ...}.

`event` is the kebab-case message of a log call; its facts are given as `extra={"fields": {...}}`. Lines of libraries
keep their text under `message`. No code, no key and no body of a peer is ever a field.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime

import msgspec
from aiohttp.http_exceptions import HttpProcessingError

_EVENT = re.compile(r"[a-z0-9-]+")


class JSONLines(logging.Formatter):
    """Formats a log record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its line feed."""
        message = record.getMessage()
        line: dict[str, object] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": message if _EVENT.fullmatch(message) else "log",
        }
        if line["event"] == "log":
            line["message"], line["logger"] = message[:500], record.name
        line |= getattr(record, "fields", {})
        if record.exc_info is not None and record.exc_info[1] is not None:
            error, trace = record.exc_info[1], record.exc_info[2]
            line["error"] = f"{type(error).__name__}: {error}"[:500]
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            if trace is not None:
                line["where"] = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        return msgspec.json.encode(line).decode()


def is_our_concern(record: logging.LogRecord) -> bool:
    """False for what aiohttp says, with a traceback, of every peer that speaks no HTTP: it would fill the log."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


def start_journal() -> None:
    """Send every log line of the process to standard output as JSON."""
    logging.getLogger("aiohttp.server").addFilter(is_our_concern)
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(JSONLines())
    root = logging.getLogger()
    root.handlers[:] = [lines]
    root.setLevel(logging.INFO)


def tell(logger: logging.Logger, event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log `event` with its facts."""
    logger.log(level, event, extra={"fields": fields})
