"""The tariffs of the specification's own example files, priced: set PNCGATE_OCPI_SPEC to a checkout of OCPI 2.3.0.

Its files are not ours to keep; `tests/wire/test_pricing.py` has the same examples in our own words.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.wire.tariff_book import BERLIN
from tests.wire.test_pricing import EXAMPLES, costs
from wire.ocpi.document import Document, parse_document, view
from wire.ocpi.pricing import price_session
from wire.ocpi.pricing_rules import read_rules
from wire.ocpi.tariffs import Tariff

SPECIFICATION = os.environ.get("PNCGATE_OCPI_SPEC")
pytestmark = pytest.mark.skipif(
    SPECIFICATION is None, reason="PNCGATE_OCPI_SPEC names no checkout of the OCPI specification"
)
OWN_PRICE = "by its table"
"""An example whose table says something else than its tariff."""


def examples(pattern: str) -> list[Path]:
    return sorted((Path(SPECIFICATION or "") / "examples").glob(pattern))


def read(path: Path) -> Tariff:
    document: Document = parse_document(path.read_bytes(), path.name)
    document.setdefault("last_updated", "2020-01-01T00:00:00Z")  # tariff_put_example.json lacks it.
    return view(document, Tariff, path.name)


def test_every_tariff_of_the_examples_can_be_priced() -> None:
    found = [*examples("tariff_*.json"), *examples("tariffrestriction_*.json")]
    assert len(found) >= 20
    for path in found:
        read_rules(read(path))


@pytest.mark.parametrize("name", [name for name in EXAMPLES if not name.endswith(OWN_PRICE)])
def test_its_own_file_costs_what_ours_does(name: str) -> None:
    number = re.match(r"tariff_(\d+)", name)
    pattern = f"{number[0]}_*.json" if number else f"tariffrestriction_example_{name}.json"
    paths = examples(pattern)
    if number is None and not paths:
        pytest.skip("told in words only")
    (path,) = paths
    example = EXAMPLES[name]
    expected = costs(price_session(example.tariff, example.timeline, BERLIN))
    assert costs(price_session(read(path), example.timeline, BERLIN)) == expected
