"""The description at {url}/openapi.json is true: a foreign tool that reads it finds nothing in a running platform that
contradicts it, and nothing that breaks it, whatever it sends in both versions."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import negative_data_rejection, positive_data_acceptance
from schemathesis.schemas import BaseSchema

from hub.web.ocpi.exchange import Handle, Sides
from hub.web.ocpi.openapi import PATH, description
from tests.hub.conftest import LittleCA
from tests.hub.ocpi.partner import Partner
from tests.hub.ocpi.platforms import CPO_PARTY, start_platform
from wire.ocpi.census import TABLE, VERSIONS
from wire.ocpi.types import Module

BOTH = CPO_PARTY.replace('roles = ["CPO"]', 'roles = ["CPO", "EMSP"]')
ENDING = {"credentialsPost", "credentialsPut", "credentialsDelete"}
"""They would end the registration that the tool asks with; tests/hub/ocpi/test_registration.py has them."""


@dataclass
class Described:
    """A platform that serves all sides, a partner of it, and the description as the foreign tool has read it."""

    partner: Partner
    schema: BaseSchema
    header: str


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    folder = tmp_path_factory.mktemp("described")
    (folder / "ca").mkdir()
    ca = LittleCA(folder / "ca", "roaming root")
    platform = start_platform(folder / "all", ca, "all", BOTH, 'hub_party = "DE*HUB"')
    partner = Partner(ca).start().register(platform)
    header = f"Token {base64.b64encode(partner.theirs.encode()).decode()}"
    told = platform.ask("GET", PATH, partner.theirs)
    schema = schemathesis.openapi.from_dict(told.body)
    schema.config.update(base_url=platform.url, headers={"Authorization": header})
    schema.config.update(tls_verify=str(ca.path))
    yield Described(partner, schema, header)
    partner.stop()
    assert platform.process.stop() == 0


SIDES: Sides = {
    (Module(row.module), row.side): dict.fromkeys(row.served, cast(Handle, None))
    for row in TABLE
    if row.served and row.module not in (VERSIONS, Module.CREDENTIALS)
}
"""Every side with its methods, as the table of OCPI's sides has them; who answers does not matter here."""
PATHS = description(SIDES)["paths"]


def test_every_side_is_described_and_its_operations_have_names(described):
    assert described.schema.raw_schema["paths"] == PATHS
    names = [operation["operationId"] for item in PATHS.values() for operation in item.values()]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z]+", name) for name in names)
    methods = {
        (module, side): {
            method.upper()
            for path, item in PATHS.items()
            if f"/{side.value.lower()}/{module.value}" in path
            for method in item
        }
        for module, side in SIDES
    }
    assert methods == {side: set(served) for side, served in SIDES.items()}


OPERATIONS = [
    (path, method)
    for path, item in PATHS.items()
    for method, operation in item.items()
    if operation["operationId"] not in ENDING
]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_platform_keeps_its_description(described: Described, path: str, method: str, mode: GenerationMode) -> None:
    operation = described.schema[path][method]

    # What is wrong with an object is no HTTP error in OCPI, and which fields go together no schema says.
    @given(operation.as_strategy(generation_mode=mode))
    @settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def kept(case: Case) -> None:
        assume(len(case.formatted_path) < 3000)
        answer = case.call_and_validate(excluded_checks=[positive_data_acceptance, negative_data_rejection])
        assert answer.status_code != 401

    with suppress(Unsatisfiable):  # nothing about the operation can be got wrong
        kept()


def test_the_platform_stands_after_all_that(described: Described) -> None:
    assert described.partner.ask("GET", "/sender/locations").http == 200
