"""The body that asks for a credit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from hub.web.reconciliation import CreditWish
from wire.errors import MalformedValue
from wire.records import decode


def test_numbers_of_a_corrected_cdr_stay_as_they_were_written() -> None:
    wish = decode(CreditWish, b'{"corrected":{"total_energy":17.60,"volume":3}}', "credit")
    assert wish.document() == {"total_energy": Decimal("17.60"), "volume": 3}


@pytest.mark.parametrize("body", [b"{}", b'{"corrected":null}'])
def test_a_credit_may_come_without_a_correction(body: bytes) -> None:
    assert decode(CreditWish, body, "credit").document() is None


def test_a_correction_is_an_object() -> None:
    with pytest.raises(MalformedValue, match="expected an object"):
        decode(CreditWish, b'{"corrected":[1]}', "credit").document()
