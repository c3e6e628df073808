"""What has been found on the way: tolerated departures are noted, the first refused one ends the judging."""

from __future__ import annotations

from typing import NoReturn

from pki.errors import ChainRejected, Finding, Severity
from pki.profiles import Profile


class Judgement:
    """The findings of one run of `verify`, in the order they were met. Not shared between runs."""

    __slots__ = ("_found", "emaid", "profile")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.emaid: str | None = None
        self._found: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything noted so far."""
        return tuple(self._found)

    def tolerate(self, code: str, message: str, *, index: int | None = None, clause: str | None = None) -> None:
        """Note a departure that does not refuse the chain."""
        self._found.append(self._finding(code, Severity.TOLERATED, message, index, clause))

    def refuse(self, code: str, message: str, *, index: int | None = None, clause: str | None = None) -> NoReturn:
        """End the judging: raise ChainRejected with this finding as the cause and all findings so far."""
        cause = self._finding(code, Severity.REFUSED, message, index, clause)
        raise ChainRejected(
            code, message, findings=(*self._found, cause), emaid=self.emaid, clause=cause.clause, index=index
        )

    def _finding(self, code: str, severity: Severity, message: str, index: int | None, clause: str | None) -> Finding:
        return Finding(code, severity, clause or self.profile.clause(code), index, message)
