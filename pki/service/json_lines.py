"""A batch of questions as JSON objects, one a line, each answered alone: reading the lines, and echoing their ids."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

NO_ID = msgspec.Raw(b"null")
"""The id of a line in which none could be read."""

_ID_FIRST = re.compile(rb'\s*\{\s*"id"\s*:\s*("(?:[^"\\]|\\.){0,200}"|-?[0-9]{1,30})\s*,')


def read_lines(stream: BinaryIO, cap: int) -> Iterator[bytes | None]:
    """Each line of `stream` that is not blank, as soon as it is there; None for one longer than `cap` bytes, which is
    skipped to its end."""
    while line := stream.readline(cap + 1):
        if len(line) > cap:
            while line and not line.endswith(b"\n"):
                line = stream.readline(cap)
            yield None
        elif line.strip():
            yield line


def id_of(line: bytes) -> msgspec.Raw:
    """The id of a line that is no request: read leniently, then only from the line's beginning, then given up."""
    try:
        whole: object = json.loads(line)
    except (ValueError, RecursionError):
        start = _ID_FIRST.match(line)
        return echo_id(start[1]) if start else NO_ID
    given = whole.get("id") if isinstance(whole, dict) else None
    return echo_id(json.dumps(given).encode())


def echo_id(text: bytes) -> msgspec.Raw:
    """An id that may be written again: valid JSON in valid UTF-8; null for anything else."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return NO_ID
    return msgspec.Raw(text)
