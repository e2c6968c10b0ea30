"""The log on Apache Kafka, for more than one machine.

aiokafka carries the wire protocol, the idempotent producer and the group membership. Two things are done here on its
lower layer instead of its front: records are fetched straight into columns (its own consumer builds an object and a
Python call per record, which halves the rate), and produce batches are filled per `append` call. `cluster` holds what
asks once and answers once, `fetch` and `member` read, `publisher` writes; `internals` is all that is used of aiokafka's
private members.
"""

from __future__ import annotations

import logging

from ingest.errors import MissingLibraryError

# Without a handler Python prints aiokafka's every failed attempt to stderr; what matters of them is in our own errors.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())

try:
    from ingest.log.kafka.log import KafkaLog
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "aiokafka":
        raise
    raise MissingLibraryError("kafka://", error.name, "edge") from error

__all__ = ["KafkaLog"]
