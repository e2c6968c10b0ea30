"""Schema ids name a stream description by its content, for ever."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given

from ingest.records import StreamDescription, schema_id
from ingest.wire import decode, encode
from tests.ingest.kinds import EXAMPLES, of_kind

DESCRIPTION = EXAMPLES["stream_description"]
assert isinstance(DESCRIPTION, StreamDescription)


def test_the_schema_id_never_changes() -> None:
    assert isinstance(DESCRIPTION, StreamDescription)
    assert schema_id(DESCRIPTION).hex() == "2df864af56ce15d02460391d3da03823"


@pytest.mark.parametrize(
    "changes",
    [{"stream": "gyro"}, {"channels": ()}, {"dtype": "int32"}, {"rate_num": 1}, {"sensor": ""}, {"mounting": "bed"}],
    ids=lambda changes: next(iter(changes)),
)
def test_any_other_content_has_another_id(changes: dict[str, object]) -> None:
    assert isinstance(DESCRIPTION, StreamDescription)
    assert schema_id(msgspec.structs.replace(DESCRIPTION, **changes)) != schema_id(DESCRIPTION)


def test_other_names_of_the_same_codes_have_another_id() -> None:
    valve = EXAMPLES["stream_description_states"]
    assert isinstance(valve, StreamDescription)
    first, *others = valve.channels
    found = {schema_id(valve)}
    for states in ((), ((0, "shut"),), ((0, "open"), (1, "shut"))):
        channels = (msgspec.structs.replace(first, states=states), *others)
        found.add(schema_id(msgspec.structs.replace(valve, channels=channels)))
    assert len(found) == 4


@given(of_kind(StreamDescription))
def test_the_id_survives_the_wire(description: StreamDescription) -> None:
    decoded = decode(encode(description))
    assert isinstance(decoded, StreamDescription)
    assert schema_id(decoded) == schema_id(description)
