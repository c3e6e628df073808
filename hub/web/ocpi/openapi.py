"""The OpenAPI description of what partners are served, at {url}/openapi.json: every path, method and status.

The objects' schemas are made from the types that they are checked by, so they cannot say otherwise. Refusals of the
content are no HTTP errors in OCPI: a 200 may hold a `status_code` of 2000 and above. The tests hold the description to
what is answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from hub.roaming.ordering import REQUESTS
from hub.roaming.speech import SPOKEN
from hub.web.ocpi.exchange import Sides
from wire.ocpi import checks
from wire.ocpi.commands import (
    ChargingProfileResponse,
    ChargingProfileResult,
    CommandResponse,
    CommandResult,
    CommandType,
    SetChargingProfile,
)
from wire.ocpi.locations import EVSE, Connector
from wire.ocpi.partners import Credentials, VersionDetails, VersionLink
from wire.ocpi.tokens import AuthorizationInfo, LocationReferences
from wire.ocpi.types import InterfaceRole, Module

PATH = "/openapi.json"
Schema = dict[str, Any]
_JSON, _LICENSE = "application/json", "Apache-2.0"
_S, _R = InterfaceRole.SENDER, InterfaceRole.RECEIVER
_OWNED = "/{country_code}/{party_id}/{id}"
_QUERIES = {
    "type": {"type": "string", "description": "of the token; RFID where left out"},
    "date_from": {"type": "string", "format": "date-time", "description": "inclusive, on last_updated"},
    "date_to": {"type": "string", "format": "date-time", "description": "exclusive"},
    "offset": {"type": "integer", "minimum": 0},
    "limit": {"type": "integer", "minimum": 1},
    "duration": {"type": "integer", "minimum": 0},
    "response_url": {"type": "string", "format": "uri"},
}
_LIST = ("date_from", "date_to", "offset", "limit")
_WORDS = {
    400: "no JSON, or a query or header that cannot be read",
    401: "no known token, or one for registration only",
    404: "no such path, or no such object of yours",
    405: "not this method here, or not in this state",
    413: "the body is larger than any object",
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a path below a side takes and gives. `many`: the answer is a list."""

    below: str
    methods: tuple[str, ...]
    body: type[msgspec.Struct] | None = None
    gives: type[msgspec.Struct] | None = None
    many: bool = False
    query: tuple[str, ...] = ()


def _shapes(module: Module, side: InterfaceRole) -> tuple[_Shape, ...]:
    """The paths of one side of a module."""
    if module is Module.COMMANDS and side is _R:
        return tuple(_Shape(f"/{one.value}", ("POST",), REQUESTS[one], CommandResponse) for one in CommandType)
    if module is Module.COMMANDS:
        return (_Shape("/{command}/{uid}", ("POST",), CommandResult),)
    if module is Module.CHARGING_PROFILES and side is _S:
        return (_Shape("/{uid}", ("POST",), ChargingProfileResult),)
    if module is Module.CHARGING_PROFILES:
        asked = _Shape("/{id}", ("GET", "DELETE"), None, ChargingProfileResponse, query=("duration", "response_url"))
        return (asked, _Shape("/{id}", ("PUT",), SetChargingProfile, ChargingProfileResponse))
    object_ = checks.TYPE_OF[module]
    if side is _S:
        return (_Shape("", ("GET",), None, object_, many=True, query=_LIST), *_OF_SENDER.get(module, ()))
    if module is Module.CDRS:
        return (_Shape("", ("POST",), object_), _Shape(_OWNED, ("GET",), None, object_))
    path = "/{country_code}/{party_id}" if module is Module.HUB_CLIENT_INFO else _OWNED
    query = ("type",) if module is Module.TOKENS else ()
    whole = _Shape(path, ("GET", "PUT", "PATCH", "DELETE"), object_, object_, query=query)
    parts = (
        _Shape(f"{_OWNED}/{{evse_uid}}", ("GET", "PUT", "PATCH"), EVSE, EVSE),
        _Shape(f"{_OWNED}/{{evse_uid}}/{{connector_id}}", ("GET", "PUT", "PATCH"), Connector, Connector),
    )
    return (whole, *parts) if module is Module.LOCATIONS else (whole,)


_OF_SENDER: Mapping[Module, tuple[_Shape, ...]] = {
    Module.LOCATIONS: (
        _Shape("/{id}", ("GET",), None, checks.TYPE_OF[Module.LOCATIONS]),
        _Shape("/{id}/{evse_uid}", ("GET",), None, EVSE),
        _Shape("/{id}/{evse_uid}/{connector_id}", ("GET",), None, Connector),
    ),
    Module.TOKENS: (_Shape("/{id}/authorize", ("POST",), LocationReferences, AuthorizationInfo, query=("type",)),),
    Module.SESSIONS: (_Shape("/{id}/charging_preferences", ("PUT",)),),
}
"""What Sender sides have beside their list."""


