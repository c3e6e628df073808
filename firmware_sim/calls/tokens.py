"""The local list and the cache: GetLocalListVersion, SendLocalList, ClearCache.

Source: OCPP 1.6 5.4, 5.10, 5.15; OCPP 2.0.1 Part 2 C11, D01, D02.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from firmware_sim.calls.reading import IdToken, IdTokenInfo, Nothing, Read, Table, owed, status
from firmware_sim.holdings import Holdings
from firmware_sim.local_list import ListChange, Listed, ListStatus
from wire.ocpp.frames import CallRejected, OCPPErrorCode


class _IdTagInfo(Read, frozen=True, kw_only=True):
    status: str
    expiry_date: datetime | None = None
    parent_id_tag: str | None = None


class _Tag(Read, frozen=True, kw_only=True):
    id_tag: str
    id_tag_info: _IdTagInfo | None = None


class _List16(Read, frozen=True, kw_only=True):
    list_version: int
    update_type: str
    local_authorization_list: tuple[_Tag, ...] = ()


class _Entry(Read, frozen=True, kw_only=True):
    id_token: IdToken
    id_token_info: IdTokenInfo | None = None


class _List(Read, frozen=True, kw_only=True):
    version_number: int
    update_type: str
    local_authorization_list: tuple[_Entry, ...] = ()


def tables(holdings: Holdings) -> tuple[Table, Table]:
    """The entries for 1.6 and for 2.x."""
    answers = _Tokens(holdings)
    both = {"ClearCache": owed(Nothing, answers.clear_cache)}
    in_16 = {
        "GetLocalListVersion": owed(Nothing, answers.version16),
        "SendLocalList": owed(_List16, answers.send16),
    }
    in_2x = {
        "GetLocalListVersion": owed(Nothing, answers.version),
        "SendLocalList": owed(_List, answers.send),
    }
    return {**both, **in_16}, {**both, **in_2x}


class _Tokens:
    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    @property
    def _enabled(self) -> bool:
        return self._holdings.settings.yes("LocalAuthListCtrlr.Enabled")

    def clear_cache(self, request: Nothing) -> dict[str, object]:
        if not self._holdings.settings.yes("AuthCacheCtrlr.Enabled"):
            return status("Rejected")
        self._holdings.cache.clear()
        return status("Accepted")

    def version16(self, request: Nothing) -> dict[str, object]:
        """-1: the list is not supported (5.10)."""
        return {"listVersion": self._holdings.local_list.version if self._enabled else -1}

    def version(self, request: Nothing) -> dict[str, object]:
        return {"versionNumber": self._holdings.local_list.version if self._enabled else 0}

    def send16(self, request: _List16) -> dict[str, object]:
        """A list that is too long for one message is Failed (5.15)."""
        if not self._enabled:
            return status("NotSupported")
        tags = request.local_authorization_list
        if len(tags) > self._holdings.local_list.limits.items:
            return status(ListStatus.FAILED.value)
        changes = [ListChange(tag.id_tag, _listed16(tag)) for tag in tags]
        return self._updated(request.list_version, request.update_type, changes)

    def send(self, request: _List) -> dict[str, object]:
        """A list that is too long for one message is not read at all (D01.FR.11)."""
        limit = self._holdings.local_list.limits.items
        entries = request.local_authorization_list
        if len(entries) > limit:
            message = f"SendLocalList: {len(entries)} entries, ItemsPerMessage is {limit}"
            raise CallRejected(OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, message)
        if not self._enabled:
            return status(ListStatus.FAILED.value)
        changes = [ListChange(entry.id_token.id_token, _listed(entry)) for entry in entries]
        return self._updated(request.version_number, request.update_type, changes)

    def _updated(self, version: int, kind: str, changes: Sequence[ListChange]) -> dict[str, object]:
        return status(self._holdings.local_list.update(version, changes, full=kind == "Full").value)


def _listed16(tag: _Tag) -> Listed | None:
    info = tag.id_tag_info
    if info is None:
        return None
    return Listed(uid=tag.id_tag, status=info.status, expires=info.expiry_date, group_id=info.parent_id_tag)


def _listed(entry: _Entry) -> Listed | None:
    info = entry.id_token_info
    if info is None:
        return None
    return Listed(
        uid=entry.id_token.id_token,
        type=entry.id_token.type,
        status=info.status,
        expires=info.cache_expiry_date_time,
        group_id=None if info.group_id_token is None else info.group_id_token.id_token or None,
    )
