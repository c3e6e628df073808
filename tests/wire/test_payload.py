"""A request that cannot be read is refused with the CALLERROR code that names what is wrong."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from wire.ocpp import v16, v201
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.ocpp.payload import Camel, read_message, read_request
from wire.ocpp.quirks import Quirk


class Bounded(Camel, frozen=True, kw_only=True):
    count: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    name: Annotated[str, msgspec.Meta(pattern="^[a-z]*$")] = ""


REFUSED = [
    (v16.Authorize, b"{}", OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "idTag"),
    (v16.Authorize, b'{"idTag":null}', OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "$.idTag"),
    (v16.Authorize, b'{"idTag":5}', OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "$.idTag"),
    (v16.Authorize, b'{"idTag":"123456789012345678901"}', OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "<= 20"),
    (v16.Authorize, b"[]", OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "Expected `object`, got `array`"),
    (v16.Authorize, b"{", OCPPErrorCode.FORMAT_VIOLATION, "not JSON"),
    (v16.Authorize, b'{"idTag":"\xff"}', OCPPErrorCode.FORMAT_VIOLATION, "not JSON"),
    (v16.Authorize, b'{"idTag":"\\ud800"}', OCPPErrorCode.FORMAT_VIOLATION, "not JSON"),
    (v16.Authorize, b'{"a":' + b"[" * 50_000, OCPPErrorCode.FORMAT_VIOLATION, "not JSON"),
    (
        v16.StatusNotification,
        b'{"connectorId":1,"errorCode":"NoError","status":"Available","timestamp":"yesterday"}',
        OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION,
        "$.timestamp",
    ),
    (v201.BootNotification, b'{"reason":"PowerUp"}', OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "chargingStation"),
    (
        v201.BootNotification,
        b'{"reason":"PowerUp","chargingStation":{"vendorName":"V"}}',
        OCPPErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
        "$.chargingStation",
    ),
    (
        v201.Authorize,
        b'{"idToken":{"idToken":"' + b"x" * 37 + b'","type":"eMAID"}}',
        OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
        "$.idToken.idToken",
    ),
    (Bounded, b'{"count":0}', OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION, ">= 1"),
    (Bounded, b'{"count":10}', OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "<= 9"),
    (Bounded, b'{"count":1.5}', OCPPErrorCode.TYPE_CONSTRAINT_VIOLATION, "$.count"),
    (Bounded, b'{"name":"A"}', OCPPErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "$.name"),
]


@pytest.mark.parametrize(("type_", "payload", "code", "named"), REFUSED)
def test_what_is_wrong_has_its_code_and_its_place(
    type_: type[Camel], payload: bytes, code: OCPPErrorCode, named: str
) -> None:
    with pytest.raises(CallRejected) as caught:
        read_request(type_, payload, "TheAction")
    assert (caught.value.ocpp_code, caught.value.code) == (code, "call-rejected")
    assert str(caught.value).startswith("TheAction: ")
    assert named in str(caught.value)


def test_names_are_camel_case_and_what_conforms_is_noted_nowhere() -> None:
    payload = b'{"reason":"PowerUp","chargingStation":{"model":"M","vendorName":"V"}}'
    boot = read_message(v201.BootNotification, payload, "BootNotification", no_quirk)
    assert boot.charging_station.vendor_name == "V"


def no_quirk(quirk: Quirk, where: str) -> None:
    raise AssertionError(f"{quirk} at {where}")
