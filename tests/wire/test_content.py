"""The keys that ledgers hold: what was named so once is named so for ever."""

from __future__ import annotations

import pytest

from wire.ocpp.content import MessageKeys, content_key, message_keys

# Of the first release; a ledger that is carried over must know its messages again.
START = b'{"connectorId":1,"idTag":"04A1","meterStart":1000,"timestamp":"2026-11-23T12:00:00Z"}'
STOP = b'{"transactionId":7,"meterStop":5000,"timestamp":"2026-11-23T13:00:00Z","reason":"Local","idTag":"04A1"}'
VALUES = (
    b'{"connectorId":1, "meterValue":[{"timestamp":"2026-11-23T12:00:00Z",'
    b'"sampledValue":[{"value":"1.50","unit":"\\u00e4"}]}]}'
)
EVENT = b'{"seqNo":0,"eventType":"Started","x":1.10,"y":[null,true,1e3],"transactionInfo":{"transactionId":"T"}}'
KNOWN = [
    ("StartTransaction", START, "ae5a9f041c6fb8a6cb15fed140188b56", "7b0b209f5327fefef46ad081bde92efe"),
    ("StopTransaction", STOP, "81cd8b78166e64577a94a08ffcf4899b", "94d067dbfde276c07365c60644d9ea42"),
    ("StopTransaction", b"[]", "415a4c08b7e91edda9197cd0611ed000", "43dad1424d2427efba8ec50d2ef68001"),
    ("MeterValues", VALUES, "f27875bbfdf259e6730fa72a6b74b145", "f27875bbfdf259e6730fa72a6b74b145"),
    ("TransactionEvent", EVENT, "8cd14c3db2d611ec339d7bd05592f882", "8cd14c3db2d611ec339d7bd05592f882"),
    ("MeterValues", b'[2,"m","MeterValues",{"v":NaN}]', *["e841ec00f2d5937c3da61649fce68489"] * 2),
]


@pytest.mark.parametrize(("action", "payload", "content", "whole"), KNOWN)
def test_a_message_has_the_keys_it_always_had(action: str, payload: bytes, content: str, whole: str) -> None:
    assert message_keys(action, payload) == MessageKeys(bytes.fromhex(content), bytes.fromhex(whole))
    assert content_key(action, payload).hex() == content
