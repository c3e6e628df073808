"""What the gateway asks of its uplink, whichever it is: our hub's (`native`) or OCPI (`ocpi`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from gateway.chargers.commands.executor import Executor
from gateway.chargers.connected import Site
from gateway.uplink.token_list import ListMove, ListProgress
from wire.records import AuthorizationInfo
from wire.sync_messages import AuthorizeRequest

Task = tuple[str, Callable[[], Awaitable[None]]]
"""What is to be run while the gateway runs, by name."""


class Uplink(Protocol):
    """The way to whoever knows the drivers and is told of their sessions. `moved` hears of each move of the list."""

    moved: Callable[[ListMove], None]

    @property
    def online(self) -> bool:
        """Whether the last exchange went well."""

    @property
    def trouble(self) -> str | None:
        """What keeps the other side away, by code; None while nothing does."""

    @property
    def progress(self) -> ListProgress | None:
        """How far a list is that is being fetched as a whole; None while none is."""

    @property
    def refused(self) -> Mapping[str, int]:
        """How often something of the list was refused since the start, by code."""

    def stored(self) -> None:
        """The ledger has grown."""

    async def authorize(self, asked: AuthorizeRequest) -> AuthorizationInfo | None:
        """The answer to a real-time authorization, or None when there is none in time."""

    def commanding(self, executor: Executor, site: Site) -> list[Task]:
        """What is to be run so that the other side may want something of stations; once, before anything runs."""

    def tasks(self) -> list[Task]:
        """What is to be run for all else."""

    async def start(self) -> dict[str, str]:
        """Listen, if it does; where. Raises ConfigurationError."""

    async def close(self) -> None:
        """Close all connections, once the tasks have ended."""
