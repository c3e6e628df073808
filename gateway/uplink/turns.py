"""How long the link may rest: whether the hub was heard lately, or is being waited for in a poll for commands.

Rules
1. The hub is heard with every answer of the sync protocol, and with every answer to a poll that says where it stands.
   Not heard for `keep_alive_s`, it is greeted.
2. Until a poll ends there is nothing to greet for, if the one before said where the hub stands: the hub answers in
   `wait_s`, and it has as long as a greeting would have from then on.
3. A poll that had no answer in time, with nothing else heard for `keep_alive_s`, is what a greeting without an answer
   is: the hub is away. A poll that ends otherwise, or names another position than ours, has the hub greeted at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.errors import UplinkError
from gateway.uplink.exchange import Reply
from wire.commands import MAX_WAIT_S
from wire.sync_messages import Welcome


class Turns:
    """Between the link, which rests by it, and the poll. `heard_in_poll` says whether the hub stands where it should;
    `wake` is called when the link should look at `left_s` again."""

    def __init__(self, keep_alive_s: float) -> None:
        self._keep_alive_s = keep_alive_s
        self.wait_s = max(1, min(MAX_WAIT_S, int(keep_alive_s)))
        """How long the hub is asked to keep a poll: whole seconds."""
        self._heard_at = -math.inf
        self._says = self._under_way = False
        self._failure: UplinkError | None = None
        self.heard_in_poll: Callable[[Welcome, Reply], bool] = lambda welcome, reply: True
        self.wake: Callable[[], None] = lambda: None

    def heard(self) -> None:
        """The hub has answered."""
        self._heard_at, self._failure = time.monotonic(), None

    def left_s(self) -> float | None:
        """How long the link may rest; None while a poll is under way that will tell.

        Raises:
            UplinkError: the poll had no answer. Raised once.
        """
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        if self._heard_at > -math.inf and self._says and self._under_way:
            return None
        return self._heard_at + self._keep_alive_s - time.monotonic()

    @contextmanager
    def poll(self) -> Iterator[None]:
        """While a poll is under way. Tells the link how it ends, but for an answer, which goes to `answered`."""
        self._under_way = True
        try:
            yield
        except UplinkError as error:
            self._failed(error)
            raise
        finally:
            self._under_way = False

    def answered(self, welcome: Welcome | None, held_ms: int, reply: Reply) -> None:
        """The poll has its answer, which the hub had held back for `held_ms`."""
        told_link, self._says = self._says, welcome is not None
        if welcome is not None:
            self.heard()
            asked_ns = min(reply.received_ns, reply.sent_ns + held_ms * 1_000_000)
            there = Reply(reply.status, reply.body, asked_ns, reply.received_ns)
            if self.heard_in_poll(welcome, there):
                return
        elif not told_link:
            return
        self._greet()

    def _failed(self, error: UplinkError) -> None:
        relied, self._says = self._says, False
        if not relied:
            return
        if error.code != "timeout":
            self._greet()
        elif time.monotonic() - self._heard_at >= self._keep_alive_s:
            self._failure = error
            self.wake()

    def _greet(self) -> None:
        self._heard_at = -math.inf
        self.wake()
