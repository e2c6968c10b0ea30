from __future__ import annotations

import socket

import pytest

from ingest.errors import StoreUnavailableError
from sinks.influx.config import Target
from sinks.influx.database import Database


def test_a_database_that_is_away_is_told_in_words() -> None:
    with socket.socket() as nobody:  # bound, so that no other takes the port, and nobody listens
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        database = Database(Target(url=url, database="d"), "")
        assert database.check() == ()  # it may come
        with pytest.raises(StoreUnavailableError) as caught:
            database.write(b"m v=1 1")
        database.close()
    assert str(caught.value) == (
        f"{url}: does not answer (Connection refused); nothing is lost: points wait in the log until it does"
    )
