"""The OpenAPI description of the local interface, served at /v1/openapi.json: every route, status and media type.

`tests/gateway/test_local_openapi.py` holds it to the routes that there are, and to what they answer.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.local import authorize
from gateway.local.problems import PROBLEM_TYPE

PATH = "/v1/openapi.json"
Schema = dict[str, Any]
_JSON = "application/json"
_WORDS = {
    400: "the body is not the question that it should be; `where` is the JSON path",
    403: "a page of another origin may not ask here",
    404: "there is no such thing at this site",
    408: "the body came too slowly",
    413: "the body is larger than any question",
    415: "the body is not application/json",
    421: "the Host header does not name this interface",
    429: "too many questions; Retry-After says when to ask again",
    503: "not now; nothing was decided, or there is no answer that counts",
}


def description() -> Schema:
    """The whole document."""
    _, components = msgspec.json.schema_components(
        (authorize.AuthorizeBody, authorize.AuthorizeAnswer), ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pnc-gateway, local interface",
            "version": "1",
            "summary": "Authorization, OCSP staples and health for charger software on the same box",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            authorize.PATH: {"post": _authorize()},
            "/v1/health": {"get": _health()},
            "/v1/chains": {"get": _chains()},
            "/v1/chains/{sha256}/ocsp": {"parameters": [_SHA256], "get": _chain_answers()},
            "/v1/ocsp/{sha256}": {"parameters": [_SHA256], "get": _answer()},
            PATH: {"get": _own()},
        },
        "components": {"schemas": {**components, "Problem": _PROBLEM, "Health": _HEALTH, "Staple": _STAPLE}},
    }


_PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "what is wrong, and where"},
        "code": {"type": "string", "pattern": "^[a-z0-9-]+$"},
        "where": {"type": "string", "description": "JSON path of what is wrong in the body"},
    },
}
_INSTANT: Schema = {"type": "string", "format": "date-time"}
_HEX: Schema = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
_SHA256: Schema = {"name": "sha256", "in": "path", "required": True, "schema": _HEX}
_HEALTH: Schema = {
    "type": "object",
    "required": ["ok", "online", "clock", "chargers"],
    "properties": {
        "ok": {"type": "boolean", "description": "what is stored is durable"},
        "online": {"type": "boolean", "description": "the hub answers"},
        "clock": {"enum": ["trusted", "drifting", "unknown"]},
        "chargers": {"type": "integer", "minimum": 0},
        "certificate_not_after": {"anyOf": [_INSTANT, {"type": "null"}]},
    },
}
_STAPLE: Schema = {
    "type": "object",
    "required": ["certificate", "this_update", "next_update", "ocsp"],
    "properties": {
        "certificate": _HEX,
        "this_update": _INSTANT,
        "next_update": _INSTANT,
        "ocsp": {"type": "string", "contentEncoding": "base64"},
    },
}


def _authorize() -> Schema:
    return {
        "operationId": "authorize",
        "summary": "may this contract, or this token, charge; durable in the audit log before it is answered",
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": {"$ref": "#/components/schemas/AuthorizeBody"}}},
        },
        "responses": {
            **_good("the decision, accept or refuse", _JSON, {"$ref": "#/components/schemas/AuthorizeAnswer"}),
            **_problems(400, 403, 408, 413, 415, 421, 429, 503),
        },
    }


def _health() -> Schema:
    told = {_JSON: {"schema": {"$ref": "#/components/schemas/Health"}}}
    responses = {
        "200": {"description": "the gateway is well", "content": told},
        **_problems(403, 421),
        "503": {"description": "nothing can be stored", "content": told},
    }
    return {"operationId": "health", "summary": "whether the gateway is well", "responses": responses}


def _chains() -> Schema:
    schema = {"type": "object", "required": ["chains"], "properties": {"chains": {"type": "array", "items": _HEX}}}
    return {
        "operationId": "chains",
        "summary": "the site's own chains, by the SHA-256 of their leafs",
        "responses": {**_good("the leafs", _JSON, schema), **_problems(403, 421)},
    }


def _chain_answers() -> Schema:
    items = {"$ref": "#/components/schemas/Staple"}
    schema = {"type": "object", "required": ["chain"], "properties": {"chain": {"type": "array", "items": items}}}
    return {
        "operationId": "chainAnswers",
        "summary": "the OCSP answers of a whole chain of the site, leaf first",
        "responses": {**_good("all of them", _JSON, schema), **_problems(403, 404, 421, 503)},
    }


def _answer() -> Schema:
    return {
        "operationId": "certificateAnswer",
        "summary": "the OCSP answer for one certificate of the site's chains",
        "responses": {**_good("the answer, DER", "application/ocsp-response", {}), **_problems(403, 404, 421, 503)},
    }


def _own() -> Schema:
    return {
        "operationId": "openapi",
        "summary": "this",
        "responses": {**_good("this", _JSON, {"type": "object"}), **_problems(403, 421)},
    }


def _good(what: str, media_type: str, schema: Schema) -> Schema:
    return {"200": {"description": what, "content": {media_type: {"schema": schema}}}}


def _problems(*statuses: int) -> Schema:
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: Schema = {str(status): {"description": _WORDS[status], "content": content} for status in statuses}
    # What is no HTTP within its bounds never comes to a handler; the server below says so in plain text.
    below = {"text/plain": {"schema": {"type": "string"}}}
    found["400"] = {"description": _WORDS[400], "content": {**(content if 400 in statuses else {}), **below}}
    return found
