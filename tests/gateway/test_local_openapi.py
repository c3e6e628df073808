"""The description at /v1/openapi.json is true: it names the routes that there are, and a foreign tool that reads it
finds nothing in a running gateway that contradicts it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import positive_data_acceptance
from schemathesis.schemas import BaseSchema

from gateway.decide.contract import Trust
from gateway.decide.policy import SitePolicy
from gateway.local.authorize import AuthorizeDesk
from gateway.local.openapi import PATH, description
from gateway.local.server import Health, LocalServer
from pki.verify.revocation import RevocationEvidence
from tests.gateway.conftest import Bench
from tests.gateway.rough_pki import Papers, now
from tests.gateway.test_local import LEAF, filled
from tests.parts import ScriptedHub, SetClock


@dataclass
class Served:
    """A local interface that listens, in a thread of its own."""

    bench: Bench
    server: LocalServer
    base: str


@pytest.fixture(scope="module")
def served(papers: Papers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("served")
    trust = Trust(anchors=papers.trust(), revocation=RevocationEvidence())
    bench = Bench(folder, trust, SitePolicy(), SetClock(at=now()), ScriptedHub())
    found: Future[Served] = Future()

    async def serve() -> None:
        staples, _, clock = filled(papers)
        health = Health(ok=True, online=False, clock="trusted", chargers=0)
        server = LocalServer(("127.0.0.1", 0), staples, clock, lambda: health, AuthorizeDesk(bench.site, {}, {}))
        address = await server.start()
        found.set_result(Served(bench, server, f"http://{address}"))
        await asyncio.to_thread(stop.wait)
        await server.stop()

    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    yield found.result(timeout=60)
    stop.set()
    thread.join()
    bench.close()


def test_every_route_is_described_and_nothing_else(served: Served) -> None:
    routes = {
        (route.method, route.resource.canonical)
        for route in served.server.application.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    described = {
        (method.upper(), path)
        for path, item in description()["paths"].items()
        for method in item.keys() & {"get", "post", "put", "delete"}
    }
    assert routes == described


def test_the_description_is_served_and_names_its_operations_apart(served: Served) -> None:
    with urlopen(served.base + PATH) as found:
        assert found.headers["Content-Type"] == "application/json"
        assert json.loads(found.read()) == json.loads(json.dumps(description()))
    names = [
        operation["operationId"]
        for item in description()["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[A-Za-z]+", name) for name in names)


@pytest.fixture(scope="module")
def described(served: Served) -> BaseSchema:
    """The description as the foreign tool has read it."""
    refusals = {"negative_data_rejection": {"expected-statuses": [400, 404, 405, 413, 415, 421, 429]}}
    schema = schemathesis.openapi.from_url(
        served.base + PATH, config=schemathesis.Config.from_dict({"checks": refusals})
    )
    schema.config.update(base_url=served.base)
    return schema


OPERATIONS = [
    (path, method) for path, item in description()["paths"].items() for method in item if method != "parameters"
]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_the_interface_keeps_its_description(
    described: BaseSchema, path: str, method: str, mode: GenerationMode
) -> None:
    # Which fields go together, no schema says: a question that fits it may well be refused.
    @given(described[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def kept(case: Case) -> None:
        assume(len(case.formatted_path) < 6000)
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    with suppress(Unsatisfiable):  # nothing about the operation can be got wrong
        kept()


def test_good_answers_are_as_described(described: BaseSchema) -> None:
    case = described["/v1/ocsp/{sha256}"]["get"].Case(path_parameters={"sha256": LEAF})
    assert case.call_and_validate().status_code == 200
    question = described["/v1/authorize"]["post"].Case(
        body={"emaid": "DEABC000000001", "chain_pem": "no PEM"}, media_type="application/json"
    )
    assert question.call_and_validate().status_code in (200, 429)
