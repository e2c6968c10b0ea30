"""Which deliveries a broker may repeat. Pure.

A broker repeats what was not acknowledged when the connection ended, with the packet id it had (MQTT 5.0, section
4.4). It frees a packet id when it reads the PUBACK (section 2.2.1): from then on the same id with the same payload is
another message. That a PUBACK was read is certain when a later packet of the same connection was answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from edge.protocol import Settled


class Redelivery:
    """The deliveries of one subscription, by their identity, through all its connections."""

    def __init__(self) -> None:
        self._here: Counter[bytes] = Counter()
        """Of this connection: what may come again when it ends."""
        self._settled: list[bytes] = []
        self._rest_is_settled = False

    def delivered(self, identity: bytes) -> None:
        """A message came."""
        self._here[identity] += 1

    def settled(self, identities: Iterable[bytes]) -> None:
        """Their acknowledgements were read by the broker."""
        for identity in identities:
            self._settled.append(identity)
            self._here[identity] -= 1
            if self._here[identity] <= 0:
                del self._here[identity]

    def repeated_all(self) -> None:
        """The broker has repeated on this connection whatever it had to repeat, or has lost the session."""
        self._rest_is_settled = True

    def connection_over(self) -> None:
        """What was delivered here and is not settled may come again."""
        self._here.clear()
        self._rest_is_settled = False

    def take(self, waiting: Iterable[bytes]) -> Settled:
        """What comes no more, since the last call; `waiting`: identities of what the agent has not looked at yet."""
        settled, self._settled = self._settled, []
        if not self._rest_is_settled:
            return Settled(settled)
        self._rest_is_settled = False
        return Settled(settled, frozenset((*self._here, *waiting)))
