"""What an error of the library is in a message for people. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from aiokafka import errors as kafka_errors

_DENIED: Final = (
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.GroupAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
)
_NAMED: Final = re.compile('(topic|group) "([^"]*)"')


def words_of(what: str, error: BaseException | str, bootstrap: str) -> str:
    """Why `what` did not work out, and what to do where that is known."""
    if isinstance(error, kafka_errors.NodeNotReadyError):
        return "the broker does not answer any more; see it and the network"
    if isinstance(error, _DENIED):
        return _denied(what, bootstrap, is_of_cluster=isinstance(error, kafka_errors.ClusterAuthorizationFailedError))
    return error if isinstance(error, str) else str(error) or type(error).__name__


def unreached(brokers: Sequence[str]) -> str:
    """Why nobody of those that a broker names, as `host:port`, can be reached."""
    if not brokers:
        return (
            "the broker answers, but names none that serves clients, not even itself: it has not registered with its "
            "controller, or was fenced by it; see the broker's log"
        )
    return (
        f"the broker answers, but says that clients find it at {', '.join(brokers)}, which cannot be reached from "
        "here; set its advertised.listeners to an address that they can reach"
    )


def _denied(what: str, bootstrap: str, *, is_of_cluster: bool) -> str:
    named = None if is_of_cluster else _NAMED.search(what)
    place = "--cluster" if named is None else f"--{named[1]} {named[2]}"
    return (
        "the broker's ACLs do not allow it to User:ANONYMOUS, as whom comes who logs in nowhere; remove what denies "
        f"it, and grant it with: kafka-acls.sh --bootstrap-server {bootstrap} --add --allow-principal User:ANONYMOUS "
        f"--operation All {place}"
    )
