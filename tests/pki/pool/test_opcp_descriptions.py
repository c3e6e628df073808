"""The calls against OPCP's own descriptions, when PNC_OPCP_DESCRIPTIONS names the folder with its `*.v1.json` files.

The files are not ours and are not in this repository. For every operation: calls that are right, then calls drawn from
its description and from anything else; each answer must have a status that is described, and a body of the described
form. Where we differ on purpose stands in DEVIATIONS and, with the reasons, in docs/opcp.md.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from jsonschema import Draft7Validator, FormatChecker
from referencing import Registry as Schemas, Resource
from referencing.jsonschema import DRAFT7

from pki.profile import Generation
from pki.service.pool.clients import Role
from pki.service.pool.pools import PoolSettings
from tests.pki.pool.calls import Answered, Caller, serving
from tests.pki.pool.material import EMAID, NAMESPACE, PCID, Shop, provisioning_body, text, wish_body
from tests.pki.pool.test_pool_calls import deprecated, offered

_FOLDER = os.environ.get("PNC_OPCP_DESCRIPTIONS")
EXAMPLES = int(os.environ.get("PNC_OPCP_EXAMPLES", "60"))
pytestmark = pytest.mark.skipif(_FOLDER is None, reason="PNC_OPCP_DESCRIPTIONS names no folder")

FILES = ("accessToken", "rcp", "pcp", "cps", "ccp", "webhooks")
METHODS = ("get", "put", "post", "delete")

DEVIATIONS = {
    # (schema path ends with, keyword): what is not asked of our answers
    ("RootCertV2", "maxProperties"),  # 1, and two properties are required: no answer could be right
    ("caCertificate", "maxLength"),  # 800 characters of base64 are 600 octets; 800 octets are allowed (V2G2-010)
    ("contractCertificate", "maxLength"),
    ("cpsSubCa1Certificate", "maxLength"),
    ("cpsSubCa2Certificate", "maxLength"),
    ("cpsV2GRootCertificateFingerprint", "pattern"),  # of a UUID, or of a name; the text says SHA-256
}
UNDESCRIBED = {
    # Operations that describe too few answers, and what they answer besides.
    ("put", "/v1/root/rootCerts"): {202, 400, 401, 403},
    ("get", "/v1/ccp/signedContractData/{pcid}"): {400, 401, 403},
    ("put", "/v1/ccp/signedContractData"): {409},
}
CLIENT = {
    "rcp": "admin",
    "pcp": "maker",
    "cps": "operator",
    "ccp": "maker",
    "webhooks": "maker",
    "accessToken": "maker",
}
OTHER_CLIENT = {
    ("put", "/v1/ccp/signedContractData"): "service",
    ("post", "/v1/ccp/signedContractData"): "charge",
    ("delete", "/v1/ccp/signedContractData/{emaid}"): "operator",
}


@dataclass(frozen=True)
class Operation:
    """One operation of a description."""

    file: str
    method: str
    path: str

    @property
    def described(self) -> dict[str, Any]:
        """What the description says of it."""
        found: dict[str, Any] = described(self.file)["paths"][self.path][self.method]
        return found

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """Its parameters, those of its path included."""
        shared = described(self.file)["paths"][self.path].get("parameters", [])
        return [*shared, *self.described.get("parameters", [])]

    @property
    def client(self) -> str:
        """Who calls it."""
        return OTHER_CLIENT.get((self.method, self.path), CLIENT[self.file])

    def body_schema(self) -> dict[str, Any] | None:
        """The schema of its JSON body."""
        content = self.described.get("requestBody", {}).get("content", {})
        found: dict[str, Any] | None = content.get("application/json", {}).get("schema")
        return found

    def check(self, answer: Answered) -> None:
        """Status and body are as described."""
        allowed = {int(code) for code in self.described["responses"]} | UNDESCRIBED.get((self.method, self.path), set())
        assert answer.status in allowed, (self, answer.status, answer.raw)
        assert answer.status != 500, (self, answer.raw)
        content = self.described["responses"].get(str(answer.status), {}).get("content", {})
        schema = content.get("application/json", {}).get("schema")
        if schema is not None and answer.headers.get("Content-Type", "").startswith("application/json"):
            faults = [
                fault
                for fault in validator(self.file, schema).iter_errors(answer.body)
                if not deviates(fault.absolute_path, fault.absolute_schema_path, fault.validator)
            ]
            assert faults == [], (self, faults[0].message, answer.raw)
        if answer.status in (400, 403, 404) and self.file != "accessToken":
            assert set(answer.body) == {"errorMessages", "traceId"}


def deviates(path: Any, schema_path: Any, keyword: object) -> bool:
    """Whether a fault is one that we commit on purpose."""
    names = {str(part) for part in (*path, *schema_path)}
    roots = {"RootCertV2"} if names & {"RootResponse", "rootCertificates"} else set()
    return any(end in names | roots and keyword == word for end, word in DEVIATIONS)


@cache
def described(file: str) -> dict[str, Any]:
    """A description, with `nullable` as JSON Schema says it."""
    assert _FOLDER is not None
    found = translated(json.loads((Path(_FOLDER) / f"{file}.v1.json").read_text()))
    assert isinstance(found, dict)
    return found


def translated(node: Any) -> Any:
    """OpenAPI 3.0's schema words in those of JSON Schema."""
    if isinstance(node, list):
        return [translated(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    found = {key: translated(value) for key, value in node.items() if key not in ("example", "examples")}
    if found.pop("nullable", False) is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


@cache
def schemas() -> Schemas[Any]:
    """All descriptions, for references between them."""
    pairs = [(f"opcp:/{file}.v1.json", DRAFT7.create_resource(described(file))) for file in FILES]
    resources: list[tuple[str, Resource[Any]]] = pairs
    return Schemas().with_resources(resources)


def validator(file: str, schema: dict[str, Any]) -> Draft7Validator:
    """The validator of a schema that stands in a file."""
    anchored = json.loads(
        re.sub(
            r'"\$ref": "(?:\./)?([^"#]*)#', lambda m: f'"$ref": "opcp:/{m[1] or file + ".v1.json"}#', json.dumps(schema)
        )
    )
    return Draft7Validator(anchored, registry=schemas(), format_checker=FormatChecker())


def resolved(file: str, schema: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A schema behind its reference, with the file that it stands in."""
    while "$ref" in schema:
        where, _, pointer = schema["$ref"].partition("#")
        file = Path(where).name.removesuffix(".v1.json") if where else file
        schema = described(file)
        for part in pointer.strip("/").split("/"):
            schema = schema[part]
    return file, schema


ODD = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
KNOWN = {
    "pcid": st.just(PCID),
    "emaid": st.just(EMAID),
    "xsdMsgDefNamespace": st.just(NAMESPACE),
    "contractBegins": st.just("2026-11-23T12:00:00Z"),
    "contractEnds": st.just("2027-11-23T12:00:00Z"),
    "url": st.just("https://hooks.example/"),
}


def drawn_from(file: str, schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    """Values of a schema; of a field that has a right value here, that one too."""
    file, schema = resolved(file, schema)
    likely = KNOWN.get(name)
    kind = schema.get("type", "string")
    found: st.SearchStrategy[Any]
    if "enum" in schema:
        found = st.sampled_from(schema["enum"])
    elif kind == "object":
        required = set(schema.get("required", []))
        fields = {key: drawn_from(file, value, key) for key, value in schema.get("properties", {}).items()}
        found = st.fixed_dictionaries(
            {key: value for key, value in fields.items() if key in required},
            optional={key: value for key, value in fields.items() if key not in required},
        )
    elif kind == "array":
        found = st.lists(drawn_from(file, schema.get("items", {})), max_size=3)
    elif kind in ("boolean", "integer", "number"):
        found = st.booleans() if kind == "boolean" else st.integers()
    elif "pattern" in schema:
        found = st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True)
    else:
        found = st.one_of(st.text(max_size=30), st.binary(max_size=30).map(text))
    return found if likely is None else st.one_of(likely, likely, found)


def operations() -> list[Operation]:
    """Every operation that is described; none without the descriptions."""
    if _FOLDER is None:
        return []
    return [
        Operation(file, method, path)
        for file in FILES
        for path, item in described(file)["paths"].items()
        for method in METHODS
        if method in item
    ]


class Served:
    """The pools behind a loop in a thread of its own, so that a law may call them again and again."""

    def __init__(self, shop: Shop) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._serving = serving(shop)
        self.caller: Caller = self.run(self._serving.__aenter__())

    def run(self, work: Any) -> Any:
        """The result of a coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        """Stop."""
        self.run(self._serving.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, *given: Any, **named: Any) -> Answered:
        """One call."""
        found: Answered = self.run(self.caller(*given, **named))
        return found


@pytest.fixture
def served(shop: Shop) -> Iterator[Served]:
    """Pools with a car, a contract and a client of each kind."""
    shop.pools.settings = PoolSettings(webhook_hosts=frozenset({"hooks.example"}))
    shop.maker()
    shop.operator()
    shop.client("admin", Role.ADMIN)
    shop.client("service", Role.CPS, providers=("DEABC",))
    shop.client("charge", Role.CPO)
    with ExitStack() as stack:
        made = Served(shop)
        stack.callback(made.close)
        car = shop.car()
        assert made.call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker").status == 200
        assert made.call("PUT", "/v1/cps/generate/signedContractData", wish_body(), by="operator").status == 201
        yield made


def test_every_described_operation_is_answered(served: Served, shop: Shop) -> None:
    """Right calls, in an order in which each has what it needs."""
    car = shop.car("WVWABCDEFGH123457")
    root = served.call("GET", "/v1/root/rootCerts", by="admin").body["RootCertificateCollection"]["rootCertificates"][0]
    endpoint = {"url": "https://hooks.example/", "enabledEvents": ["root.cert.added"]}
    kept = served.call("POST", "/v1/webhook/endpoints", endpoint, by="maker").body["id"]
    given = served.call("GET", f"/v1/ccp/provideSignedContractData/{EMAID}/{PCID}", by="maker").body
    stored = {"xsdMsgDefNamespace": NAMESPACE, "emaid": EMAID, "pcid": PCID}
    stored["signedContractDataXML"] = given["certificateInstallationRes"]
    leaf = served.call("GET", f"/v1/oem/provCerts/{PCID}", by="maker").body["OEMMessage"]["vehicleCertificate"]
    asked = text(json.dumps({"oem_provisioning_certificate": leaf}).encode())
    sent, right = "/v1/ccp/signedContractData", 200
    secret = {
        "client_id": "maker",
        "client_secret": shop.secrets["maker"],
        "audience": "https://pools.example",
        "grant_type": "client_credentials",
    }
    script: list[tuple[str, str, str, object, int]] = [
        ("post", "/oauth/token", "/oauth/token", secret, right),
        ("get", "/v1/root/rootCerts", "/v1/root/rootCerts?rootType=v2g", None, right),
        (
            "get",
            "/v1/root/rootCerts/{rootCertificateId}",
            f"/v1/root/rootCerts/{root['rootCertificateId']}",
            None,
            right,
        ),
        ("put", "/v1/root/rootCerts", "/v1/root/rootCerts", {k: root[k] for k in ("caCertificate", "rootType")}, right),
        ("get", "/v1/root/ctl", "/v1/root/ctl", None, right),
        (
            "delete",
            "/v1/root/rootCerts/{rootCertificateId}",
            f"/v1/root/rootCerts/{root['rootCertificateId']}",
            None,
            right,
        ),
        ("put", "/v1/root/rootCerts", "/v1/root/rootCerts", {k: root[k] for k in ("caCertificate", "rootType")}, right),
        ("put", "/v1/oem/provCerts", "/v1/oem/provCerts", provisioning_body(car), right),
        ("get", "/v1/oem/provCerts/{pcid}", f"/v1/oem/provCerts/{car.pcid}", None, right),
        ("get", "/v1/oem/provCerts/lookupVehicle/{pcid}", f"/v1/oem/provCerts/lookupVehicle/{PCID}", None, right),
        ("delete", "/v1/oem/provCerts/{pcid}", f"/v1/oem/provCerts/{car.pcid}", None, right),
        ("get", "/cps/signer", "/cps/signer", None, right),
        ("put", sent, sent, stored, 201),
        ("put", "/v1/cps/generate/signedContractData", "/v1/cps/generate/signedContractData", wish_body(), 201),
        ("post", sent, sent, {"certificateInstallationReq": asked, "xsdMsgDefNamespace": NAMESPACE}, right),
        ("get", f"{sent}/{{pcid}}", f"{sent}/{PCID}", None, right),
        ("post", f"{sent}/{{pcid}}/{{emaid}}/default", f"{sent}/{PCID}/{EMAID}/default", None, right),
        ("get", "/v1/ccp/lookupContract/{emaid}", f"/v1/ccp/lookupContract/{EMAID}", None, right),
        (
            "get",
            "/v1/ccp/provideSignedContractData/{emaid}/{pcid}",
            f"/v1/ccp/provideSignedContractData/{EMAID}/{PCID}",
            None,
            right,
        ),
        ("delete", f"{sent}/{{emaid}}", f"{sent}/{EMAID}", None, right),
        ("post", "/v1/webhook/endpoints", "/v1/webhook/endpoints", endpoint, 201),
        ("get", "/v1/webhook/endpoints", "/v1/webhook/endpoints", None, right),
        ("get", "/v1/webhook/endpoints/{id}", f"/v1/webhook/endpoints/{kept}", None, right),
        ("put", "/v1/webhook/endpoints/{id}", f"/v1/webhook/endpoints/{kept}", endpoint, right),
        ("delete", "/v1/webhook/endpoints/{id}", f"/v1/webhook/endpoints/{kept}", None, right),
    ]
    known = {(found.method, found.path): found for found in operations()}
    for method, path, url, body, status in script:
        operation = known.pop((method, path), None) or known_again(method, path)
        accept = {"Accept": "application/json"} if path == "/v1/root/ctl" else None
        by = None if path == "/oauth/token" else operation.client
        answer = served.call(method.upper(), url, body, by=by, headers=accept)
        assert answer.status == status, (operation, answer.raw)
        operation.check(answer)
    car = shop.car()
    assert served.call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker").status == 200
    data = offered(shop, car)
    for path, body, status in (
        ("/v1/cps/contractData/signed", {"contractData": data, "xsdMsgDefNamespace": NAMESPACE, "pcid": PCID}, 201),
        ("/v1/cps/signedContractData", deprecated(data), right),
        ("/v1/cps/forward/signedContractData", deprecated(data), 201),
    ):
        operation = known.pop(("put", path))
        answer = served.call("PUT", path, body, by="operator")
        assert answer.status == status, (operation, answer.raw)
        operation.check(answer)
    assert known == {}


def known_again(method: str, path: str) -> Operation:
    """An operation that is called a second time."""
    (found,) = [entry for entry in operations() if (entry.method, entry.path) == (method, path)]
    return found


@pytest.mark.parametrize("operation", operations(), ids=[f"{entry.method} {entry.path}" for entry in operations()])
def test_no_call_is_answered_otherwise_than_described(served: Served, operation: Operation) -> None:
    """Drawn calls, right and wrong."""
    file = operation.file
    schema = operation.body_schema()
    bodies = ODD if schema is None else st.one_of(drawn_from(file, schema), drawn_from(file, schema), ODD)
    values = {entry["name"]: drawn_from(file, entry["schema"], entry["name"]) for entry in operation.parameters}
    where = {entry["name"]: entry["in"] for entry in operation.parameters}

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
    @given(bodies, st.fixed_dictionaries(values), st.booleans(), st.booleans())
    def law(body: Any, parameters: dict[str, Any], with_body: bool, with_token: bool) -> None:
        path = operation.path
        query: dict[str, str] = {}
        headers: dict[str, str] = {}
        for name, value in parameters.items():
            written = str(value).lower() if isinstance(value, bool) else str(value)
            if where[name] == "path":
                path = path.replace("{" + name + "}", quote(written, safe="") or "-")
            elif where[name] == "query":
                query[name] = written
            elif written.isascii() and written.isprintable():
                headers[name] = written
        url = path + ("?" + urlencode(query, errors="replace") if query else "")
        raw = json.dumps(body).encode(errors="replace") if with_body and operation.method != "get" else None
        by = operation.client if with_token and operation.file != "accessToken" else None
        operation.check(served.call(operation.method.upper(), url, by=by, headers=headers, raw=raw))

    law()


def test_a_car_of_the_next_generation_is_answered_in_its_namespace(served: Served, shop: Shop) -> None:
    """OPCP describes cars of -2 only; ours of -20 answer in the same form."""
    car = shop.car("WVWABCDEFGH1234567", Generation.ISO_20)
    answer = served.call("PUT", "/v1/oem/provCerts", provisioning_body(car), by="maker")
    operation = known_again("put", "/v1/oem/provCerts")
    schema = operation.described["responses"]["200"]["content"]["application/json"]["schema"]
    faults = list(validator("pcp", schema).iter_errors(answer.body))
    assert [list(fault.absolute_path) for fault in faults] == [["xsdMsgDefNamespace"]]
