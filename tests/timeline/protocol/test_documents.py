"""The documents of routes and socket: complete, whole, and of the types that are spoken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from starlette.routing import Route, WebSocketRoute

from timeline import protocol
from timeline.people.accounts import People
from timeline.protocol.documents import asyncapi, openapi
from timeline.server.app import App, Entrance
from timeline.site import Settings, Timeline
from timeline.tabs.hub import Hub

TYPES: tuple[type[msgspec.Struct], ...] = (*get_args(protocol.FromPage), *get_args(protocol.ToPage))


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (found for name, found in value.items() if name == "$ref" and isinstance(found, str))
        for found in value.values():
            yield from references(found)
    elif isinstance(value, list | tuple):
        for found in value:
            yield from references(found)


@pytest.mark.parametrize("document", [openapi(), asyncapi()], ids=["openapi", "asyncapi"])
def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = list(references(document))
    assert found
    for reference in found:
        at: Any = document
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def test_every_route_is_told_with_its_methods(tmp_path: Path) -> None:
    class NoLog:
        url, trouble, remarks = "segments:none", "", ()

    timeline = Timeline(Settings("none", "segments:none"), NoLog())  # type: ignore[arg-type]
    entrance = Entrance(People(tmp_path), secure=False, hosts=frozenset(), guest="anna")
    app = App(Hub(timeline), entrance).routes()
    told = {(path, method.upper()) for path, methods in openapi()["paths"].items() for method in methods}
    served: set[tuple[str, str]] = set()
    for route in app.routes:
        if isinstance(route, Route):
            path = route.path.replace(":path}", "}")
            served |= {(path, method) for method in route.methods or () if method != "HEAD"}
        else:
            assert isinstance(route, WebSocketRoute)
            assert asyncapi()["channels"]["socket"]["address"] == route.path
    assert told == served


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_every_message_is_told_with_every_field(kind: type[msgspec.Struct]) -> None:
    document = asyncapi()
    prefix = "from" if kind in get_args(protocol.FromPage) else "to"
    message = document["components"]["messages"][f"{prefix}_{kind.__struct_config__.tag}"]
    schema = document["components"]["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
    assert set(schema["properties"]) == {"type", *kind.__struct_fields__}
    assert schema["properties"]["type"] == {"enum": [kind.__struct_config__.tag]}
    own = {field.name for field in msgspec.structs.fields(kind) if field.required}
    assert set(schema["required"]) == own | {"type"}


def test_the_operations_have_all_messages_one_way_or_the_other() -> None:
    document = asyncapi()
    sent, heard = (
        [it["$ref"].rpartition("/")[2] for it in document["operations"][name]["messages"]] for name in ("tell", "hear")
    )
    assert {*sent, *heard} == set(document["components"]["messages"])
    assert not {*sent} & {*heard}
