"""Which pushes wait for each other."""

from __future__ import annotations

from hub.roaming.push import lanes_of
from hub.store.outbound import Push
from wire.ocpi.types import Module


def _push(number: int, module: Module, correlation_id: str, object_number: int | None = None) -> Push:
    return Push(number, object_number or number, "emsp", module, "POST", {}, correlation_id)


def test_a_credit_goes_before_what_replaces_the_cdr_and_waits_for_nothing_else() -> None:
    session = _push(1, Module.SESSIONS, "one")
    credit, corrected = _push(2, Module.CDRS, "one"), _push(4, Module.CDRS, "one")
    other = _push(3, Module.CDRS, "two")
    assert lanes_of((session, credit, other, corrected)) == ((session,), (credit, corrected), (other,))


def test_an_object_keeps_its_order_and_lets_others_pass() -> None:
    first, second = _push(1, Module.TOKENS, "a", 7), _push(3, Module.TOKENS, "b", 7)
    other = _push(2, Module.TOKENS, "c", 8)
    assert lanes_of((first, other, second)) == ((first, second), (other,))
