"""What the server says of itself to programs: its routes as OpenAPI 3.1, its socket as AsyncAPI 3.0, made of the types.

A field that is added to a type of `timeline.protocol` is in the documents by itself; a route must be added here, and
the tests see to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, get_args

import msgspec

from timeline import protocol

_REF: Final = "#/components/schemas/{name}"
_TEXT: Final[dict[str, Any]] = {"text/html": {}}
_Schemas: TypeAlias = Mapping[type[msgspec.Struct], dict[str, Any]]
_SESSION: Final[list[dict[str, Any]]] = [{"session": []}, {"token": []}]


def openapi() -> dict[str, Any]:
    """The document of `GET /openapi.json` (https://spec.openapis.org/oas/v3.1.0)."""
    types: list[type[msgspec.Struct]] = [
        protocol.Login,
        protocol.Session,
        protocol.Gallery,
        protocol.TakePlan,
        protocol.Problem,
        protocol.TakeQuery,
    ]
    refs, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    schema: _Schemas = dict(zip(types, refs, strict=True))
    asked = schemas.pop(protocol.TakeQuery.__name__)
    return {
        "openapi": "3.1.0",
        "info": {"title": "sensorloom timeline", "version": str(protocol.PROTOCOL)},
        "paths": _pages() | _who(schema) | _data(schema, asked),
        "components": {
            "schemas": schemas,
            "responses": {"problem": {"description": "Refused", "content": _of(schema[protocol.Problem])}},
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "sensorloom"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _pages() -> dict[str, Any]:
    """What everybody gets."""
    page = {"summary": "The page", "responses": _answers("200", "The page", _TEXT)}
    worker = _answers("200", "A script", {"text/javascript": {}})
    kinds: dict[str, Any] = {"text/javascript": {}, "text/css": {}, "image/svg+xml": {}}
    file = {
        "summary": "A file of the page; its path begins with the version",
        "responses": _answers("200", "A file", kinds, "404"),
    }
    opened = _answers("303", "Signed in", None, "403")
    document = {"application/json": {"schema": {"type": "object"}}}
    return {
        "/": {"get": page},
        "/d/{device}": {"get": page | {"parameters": [_in_path("device")]}},
        "/sw.js": {"get": {"summary": "The service worker", "responses": worker}},
        "/static/{path}": {"get": file | {"parameters": [_in_path("path")]}},
        "/open/{secret}": {
            "get": {
                "summary": "The one-time link: signs in, and goes on to the page",
                "parameters": [_in_path("secret")],
                "responses": opened,
            }
        },
        "/openapi.json": {"get": {"summary": "This", "responses": _answers("200", "This", document)}},
        "/asyncapi.json": {"get": {"summary": "The socket", "responses": _answers("200", "AsyncAPI", document)}},
    }


def _who(schema: _Schemas) -> dict[str, Any]:
    """Signing in and out."""
    session = _of(schema[protocol.Session])
    csrf = {"name": "X-CSRF-Token", "in": "header", "required": True, "schema": {"type": "string"}}
    return {
        "/api/session": {
            "get": {
                "summary": "Who is signed in",
                "security": _SESSION[:1],
                "responses": _answers("200", "The session", session, "401"),
            }
        },
        "/api/login": {
            "post": {
                "summary": "Sign in",
                "requestBody": {"required": True, "content": _of(schema[protocol.Login])},
                "responses": _answers("200", "The session", session, "400", "401", "403", "408", "413", "429"),
            }
        },
        "/api/logout": {
            "post": {
                "summary": "End the session, everywhere",
                "security": _SESSION[:1],
                "parameters": [csrf],
                "responses": _answers("204", "It is over", None, "401", "403"),
            }
        },
    }


def _data(schema: _Schemas, asked: dict[str, Any]) -> dict[str, Any]:
    """What who is signed in gets; `asked` is the schema of `TakeQuery`."""
    query = [
        {"name": name, "in": "query", "required": name in asked["required"], "schema": about}
        for name, about in asked["properties"].items()
    ]
    file: dict[str, Any] = {kind: {} for kind in ("text/csv", "application/zip", "application/vnd.apache.parquet")}
    refused = "400", "401", "404", "503"
    return {
        "/api/gallery": {
            "get": {
                "summary": "All recordings",
                "security": _SESSION,
                "responses": _answers("200", "The newest first", _of(schema[protocol.Gallery]), "401", "503"),
            }
        },
        "/api/take": {
            "get": {
                "summary": "A range of a device's samples, as a file",
                "security": _SESSION,
                "parameters": query,
                "responses": _answers("200", "The file", file, *refused, "409", "413", "429"),
            }
        },
        "/api/take/plan": {
            "get": {
                "summary": "What the file would hold",
                "security": _SESSION,
                "parameters": query,
                "responses": _answers("200", "The plan", _of(schema[protocol.TakePlan]), *refused),
            }
        },
    }


def _answers(code: str, words: str, content: dict[str, Any] | None, *errors: str) -> dict[str, Any]:
    found: dict[str, Any] = {code: {"description": words} | ({"content": content} if content else {})}
    return found | {error: {"$ref": "#/components/responses/problem"} for error in errors}


def asyncapi() -> dict[str, Any]:
    """The document of `GET /asyncapi.json` (https://www.asyncapi.com/docs/reference/specification/v3.0.0)."""
    down, up = get_args(protocol.ToPage), get_args(protocol.FromPage)
    refs, schemas = msgspec.json.schema_components([*up, *down], ref_template=_REF)
    names = [f"from_{_tag(it)}" for it in up] + [f"to_{_tag(it)}" for it in down]
    told = zip(names, [*up, *down], refs, strict=True)
    messages: dict[str, Any] = {
        name: {"summary": _summary(kind), "contentType": "application/json", "payload": ref} for name, kind, ref in told
    }
    messages["to_frame"] = {
        "summary": "Samples or tiles; timeline/README.md has the layout",
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }

    def operation(action: str, prefix: str) -> dict[str, Any]:
        own = [{"$ref": f"#/channels/socket/messages/{name}"} for name in messages if name.startswith(prefix)]
        return {"action": action, "channel": {"$ref": "#/channels/socket"}, "messages": own}

    return {
        "asyncapi": "3.0.0",
        "info": {"title": "sensorloom timeline", "version": str(protocol.PROTOCOL)},
        "defaultContentType": "application/json",
        "channels": {
            "socket": {
                "address": "/socket",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {"hear": operation("receive", "from_"), "tell": operation("send", "to_")},
        "components": {"messages": messages, "schemas": schemas},
    }


def _of(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _tag(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _summary(kind: type[msgspec.Struct]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]