def description(sides: Sides) -> Schema:
    """The whole document, for what is served."""
    paths: dict[str, Schema] = {
        "/versions": {"get": _operation("versions", (), None, VersionLink, many=True)},
        "/{version}": {"get": _operation("details", ("version",), None, VersionDetails)},
        "/{version}/credentials": {
            method.lower(): _operation(
                f"credentials{method.capitalize()}",
                ("version",),
                Credentials if method in ("POST", "PUT") else None,
                None if method == "DELETE" else Credentials,
            )
            for method in ("GET", "POST", "PUT", "DELETE")
        },
        PATH: {"get": _own()},
    }
    for (module, side), methods in sides.items():
        for shape in _shapes(module, side):
            path = f"/{{version}}/{side.value.lower()}/{module.value}{shape.below}"
            for method in shape.methods:
                if method in methods:
                    paths.setdefault(path, {})[method.lower()] = _described(module, side, shape, method)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pnc-hub, OCPI",
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": _components(sides),
            "securitySchemes": {
                "token": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Token `, then the credentials token in base64",
                }
            },
        },
    }


def _described(module: Module, side: InterfaceRole, shape: _Shape, method: str) -> Schema:
    words = [part.strip("{}") for part in shape.below.split("/") if part]
    name = "".join(part.capitalize() for word in words for part in word.split("_"))
    operation = f"{module.value}{side.value.capitalize()}{method.capitalize()}{name}"
    inside = [part.strip("{}") for part in shape.below.split("/") if part.startswith("{")]
    body = shape.body if method in ("POST", "PUT", "PATCH") else None
    gives = shape.gives if method == "GET" or body is not shape.gives else None
    return _operation(operation, ("version", *inside), body, gives, shape.many, shape.query, partial=method == "PATCH")


def _operation(
    name: str,
    inside: Iterable[str],
    body: type[msgspec.Struct] | None,
    gives: type[msgspec.Struct] | None,
    many: bool = False,
    query: Iterable[str] = (),
    *,
    partial: bool = False,
) -> Schema:
    described: Schema = {
        "operationId": name,
        "parameters": [
            *({"name": one, "in": "path", "required": True, "schema": _inside(one)} for one in inside),
            *({"name": one, "in": "query", "schema": _QUERIES[one]} for one in query),
        ],
        "responses": {"200": _answer(gives, many), **{str(status): _refused(status) for status in _WORDS}},
    }
    if body is not None:
        schema = {"type": "object"} if partial else _reference(body)
        described["requestBody"] = {"content": {_JSON: {"schema": schema}}}
        described["responses"]["201"] = _answer(None, many=False)
    return described


def _inside(name: str) -> Schema:
    return {"enum": [one.value for one in SPOKEN]} if name == "version" else {"type": "string", "minLength": 1}


def _answer(gives: type[msgspec.Struct] | None, many: bool) -> Schema:
    schema: Schema = {"$ref": "#/components/schemas/Envelope"}
    if gives is not None:
        data: Schema = {"type": "array", "items": {"type": "object"}} if many else {"type": ["object", "string"]}
        told = f"{'each ' if many else ''}{gives.__name__}, in 2.2.1 as that version has it"
        schema = {"allOf": [schema, {"properties": {"data": data | {"description": told}}}]}
    return {
        "description": "an envelope; its status_code says what became of it",
        "content": {_JSON: {"schema": schema}},
    }


def _refused(status: int) -> Schema:
    content: Schema = {_JSON: {"schema": {"$ref": "#/components/schemas/Envelope"}}}
    if status == 400:
        # What is no HTTP within its bounds never comes to a handler; the server below says so in plain text.
        content["text/plain"] = {"schema": {"type": "string"}}
    return {"description": _WORDS[status], "content": content}


def _own() -> Schema:
    return {
        "operationId": "openapi",
        "responses": {
            "200": {"description": "this", "content": {_JSON: {"schema": {"type": "object"}}}},
            **{str(status): _refused(status) for status in (400, 401, 404, 405)},
        },
    }


_ENVELOPE: Schema = {
    "type": "object",
    "required": ["status_code", "timestamp"],
    "properties": {
        "status_code": {"type": "integer", "minimum": 1000, "maximum": 4999},
        "timestamp": {"type": "string", "format": "date-time"},
        "status_message": {"type": "string"},
    },
}


def _reference(type_: type[msgspec.Struct]) -> Schema:
    return {"$ref": f"#/components/schemas/{type_.__name__}"}


def _components(sides: Sides) -> Schema:
    shapes = [shape for module, side in sides for shape in _shapes(module, side)]
    types = {one for shape in shapes for one in (shape.body, shape.gives) if one is not None}
    types |= {Credentials, VersionDetails, VersionLink}
    ordered = sorted(types, key=lambda one: one.__name__)
    _, found = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    return {"Envelope": _ENVELOPE, **{name: _numbers(schema) for name, schema in found.items()}}


def _numbers(schema: Any) -> Any:
    """Decimals are JSON numbers in OCPI."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            return {"type": "number"}
        return {name: _numbers(value) for name, value in schema.items() if name != "title"}
    return [_numbers(value) for value in schema] if isinstance(schema, list) else schema
