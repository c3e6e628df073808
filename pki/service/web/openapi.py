"""The OpenAPI description of the service, served at /openapi.json: every route, every status, every media type.

`tests/pki/web/test_openapi.py` holds it to the routes that there are, and to what they answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from pki.service.web import est, lists, ocsp
from pki.service.web.labels import ALGORITHMS, ISO_VERSIONS, LABEL_PATTERN, NAMESPACES
from pki.service.web.problems import PROBLEM_TYPE

PATH = "/openapi.json"
Schema = dict[str, Any]
_WORDS = {
    304: "what the client holds is still right",
    400: "the request is malformed, or its key or subject is not what the profile asks for",
    401: "neither a one-time code that counts nor a client certificate was shown",
    403: "the client may not have this: revoked, another subject, a name it may not ask for",
    404: "there is no such thing here",
    408: "the body came too slowly",
    409: "the key was certified for another name",
    413: "the body is larger than any request",
    414: "the path is longer than any request",
    415: "the body has another media type",
    429: "the quota of this client is used up",
    501: "not offered; the problem says what to do instead",
    503: "not now: too many wait, or the registry cannot be used",
}
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_BINARY: Schema = {}


def description() -> Schema:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pnc-pki",
            "version": "1",
            "summary": "A Plug & Charge PKI: enrolment, OCSP, revocation lists",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {**_est_paths(), **_opcp_paths(), **_ocsp_paths(), **_list_paths(), PATH: {"get": _own()}},
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "securitySchemes": {
                "code": {"type": "http", "scheme": "basic", "description": "a registered name and its one-time code"},
                "certificate": {"type": "mutualTLS", "description": "a certificate of this PKI"},
            },
        },
    }


def add_routes(app: web.Application) -> None:
    """GET /openapi.json."""
    found = web.json_response(description()).body

    async def told(_request: web.Request) -> web.Response:
        return web.Response(body=found, content_type="application/json")

    app.router.add_get(PATH, told)


_PROBLEM: Schema = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "which rule was broken, and by what"},
        "code": {"type": "string", "pattern": "^[a-z0-9-]+$"},
        "clause": {"type": "string", "description": "where the rule is written"},
        "remedy": {"type": "string", "description": "what to do"},
    },
}


def _est_paths() -> Schema:
    paths: Schema = {}
    for prefix, kind, parameters in (
        (est.WELL_KNOWN, "", []),
        (f"{est.WELL_KNOWN}/{{label}}", "Labelled", [_LABEL]),
    ):
        paths |= {
            f"{prefix}/cacerts": {"parameters": parameters, "get": _ca_certificates(f"cacerts{kind}")},
            f"{prefix}/csrattrs": {"parameters": parameters, "get": _attributes(f"csrattrs{kind}")},
            f"{prefix}/simpleenroll": {"parameters": parameters, "post": _enrol(f"simpleenroll{kind}")},
            f"{prefix}/simplereenroll": {"parameters": parameters, "post": _enrol(f"simplereenroll{kind}")},
            f"{prefix}/serverkeygen": {"parameters": parameters, "post": _refused(f"serverkeygen{kind}")},
            f"{prefix}/fullcmc": {"parameters": parameters, "post": _refused(f"fullcmc{kind}")},
        }
    return paths


def _opcp_paths() -> Schema:
    parameters = [_LABEL, _VERSION]
    prefix = f"{est.WELL_KNOWN}/{{label}}"
    return {
        f"{prefix}/csrattrs/{{version}}": {"parameters": parameters, "get": _attributes("csrattrsVersioned")},
        f"{prefix}/simpleenroll/{{version}}": {"parameters": parameters, "post": _enrol("simpleenrollVersioned")},
        f"{prefix}/simplereenroll/{{version}}": {
            "parameters": parameters,
            "post": _enrol("simplereenrollVersioned"),
        },
        "/{label}/cacerts/{version}/{algorithm}/": {
            "parameters": [*parameters, _path("algorithm", {"type": "string", "enum": sorted(ALGORITHMS)})],
            "get": _ca_certificates("cacertsOfAlgorithm"),
        },
    }


def _ocsp_paths() -> Schema:
    answers = {
        **_answer("an OCSP answer, also malformedRequest, unauthorized, tryLater", ocsp.ANSWER_TYPE, _BINARY),
        **_problems(400, 408, 413, 415),
    }
    body = {"required": True, "content": {ocsp.REQUEST_TYPE: {"schema": _BINARY}}}
    posts = {
        path: {"post": {"operationId": name, "requestBody": body, "responses": answers}}
        for name, path in (("ocspPost", ocsp.PATH), ("ocspPostBelow", f"{ocsp.PATH}/"))
    }
    request = _path("request", {**_BASE64, "minLength": 1, "maxLength": ocsp.MAX_TEXT})
    got = {**_answer("an OCSP answer", ocsp.ANSWER_TYPE, _BINARY), **_held(), **_problems(400, 404, 414)}
    return posts | {
        f"{ocsp.PATH}/{{request}}": {"parameters": [request], "get": {"operationId": "ocspGet", "responses": got}}
    }


def _list_paths() -> Schema:
    name = _path("name", {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"})
    paths: Schema = {}
    for path, media_type, what in (
        ("/crls/{name}.crl", lists.LIST_TYPE, "the list of an authority; with -delta behind its name what changed"),
        ("/ca/{name}.cer", lists.CERTIFICATE_TYPE, "the certificate of an authority"),
        ("/ca/{name}.pem", lists.CHAIN_TYPE, "the same with those above it, the root last"),
    ):
        name_of = {"crl": "revocationList", "cer": "authorityCertificate", "pem": "authorityChain"}
        responses = {**_answer(what, media_type, _BINARY), **_held(), **_problems(404, 503)}
        operation = {"operationId": name_of[path[-3:]], "summary": what, "responses": responses}
        paths[path] = {"parameters": [name], "get": operation}
    return paths


def _own() -> Schema:
    return {"operationId": "openapi", "responses": _answer("this", "application/json", {"type": "object"})}


def _ca_certificates(name: str) -> Schema:
    return {
        "operationId": name,
        "summary": "the authorities that sign what the label asks for, up to their roots",
        "parameters": [_NAMESPACE],
        "responses": {
            **_answer("certs-only PKCS#7 in base64", "application/pkcs7-mime", _BASE64),
            **_problems(400, 404, 503),
        },
    }


def _attributes(name: str) -> Schema:
    return {
        "operationId": name,
        "summary": "which keys and signatures a request may have",
        "parameters": [_NAMESPACE],
        "responses": {**_answer("CsrAttrs in base64", est.ATTRIBUTES_TYPE, _BASE64), **_problems(400, 404, 503)},
    }


def _enrol(name: str) -> Schema:
    return {
        "operationId": name,
        "summary": "a certificate for the key and the name of a request",
        "parameters": [_NAMESPACE],
        "security": [{"code": []}, {"certificate": []}],
        "requestBody": {
            "required": True,
            "description": "a PKCS#10 request in base64, without the lines of PEM",
            "content": {est.REQUEST_TYPE: {"schema": {**_BASE64, "maxLength": est.MAX_BODY}}},
        },
        "responses": {
            **_answer("the certificate alone, as certs-only PKCS#7 in base64", "application/pkcs7-mime", _BASE64),
            **_problems(400, 401, 403, 404, 408, 409, 413, 415, 429, 503),
        },
    }


def _refused(name: str) -> Schema:
    return {"operationId": name, "summary": "not offered", "responses": _problems(404, 501)}


def _answer(what: str, media_type: str, schema: Schema) -> Schema:
    return {"200": {"description": what, "content": {media_type: {"schema": schema}}}}


def _held() -> Schema:
    return {"304": {"description": _WORDS[304]}}


def _problems(*statuses: int) -> Schema:
    content: Schema = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: Schema = {str(status): {"description": _WORDS[status], "content": content} for status in statuses}
    # What is no HTTP within its bounds never comes to a handler; the server below says so in plain text.
    found["400"] = {
        "description": _WORDS[400],
        "content": {**(content if 400 in statuses else {}), "text/plain": {"schema": {"type": "string"}}},
    }
    return found


def _path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _choice(names: Iterable[str]) -> Schema:
    return {"type": "string", "enum": sorted(names)}


_LABEL = _path("label", {"type": "string", "pattern": f"^({LABEL_PATTERN})$"})
_VERSION = _path("version", _choice(ISO_VERSIONS))
_NAMESPACE: Schema = {"name": "xsdMsgDefNamespace", "in": "query", "schema": _choice(NAMESPACES)}
