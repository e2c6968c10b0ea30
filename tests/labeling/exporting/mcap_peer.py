"""What others make of a recording's MCAP; run by a Python that has their libraries. Prints JSON."""

import json
import sys
from collections import Counter

from foxglove_schemas_protobuf.LocationFix_pb2 import LocationFix
from jsonschema import Draft202012Validator
from mcap.reader import NonSeekingReader, SeekingReader

found: Counter[str] = Counter()
with open(sys.argv[1], "rb") as file:  # noqa: PTH123 - as little as can be of anything else
    validators: dict[int, Draft202012Validator] = {}
    for schema, channel, message in SeekingReader(file, validate_crcs=True).iter_messages():
        assert schema is not None
        if schema.id not in validators:
            Draft202012Validator.check_schema(json.loads(schema.data))
            validators[schema.id] = Draft202012Validator(json.loads(schema.data))
        told = json.loads(message.data)
        found[channel.topic] += 1
        found["invalid"] += sum(1 for _ in validators[schema.id].iter_errors(told))
        if schema.name == "foxglove.LocationFix":
            known = {field.name for field in LocationFix.DESCRIPTOR.fields}
            found["unknown fields"] += len(told.keys() - known)
            found["bad stamps"] += told["timestamp"].keys() != {"sec", "nsec"}
with open(sys.argv[1], "rb") as file:  # noqa: PTH123
    found["read in a row"] = sum(1 for _ in NonSeekingReader(file, validate_crcs=True).iter_messages())
print(json.dumps(found))
