"""What has been found on the way: tolerated departures are noted, the first refused one ends the judging.

A collecting judgement notes refusals too and goes on; `lint_certificate` uses it to list every deviation of one
certificate. So a rule that calls `refuse` must be right whether or not it returns.
"""

from __future__ import annotations

from typing import NoReturn

from pki.errors import ChainRejected, Finding, Severity
from pki.profile import Profile, Tolerance
from pki.verify.policy import STRICT, VerifyPolicy


class Judgement:
    """The findings of one run of `verify`, in the order they were met. Not shared between runs.

    `step` is the number of the verifier's step that is being taken (None outside of it); each finding carries it.
    """

    __slots__ = ("_found", "collecting", "emaid", "policy", "profile", "step")

    def __init__(self, profile: Profile, policy: VerifyPolicy = STRICT, *, collecting: bool = False) -> None:
        self.profile, self.policy, self.collecting = profile, policy, collecting
        self.emaid: str | None = None
        self.step: int | None = None
        self._found: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything noted so far."""
        return tuple(self._found)

    def attempt(self) -> Judgement:
        """A judgement that begins with what is noted here, for one of several paths."""
        found = Judgement(self.profile, self.policy, collecting=self.collecting)
        found.step, found.emaid = self.step, self.emaid
        found._found = list(self._found)
        return found

    def merge(self, others: tuple[Finding, ...]) -> None:
        """Take in what the same steps found on the certificates above; within a step they come after what is here."""
        if others:
            self._found = sorted([*self._found, *others], key=lambda finding: finding.step or 0)

    def tolerates(self, switch: Tolerance) -> bool:
        """Whether a departure under this switch does not refuse."""
        return self.policy.tolerates(switch, self.profile)

    def tolerate(
        self,
        code: str,
        message: str,
        *,
        index: int | None = None,
        clause: str | None = None,
        expected: str | None = None,
        found: str | None = None,
        switch: Tolerance | None = None,
    ) -> None:
        """Note a departure that does not refuse the chain."""
        self._found.append(
            Finding(
                code,
                Severity.TOLERATED,
                clause or self.profile.clause(code),
                index,
                message,
                expected,
                found,
                switch.value if switch else None,
                self.step,
            )
        )

    def depart(
        self,
        code: str,
        switch: Tolerance,
        message: str,
        *,
        index: int | None = None,
        clause: str | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        """Note the departure when its switch is on, refuse it otherwise."""
        if self.tolerates(switch):
            self.tolerate(code, message, index=index, clause=clause, expected=expected, found=found, switch=switch)
        else:
            self.refuse(code, message, index=index, clause=clause, expected=expected, found=found)

    def refuse(
        self,
        code: str,
        message: str,
        *,
        index: int | None = None,
        clause: str | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        """A rule of one certificate is broken: raise ChainRejected; a collecting judgement notes it and returns."""
        if not self.collecting:
            self.reject(code, message, index=index, clause=clause, expected=expected, found=found)
        self._found.append(self._refusal(code, message, index=index, clause=clause, expected=expected, found=found))

    def reject(
        self,
        code: str,
        message: str,
        *,
        index: int | None = None,
        clause: str | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> NoReturn:
        """End the judging: raise ChainRejected with this finding as the cause and all findings so far."""
        cause = self._refusal(code, message, index=index, clause=clause, expected=expected, found=found)
        raise ChainRejected(
            code, message, findings=(*self._found, cause), emaid=self.emaid, clause=cause.clause, index=index
        )

    def _refusal(
        self, code: str, message: str, *, index: int | None, clause: str | None, expected: str | None, found: str | None
    ) -> Finding:
        clause = clause or self.profile.clause(code)
        return Finding(code, Severity.REFUSED, clause, index, message, expected, found, step=self.step)
