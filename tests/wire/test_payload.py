"""A request that cannot be read is refused with the CALLERROR code that names what is wrong."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from wire.ocpp import v16, v201
from wire.ocpp.frames import CallRejected, OCPPErrorCode
from wire.ocpp.payload import Camel, read_request


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


def test_extra_fields_are_ignored_and_names_are_camel_case() -> None:
    request = read_request(v16.Authorize, b'{"idTag":"A","customData":{"vendorId":"x"}}', "Authorize")
    assert request == v16.Authorize(id_tag="A")
    boot = read_request(
        v201.BootNotification, b'{"reason":"New","chargingStation":{"model":"M","vendorName":"V"}}', "BootNotification"
    )
    assert boot.charging_station.vendor_name == "V"


@pytest.mark.parametrize(("data", "kept"), [('"text"', b'"text"'), ('{"a": 1}', b'{"a": 1}'), ("5", b"5"), (None, b"")])
def test_data_transfer_keeps_its_data_as_it_came(data: str | None, kept: bytes) -> None:
    tail = "" if data is None else f',"data":{data}'
    request = read_request(v16.DataTransfer, f'{{"vendorId":"v"{tail}}}'.encode(), "DataTransfer")
    assert bytes(request.data) == kept
