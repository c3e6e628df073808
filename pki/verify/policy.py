"""What an operator tolerates beyond the profile, or refuses although the profile would not: by name, never silently.

The profile's row says what is tolerated by itself (`Profile.tolerates`); everything else refuses. `STRICT` changes
nothing of that. A tolerated departure becomes a finding that carries the switch's name, so it is in the verdict, in the
gateway's decision record and in the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pki.errors import UnknownProfile
from pki.profile import Profile, Tolerance

_OFF = "no-"


@dataclass(frozen=True, slots=True)
class VerifyPolicy:
    """The switches that are on (`tolerated`) and off (`refused`) whatever the profile says; the rest is the profile's.

    A switch in both is off.
    """

    tolerated: frozenset[Tolerance] = frozenset()
    refused: frozenset[Tolerance] = frozenset()

    def tolerates(self, switch: Tolerance, profile: Profile) -> bool:
        """Whether a departure under this switch does not refuse a chain of that profile."""
        return switch not in self.refused and (switch in self.tolerated or switch in profile.tolerates)

    def __or__(self, other: VerifyPolicy) -> VerifyPolicy:
        """The switches of both."""
        return VerifyPolicy(self.tolerated | other.tolerated, self.refused | other.refused)


STRICT = VerifyPolicy()
"""The default: what the profile's row tolerates and nothing else."""


def parse_policy(switches: Iterable[str]) -> VerifyPolicy:
    """The policy that names of switches spell: `dc-missing` tolerates it, `no-aki-missing` refuses it.

    Raises:
        UnknownProfile: "unknown-switch"; lists the known names.
    """
    tolerated: set[Tolerance] = set()
    refused: set[Tolerance] = set()
    for text in switches:
        chosen = refused if text.startswith(_OFF) else tolerated
        try:
            chosen.add(Tolerance(text.removeprefix(_OFF)))
        except ValueError as error:
            known = ", ".join(switch.value for switch in Tolerance)
            raise UnknownProfile(
                "unknown-switch", f"no policy switch {text[:40]!a}; known: {known}; each also with no- before it"
            ) from error
    return VerifyPolicy(frozenset(tolerated), frozenset(refused))
