"""What the configuration says about the sockets of the stations: ports, accounts, bounds.

Source: OCPP 2.0.1 Part 2 A00.FR.001, .002, .006 (one security profile for each port).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from gateway.chargers.credentials import PasswordHash
from gateway.decide.policy import Choice


class SecurityProfile(IntEnum):
    """How a station proves who it is, from the weakest up; 0 is no profile of OCPP but the lack of one."""

    UNAUTHENTICATED = 0
    BASIC = 1
    BASIC_TLS = 2
    MUTUAL_TLS = 3

    @property
    def encrypted(self) -> bool:
        """Whether the port speaks TLS."""
        return self >= SecurityProfile.BASIC_TLS

    @property
    def by_password(self) -> bool:
        """Whether a station shows a password."""
        return self in (SecurityProfile.BASIC, SecurityProfile.BASIC_TLS)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate chain and its private key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Port:
    """One listening port; `key` is its place in the configuration. `pairs`: one of ECDSA, one of RSA, or either."""

    key: str
    host: str
    port: int
    profile: SecurityProfile
    pairs: tuple[KeyPair, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """One station that may connect. `password` None: it can only show a certificate. `client_name`: the common name of
    that certificate. `serial_number`: what it must name in BootNotification then, where it is configured.
    `may_step_down`: from profile 3 to 2, never further. `may_prove_nothing`: it may come on profile 0 also where others
    show certificates."""

    charger_id: str
    password: PasswordHash | None
    client_name: str
    serial_number: str | None = None
    may_step_down: bool = False
    may_prove_nothing: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one station, one address and all together may take.

    Messages: tokens of a bucket; a frame costs one, and one more for each 8 KiB. `share_*` is what a station may always
    send, whatever the others do. Handshakes are connections that are not proven yet; `failures_*` are those of one
    address that come to nothing.
    """

    messages_per_s: float = 100.0
    burst: float = 500.0
    messages_per_s_in_all: float = 1000.0
    burst_in_all: float = 2000.0
    share_per_s: float = 5.0
    share_burst: float = 50.0
    connections: int = 2048
    connections_each: int = 1024
    handshakes: int = 256
    handshakes_each: int = 32
    failures_per_s: float = 20.0
    failures_burst: float = 50.0
    handshake_timeout_s: float = 10.0
    write_timeout_s: float = 10.0
    flood_after_s: float = 120.0
    ping_interval_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Everything the server of the stations is told. `accounts` by case-folded id; `organization` None: the O of a
    station's certificate is not looked at."""

    ports: tuple[Port, ...]
    accounts: dict[str, Account]
    organization: str | None = None
    revocation_unknown: Choice = Choice.REFUSE
    revocation_stale_grace_h: int = 168
    bounds: Bounds = field(default_factory=Bounds)
