"""The description at /openapi.json is true: it names the routes that there are, and a foreign tool that reads it finds
nothing in a running service that contradicts it."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
import schemathesis
from aiohttp import web
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error, positive_data_acceptance
from schemathesis.schemas import BaseSchema

from pki.service.state_folder import open_registry
from pki.service.web import est, ocsp
from pki.service.web.openapi import description
from pki.service.web.site import Site
from tests.pki_service import PKIService, copy_pki

POOLS = ("/v1/", "/cps/", "/oauth/")
"""What OPCP describes itself; tests/pki/pool holds the pools to its description."""
NOT_OFFERED = ("serverkeygen", "fullcmc")


def routes_of(app: web.Application) -> set[tuple[str, str]]:
    found = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource is not None}
    return {(method, path) for method, path in found if not path.startswith(POOLS) and method != "HEAD"}


def test_every_route_is_described_and_nothing_else(founded: Path, tmp_path: Path) -> None:
    async def built() -> web.Application:
        with open_registry(copy_pki(founded, tmp_path / "pki-state")) as registry:
            site = Site(registry)
            try:
                return site.https_application()
            finally:
                site.close()

    described = {
        (method.upper(), path)
        for path, item in description()["paths"].items()
        for method in item.keys() & {"get", "post", "put", "delete"}
    }
    assert routes_of(asyncio.run(built())) == described


def test_the_description_is_served(service: PKIService) -> None:
    answer = service.curl("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(answer.body) == description()


def test_operations_have_names_of_their_own() -> None:
    names = [
        operation["operationId"]
        for item in description()["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z]+", name) for name in names)


@pytest.fixture(scope="session")
def described(service: PKIService) -> BaseSchema:
    """The description as the foreign tool has read it from the service."""
    refusals = {"negative_data_rejection": {"expected-statuses": [400, 401, 404, 405, 413, 414, 415, 501]}}
    config = schemathesis.Config.from_dict({"checks": refusals})
    url, authority = service.url("/openapi.json"), str(authority_of(service))
    schema = schemathesis.openapi.from_url(url, config=config, verify=authority)
    schema.config.update(base_url=service.url(""))
    return schema


def authority_of(service: PKIService) -> Path:
    return service.folder / "trust" / "backend" / "backend.pem"


schemathesis.openapi.media_type(ocsp.REQUEST_TYPE, st.binary(max_size=200))
schemathesis.openapi.media_type(est.REQUEST_TYPE, st.binary(max_size=200).map(base64.b64encode))


@schemathesis.serializer(ocsp.REQUEST_TYPE, est.REQUEST_TYPE)
def octets(_context: schemathesis.SerializationContext, value: object) -> bytes:
    """The body as it is; of a value that is no text at all, its JSON."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


OPERATIONS = [
    (path, method) for path, item in description()["paths"].items() for method in item if method != "parameters"
]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_service_keeps_its_description(
    described: BaseSchema, service: PKIService, path: str, method: str, mode: GenerationMode
) -> None:
    # What a request in octets must hold, no schema says: one that fits the schema may well be refused.
    excluded = [positive_data_acceptance]
    if path.endswith(NOT_OFFERED):
        excluded.append(not_a_server_error)  # 501 is described, and true

    @given(described[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def kept(case: Case) -> None:
        assume(len(case.formatted_path) < 6000)  # a longer line is cut off before any handler
        case.call_and_validate(verify=str(authority_of(service)), excluded_checks=excluded)

    with suppress(Unsatisfiable):  # nothing about the operation can be got wrong
        kept()
